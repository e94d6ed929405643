"""Where a face will be: a Kalman filter of constant velocity."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fer3d.clips.detectors import Box


class Motion:
    """A Kalman filter of constant velocity for a box's middle, width and height, in seconds and pixels.

    SORT's, but in seconds, and for width and height instead of area and aspect ratio. The four coordinates share one
    covariance: as the noise is given in heights of the face, that of any size has the same.

    Args:
        box: The first box.
        time: Its second.
        jitter: Standard deviation of the detector's boxes, in heights of the face.
        restless: How much faster or slower a face may be after a second, in heights a second (standard deviation).
    """

    def __init__(self, box: Box, time: float, jitter: float = 0.05, restless: float = 2.0) -> None:
        self._place, self._velocity = _middle_and_sides(box), np.zeros(4)
        # A face that was just found may move at any such speed.
        self._covariance = np.diag([jitter**2, restless**2])
        self._jitter, self._restless, self._time = jitter, restless, time

    def predict(self, time: float) -> Box:
        """Returns the box that is expected at a later second."""
        x, y, width, height = (self._place + self._velocity * (time - self._time)).tolist()
        width, height = max(width, 1.0), max(height, 1.0)
        return x - width / 2, y - height / 2, x + width / 2, y + height / 2

    def update(self, box: Box, time: float) -> None:
        """Takes in the box that was found at a later second."""
        elapsed = time - self._time
        step = np.array([[1.0, elapsed], [0.0, 1.0]])
        # What an acceleration that is white noise adds.
        noise = np.array([[elapsed**3 / 3, elapsed**2 / 2], [elapsed**2 / 2, elapsed]]) * self._restless**2
        covariance = step @ self._covariance @ step.T + noise
        gain = covariance[:, 0] / (covariance[0, 0] + self._jitter**2)
        expected = self._place + self._velocity * elapsed
        surprise = _middle_and_sides(box) - expected
        self._place, self._velocity = expected + gain[0] * surprise, self._velocity + gain[1] * surprise
        self._covariance = covariance - np.outer(gain, covariance[0])
        self._time = time


def _middle_and_sides(box: Box) -> NDArray[np.float64]:
    x1, y1, x2, y2 = box
    return np.array([(x1 + x2) / 2, (y1 + y2) / 2, x2 - x1, y2 - y1])
