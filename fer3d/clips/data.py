"""The data module of one fold: clips stay uint8 at their source, and a batch starts as a list of row numbers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import count, islice, repeat
from typing import Any, NamedTuple

import pytorch_lightning as pl
import torch
from torch import Tensor
from torch.utils.data import BatchSampler, DataLoader, Sampler

from fer3d.clips.augment import Augmentation, AugmentationPlan
from fer3d.clips.clip_source import ClipSource, ReadAhead, ResidentClips
from fer3d.clips.folds import Fold
from fer3d.clips.frames import FrameSampling
from fer3d.clips.preprocess import normalise, to_unit_range

_FRAMES_STREAM = 0x66726D73
# Batches per block: 480 clips of the default size, 240 MB.
_BLOCK = 16


class Rows(NamedTuple):
    """A batch before its clips are gathered.

    Attributes:
        numbers: `(B,)` on the CPU: rows of the epoch's plan in training, indices of clips in prediction.
        training: Whether it is a training batch.
        clips: The clips as fetched from the source, if fetched ahead.
    """

    numbers: Tensor
    training: bool
    clips: Tensor | None = None


class Batch(NamedTuple):
    """Input of the network.

    Attributes:
        clips: `(B * K, C, T, H, W)` float32 in [0, 1], or in [-1, 1] when normalised. `K` is the number of views per
            clip in prediction, stored consecutively; 1 in training.
        labels: `(B,)` indices into the corpus's emotions.
    """

    clips: Tensor
    labels: Tensor


class FoldData(pl.LightningDataModule):
    """Batches of one fold; only training clips are augmented, and clips to predict keep the fold's order.

    Args:
        clips: All clips of the corpus, as a source or as uint8 `(N, C, S, H, W)`.
        labels: Their labels, `(N,)`.
        emotions: The corpus's emotions.
        fold: Training and held-out clips.
        augmentation: Extra copies of training clips.
        batch_size: Clips per batch.
        normalise: Whether clips enter the network in [-1, 1] instead of [0, 1].
        shuffle_seed: Seed for the order of rows.
        augment_seed: Seed for the augmentation's draws.
        class_sampler: Whether to draw an epoch's rows with replacement so that every class is equally likely, instead
            of taking each row once.
        sampling: Chooses frames among a clip's `S` stored ones; None: all.
        num_frames: Number of frames that the network takes, `T`; None: all.
        frame_order: For each clip of the corpus, which of its `T` frames the network gets first, second and so on,
            `(N, T)`, on the CPU; copies take their clip's. None: as filmed.

    Raises:
        ValueError: `batch_size` is below 1, or an operation of the augmentation cannot change such clips.
    """

    def __init__(
        self,
        *,
        clips: ClipSource | Tensor,
        labels: Tensor,
        emotions: tuple[str, ...],
        fold: Fold,
        augmentation: Augmentation,
        batch_size: int,
        normalise: bool,
        shuffle_seed: int,
        augment_seed: int,
        class_sampler: bool = False,
        sampling: FrameSampling | None = None,
        num_frames: int | None = None,
        frame_order: Tensor | None = None,
    ) -> None:
        super().__init__()
        if batch_size < 1:
            raise ValueError(f"batch_size must be at least 1, got {batch_size}")
        self.source = ResidentClips(clips) if isinstance(clips, Tensor) else clips
        self.labels, self.emotions, self.fold = labels, emotions, fold
        self.batch_size, self.normalise = batch_size, normalise
        self.plan = augmentation.plan(fold.train, labels[list(fold.train)].tolist(), emotions)
        num_channels, num_stored, *size = self.source.shape
        # If the store keeps no more frames than the network takes, there is nothing to sample.
        sampling = sampling if num_frames not in (None, num_stored) else None
        shape = torch.Size((num_channels, num_frames or num_stored, *size))
        self._views = sampling.prediction(shape[1]) if sampling else None
        self._frame_order = frame_order
        self.plan.check(shape)
        seeds = count(augment_seed) if augmentation.redraw else repeat(augment_seed)
        classes = labels[self.plan.clip].cpu() if class_sampler else None
        self._epochs = _Epochs(self.plan, shape, shuffle_seed, seeds, classes, sampling)

    @property
    def num_rows_per_emotion(self) -> Tensor:
        """Number of the plan's rows per emotion, including copies, `(num_classes,)`."""
        return torch.bincount(self.labels[self.plan.clip].cpu(), minlength=len(self.emotions))

    def setup(self, stage: str | None = None) -> None:
        """Moves the clips to the trainer's device."""
        if self.trainer is not None:
            self.to(self.trainer.strategy.root_device)

    def to(self, device: torch.device) -> None:
        """Moves the clips to a device."""
        self.source.to(device)
        self.labels = self.labels.to(device)

    def train_dataloader(self) -> DataLoader[Rows] | _Blocks:
        """Shuffled rows of the epoch's plan; draws change each epoch unless `Augmentation.redraw` is off."""
        loader = self._loader(self._epochs, training=True)
        return _Blocks(loader, self.training_batches) if self.labels.is_cuda else loader

    def val_dataloader(self) -> list[DataLoader[Rows]]:
        """Clips to predict after each epoch: the held-out ones first, then those of `inner_val`."""
        return [self._loader(clips, training=False) for clips in (self.fold.held_out, self.fold.inner_val) if clips]

    def transfer_batch_to_device(self, batch: Rows | Batch, device: torch.device, dataloader_idx: int) -> Batch:
        """Turns row numbers, and clips if fetched ahead, into a batch on the device."""
        if isinstance(batch, Batch):
            return batch
        make = self.training_batch if batch.training else self.prediction_batch
        return make(batch.numbers, batch.clips)

    def training_batch(self, rows: Tensor, clips: Tensor | None = None) -> Batch:
        """Gathers, converts and augments the given rows of the epoch's plan.

        Args:
            rows: `(B,)`, on the CPU.
            clips: The result of `fetch`, if known.
        """
        return self.training_batches([Rows(rows, True, clips)])[0]

    def training_batches(self, batches: Sequence[Rows]) -> list[Batch]:
        """Does the same for several batches, with one call per operation for all of them."""
        rows = torch.cat([self.plan.order(batch.numbers) for batch in batches])
        device, sizes = self.labels.device, [len(batch.numbers) for batch in batches]
        order = torch.argsort(self.plan.operation[rows], stable=True)
        labels = self.labels[self.plan.clip[rows].to(device, non_blocking=True)]
        fetched = [batch.clips.to(device, non_blocking=True) for batch in batches if batch.clips is not None]
        clips = torch.cat(fetched) if fetched else self._fetch_rows(rows)
        # The rows of a single batch are in order.
        clips = self.plan.apply(to_unit_range(clips if len(batches) == 1 else clips[order.to(device)]), rows[order])
        clips = normalise(clips) if self.normalise else clips
        if len(batches) == 1:
            return [Batch(clips, labels)]
        places = torch.split(torch.argsort(order).to(device, non_blocking=True), sizes)
        return [Batch(clips[place], part) for place, part in zip(places, torch.split(labels, sizes), strict=True)]

    def prediction_batch(self, indices: Tensor, clips: Tensor | None = None) -> Batch:
        """Gathers and converts the clips at the given indices; see `training_batch`."""
        device = self.labels.device
        fetched = self.fetch(Rows(indices, False)).clips if clips is None else clips
        assert fetched is not None
        unit = to_unit_range(fetched.to(device, non_blocking=True))
        labels = self.labels[indices.to(device, non_blocking=True)]
        return Batch(normalise(unit) if self.normalise else unit, labels)

    def fetch(self, batch: Rows) -> Rows:
        """Fetches the clips of a batch from the source."""
        if batch.training:
            return batch._replace(clips=self._fetch_rows(self.plan.order(batch.numbers)))
        indices, frames = batch.numbers, None
        if self._views is not None:
            frames = self._views.repeat(len(indices), 1)
            indices = indices.repeat_interleave(len(self._views))
        return batch._replace(clips=self._fetch_clips(indices, frames))

    def _fetch_rows(self, rows: Tensor) -> Tensor:
        return self._fetch_clips(self.plan.clip[rows], self._epochs.frames_of(rows))

    def _fetch_clips(self, indices: Tensor, frames: Tensor | None) -> Tensor:
        """The clips at `indices`, with all stored frames or the given ones, in the order for the network."""
        if self._frame_order is not None:
            order = self._frame_order[indices]
            frames = order if frames is None else frames.gather(1, order)
        return self.source.fetch(indices, frames)

    def _loader(self, numbers: Any, *, training: bool) -> DataLoader[Rows]:
        settings: dict[str, Any] = {
            "dataset": range(len(self.plan) if training else len(self.labels)),
            "batch_sampler": _Batches(numbers, self.batch_size) if training else None,
            "sampler": None if training else numbers,
            "batch_size": 1 if training else self.batch_size,
            "collate_fn": lambda batch: Rows(torch.tensor(batch), training),
        }
        # No worker processes: a batch is only a few integers.
        return ReadAhead(**settings, complete=self.fetch) if self.source.is_streamed else DataLoader(**settings)


