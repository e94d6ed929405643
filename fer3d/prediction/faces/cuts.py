"""Detection of cuts between the shots of a video."""

from __future__ import annotations

from collections import deque

import cv2
import numpy as np
from numpy.typing import NDArray

from fer3d.clips.detectors import Image

_THUMBNAIL = (32, 24)
# Frames are subsampled to this size, so that the cost does not depend on their resolution.
_SAMPLES = (128, 96)


class CutFinder:
    """Detects cuts from one frame to the next.

    A cut changes a thumbnail far more than the preceding frames did, and unevenly; a flash or a switched-on lamp
    changes the whole frame alike. Fades and dissolves are not detected.

    Args:
        min_change: Minimum mean difference of two thumbnails of 32x24, in grey levels. People moving before a static
            camera stay below 3.
        min_ratio: Minimum ratio of the change to that of the preceding frames (median of eight, plus one grey level for
            noise). In a traffic film, cars that fill the frame reach 2.4, cuts 2.9 and more.
        min_unlike: Minimum of 1 minus the correlation of the thumbnails.
    """

    def __init__(self, *, min_change: float = 6.0, min_ratio: float = 2.6, min_unlike: float = 0.15) -> None:
        self._min_change, self._min_ratio, self._min_unlike = min_change, min_ratio, min_unlike
        self._before: NDArray[np.float32] | None = None
        self._size: tuple[int, ...] = ()
        self._changes: deque[float] = deque(maxlen=8)

    def is_cut(self, pixels: Image) -> bool:
        """Returns whether the next frame starts a new shot; False for the first frame of a video.

        A change of the frame size counts as a cut.

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
    """Returns 1 minus the correlation; 1 if one of them is constant."""
    one, other = one - one.mean(), other - other.mean()
    norms = float(np.linalg.norm(one) * np.linalg.norm(other))
    return 1.0 - float(one @ other) / norms if norms > 0 else 1.0
