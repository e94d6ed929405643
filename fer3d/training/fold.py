"""Trains one fold and returns the held-out logits of every epoch."""

from __future__ import annotations

import logging
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from lightning_fabric.plugins.environments.lightning import LightningEnvironment
from numpy.typing import NDArray
from pytorch_lightning.callbacks import Callback
from pytorch_lightning.loggers import Logger
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from fer3d.clips.augment import Augmentation
from fer3d.clips.clip_source import ClipSource
from fer3d.clips.data import FoldData
from fer3d.clips.folds import Fold
from fer3d.clips.frames import FrameSampling
from fer3d.cores import count_threads
from fer3d.memory import freed_memory_kept
from fer3d.models.network import use_channels_last
from fer3d.training.device import Precision
from fer3d.training.fine_tuning import FineTuning
from fer3d.training.module import FoldModule, balanced_class_weights
from fer3d.training.progress import progress_callback
from fer3d.training.seeding import FoldSeeds
from fer3d.training.static_forward import StaticForward


@dataclass(frozen=True)
class Training:
    """The parts and settings of a fold's training.

    Attributes:
        network: Creates the network.
        optimizer: Creates the optimizer from the network's parameters.
        scheduler: Creates the learning rate scheduler from the optimizer and the number of steps.
        augmentation: Extra copies of training clips.
        trainer: Creates the Lightning trainer.
        batch_size: Clips per batch.
        normalise: Whether clips enter the network in [-1, 1].
        class_weights: Whether the loss weights all classes equally.
        precision: Number format of activations.
        compile: Whether to use `torch.compile`.
        may_fall_back: Whether to go on without, if that fails.
        cuda_graphs: Whether to record training steps as CUDA graphs on a GPU.
        callbacks: Creates Lightning's callbacks, anew for each fold.
        num_batches: Training batches per epoch; None: all.
        sampling: Chooses the frames that the network gets; None: all stored ones.
        num_frames: Number of frames that the network gets; None: all.
        class_sampler: Whether to draw an epoch's rows with every class equally likely.
        fine_tuning: Learning rates and freezing of submodules.
        frame_order: For each clip of the corpus, the order of its frames, `(N, T)`; None: as filmed. See `FoldData`.
    """

    network: Callable[[], nn.Module]
    optimizer: Callable[[Iterable[nn.Parameter]], Optimizer]
    scheduler: Callable[[Optimizer, int], LRScheduler]
    augmentation: Augmentation
    trainer: Callable[..., pl.Trainer]
    batch_size: int
    normalise: bool
    class_weights: bool
    precision: Precision
    compile: bool
    may_fall_back: bool
    cuda_graphs: bool
    callbacks: Callable[[], list[Callback]] = list
    num_batches: int | None = None
    sampling: FrameSampling | None = None
    num_frames: int | None = None
    class_sampler: bool = False
    fine_tuning: FineTuning = field(default_factory=FineTuning)
    frame_order: Tensor | None = None


@dataclass(frozen=True)
class TrainedFold:
    """Result of training, in memory.

    Attributes:
        network: The network after the last epoch.
        data: The fold's data module.
        logits: Held-out logits `(num_epochs, num_held_out, num_classes)`, float32.
        inner_val_logits: The same for the clips of `fold.inner_val`; None if there are none.
        device: The device's name.
        seconds: Duration of training.
        compiled: Whether the network was compiled.
    """

    network: nn.Module
    data: FoldData
    logits: NDArray[np.float32]
    inner_val_logits: NDArray[np.float32] | None
    device: str
    seconds: float
    compiled: bool


