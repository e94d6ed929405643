"""The measures of a run under one epoch protocol."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import binomtest
from torchmetrics.functional.classification import multiclass_confusion_matrix, multiclass_f1_score

from fer3d.evaluation.protocols import HeldOutPredictions

# The order of `hardest_first`, as a note under tables.
HARDEST_FIRST = "most wrong clips first; ties by lower accuracy, then by name"

Key = TypeVar("Key", int, str)


@dataclass(frozen=True)
class Score:
    """How many clips are right.

    Attributes:
        num_correct: Number of clips that are right.
        num_clips: Number of all clips, at least one.
    """

    num_correct: int
    num_clips: int

    @property
    def num_wrong(self) -> int:
        """Number of clips that are wrong."""
        return self.num_clips - self.num_correct

    @property
    def accuracy(self) -> float:
        """Share of clips that are right."""
        return self.num_correct / self.num_clips

    def interval(self, confidence: float = 0.95) -> tuple[float, float]:
        """Wilson's score interval of the accuracy, assuming independent clips."""
        bounds = binomtest(self.num_correct, self.num_clips).proportion_ci(confidence, method="wilson")
        return float(bounds.low), float(bounds.high)


@dataclass(frozen=True)
class Measures:
    """The measures of a run under one epoch protocol.

    Attributes:
        pooled: All held-out clips together: the headline.
        per_fold: The score of each fold, by number, in ascending order.
        per_subject: The score of each subject, by id, in ascending order; empty if subjects are unknown.
        confusion: `(num_classes, num_classes)` number of clips by label (row) and prediction (column).
        recall: `(num_classes,)` share of each emotion's clips that are right; NaN for an emotion without clips.
        macro_f1: Mean over emotions of the harmonic mean of precision and recall.
    """

    pooled: Score
    per_fold: dict[int, Score]
    per_subject: dict[str, Score]
    confusion: NDArray[np.int64]
    recall: NDArray[np.float64]
    macro_f1: float

    @property
    def mean_over_folds(self) -> float:
        """Mean of the folds' accuracies, in which small and large folds have equal weight."""
        return float(np.mean([score.accuracy for score in self.per_fold.values()]))

    @property
    def mean_over_subjects(self) -> float:
        """Mean of the subjects' accuracies; NaN if subjects are unknown."""
        return float(np.mean([score.accuracy for score in self.per_subject.values()] or np.nan))

    @property
    def uar(self) -> float:
        """Unweighted average recall: the mean recall of the emotions that have clips."""
        return float(np.nanmean(self.recall))

    @property
    def numbers(self) -> dict[str, float]:
        """The scalar measures, by their names in JSON and CSV files."""
        return {
            "pooled_accuracy": self.pooled.accuracy,
            "mean_over_folds": self.mean_over_folds,
            "mean_over_subjects": self.mean_over_subjects,
            "uar": self.uar,
            "macro_f1": self.macro_f1,
        }


def measure(predictions: HeldOutPredictions, num_classes: int, *, subjects_known: bool = True) -> Measures:
    """Measures held-out predictions.

    Args:
        predictions: The predictions.
        num_classes: Number of emotions.
        subjects_known: Whether the subjects of the clips are known.
    """
    correct = predictions.correct
    said, labels = torch.from_numpy(predictions.predicted), torch.from_numpy(predictions.labels)
    confusion = multiclass_confusion_matrix(said, labels, num_classes).numpy().astype(np.int64)
    num_clips = confusion.sum(1)
    # The recall of an emotion without clips is NaN, without a warning about 0 / 0.
    recall = np.divide(confusion.diagonal(), num_clips, out=np.full(num_classes, np.nan), where=num_clips > 0)
    return Measures(
        pooled=Score(int(correct.sum()), len(correct)),
        per_fold=_scores(predictions.folds.tolist(), correct),
        per_subject=_scores(predictions.subjects, correct) if subjects_known else {},
        confusion=confusion,
        recall=recall,
        macro_f1=float(multiclass_f1_score(said, labels, num_classes, average="macro")),
    )


def hardest_first(per_subject: Mapping[str, Score]) -> dict[str, Score]:
    """Returns the subjects with wrong clips, most wrong clips first; ties by lower accuracy, then by id."""
    failed = [(subject, score) for subject, score in per_subject.items() if score.num_wrong]
    return dict(sorted(failed, key=lambda item: (-item[1].num_wrong, item[1].accuracy, item[0])))


def _scores(keys: Sequence[Key], correct: NDArray[np.bool_]) -> dict[Key, Score]:
    names = np.asarray(keys)
    return {key: Score(int(correct[names == key].sum()), int((names == key).sum())) for key in sorted(set(keys))}
