"""Cuts: where one shot of a video ends and the next begins."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from fer3d.clips.detectors import Image

_THUMBNAIL = (32, 24)


class CutFinder:
    """Says of each frame of a video whether a new shot begins with it.

    Args:
        min_change: The least mean difference of two frames' thumbnails, in grey levels, that is a cut.
    """

    def __init__(self, *, min_change: float = 25.0) -> None:
        self._min_change = min_change
        self._before: tuple[tuple[int, ...], NDArray[np.float32]] | None = None

    def is_cut(self, pixels: Image) -> bool:
        """Returns whether the next frame begins a new shot; the first frame of a video does not."""
        # At most 160 rows are looked at, so that a large frame costs no more than a small one.
        step = max(1, min(pixels.shape[:2]) // 160)
        small = cv2.resize(pixels[::step, ::step], _THUMBNAIL, interpolation=cv2.INTER_AREA).astype(np.float32)
        thumbnail = small if small.ndim == 2 else small.mean(axis=2)
        before, self._before = self._before, (pixels.shape[:2], thumbnail)
        if before is None:
            return False
        return before[0] != pixels.shape[:2] or float(np.abs(thumbnail - before[1]).mean()) >= self._min_change
