"""The data module of one fold: all clips stay on the device as uint8, and a batch starts as a list of row numbers."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count, repeat
from typing import Any, NamedTuple

import pytorch_lightning as pl
import torch
from torch import Tensor
from torch.utils.data import BatchSampler, DataLoader, Sampler

from fer3d.clips.augment import Augmentation, AugmentationPlan
from fer3d.clips.folds import Fold
from fer3d.clips.preprocess import normalise, to_unit_range


class Rows(NamedTuple):
    """A batch before it is made.

    Attributes:
        numbers: `(B,)` on the CPU: rows of the epoch's plan, or indices of clips to predict.
        training: Which of the two.
    """

    numbers: Tensor
    training: bool


class Batch(NamedTuple):
    """What the network gets.

    Attributes:
        clips: `(B, C, T, H, W)` float32 in [0, 1], or in [-1, 1] when normalised.
        labels: `(B,)` indices into the corpus's emotions.
    """

    clips: Tensor
    labels: Tensor


class FoldData(pl.LightningDataModule):
    """Batches of one fold; only training clips are augmented, and clips to predict keep the fold's order.

    Args:
        clips: All clips of the corpus, uint8 `(N, C, T, H, W)`.
        labels: Their labels, `(N,)`.
        emotions: The corpus's emotions.
        fold: Which clips train and which are held out.
        augmentation: The extra copies of training clips.
        batch_size: Clips a batch.
        normalise: Whether clips enter the network in [-1, 1] instead of [0, 1].
        shuffle_seed: Seed of the order of rows.
        augment_seed: Seed of the augmentation's draws.
        class_sampler: Whether an epoch draws its rows with replacement so that every class is equally likely, rather
            than taking each once.

    Raises:
        ValueError: `batch_size` is below 1, or an operation of the augmentation cannot change such clips.
    """

    def __init__(
        self,
        *,
        clips: Tensor,
        labels: Tensor,
        emotions: tuple[str, ...],
        fold: Fold,
        augmentation: Augmentation,
        batch_size: int,
        normalise: bool,
        shuffle_seed: int,
        augment_seed: int,
        class_sampler: bool = False,
    ) -> None:
        super().__init__()
        if batch_size < 1:
            raise ValueError(f"batch_size must be at least 1, got {batch_size}")
        self.clips, self.labels, self.emotions, self.fold = clips, labels, emotions, fold
        self.batch_size, self.normalise = batch_size, normalise
        self.plan = augmentation.plan(fold.train, labels[list(fold.train)].tolist(), emotions)
        self.plan.check(clips.shape[1:])
        seeds = count(augment_seed) if augmentation.redraw else repeat(augment_seed)
        classes = labels[self.plan.clip].cpu() if class_sampler else None
        self._epochs = _Epochs(self.plan, clips.shape[1:], shuffle_seed, seeds, classes)

    @property
    def num_rows_per_emotion(self) -> Tensor:
        """Number of the plan's rows of each emotion, copies counted, `(num_classes,)`."""
        return torch.bincount(self.labels[self.plan.clip].cpu(), minlength=len(self.emotions))

    def setup(self, stage: str | None = None) -> None:
        """Moves the clips to the trainer's device."""
        if self.trainer is not None:
            self.to(self.trainer.strategy.root_device)

    def to(self, device: torch.device) -> None:
        """Moves the clips to a device."""
        self.clips, self.labels = self.clips.to(device), self.labels.to(device)

    def train_dataloader(self) -> DataLoader[Rows]:
        """Shuffled rows of the epoch's plan; each epoch gets draws of its own (see `Augmentation`)."""
        return self._loader(self._epochs, training=True)

    def val_dataloader(self) -> list[DataLoader[Rows]]:
        """The clips to predict after each epoch: the held-out ones first, then those of `inner_val`."""
        return [self._loader(clips, training=False) for clips in (self.fold.held_out, self.fold.inner_val) if clips]

    def transfer_batch_to_device(self, batch: Rows, device: torch.device, dataloader_idx: int) -> Batch:
        """Makes a batch on the device out of row numbers."""
        return self.training_batch(batch.numbers) if batch.training else self.prediction_batch(batch.numbers)

    def training_batch(self, rows: Tensor) -> Batch:
        """Gathers, converts and augments the given rows of the epoch's plan."""
        rows = self.plan.order(rows)
        clips, labels = self._gather(self.plan.clip[rows])
        clips = self.plan.apply(clips, rows)
        return Batch(normalise(clips) if self.normalise else clips, labels)

    def prediction_batch(self, indices: Tensor) -> Batch:
        """Gathers and converts the clips with the given indices."""
        clips, labels = self._gather(indices)
        return Batch(normalise(clips) if self.normalise else clips, labels)

    def _gather(self, indices: Tensor) -> Batch:
        indices = indices.to(self.clips.device, non_blocking=True)
        return Batch(to_unit_range(self.clips[indices]), self.labels[indices])

    def _loader(self, numbers: Any, *, training: bool) -> DataLoader[Rows]:
        # A worker process could only slow this down: a batch is a handful of integers.
        return DataLoader(
            range(len(self.plan) if training else len(self.clips)),  # type: ignore[arg-type]
            batch_sampler=_Batches(numbers, self.batch_size) if training else None,
            sampler=None if training else numbers,
            batch_size=1 if training else self.batch_size,
            collate_fn=lambda batch: Rows(torch.tensor(batch), training),
        )


class _Batches(BatchSampler):
    """Batches of rows; a single row left over joins the batch before it, since batch norm cannot learn from one."""

    def __init__(self, rows: _Epochs, batch_size: int) -> None:
        super().__init__(rows, batch_size, drop_last=False)
        num_rows = len(rows)
        self._joined = 1 < batch_size < num_rows and num_rows % batch_size == 1

    def __len__(self) -> int:
        return super().__len__() - self._joined

    def __iter__(self) -> Iterator[list[int]]:
        batches = super().__iter__()
        if not self._joined:
            yield from batches
            return
        for _ in range(len(self) - 1):
            yield next(batches)
        yield next(batches) + next(batches)


class _Epochs(Sampler[int]):
    """Each iteration is one epoch: draws for the plan's copies, then its rows in random order.

    With `classes`, the class of each row, it is as many rows, drawn so that every class there is equally likely.
    """

    def __init__(
        self,
        plan: AugmentationPlan,
        shape: torch.Size,
        shuffle_seed: int,
        augment_seeds: Iterator[int],
        classes: Tensor | None = None,
    ) -> None:
        self.plan, self.shape, self.augment_seeds = plan, shape, augment_seeds
        self.chances = None if classes is None else 1 / torch.bincount(classes)[classes].double()
        self.generator = torch.Generator().manual_seed(shuffle_seed)

    def __len__(self) -> int:
        return len(self.plan)

    def __iter__(self) -> Iterator[int]:
        self.plan.draw(next(self.augment_seeds), self.shape)
        if self.chances is None:
            yield from torch.randperm(len(self.plan), generator=self.generator).tolist()
        else:
            yield from torch.multinomial(self.chances, len(self.plan), True, generator=self.generator).tolist()
