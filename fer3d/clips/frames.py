"""Which frames of a sequence the clip store keeps, and which of those the network gets: the config group `frames`.

A store may keep more frames than the network takes, so that training draws among them and predictions average over
several samples; `uniform` and `segments` share their stores.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

# Predictions by ONNX Runtime do without PyTorch; it is imported where tensors are made.
if TYPE_CHECKING:
    import torch
    from torch import Tensor


class FrameSampling(Protocol):
    """Chooses frames, first for the store and then for the network.

    `T` is the number of frames that the network takes (`clips.num_frames`), `S` that of the frames in the store.

    Attributes:
        views: Number of samples of a clip, `K`, over which a prediction averages.
    """

    views: int

    def num_stored(self, num_frames: int) -> int:
        """Returns `S` for a `T`.

        Raises:
            ValueError: The network takes more frames than the store is to keep.
        """

    def kept(self, times: Sequence[float], num_frames: int) -> list[int]:
        """Returns the `S` positions of the frames that the store keeps, ascending; of a short sequence some repeat.

        Args:
            times: When each frame of the sequence is seen, in seconds; ascending, at least one.
            num_frames: `T`.
        """

    def settings(self) -> dict[str, Any]:
        """Returns everything that influences `kept` besides `S`, as JSON can hold it."""

    def training(self, num_rows: int, num_frames: int, generator: torch.Generator) -> Tensor:
        """Returns the stored frames of each row of an epoch, `(num_rows, T)` positions in the store."""

    def prediction(self, num_frames: int) -> Tensor:
        """Returns the stored frames of each view of a clip to predict, `(K, T)`."""


class LastFrames:
    """The last frames, the last one repeated in a shorter sequence: for neutral to apex (paper, section 3)."""

    views = 1

    def num_stored(self, num_frames: int) -> int:
        """Returns `T`: there is nothing to draw among."""
        return num_frames

    def kept(self, times: Sequence[float], num_frames: int) -> list[int]:
        """Returns the last positions."""
        last = len(times) - 1
        first = max(0, len(times) - num_frames)
        return [min(first + i, last) for i in range(num_frames)]

    def settings(self) -> dict[str, Any]:
        """Returns nothing: the number of frames says it all."""
        return {}

    def training(self, num_rows: int, num_frames: int, generator: torch.Generator) -> Tensor:
        """Returns all frames, for each row."""
        return self.prediction(num_frames).expand(num_rows, -1)

    def prediction(self, num_frames: int) -> Tensor:
        """Returns all frames, once."""
        import torch

        return torch.arange(num_frames)[None]


class UniformFrames:
    """The middles of equal parts: the store keeps those of the sequence's duration, the network gets those of them.

    Args:
        stored: Frames in the store, `S`.
        views: Samples that a prediction averages over; the middle of each part is shifted so that they are spread
            evenly.

    Raises:
        ValueError: A number is below 1.
    """

    def __init__(self, stored: int = 32, views: int = 1) -> None:
        self.stored = _at_least_one("frames.stored", stored)
        self.views = _at_least_one("frames.views", views)

    def num_stored(self, num_frames: int) -> int:
        """Returns `S`.

        Raises:
            ValueError: The network takes more.
        """
        return _checked_stored(self.stored, num_frames)

    def kept(self, times: Sequence[float], num_frames: int) -> list[int]:
        """Returns the frame that is seen at the middle of each of `S` equal parts of the sequence's duration."""
        return _seen_at_middles(times, self.stored)

    def settings(self) -> dict[str, Any]:
        """Returns the rule's name."""
        return {"kept": "uniform"}

    def training(self, num_rows: int, num_frames: int, generator: torch.Generator) -> Tensor:
        """Returns the middle of each part, for each row."""
        import torch

        return self._at(torch.tensor([[0.5]]), num_frames).expand(num_rows, -1)

    def prediction(self, num_frames: int) -> Tensor:
        """Returns evenly shifted samples; the middles where there is one view."""
        import torch

        return self._at((torch.arange(self.views)[:, None] + 0.5) / self.views, num_frames)

    def _at(self, shares: Tensor, num_frames: int) -> Tensor:
        """The frames that lie at a share of each part: shares `(N, T)` or `(N, 1)` in [0, 1), positions `(N, T)`."""
        import torch

        positions = (torch.arange(num_frames) + shares) * (self.stored / num_frames)
        return positions.long().clamp_(max=self.stored - 1)


