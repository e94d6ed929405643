"""Frame sampling: which frames the clip store keeps and which of those the network gets (config group `frames`).

A store may keep more frames than the network takes, so that training samples among them and predictions average over
several views. `uniform` and `segments` share their stores.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from hydra.utils import instantiate

# Prediction with ONNX Runtime does not need PyTorch, so functions import it where they create tensors.
if TYPE_CHECKING:
    import torch
    from torch import Tensor


class FrameSampling(Protocol):
    """Samples frames, first for the store and then for the network.

    `T` is the number of frames that the network takes (`clips.num_frames`), `S` the number of stored frames.

    Attributes:
        views: Number of views of a clip, `K`, that a prediction averages over.
    """

    views: int

    def num_stored(self, num_frames: int) -> int:
        """Returns `S` for a given `T`.

        Raises:
            ValueError: `S` would be smaller than `T`.
        """

    def kept(self, times: Sequence[float], num_frames: int) -> list[int]:
        """Returns the positions of the `S` frames to store, ascending; short sequences repeat some.

        Args:
            times: Presentation time of each frame in seconds, ascending; at least one.
            num_frames: `T`.
        """

    def settings(self) -> dict[str, Any]:
        """Returns everything but `S` that influences `kept`, as JSON-compatible values."""

    def training(self, num_rows: int, num_frames: int, generator: torch.Generator) -> Tensor:
        """Returns positions of stored frames for each row of an epoch, `(num_rows, T)`."""

    def prediction(self, num_frames: int) -> Tensor:
        """Returns positions of stored frames for each view of a clip in prediction, `(K, T)`."""


class LastFrames:
    """The last frames, for sequences from neutral to apex; shorter ones repeat their last frame (paper, section 3)."""

    views = 1

    def num_stored(self, num_frames: int) -> int:
        """Returns `T`: all stored frames are used."""
        return num_frames

    def kept(self, times: Sequence[float], num_frames: int) -> list[int]:
        """Returns the last positions."""
        last = len(times) - 1
        first = max(0, len(times) - num_frames)
        return [min(first + i, last) for i in range(num_frames)]

    def settings(self) -> dict[str, Any]:
        """Returns nothing: the number of frames determines the choice."""
        return {}

    def training(self, num_rows: int, num_frames: int, generator: torch.Generator) -> Tensor:
        """Returns all frames for each row."""
        return self.prediction(num_frames).expand(num_rows, -1)

    def prediction(self, num_frames: int) -> Tensor:
        """Returns all frames, once."""
        import torch

        return torch.arange(num_frames)[None]


class UniformFrames:
    """Uniform sampling: the middle frames of equal parts, by duration for the store and by index for the network.

    Args:
        stored: Number of stored frames, `S`.
        views: Number of views that a prediction averages over, evenly shifted within the parts.

    Raises:
        ValueError: A number is below 1.
    """

    def __init__(self, stored: int = 32, views: int = 1) -> None:
        self.stored = _at_least_one("frames.stored", stored)
        self.views = _at_least_one("frames.views", views)

    def num_stored(self, num_frames: int) -> int:
        """Returns `S`.

        Raises:
            ValueError: `S` is smaller than `T`.
        """
        return _checked_stored(self.stored, num_frames)

    def kept(self, times: Sequence[float], num_frames: int) -> list[int]:
        """Returns the frame shown at the middle of each of `S` equal parts of the sequence's duration."""
        return _seen_at_middles(times, self.stored)

    def settings(self) -> dict[str, Any]:
        """Returns the rule's name."""
        return {"kept": "uniform"}

    def training(self, num_rows: int, num_frames: int, generator: torch.Generator) -> Tensor:
        """Returns the middle of each part for each row."""
        import torch

        return self._at(torch.tensor([[0.5]]), num_frames).expand(num_rows, -1)

    def prediction(self, num_frames: int) -> Tensor:
        """Returns evenly shifted views; the middles if there is one."""
        import torch

        return self._at((torch.arange(self.views)[:, None] + 0.5) / self.views, num_frames)

    def _at(self, shares: Tensor, num_frames: int) -> Tensor:
        """Positions `(N, T)` at fractions `shares`, `(N, T)` or `(N, 1)` in [0, 1), of each part."""
        import torch

        positions = (torch.arange(num_frames) + shares) * (self.stored / num_frames)
        return positions.long().clamp_(max=self.stored - 1)


