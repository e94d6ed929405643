"""From a configuration to the parts of a training, and the check that they can be made."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable
from pathlib import Path

import torch
from hydra.utils import instantiate
from omegaconf import DictConfig
from pytorch_lightning.callbacks import Callback, EarlyStopping, ProgressBar, Timer
from pytorch_lightning.callbacks import Checkpoint as CheckpointCallback

from fer3d.clips.augment import make_augmentation
from fer3d.clips.store import StoreHeader
from fer3d.models.network import Task, check_network
from fer3d.training.checkpoint import Checkpoint
from fer3d.training.device import trainer_devices
from fer3d.training.fold import Training, make_trainer
from fer3d.training.networks import check_kind, make_network
from fer3d.training.precision import Precision


def make_training(config: DictConfig, header: StoreHeader, start: Checkpoint | None, precision: Precision) -> Training:
    """Makes the parts of a training from a run's configuration.

    Args:
        config: The configuration, checked.
        header: What the clips are.
        start: The checkpoint that every fold starts from; None where folds start from scratch.
        precision: The number format, resolved.
    """
    task = _task(header, config.clips.num_frames)

    def network() -> torch.nn.Module:
        made = make_network(config.model, task)
        if start is not None:
            start.start(made, header.emotions)
        return made

    return Training(
        network=network,
        optimizer=instantiate(config.optimizer),
        scheduler=instantiate(config.scheduler),
        augmentation=make_augmentation(config.augment),
        trainer=instantiate(
            config.trainer, devices=trainer_devices(config.trainer.accelerator, config.trainer.devices)
        ),
        batch_size=config.batch_size,
        normalise=config.clips.normalise,
        class_weights=config.class_weights,
        precision=precision,
        compile=config.compile,
        callbacks=lambda: list(instantiate(config.callbacks).values()),
        num_batches=config.num_batches,
        class_sampler=config.class_sampler,
        sampling=instantiate(config.frames),
        num_frames=config.clips.num_frames,
    )


def check_training(training: Training, header: StoreHeader) -> int:
    """Makes once everything that a fold needs, so that what cannot work fails before any work.

    Args:
        training: How folds are to be trained.
        header: What the clips are.

    Returns:
        The number of bytes of the network's parameters and buffers.

    Raises:
        ValueError: A setting is impossible, or `compile` has no compiler.
        MisconfigurationException: The device is not there, or Lightning's trainer refuses a setting.
    """
    _check_callbacks(training.callbacks())
    if training.compile and not any(map(shutil.which, (os.environ.get("CXX", "g++"), "g++", "clang++"))):
        raise ValueError("compile=true needs a C++ compiler, and there is none: install g++, or set compile=false")
    network = training.network()
    task = _task(header, training.num_frames or header.num_frames)
    check_network(network, task, batch_size=training.batch_size, normalise=training.normalise)
    optimizer = training.optimizer(network.parameters())
    check_kind("optimizer", optimizer, torch.optim.Optimizer)
    check_kind("scheduler", training.scheduler(optimizer, 1), torch.optim.lr_scheduler.LRScheduler)
    training.augmentation.plan((0,), (0,), header.emotions)
    make_trainer(training, [], Path(), progress=False, predicts=True)
    return sum(tensor.numel() * tensor.element_size() for tensor in network.state_dict().values())


def _task(header: StoreHeader, num_frames: int) -> Task:
    return Task(len(header.emotions), num_frames, header.size, header.num_channels)


def _check_callbacks(callbacks: Iterable[Callback]) -> None:
    for callback in callbacks:
        name = type(callback).__name__
        if not isinstance(callback, Callback):
            raise ValueError(f"callbacks must be Lightning's (pytorch_lightning.Callback), and one is {callback!r}")
        if isinstance(callback, EarlyStopping | Timer):
            raise ValueError(
                f"{name} in callbacks would end folds early: every fold trains trainer.max_epochs epochs, and the "
                "epoch protocols choose one afterwards; leave it out"
            )
        if isinstance(callback, CheckpointCallback):
            raise ValueError(f"{name} in callbacks cannot be used: save_checkpoint=true keeps a fold's last network")
        if isinstance(callback, ProgressBar):
            raise ValueError(f"{name} in callbacks cannot be used: fer3d shows its own with progress=true")
