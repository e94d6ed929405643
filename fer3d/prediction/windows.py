"""Sliding windows of face crops, from which clips are made."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fer3d.clips.detectors import Box
from fer3d.prediction.trained import Trained

# Minimum fraction of a clip's span that a face must be seen for if it is never seen for the full span.
LEAST_SHARE = 0.5
# Tolerance when comparing times, as a fraction of the span: time stamps are rounded.
_SLACK = 0.02


@dataclass(frozen=True, slots=True, eq=False)
class SeenCrop:
    """The crop of a face in one frame.

    Attributes:
        time: The frame's time in seconds.
        frame: The frame's number.
        box: The face's box in pixels.
        confidence: The confidence of the latest detection.
        crop: The preprocessed crop, (H, W, C), uint8.
    """

    time: float
    frame: int
    box: Box
    confidence: float | None
    crop: NDArray[np.uint8]


@dataclass(frozen=True, slots=True, eq=False)
class Window:
    """A window of a face's frames.

    Attributes:
        last: The last frame.
        time_from: Time of the first frame in seconds.
        clip: (S, H, W, C), uint8; None if there are too few frames.
        why: The reason if there is no clip; empty otherwise.
    """

    last: SeenCrop
    time_from: float
    clip: NDArray[np.uint8] | None
    why: str


class FaceWindow:
    """A sliding window of a face's crops, as long as a clip.

    Args:
        trained: Metadata of the network.
        span: Seconds from the first to the last frame of a clip.

    Attributes:
        last: The latest crop; None before the first.
        has_been_full: Whether a clip of the full span was made.
    """

    def __init__(self, trained: Trained, span: float) -> None:
        self._trained, self._span = trained, span
        self._crops: deque[SeenCrop] = deque()
        self.last: SeenCrop | None = None
        self.has_been_full = False

    def add(self, crop: SeenCrop) -> None:
        """Adds a crop and drops those that no later clip needs."""
        self._crops.append(crop)
        self.last = crop
        # Keep one before the span: it may be the nearest to its start.
        while len(self._crops) > 1 and self._crops[1].time <= crop.time - self._span:
            self._crops.popleft()

    def clip(self, *, is_over: bool = False) -> Window:
        """Makes the clip that ends with the latest crop.

        The frames of a clip are evenly spaced over the span; each is the available frame nearest in time. A face that
        disappears before the span is over gets a clip as a short sequence of a corpus does, if it was seen for
        `LEAST_SHARE` of the span.

        Args:
            is_over: Whether the face has disappeared.
        """
        assert self.last is not None
        times = np.array([crop.time for crop in self._crops])
        seen = float(times[-1] - times[0])
        if seen >= self._span * (1 - _SLACK):
            places = _nearest(times, times[-1] - self._span * np.linspace(1, 0, self._trained.num_stored)).tolist()
            # At a low frame rate, frames repeat.
            if (number := len(set(places))) < self._trained.num_frames * LEAST_SHARE:
                return self._too_few(places[0], f"{number} in {self._span:.2f} s")
            self.has_been_full = True
            return self._made(places)
        if is_over and seen >= self._span * LEAST_SHARE * (1 - _SLACK):
            return self._made(self._trained.sampling.kept(times.tolist(), self._trained.num_frames))
        return self._too_few(0, f"{len(times)} in {seen:.2f} s of {self._span:.2f}")

    def _made(self, places: list[int]) -> Window:
        assert self.last is not None
        crops = [self._crops[place] for place in places]
        return Window(self.last, crops[0].time, np.stack([crop.crop for crop in crops]), "")

    def _too_few(self, first: int, how_many: str) -> Window:
        assert self.last is not None
        return Window(self.last, self._crops[first].time, None, f"too few frames: {how_many}")


def _nearest(times: NDArray[np.float64], wanted: NDArray[np.float64]) -> NDArray[np.int64]:
    """Indices of the times nearest to those wanted; ties go to the later one."""
    after = np.clip(np.searchsorted(times, wanted), 1, len(times) - 1) if len(times) > 1 else np.zeros(len(wanted), int)
    if len(times) == 1:
        return after
    is_after = times[after] - wanted <= wanted - times[after - 1] + 1e-9
    return np.where(is_after, after, after - 1)
