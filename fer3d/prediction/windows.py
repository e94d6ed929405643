"""The last seconds of each face as crops, and the clips that are made of them."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fer3d.clips.detectors import Box
from fer3d.prediction.trained import Trained

# The least share of a clip's span that a face has to be seen for, where it is never seen for the whole of it.
LEAST_SHARE = 0.5
# How far two times may be apart that are one, in parts of the span: stamps are rounded.
_SLACK = 0.02


@dataclass(frozen=True, slots=True, eq=False)
class SeenCrop:
    """A face in one frame.

    Attributes:
        time: The frame's second.
        frame: The frame's number.
        box: Where the face is, in pixels.
        confidence: The detector's, of the last frame that it looked at.
        crop: The crop as the networks want it, (H, W, C), uint8.
    """

    time: float
    frame: int
    box: Box
    confidence: float | None
    crop: NDArray[np.uint8]


@dataclass(frozen=True, slots=True, eq=False)
class Window:
    """The frames of a face that end at one of them.

    Attributes:
        last: The last of them.
        time_from: The second of the first one.
        clip: (S, H, W, C), uint8; None where they are too few.
        why: The reason for that; empty otherwise.
    """

    last: SeenCrop
    time_from: float
    clip: NDArray[np.uint8] | None
    why: str


class FaceWindow:
    """A ring of a face's crops, as long as a clip lasts.

    Args:
        trained: What the networks take.
        span: Seconds from the first frame of a clip to the last.

    Attributes:
        last: The latest crop; None before the first.
        has_been_full: Whether a clip of the whole span was made.
    """

    def __init__(self, trained: Trained, span: float) -> None:
        self._trained, self._span = trained, span
        self._crops: deque[SeenCrop] = deque()
        self.last: SeenCrop | None = None
        self.has_been_full = False

    def add(self, crop: SeenCrop) -> None:
        """Adds the crop of a frame, and forgets those that no clip needs any more."""
        self._crops.append(crop)
        self.last = crop
        # One before the span stays: it may be the nearest to the beginning.
        while len(self._crops) > 1 and self._crops[1].time <= crop.time - self._span:
            self._crops.popleft()

    def clip(self, *, is_over: bool = False) -> Window:
        """Makes the clip that ends with the latest crop.

        A clip has frames that are equally far apart, over a span that is that of the training clips in the middle; of
        the frames there are, those nearest in time. A face that is seen for less than that, and no longer, becomes a
        clip as a short sequence of a corpus does, if it was seen for `LEAST_SHARE` of it.

        Args:
            is_over: Whether no more crops will come.
        """
        assert self.last is not None
        times = np.array([crop.time for crop in self._crops])
        seen = float(times[-1] - times[0])
        if seen >= self._span * (1 - _SLACK):
            places = _nearest(times, times[-1] - self._span * np.linspace(1, 0, self._trained.num_stored)).tolist()
            # Frames that are too far apart repeat.
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
    """The places of the times that are nearest to those wanted; of two equally near ones the later."""
    after = np.clip(np.searchsorted(times, wanted), 1, len(times) - 1) if len(times) > 1 else np.zeros(len(wanted), int)
    if len(times) == 1:
        return after
    is_after = times[after] - wanted <= wanted - times[after - 1] + 1e-9
    return np.where(is_after, after, after - 1)