class SegmentFrames(UniformFrames):
    """Temporal segments (Wang et al., ECCV 2016): a random frame of each in training, the middle ones in prediction.

    Args:
        stored: See `UniformFrames`.
        views: See `UniformFrames`.
    """

    def training(self, num_rows: int, num_frames: int, generator: torch.Generator) -> Tensor:
        """Returns a random frame of each part, drawn for each row."""
        import torch

        return self._at(torch.rand((num_rows, num_frames), generator=generator), num_frames)


class WindowFrames:
    """A window around the middle of the sequence, taking every `stride`-th frame.

    If the store keeps more frames than the network takes, training draws the window's start, and prediction uses the
    central window or averages over several.

    Args:
        stride: Distance between stored frames, in frames of the sequence.
        stored: Number of stored frames, `S`; None: `T`.
        views: Number of windows that a prediction averages over, spread evenly over the stored frames.

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
            ValueError: `S` is smaller than `T`.
        """
        return _checked_stored(self.stored or num_frames, num_frames)

    def kept(self, times: Sequence[float], num_frames: int) -> list[int]:
        """Returns positions around the middle; shorter sequences repeat their first and last frame."""
        num_stored, last = self.stored or num_frames, len(times) - 1
        first = (last - (num_stored - 1) * self.stride) // 2
        return [min(max(first + i * self.stride, 0), last) for i in range(num_stored)]

    def settings(self) -> dict[str, Any]:
        """Returns the rule's name and the stride."""
        return {"kept": "window", "stride": self.stride}

    def training(self, num_rows: int, num_frames: int, generator: torch.Generator) -> Tensor:
        """Returns windows with random starts, drawn for each row."""
        import torch

        num_starts = (self.stored or num_frames) - num_frames + 1
        starts = torch.randint(num_starts, (num_rows, 1), generator=generator)
        return starts + torch.arange(num_frames)

    def prediction(self, num_frames: int) -> Tensor:
        """Returns evenly spread windows; the central one if there is one view."""
        import torch

        num_starts = (self.stored or num_frames) - num_frames + 1
        starts = ((torch.arange(self.views)[:, None] + 0.5) / self.views * num_starts).long()
        return starts + torch.arange(num_frames)


def make_sampling(frames: Mapping[str, Any]) -> FrameSampling:
    """Creates the frame sampling of a section `frames`, whose keys are its arguments, except for `order`.

    Args:
        frames: The section; `fer3d.clips.frame_order` reads its `order`.
    """
    made: FrameSampling = instantiate({key: value for key, value in frames.items() if key != "order"})
    return made


def _seen_at_middles(times: Sequence[float], num_parts: int) -> list[int]:
    """The frame shown at the middle of each part; the last frame is assumed to last as long as the mean frame."""
    if len(times) == 1:
        return [0] * num_parts
    start, last = times[0], times[-1]
    duration = (last - start) * len(times) / (len(times) - 1)
    middles = start + duration * (np.arange(num_parts) + 0.5) / num_parts
    # Tolerate rounding where a middle falls exactly on a frame's time.
    slack = 1e-6 * min((after - before for before, after in pairwise(times) if after > before), default=0.0)
    positions = np.searchsorted(np.asarray(times), middles + slack, side="right") - 1
    return [int(position) for position in positions]


def _checked_stored(stored: int, num_frames: int) -> int:
    if stored < num_frames:
        raise ValueError(
            f"frames.stored is {stored}, but the network takes clips.num_frames={num_frames}: raise frames.stored to "
            "at least that, or lower clips.num_frames"
        )
    return stored


def _at_least_one(key: str, number: int) -> int:
    if number < 1:
        raise ValueError(f"{key} must be at least 1, got {number}")
    return number
