"""Creates the parts of a training from a configuration and checks them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from pytorch_lightning.callbacks import Callback, EarlyStopping, ProgressBar, Timer
from pytorch_lightning.callbacks import Checkpoint as CheckpointCallback

from fer3d.clips.augment import make_augmentation
from fer3d.clips.folds import Fold
from fer3d.clips.frame_order import FrameOrder
from fer3d.clips.frames import make_sampling
from fer3d.clips.store import ClipStore, StoreHeader
from fer3d.models.network import Task, check_bf16_convolutions, check_network, forward_flop, use_channels_last
from fer3d.training.device import Precision, has_compiler, resolve_precision, trainer_devices
from fer3d.training.external_weights import ExternalWeights, Fitted, Start, starting_weights
from fer3d.training.fine_tuning import FineTuning
from fer3d.training.fold import Training, make_trainer
from fer3d.training.networks import check_kind, make_network


def make_training(
    config: DictConfig,
    header: StoreHeader,
    clip_ids: Sequence[str],
    start: Start | None,
    *,
    precision: Precision,
    compiled: bool,
) -> Training:
    """Creates the parts of a training from a run's configuration.

    Args:
        config: The validated configuration.
        header: Header of the clip store.
        clip_ids: The ids of its clips.
        start: What every fold starts from; None: folds start from scratch.
        precision: The resolved number format.
        compiled: The resolved `compile`.
    """
    task = _task(header, config.clips.num_frames)
    frame_order = FrameOrder.of(config).table(clip_ids, config.clips.num_frames)

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
        compile=compiled,
        may_fall_back=config.compile == "auto",
        cuda_graphs=config.cuda_graphs,
        callbacks=lambda: list(instantiate(config.callbacks).values()),
        num_batches=config.num_batches,
        class_sampler=config.class_sampler,
        sampling=make_sampling(config.frames),
        num_frames=config.clips.num_frames,
        fine_tuning=FineTuning(dict(config.learning_rates or {}), dict(config.frozen or {})),
        frame_order=None if frame_order is None else torch.from_numpy(frame_order),
    )


def fitted_weights(config: DictConfig, store: ClipStore, start: ExternalWeights) -> Fitted:
    """Maps external weights to the configured network.

    Raises:
        CheckpointError: They do not fit.
    """
    return start.fitted(make_network(config.model, _task(store.header, config.clips.num_frames)))


def num_updates(config: DictConfig, store: ClipStore, folds: Sequence[Fold]) -> int:
    """Number of training clips, copies included, over all epochs and folds; 0 if a part cannot be created.

    Args:
        config: The validated configuration.
        store: The clip store.
        folds: The folds.
    """
    try:
        augmentation = make_augmentation(config.augment)
        copies = augmentation.numbers_of_copies(store.labels.tolist(), store.emotions)
    except ValueError:  # see `check_training`
        return 0
    rows_of = np.array([1 + sum(numbers[emotion] for numbers in copies.values()) for emotion in store.emotions])
    rows = [int(rows_of[store.labels[list(fold.train)]].sum()) for fold in folds]
    if config.num_batches is not None:
        rows = [min(number, config.num_batches * config.batch_size) for number in rows]
    return sum(rows) * int(config.trainer.max_epochs)


def clip_gflop(config: DictConfig, store: ClipStore) -> float:
    """Estimates the floating-point operations of a forward pass of one clip, in 1e9; 0 if the network does not run."""
    model = json.dumps(OmegaConf.to_container(config.model, resolve=True), sort_keys=True)
    return 1e-9 * _forward_flop(model, _task(store.header, config.clips.num_frames))


def training_pflop(config: DictConfig, store: ClipStore, folds: Sequence[Fold]) -> float:
    """Estimates the floating-point operations of training folds, in 1e15; see `num_updates`."""
    # The backward pass costs twice the forward pass.
    return 3e-6 * clip_gflop(config, store) * num_updates(config, store, folds)


@lru_cache
def _forward_flop(model: str, task: Task) -> int:
    return forward_flop(lambda: make_network(json.loads(model), task), task)


def check_settings(config: DictConfig, header: StoreHeader) -> None:
    """Checks the parts of a training before its clips are made, which may take hours; see `check_training`.

    Args:
        config: The validated configuration.
        header: Header of the clip store to be.

    Raises:
        CheckpointError: What the folds start from cannot be read, or does not fit the network.
        ValueError, MisconfigurationException: See `check_training`.
    """
    plain: Any = OmegaConf.to_container(config)
    # Whom its clips show is compared with the held-out subjects once these are known.
    start = starting_weights(plain, corpus=header.corpus, clip_store="", held_out=())
    precision = resolve_precision(config.precision, config.trainer.accelerator)
    training = make_training(config, header, (), start, precision=precision, compiled=config.compile is True)
    check_training(training, header)


def check_training(training: Training, header: StoreHeader) -> int:
    """Creates everything that a fold needs once, so that impossible settings fail before any work.

    Args:
        training: Parts and settings of the training.
        header: Header of the clip store.

    Returns:
        Size of the network's parameters and buffers in bytes.

    Raises:
        ValueError: A setting is impossible, or `compile` is set without a compiler.
        MisconfigurationException: The device is not available, or Lightning's trainer rejects a setting.
    """
    _check_callbacks(training.callbacks())
    if training.compile and not has_compiler():
        raise ValueError("compile=true needs a C++ compiler, but none was found: install g++, or set compile=false")
    network = training.network()
    task = _task(header, training.num_frames or header.num_frames)
    check_network(network, task, batch_size=training.batch_size, normalise=training.normalise)
    trainer = make_trainer(training, [], Path(), progress=False, predicts=True)
    tuning = training.fine_tuning
    tuning.check(network, trainer.max_epochs or 0)
    if training.precision == "bf16-mixed" and trainer.strategy.root_device.type == "cpu":
        use_channels_last(network)
        check_bf16_convolutions(network, task)
    optimizer = tuning.optimizer(training.optimizer, network)
    check_kind("optimizer", optimizer, torch.optim.Optimizer)
    check_kind("scheduler", tuning.scheduler(training.scheduler, optimizer, 1), torch.optim.lr_scheduler.LRScheduler)
    training.augmentation.plan((0,), (0,), header.emotions)
    return sum(tensor.numel() * tensor.element_size() for tensor in network.state_dict().values())


def _task(header: StoreHeader, num_frames: int) -> Task:
    return Task(len(header.emotions), num_frames, header.size, header.num_channels)


def _check_callbacks(callbacks: Iterable[Callback]) -> None:
    for callback in callbacks:
        name = type(callback).__name__
        if not isinstance(callback, Callback):
            raise ValueError(f"callbacks must be instances of pytorch_lightning.Callback, got {callback!r}")
        if isinstance(callback, EarlyStopping | Timer):
            raise ValueError(
                f"{name} in callbacks would end folds early, but every fold must train trainer.max_epochs epochs, "
                "among which the epoch protocols choose; remove it"
            )
        if isinstance(callback, CheckpointCallback):
            raise ValueError(f"{name} in callbacks is not supported: set save_checkpoint=true to keep the last network")
        if isinstance(callback, ProgressBar):
            raise ValueError(f"{name} in callbacks is not supported: set progress=true to show fer3d's progress bar")
