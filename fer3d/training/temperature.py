"""Temperature scaling: calibrates confidences on clips that the network was not trained on."""

from __future__ import annotations

from math import exp, log
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar

# Search range of the temperature.
BOUNDS = (0.05, 20.0)
# Strength of the prior towards T = 1; similar to a normal prior on log T with standard deviation 0.5.
PRIOR_WEIGHT = 4.0
_TOLERANCE = 1e-7  # of log T


def fit_temperature(logits: NDArray[Any], labels: NDArray[Any]) -> float:
    """Fits the temperature T that calibrates `softmax(logits / T)`.

    Temperature scaling (Guo, Pleiss, Sun and Weinberger, *On Calibration of Modern Neural Networks*, ICML 2017)
    minimises the negative log-likelihood, here by a bounded search over log T. T is positive, so predicted classes do
    not change.

    `cv.inner_val` keeps only few clips back, and often all are predicted correctly: maximum likelihood would then move
    T to its lower bound and make the network certain of everything. Therefore 1 / T has a gamma prior with mode 1 (no
    scaling), which adds `4 * (1 / T + log(T) - 1)` to the sum over clips. The prior determines T without clips,
    restrains it with few, and hardly matters with hundreds. The objective is convex in 1 / T and so has one minimum.

    Args:
        logits: `(num_clips, num_classes)` logits or log-probabilities of clips not seen in training.
        labels: `(num_clips,)` class indices.

    Raises:
        ValueError: Shapes do not match, logits are not finite, or labels are out of range.
    """
    scores, classes = np.asarray(logits, dtype=np.float64), np.asarray(labels, dtype=np.int64)
    if scores.ndim != 2 or classes.shape != scores.shape[:1] or not scores.shape[1]:
        raise ValueError(f"logits of shape {scores.shape} do not match labels of shape {classes.shape}")
    if not np.isfinite(scores).all() or not ((classes >= 0) & (classes < scores.shape[1])).all():
        raise ValueError(f"logits must be finite and labels in 0..{scores.shape[1] - 1}")
    # Subtract each clip's maximum, which changes nothing and prevents overflow.
    scores = scores - scores.max(axis=1, keepdims=True)
    of_labels = float(scores[np.arange(len(classes)), classes].sum())

    def loss(log_temperature: float) -> float:
        inverse = exp(-log_temperature)
        fit = float(np.log(np.exp(scores * inverse).sum(axis=1)).sum()) - of_labels * inverse
        return fit + PRIOR_WEIGHT * (inverse + log_temperature - 1)

    low, high = map(log, BOUNDS)
    found = minimize_scalar(loss, bounds=(low, high), method="bounded", options={"xatol": _TOLERANCE})
    return exp(found.x)