class _Blocks:
    """Augments a loader's batches in blocks: a GPU runs an operation's kernels faster than Python launches them.

    Args:
        loader: Yields rows.
        complete: Turns them into batches.
    """

    def __init__(self, loader: DataLoader[Rows], complete: Callable[[Sequence[Rows]], list[Batch]]) -> None:
        self.loader, self.complete = loader, complete

    def __len__(self) -> int:
        return len(self.loader)

    def __iter__(self) -> Iterator[Batch]:
        rows = iter(self.loader)
        while block := list(islice(rows, _BLOCK)):
            yield from self.complete(block)


class _Batches(BatchSampler):
    """Batches of rows; a single leftover row joins the previous batch, because batch norm cannot train on one clip."""

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
    """Each iteration is one epoch: draws for copies and frames, then the rows in random order.

    With `classes`, the class of each row, it draws the same number of rows with every class equally likely.
    """

    def __init__(
        self,
        plan: AugmentationPlan,
        shape: torch.Size,
        shuffle_seed: int,
        augment_seeds: Iterator[int],
        classes: Tensor | None = None,
        sampling: FrameSampling | None = None,
    ) -> None:
        self.plan, self.shape, self.augment_seeds, self.sampling = plan, shape, augment_seeds, sampling
        self.frames: Tensor | None = None
        self.chances = None if classes is None else 1 / torch.bincount(classes)[classes].double()
        self.generator = torch.Generator().manual_seed(shuffle_seed)

    def __len__(self) -> int:
        return len(self.plan)

    def frames_of(self, rows: Tensor) -> Tensor | None:
        """Frames of the given rows in this epoch, `(B, T)`; None for all stored frames."""
        return None if self.frames is None else self.frames[rows]

    def __iter__(self) -> Iterator[int]:
        seed = next(self.augment_seeds)
        self.plan.draw(seed, self.shape)
        if self.sampling is not None:
            # Separate from the stream of the operations, which use the same seed.
            generator = torch.Generator().manual_seed(seed ^ _FRAMES_STREAM)
            self.frames = self.sampling.training(len(self.plan), self.shape[1], generator)
        if self.chances is None:
            yield from torch.randperm(len(self.plan), generator=self.generator).tolist()
        else:
            yield from torch.multinomial(self.chances, len(self.plan), True, generator=self.generator).tolist()
