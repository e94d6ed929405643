"""Brightness, contrast, symmetry and duration of clips.

A checkpoint stores those of its training clips, so that predictions can flag videos that differ from them.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from fer3d.clips.detectors import Image
from fer3d.clips.sequence_frames import time_of_name
from fer3d.clips.store import ClipStore

# Frames are reduced to this side length in pixels; light and pose still show.
_SIDE = 28
# Maximum number of clips to measure; more would add no information.
_MAX_CLIPS = 400
# The range in which a measure counts as usual, and the median.
QUANTILES = (0.01, 0.5, 0.99)


def frame_measures(crop: Image) -> dict[str, float]:
    """Measures a face crop, before CLAHE.

    Args:
        crop: (H, W, C), uint8, grey or RGB.

    Returns:
        `brightness`: mean, from 0 to 255; `contrast`: standard deviation; `symmetry`: correlation with the mirror
        image, which is high for a frontal face in even light and falls as the head turns.
    """
    grey = crop[..., 0] if crop.shape[-1] == 1 else cv2.cvtColor(crop, cv2.COLOR_RGB2GRAY)
    small = cv2.resize(grey, (_SIDE, _SIDE), interpolation=cv2.INTER_AREA).astype(np.float64)
    mean, spread = float(small.mean()), float(small.std())
    centred = small - mean
    symmetry = float((centred * centred[:, ::-1]).mean() / spread**2) if spread else 1.0
    return {"brightness": mean, "contrast": spread, "symmetry": symmetry}


def store_measures(store: ClipStore, indices: Sequence[int]) -> dict[str, list[float]]:
    """Measures some clips of a store.

    Args:
        store: The clip store.
        indices: The clips; if there are many, an evenly spaced subset is measured.

    Returns:
        The `QUANTILES` of each of `frame_measures` over the clips' middle frames; for clips from videos also of
        `seconds`, the time from the first to the last stored frame.
    """
    chosen = [indices[i] for i in np.linspace(0, len(indices) - 1, min(len(indices), _MAX_CLIPS)).round().astype(int)]
    measured = [frame_measures(np.asarray(store.clips[index, store.header.num_frames // 2])) for index in chosen]
    found = {name: _quantiles([one[name] for one in measured]) for name in (measured[0] if measured else ())}
    spans = []
    for index in chosen:
        names = store.records[index].frames
        first, last = time_of_name(names[0]), time_of_name(names[-1])
        if first is not None and last is not None and last > first:
            spans.append(last - first)
    return {**found, "seconds": _quantiles(spans)} if spans else found


def _quantiles(values: Sequence[float]) -> list[float]:
    found: NDArray[np.float64] = np.quantile(np.asarray(values, dtype=np.float64), QUANTILES)
    return [round(float(value), 4) for value in found]
