"""One fold: from clips, a split and the parts of a training to the held-out logits of every epoch."""

from __future__ import annotations

import logging
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
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
from fer3d.training.module import FoldModule, balanced_class_weights
from fer3d.training.precision import Precision
from fer3d.training.progress import progress_callback
from fer3d.training.seeding import FoldSeeds


@dataclass(frozen=True)
class Training:
    """How a fold is trained.

    Attributes:
        network: Makes the network.
        optimizer: Makes the optimizer from the network's parameters.
        scheduler: Makes the schedule of the learning rate from the optimizer and the number of steps.
        augmentation: The extra copies of training clips.
        trainer: Makes the Lightning trainer.
        batch_size: Clips a batch.
        normalise: Whether clips enter the network in [-1, 1].
        class_weights: Whether the loss weighs every class alike.
        precision: The number format of activations.
        compile: Whether the network goes through `torch.compile`.
        callbacks: Makes Lightning's callbacks, anew for each fold.
        num_batches: Training batches of an epoch; None for all.
        sampling: Which of a clip's frames the network gets; None for all that the store has.
        num_frames: How many it gets; None for all.
        class_sampler: Whether an epoch draws its rows so that every class is equally likely.
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
    callbacks: Callable[[], list[Callback]] = list
    num_batches: int | None = None
    sampling: FrameSampling | None = None
    num_frames: int | None = None
    class_sampler: bool = False


@dataclass(frozen=True)
class TrainedFold:
    """What training leaves in memory.

    Attributes:
        network: The network after the last epoch.
        data: The fold's data module.
        logits: `(num_epochs, num_held_out, num_classes)` float32.
        inner_val_logits: The same for the clips of `fold.inner_val`; None where there are none.
        device: The device's name.
        seconds: How long training took.
    """

    network: nn.Module
    data: FoldData
    logits: NDArray[np.float32]
    inner_val_logits: NDArray[np.float32] | None
    device: str
    seconds: float


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
    """Trains a network on a fold's training clips and watches it on the held-out ones.

    Args:
        training: How to train.
        clips: All clips of the corpus: a source of them, or uint8 `(N, C, S, H, W)`.
        labels: Their labels, `(N,)`.
        emotions: The class names.
        fold: The split.
        seeds: The fold's seeds.
        loggers: Where the curves go.
        folder: Where Lightning may write.
        progress: Whether to show progress.

    Raises:
        DivergedError: The training loss is no longer finite.
        ValueError: There is no epoch to train, or a callback ended training early.
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
    )
    network = training.network()
    if training.precision == "bf16-mixed":
        # What bf16 convolutions are fast in; fp32 ones on a CPU are not.
        for parameter in network.parameters():
            if parameter.ndim == 5:
                parameter.data = parameter.data.to(memory_format=torch.channels_last_3d)
    weights = balanced_class_weights(data.num_rows_per_emotion) if training.class_weights else None
    trained = _compiled(network) if training.compile else network
    module = FoldModule(trained, training.optimizer, training.scheduler, len(emotions), weights)
    trainer = make_trainer(training, loggers, folder, progress, predicts=bool(fold.held_out))
    # Before the training, which should not be lost to a question about the device.
    device = _device_name(trainer)
    if not trainer.max_epochs or trainer.max_epochs < 1:
        raise ValueError(f"trainer.max_epochs must be at least 1, got {trainer.max_epochs}")
    started = time.perf_counter()
    with _lightning_quiet():
        trainer.fit(module, datamodule=data)
    num_epochs = trainer.current_epoch
    if num_epochs != trainer.max_epochs or trainer.should_stop:
        raise ValueError(
            f"a callback ended training in or after epoch {num_epochs} of {trainer.max_epochs}: every fold trains all "
            "of them, and the epoch protocols choose one afterwards; leave it out, or lower trainer.max_epochs"
        )
    nothing = np.empty((num_epochs, 0, len(emotions)), dtype=np.float32)
    return TrainedFold(
        network=network,
        data=data,
        logits=np.stack(module.held_out_logits) if fold.held_out else nothing,
        inner_val_logits=np.stack(module.inner_val_logits) if fold.inner_val else None,
        device=device,
        seconds=time.perf_counter() - started,
    )


def make_trainer(
    training: Training, loggers: Sequence[Logger], folder: Path, progress: bool, predicts: bool
) -> pl.Trainer:
    """Makes Lightning's trainer for a fold.

    Args:
        training: How to train.
        loggers: Where the curves go.
        folder: Where Lightning may write.
        progress: Whether to show progress.
        predicts: Whether the fold holds clips out.

    Raises:
        MisconfigurationException: The device is not there, or the trainer refuses a setting.
    """
    # Lightning warns about data loaders that are not there.
    no_prediction = {} if predicts else {"limit_val_batches": 0}
    # One device a fold, whatever surrounds it: Lightning would take the tasks of a Slurm job for its own, and write no
    # metrics in all but the first.
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


def _compiled(network: nn.Module) -> Any:
    return torch.compile(network)


def _device_name(trainer: pl.Trainer) -> str:
    device = trainer.strategy.root_device
    return torch.cuda.get_device_name(device) if device.type == "cuda" else str(device)


@contextmanager
def _lightning_quiet() -> Iterator[None]:
    """Mutes what a user can do nothing about.

    Worker processes would only slow the loaders down, whose batches are a handful of integers; `srun` is the launcher's
    business; and Lightning 2.6 asks PyTorch 2.13 for a class that is going to leave.
    """
    loggers = [logging.getLogger(name) for name in ("pytorch_lightning", "lightning.pytorch")]
    # The report of trainer.profiler, which is of level INFO.
    logging.getLogger("pytorch_lightning.profilers").setLevel(logging.INFO)
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", ".*does not have many workers.*")
            warnings.filterwarnings("ignore", "The `srun` command is available")
            warnings.filterwarnings("ignore", ".*isinstance.treespec, LeafSpec.*", FutureWarning)
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
