"""Temperature scaling: how sure a network may be, learnt from clips that it was not trained on."""

from __future__ import annotations

from math import exp, log
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar

# Between which a temperature is searched.
BOUNDS = (0.05, 20.0)
# How much it takes to move a temperature away from 1; about that of a normal prior of log T with deviation 0.5.
PRIOR_WEIGHT = 4.0
_TOLERANCE = 1e-7  # of log T


def fit_temperature(logits: NDArray[Any], labels: NDArray[Any]) -> float:
    """Returns the T by which logits have to be divided, so that their softmax is neither too sure nor too unsure.

    Temperature scaling (Guo, Pleiss, Sun and Weinberger, *On Calibration of Modern Neural Networks*, ICML 2017): T
    minimises the negative log-likelihood of `softmax(logits / T)`, here by a bounded search over log T. As T is
    positive, no clip's predicted class changes.

    `cv.inner_val` keeps few clips back, often all of them right: the likelihood alone would send T to its lower bound,
    and the network would be certain of everything. Therefore 1 / T has a gamma prior with mode 1, the network as it was
    trained, which adds `4 * (1 / T + log(T) - 1)` to the sum over clips. It decides where there are no clips, holds T
    back where there are few or all are right, and hardly counts beside hundreds. The sum is convex in 1 / T, so that it
    has one minimum.

    Args:
        logits: `(num_clips, num_classes)`, of clips that training has not seen; logarithms of probabilities, too.
        labels: `(num_clips,)` the classes that they show.

    Raises:
        ValueError: Logits and labels do not belong together, logits are not finite, or labels are no classes.
    """
    scores, classes = np.asarray(logits, dtype=np.float64), np.asarray(labels, dtype=np.int64)
    if scores.ndim != 2 or classes.shape != scores.shape[:1] or not scores.shape[1]:
        raise ValueError(f"logits of shape {scores.shape} and labels of shape {classes.shape} do not belong together")
    if not np.isfinite(scores).all() or not ((classes >= 0) & (classes < scores.shape[1])).all():
        raise ValueError(f"logits must be finite, and labels classes from 0 to {scores.shape[1] - 1}")
    # Of each clip only differences count; none above 0 can overflow.
    scores = scores - scores.max(axis=1, keepdims=True)
    of_labels = float(scores[np.arange(len(classes)), classes].sum())

    def loss(log_temperature: float) -> float:
        inverse = exp(-log_temperature)
        fit = float(np.log(np.exp(scores * inverse).sum(axis=1)).sum()) - of_labels * inverse
        return fit + PRIOR_WEIGHT * (inverse + log_temperature - 1)

    low, high = map(log, BOUNDS)
    found = minimize_scalar(loss, bounds=(low, high), method="bounded", options={"xatol": _TOLERANCE})
    return exp(found.x)