def train_fold(
    training: Training,
    *,
    clips: ClipSource | Tensor,
    labels: Tensor,
    emotions: tuple[str, ...],
    fold: Fold,
    seeds: FoldSeeds,
    loggers: Sequence[Logger],
    folder: Path,
    progress: bool,
) -> TrainedFold:
    """Trains a network on a fold's training clips and predicts the held-out ones after every epoch.

    Args:
        training: Parts and settings of the training.
        clips: All clips of the corpus, as a source or as uint8 `(N, C, S, H, W)`.
        labels: Their labels, `(N,)`.
        emotions: The class names.
        fold: The split.
        seeds: The fold's seeds.
        loggers: Loggers of the curves.
        folder: Folder that Lightning may write to.
        progress: Whether to show progress.

    Raises:
        DivergedError: The training loss or the logits are no longer finite.
        ValueError: `trainer.max_epochs` is below 1, `training.fine_tuning` does not fit the network, or a callback
            ended training early.
    """
    torch.set_num_threads(count_threads())
    torch.manual_seed(seeds.network)
    data = FoldData(
        clips=clips,
        labels=labels,
        emotions=emotions,
        fold=fold,
        augmentation=training.augmentation,
        batch_size=training.batch_size,
        normalise=training.normalise,
        shuffle_seed=seeds.shuffle,
        augment_seed=seeds.augment,
        class_sampler=training.class_sampler,
        sampling=training.sampling,
        num_frames=training.num_frames,
        frame_order=training.frame_order,
    )
    network = training.network()
    if training.precision == "bf16-mixed" or training.compile:
        # Not for eager fp32 on a CPU, where it is slower.
        use_channels_last(network)
    weights = balanced_class_weights(data.num_rows_per_emotion) if training.class_weights else None
    trainer = make_trainer(training, loggers, folder, progress, predicts=bool(fold.held_out))
    # A replayed backward pass overwrites its gradients, so they cannot be summed over batches.
    recorded = training.cuda_graphs and trainer.accumulate_grad_batches == 1
    forward = StaticForward(network, compiled=training.compile, may_fall_back=training.may_fall_back, recorded=recorded)
    module = FoldModule(
        *(network, training.optimizer, training.scheduler, len(emotions), forward, weights), training.fine_tuning
    )
    # Before training, so that an error here does not lose its result.
    device = _device_name(trainer)
    if not trainer.max_epochs or trainer.max_epochs < 1:
        raise ValueError(f"trainer.max_epochs must be at least 1, got {trainer.max_epochs}")
    # Trials of a search have no check before.
    training.fine_tuning.check(network, trainer.max_epochs)
    started = time.perf_counter()
    with _lightning_quiet(), freed_memory_kept(), _new_memory_not_filled():
        trainer.fit(module, datamodule=data)
    num_epochs = trainer.current_epoch
    if num_epochs != trainer.max_epochs or trainer.should_stop:
        raise ValueError(
            f"a callback ended training in or after epoch {num_epochs} of {trainer.max_epochs}, but every fold must "
            "train all epochs, among which the epoch protocols choose; remove it, or lower trainer.max_epochs"
        )
    nothing = np.empty((num_epochs, 0, len(emotions)), dtype=np.float32)
    return TrainedFold(
        network=network,
        data=data,
        logits=np.stack(module.held_out_logits) if fold.held_out else nothing,
        inner_val_logits=np.stack(module.inner_val_logits) if fold.inner_val else None,
        device=device,
        seconds=time.perf_counter() - started,
        compiled=forward.compiled,
    )


def make_trainer(
    training: Training, loggers: Sequence[Logger], folder: Path, progress: bool, predicts: bool
) -> pl.Trainer:
    """Creates Lightning's trainer for a fold.

    Args:
        training: Parts and settings of the training.
        loggers: Loggers of the curves.
        folder: Folder that Lightning may write to.
        progress: Whether to show progress.
        predicts: Whether the fold has held-out clips.

    Raises:
        MisconfigurationException: The device is not available, or the trainer rejects a setting.
    """
    # Otherwise Lightning warns about missing validation data.
    no_prediction = {} if predicts else {"limit_val_batches": 0}
    # One device per fold: inside a Slurm job, Lightning would treat the job's tasks as one distributed training and
    # write metrics in the first one only.
    alone = LightningEnvironment()
    alone.set_global_rank(0)
    with _lightning_quiet():
        return training.trainer(
            **no_prediction,
            precision=training.precision,
            logger=list(loggers),
            callbacks=[*training.callbacks(), *([progress_callback()] if progress else [])],
            enable_progress_bar=progress,
            enable_checkpointing=False,
            enable_model_summary=False,
            num_sanity_val_steps=0,
            log_every_n_steps=1,
            default_root_dir=folder,
            plugins=[alone],
            limit_train_batches=training.num_batches,
        )


@contextmanager
def _new_memory_not_filled() -> Iterator[None]:
    """Keeps PyTorch from filling every new tensor with NaN, as it does while `trainer.deterministic` is set.

    That would reveal a read before the first write, changes no number, and takes a tenth of the compact network's time.
    """
    deterministic: Any = torch.utils.deterministic
    before = deterministic.fill_uninitialized_memory
    deterministic.fill_uninitialized_memory = False
    try:
        yield
    finally:
        deterministic.fill_uninitialized_memory = before


def _device_name(trainer: pl.Trainer) -> str:
    device = trainer.strategy.root_device
    return torch.cuda.get_device_name(device) if device.type == "cuda" else str(device)


@contextmanager
def _lightning_quiet() -> Iterator[None]:
    """Mutes warnings that users can ignore.

    Worker processes would only slow down loaders whose batches are a few integers; the launcher takes care of `srun`;
    and Lightning 2.6 uses a class that PyTorch 2.13 deprecates.
    """
    loggers = [logging.getLogger(name) for name in ("pytorch_lightning", "lightning.pytorch")]
    # Keeps the report of trainer.profiler, which has level INFO.
    logging.getLogger("pytorch_lightning.profilers").setLevel(logging.INFO)
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", ".*does not have many workers.*")
            warnings.filterwarnings("ignore", "The `srun` command is available")
            # Recording runs the network on another stream first.
            warnings.filterwarnings("ignore", "The AccumulateGrad node's stream does not match")
            warnings.filterwarnings("ignore", ".*isinstance.treespec, LeafSpec.*", FutureWarning)
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
