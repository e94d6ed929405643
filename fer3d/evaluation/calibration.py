"""Whether a run is right as often as it is sure: expected calibration error, before and after temperature scaling."""

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
    """Clips of about the same confidence.

    Attributes:
        low: Their confidences are above this.
        high: And at most this.
        confidence: Their mean confidence.
        score: How many of them were right; at least one clip.
    """

    low: float
    high: float
    confidence: float
    score: Score


@dataclass(frozen=True)
class Calibration:
    """How sure a run is of some clips, and how often it is right.

    Attributes:
        confidences: `(num_clips,)` the probability of each clip's most probable class, ascending; at least one.
        correct: `(num_clips,)` whether that is the label.
    """

    confidences: NDArray[np.float64]
    correct: NDArray[np.bool_]

    @classmethod
    def of(cls, confidences: ArrayLike, correct: ArrayLike) -> Calibration:
        """Takes clips in any order.

        Args:
            confidences: `(num_clips,)` the probability of each clip's most probable class.
            correct: `(num_clips,)` whether that is the label.

        Raises:
            ValueError: There are no clips, not as many of both, or a confidence is no probability.
        """
        sure, right = np.asarray(confidences, dtype=np.float64), np.asarray(correct, dtype=np.bool_)
        if sure.ndim != 1 or sure.shape != right.shape or not len(sure):
            raise ValueError(f"confidences of shape {sure.shape} and answers of shape {right.shape} are not of clips")
        # A sum of probabilities may be a rounding error above 1.
        if not ((sure > 0) & (sure <= 1 + 1e-9)).all():
            raise ValueError("a confidence is a probability above 0")
        order = np.lexsort((right, sure))
        return cls(np.minimum(sure[order], 1), right[order])

    @cached_property
    def bins(self) -> tuple[ReliabilityBin, ...]:
        """The bins that have clips, of 15 of equal width, each with its upper edge."""
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
        """Expected calibration error: the gap between confidence and accuracy in a bin, in the mean over clips.

        Naeini, Cooper and Hauskrecht, AAAI 2015, for the most probable class as in Guo et al., ICML 2017.
        """
        gaps = [one.score.num_clips * abs(one.score.accuracy - one.confidence) for one in self.bins]
        return float(np.sum(gaps)) / len(self.correct)

    @cached_property
    def ece_if_calibrated(self) -> tuple[float, float]:
        """Between which 95 % of ECEs would be, if clips were right exactly as often as the run is sure of them.

        It is above 0, and far above with few clips: some of each bin's clips happen to be right. An ECE in this range
        says nothing against the run. Clips are drawn as independent ones (consistency resampling: Bröcker and Smith,
        Weather and Forecasting 22(3), 2007), always the same way.
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
        """The number of each bin that has clips, from 0, and which clips it has."""
        upper = np.arange(1, NUM_BINS) / NUM_BINS
        places = np.searchsorted(upper, self.confidences, side="left")
        return [(int(number), places == number) for number in np.unique(places)]


def held_out_calibration(predictions: HeldOutPredictions) -> Calibration:
    """The calibration of a run as it was trained, all held-out clips together."""
    return Calibration.of(predictions.probabilities.max(-1), predictions.correct)


def inner_temperatures(run: RunResults, epochs: Mapping[int, int]) -> dict[int, float]:
    """The temperature of each fold, fitted to what its network said, after the same epoch, of its clips kept back.

    Args:
        run: The fold results.
        epochs: The epoch that counts in each fold, from 1.

    Returns:
        Temperatures by the number of the fold; none where a fold kept no training subjects back (`cv.inner_val`).
    """
    kept = {fold.fold: fold.inner_val for fold in run.folds if fold.inner_val is not None}
    if len(kept) < len(run.folds):
        return {}
    return {number: fit_temperature(clips.logits[epochs[number] - 1], clips.labels) for number, clips in kept.items()}


def scaled_calibration(
    run: RunResults, predictions: HeldOutPredictions, temperatures: Mapping[int, float]
) -> Calibration:
    """The calibration with each fold's logits divided by its temperature; what is predicted stays.

    Args:
        run: The fold results.
        predictions: Its held-out predictions.
        temperatures: By the number of the fold.
    """
    logits = [fold.logits[predictions.epochs[fold.fold] - 1] / temperatures[fold.fold] for fold in run.folds]
    probabilities = softmax(np.concatenate(logits).astype(np.float64), axis=-1)
    return Calibration.of(probabilities.max(-1), predictions.correct)
