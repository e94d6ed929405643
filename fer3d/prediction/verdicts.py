"""Smooths probabilities and decides on a label, or on the reason for withholding it."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from fer3d.prediction.steps import Frame, Prediction
from fer3d.prediction.windows import Window

# After an absence of this many time constants the past weighs less than 1 %, and smoothing restarts.
_FORGOTTEN = 5.0


class Verdicts:
    """Exponential smoothing of each face's probabilities, and a label for the most probable emotion.

    Smoothing is causal, so that cameras and files give the same predictions.

    Args:
        emotions: The class names.
        smooth: Time constant in seconds; 0 for no smoothing.
        max_entropy: The largest normalised entropy at which a label is given.
    """

    def __init__(self, emotions: Sequence[str], smooth: float, max_entropy: float) -> None:
        self._emotions, self._smooth, self._max_entropy = tuple(emotions), smooth, max_entropy
        self._past: dict[int, tuple[float, NDArray[np.float64]]] = {}

    def of(self, face: int, window: Window, probabilities: NDArray[np.float64] | None) -> Prediction:
        """Returns the prediction for a face.

        Args:
            face: The identity.
            window: Its latest frames.
            probabilities: The networks' output, `(num_classes,)`; None if the window has no clip.
        """
        smoothed = entropy = None
        label, why = "", window.why
        if probabilities is not None:
            smoothed = self._smoothed(face, window.last.time, probabilities)
            entropy = _entropy(smoothed)
            if entropy <= self._max_entropy:
                label = self._emotions[int(smoothed.argmax())]
            else:
                why = f"undecided: entropy {entropy:.2f} is above {self._max_entropy:g}"
        return Prediction(
            face=face,
            time_from=window.time_from,
            time_to=window.last.time,
            frame=window.last.frame,
            box=window.last.box,
            confidence=window.last.confidence,
            probabilities=probabilities,
            smoothed=smoothed,
            entropy=entropy,
            label=label,
            why=why,
        )

    def no_face(self, frame: Frame) -> Prediction:
        """Returns the prediction for a frame without a face."""
        nothing = dict.fromkeys(("face", "box", "confidence", "probabilities", "smoothed", "entropy"))
        return Prediction(
            **nothing, time_from=frame.time, time_to=frame.time, frame=frame.number, label="", why="no face"
        )

    def _smoothed(self, face: int, time: float, probabilities: NDArray[np.float64]) -> NDArray[np.float64]:
        if not self._smooth:
            return probabilities
        self._past = {
            each: (then, past) for each, (then, past) in self._past.items() if time - then < _FORGOTTEN * self._smooth
        }
        smoothed = probabilities
        if face in self._past:
            then, past = self._past[face]
            weight = math.exp(-(time - then) / self._smooth)
            smoothed = weight * past + (1 - weight) * probabilities
        self._past[face] = (time, smoothed)
        return smoothed


def _entropy(probabilities: NDArray[np.float64]) -> float:
    """The normalised entropy, in [0, 1]."""
    nats = -float((probabilities * np.log(np.maximum(probabilities, 1e-300))).sum())
    # Clipped, since sums are rounded.
    return min(max(0.0, nats / math.log(max(len(probabilities), 2))), 1.0)