class SegmentFrames(UniformFrames):
    """Equal parts of a clip: a random frame of each in training (Wang et al., ECCV 2016), the middles in prediction.

    Args:
        stored: As of `UniformFrames`.
        views: As of `UniformFrames`.
    """

    def training(self, num_rows: int, num_frames: int, generator: torch.Generator) -> Tensor:
        """Returns a random frame of each part, drawn for each row."""
        import torch

        return self._at(torch.rand((num_rows, num_frames), generator=generator), num_frames)


class WindowFrames:
    """A stretch around the middle of the sequence, every `stride`-th frame of it.

    With more frames in the store than the network takes, training draws where the stretch begins, and predictions have
    it in the middle, or average over several.

    Args:
        stride: Distance of two frames in the store, in frames of the sequence.
        stored: Frames in the store, `S`; None: as many as the network takes.
        views: Stretches that a prediction averages over, spread evenly over the store's frames.

    Raises:
        ValueError: A number is below 1.
    """

    def __init__(self, stride: int = 4, stored: int | None = None, views: int = 1) -> None:
        self.stride = _at_least_one("frames.stride", stride)
        self.stored = None if stored is None else _at_least_one("frames.stored", stored)
        self.views = _at_least_one("frames.views", views)

    def num_stored(self, num_frames: int) -> int:
        """Returns `S`.

        Raises:
            ValueError: The network takes more.
        """
        return _checked_stored(self.stored or num_frames, num_frames)

    def kept(self, times: Sequence[float], num_frames: int) -> list[int]:
        """Returns positions around the middle; a shorter sequence repeats its first and last frame."""
        num_stored, last = self.stored or num_frames, len(times) - 1
        first = (last - (num_stored - 1) * self.stride) // 2
        return [min(max(first + i * self.stride, 0), last) for i in range(num_stored)]

    def settings(self) -> dict[str, Any]:
        """Returns the rule's name and the stride."""
        return {"kept": "window", "stride": self.stride}

    def training(self, num_rows: int, num_frames: int, generator: torch.Generator) -> Tensor:
        """Returns stretches that begin anywhere, drawn for each row."""
        import torch

        num_starts = (self.stored or num_frames) - num_frames + 1
        starts = torch.randint(num_starts, (num_rows, 1), generator=generator)
        return starts + torch.arange(num_frames)

    def prediction(self, num_frames: int) -> Tensor:
        """Returns evenly spread stretches; the middle one where there is one view."""
        import torch

        num_starts = (self.stored or num_frames) - num_frames + 1
        starts = ((torch.arange(self.views)[:, None] + 0.5) / self.views * num_starts).long()
        return starts + torch.arange(num_frames)


def _seen_at_middles(times: Sequence[float], num_parts: int) -> list[int]:
    """The frame that is seen at the middle of each part; the last frame is seen as long as frames are on average."""
    if len(times) == 1:
        return [0] * num_parts
    start, last = times[0], times[-1]
    duration = (last - start) * len(times) / (len(times) - 1)
    middles = start + duration * (np.arange(num_parts) + 0.5) / num_parts
    # A middle that falls on a frame's own time, but for rounding, means that frame.
    slack = 1e-6 * min((after - before for before, after in pairwise(times) if after > before), default=0.0)
    positions = np.searchsorted(np.asarray(times), middles + slack, side="right") - 1
    return [int(position) for position in positions]


def _checked_stored(stored: int, num_frames: int) -> int:
    if stored < num_frames:
        raise ValueError(
            f"frames.stored is {stored}, and the network takes clips.num_frames={num_frames}: raise "
            "frames.stored to at least that, or lower clips.num_frames"
        )
    return stored


def _at_least_one(key: str, number: int) -> int:
    if number < 1:
        raise ValueError(f"{key} must be at least 1, got {number}")
    return number
