"""From probabilities to a label, or to the reason why there is none."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from fer3d.prediction.steps import Frame, Prediction
from fer3d.prediction.windows import Window

# A face that was away for so many times of `smooth` starts afresh: what is left of its past weighs less than 1 %.
_FORGOTTEN = 5.0


class Verdicts:
    """Averages the probabilities of each face over the time before, and names the likeliest emotion.

    The average's weights fall exponentially with time, and it knows no future: a camera and a file get the same.

    Args:
        emotions: The class names.
        smooth: Seconds in which a weight falls to 1/e; 0 for no average.
        max_entropy: The largest entropy, as a share of the largest possible, at which there is a label.
    """

    def __init__(self, emotions: Sequence[str], smooth: float, max_entropy: float) -> None:
        self._emotions, self._smooth, self._max_entropy = tuple(emotions), smooth, max_entropy
        self._past: dict[int, tuple[float, NDArray[np.float64]]] = {}

    def of(self, face: int, window: Window, probabilities: NDArray[np.float64] | None) -> Prediction:
        """Returns what there is to say of a face.

        Args:
            face: The face's number.
            window: Its last frames.
            probabilities: What the networks said of them; None where they were not asked.
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

    def nobody(self, frame: Frame) -> Prediction:
        """Returns that a frame shows no face."""
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
    """The entropy as a share of the largest possible one."""
    nats = -float((probabilities * np.log(np.maximum(probabilities, 1e-300))).sum())
    # Sums are rounded.
    return min(max(0.0, nats / math.log(max(len(probabilities), 2))), 1.0)
