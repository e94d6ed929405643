"""Cuts: where one shot of a video ends and the next begins."""

from __future__ import annotations

from collections import deque

import cv2
import numpy as np
from numpy.typing import NDArray

from fer3d.clips.detectors import Image

_THUMBNAIL = (32, 24)
# As many pixels are looked at, so that a large frame costs no more than a small one.
_SAMPLES = (128, 96)


class CutFinder:
    """Says of each frame of a video whether a new shot begins with it.

    A cut changes a thumbnail far more than the frames before it changed from one to the next, and differently at
    different places: a flash or a lamp that is switched on changes all of it alike. Fades and dissolves are no cuts.

    Args:
        min_change: The least mean difference of two thumbnails of 32x24, in grey levels. People who move before a
            camera that stands still stay below 3.
        min_ratio: By what factor the change has to exceed that of the frames before (the median of eight, and one grey
            level for noise). In a film of traffic, cars that fill the picture reach 2.4, and the cuts 2.9 and more.
        min_unlike: The least that the thumbnails' correlation differs from 1.
    """

    def __init__(self, *, min_change: float = 6.0, min_ratio: float = 2.6, min_unlike: float = 0.15) -> None:
        self._min_change, self._min_ratio, self._min_unlike = min_change, min_ratio, min_unlike
        self._before: NDArray[np.float32] | None = None
        self._size: tuple[int, ...] = ()
        self._changes: deque[float] = deque(maxlen=8)

    def is_cut(self, pixels: Image) -> bool:
        """Returns whether a new shot begins with the next frame; the first frame of a video begins none.

        A frame of another size than the one before is a cut.

        Args:
            pixels: The frame, BGR (H, W, 3) or grey (H, W), uint8.
        """
        samples = cv2.resize(pixels, _SAMPLES, interpolation=cv2.INTER_NEAREST)
        small = cv2.resize(samples, _THUMBNAIL, interpolation=cv2.INTER_AREA).astype(np.float32)
        thumbnail = small.reshape(-1, 1 if small.ndim == 2 else 3)
        before, self._before = self._before, thumbnail
        size, self._size = self._size, pixels.shape[:2]
        if before is None:
            return False
        if size != self._size:
            return True
        change = float(np.abs(thumbnail - before).mean())
        usual = float(np.median(self._changes)) if self._changes else 0.0
        is_cut = (
            change >= self._min_change
            and change >= self._min_ratio * (usual + 1)
            and _unlike(before.mean(axis=1), thumbnail.mean(axis=1)) >= self._min_unlike
        )
        if not is_cut:
            self._changes.append(change)
        return is_cut


def _unlike(one: NDArray[np.float32], other: NDArray[np.float32]) -> float:
    """Returns 1 less the correlation; 1 where one of them is all alike."""
    one, other = one - one.mean(), other - other.mean()
    norms = float(np.linalg.norm(one) * np.linalg.norm(other))
    return 1.0 - float(one @ other) / norms if norms > 0 else 1.0
