"""Calibration of a run's probabilities: expected calibration error before and after temperature scaling."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import softmax

from fer3d.evaluation.measures import Score
from fer3d.evaluation.protocols import HeldOutPredictions
from fer3d.evaluation.run_results import RunResults
from fer3d.training.temperature import fit_temperature

NUM_BINS = 15
_NUM_DRAWS = 1000
_RANGE = (0.025, 0.975)


@dataclass(frozen=True, slots=True)
class ReliabilityBin:
    """Clips of similar confidence.

    Attributes:
        low: Lower edge of the bin, exclusive.
        high: Upper edge, inclusive.
        confidence: Mean confidence of the clips.
        score: How many of them are right; at least one clip.
    """

    low: float
    high: float
    confidence: float
    score: Score


@dataclass(frozen=True)
class Calibration:
    """Confidences of a run's predictions beside their correctness.

    Attributes:
        confidences: `(num_clips,)` probability of each clip's most probable class, ascending; at least one.
        correct: `(num_clips,)` whether that class is the label.
    """

    confidences: NDArray[np.float64]
    correct: NDArray[np.bool_]

    @classmethod
    def of(cls, confidences: ArrayLike, correct: ArrayLike) -> Calibration:
        """Sorts clips by confidence.

        Args:
            confidences: `(num_clips,)` probability of each clip's most probable class.
            correct: `(num_clips,)` whether that class is the label.

        Raises:
            ValueError: There are no clips, the shapes differ, or a confidence is not a probability above 0.
        """
        sure, right = np.asarray(confidences, dtype=np.float64), np.asarray(correct, dtype=np.bool_)
        if sure.ndim != 1 or sure.shape != right.shape or not len(sure):
            raise ValueError(
                f"confidences and correct must have one shape (num_clips,), got {sure.shape} and {right.shape}"
            )
        # A sum of probabilities may be a rounding error above 1.
        if not ((sure > 0) & (sure <= 1 + 1e-9)).all():
            raise ValueError("confidences must be probabilities above 0")
        order = np.lexsort((right, sure))
        return cls(np.minimum(sure[order], 1), right[order])

    @cached_property
    def bins(self) -> tuple[ReliabilityBin, ...]:
        """The non-empty ones of 15 bins of equal width."""
        return tuple(
            ReliabilityBin(
                low=number / NUM_BINS,
                high=(number + 1) / NUM_BINS,
                confidence=float(self.confidences[inside].mean()),
                score=Score(int(self.correct[inside].sum()), int(inside.sum())),
            )
            for number, inside in self._clips_of_bins
        )

    @property
    def ece(self) -> float:
        """Expected calibration error: the gap between confidence and accuracy of a bin, averaged over clips.

        Naeini, Cooper and Hauskrecht, AAAI 2015, for the most probable class as in Guo et al., ICML 2017.
        """
        gaps = [one.score.num_clips * abs(one.score.accuracy - one.confidence) for one in self.bins]
        return float(np.sum(gaps)) / len(self.correct)

    @cached_property
    def ece_if_calibrated(self) -> tuple[float, float]:
        """The range that holds 95 % of the ECEs of a perfectly calibrated run with these confidences.

        It lies above 0, and far above with few clips, because the accuracy of a bin varies by chance. An ECE in this
        range is no evidence of miscalibration. Clips are resampled independently (consistency resampling: Bröcker and
        Smith, Weather and Forecasting 22(3), 2007), with a fixed seed.
        """
        rng = np.random.default_rng(0)
        gaps = np.zeros(_NUM_DRAWS)
        for _, inside in self._clips_of_bins:
            sure = self.confidences[inside]
            gaps += np.abs((rng.random((_NUM_DRAWS, len(sure))) < sure).sum(1) - sure.sum())
        low, high = np.quantile(gaps / len(self.correct), _RANGE)
        return float(low), float(high)

    @property
    def _clips_of_bins(self) -> list[tuple[int, NDArray[np.bool_]]]:
        """The number of each non-empty bin, from 0, and a mask of its clips."""
        upper = np.arange(1, NUM_BINS) / NUM_BINS
        places = np.searchsorted(upper, self.confidences, side="left")
        return [(int(number), places == number) for number in np.unique(places)]


def held_out_calibration(predictions: HeldOutPredictions) -> Calibration:
    """The calibration of all held-out predictions, without temperature scaling."""
    return Calibration.of(predictions.probabilities.max(-1), predictions.correct)


def inner_temperatures(run: RunResults, epochs: Mapping[int, int]) -> dict[int, float]:
    """Fits the temperature of each fold to its inner validation predictions of the same epoch.

    Args:
        run: The fold results.
        epochs: The epoch that counts in each fold, from 1.

    Returns:
        Temperatures by the number of the fold; empty if a fold kept no training subjects back (`cv.inner_val`).
    """
    kept = {fold.fold: fold.inner_val for fold in run.folds if fold.inner_val is not None}
    if len(kept) < len(run.folds):
        return {}
    return {number: fit_temperature(clips.logits[epochs[number] - 1], clips.labels) for number, clips in kept.items()}


def scaled_calibration(
    run: RunResults, predictions: HeldOutPredictions, temperatures: Mapping[int, float]
) -> Calibration:
    """The calibration with each fold's logits divided by its temperature; the predicted classes stay the same.

    Args:
        run: The fold results.
        predictions: Its held-out predictions.
        temperatures: By the number of the fold.
    """
    logits = [fold.logits[predictions.epochs[fold.fold] - 1] / temperatures[fold.fold] for fold in run.folds]
    probabilities = softmax(np.concatenate(logits).astype(np.float64), axis=-1)
    return Calibration.of(probabilities.max(-1), predictions.correct)
