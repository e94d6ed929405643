"""What a person looks like, in a few numbers: good enough to tell the people of one video apart."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from fer3d.clips.detectors import Box, Image, as_bgr

Descriptor = NDArray[np.float32]


def describe(image: Image, box: Box) -> Descriptor:
    """Describes the head around a face's box.

    Args:
        image: BGR (H, W, 3) or grey (H, W), uint8.
        box: The face, in pixels of the image.
    """
    x1, y1, x2, y2 = box
    width, height = x2 - x1, y2 - y1
    left, right = max(int(x1 - 0.2 * width), 0), int(x2 + 0.2 * width) + 1
    top, bottom = max(int(y1 - 0.3 * height), 0), int(y2 + 0.1 * height) + 1
    head = cv2.resize(as_bgr(image[top:bottom, left:right]), (32, 40), interpolation=cv2.INTER_AREA)
    histogram = cv2.calcHist([cv2.cvtColor(head, cv2.COLOR_BGR2LAB)], [0, 1, 2], None, [8, 8, 8], [0, 256] * 3)
    return np.asarray(np.sqrt(histogram.ravel() / histogram.sum()), dtype=np.float32)


def distance(one: Descriptor, other: Descriptor) -> float:
    """Returns how unlike two people look: Hellinger's distance, from 0 to 1."""
    return float(np.sqrt(max(0.0, 1.0 - float(one @ other))))
