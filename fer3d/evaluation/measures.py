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

# The order of `hardest_first` for people.
HARDEST_FIRST = "most clips wrong first; of equals the lower accuracy, then by name"

Key = TypeVar("Key", int, str)


@dataclass(frozen=True)
class Score:
    """How many of some clips were right.

    Attributes:
        num_correct: Clips that were right.
        num_clips: All of them, at least one.
    """

    num_correct: int
    num_clips: int

    @property
    def num_wrong(self) -> int:
        """How many were wrong."""
        return self.num_clips - self.num_correct

    @property
    def accuracy(self) -> float:
        """The share that was right."""
        return self.num_correct / self.num_clips

    def interval(self, confidence: float = 0.95) -> tuple[float, float]:
        """Wilson's score interval of the accuracy, which takes the clips as independent."""
        bounds = binomtest(self.num_correct, self.num_clips).proportion_ci(confidence, method="wilson")
        return float(bounds.low), float(bounds.high)


@dataclass(frozen=True)
class Measures:
    """What a run achieved under one epoch protocol.

    Attributes:
        pooled: All held-out clips together: the headline.
        per_fold: Each fold's score, by its number, in ascending order.
        per_subject: Each subject's score, by its id, in ascending order; none where nobody knows who is seen.
        confusion: `(num_classes, num_classes)` clips by label (row) and prediction (column).
        recall: `(num_classes,)` share of each emotion's clips that was right; NaN for an emotion without clips.
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
        """Mean of the folds' accuracies, which counts a small fold as much as a large one."""
        return float(np.mean([score.accuracy for score in self.per_fold.values()]))

    @property
    def mean_over_subjects(self) -> float:
        """Mean of the subjects' accuracies; NaN where nobody knows who is seen."""
        return float(np.mean([score.accuracy for score in self.per_subject.values()] or np.nan))

    @property
    def uar(self) -> float:
        """Unweighted average recall: the mean recall of the emotions that have clips."""
        return float(np.nanmean(self.recall))

    @property
    def numbers(self) -> dict[str, float]:
        """The measures that are one number each, by their names in JSON and CSV."""
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
        subjects_known: Whether the clips' subjects say who is seen.
    """
    correct = predictions.correct
    said, labels = torch.from_numpy(predictions.predicted), torch.from_numpy(predictions.labels)
    confusion = multiclass_confusion_matrix(said, labels, num_classes).numpy().astype(np.int64)
    num_clips = confusion.sum(1)
    # Zero by zero is no recall at all, and no reason for a warning.
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
    """Returns the subjects with wrong clips, most of them first; of equals the lower accuracy, then the lower id."""
    failed = [(subject, score) for subject, score in per_subject.items() if score.num_wrong]
    return dict(sorted(failed, key=lambda item: (-item[1].num_wrong, item[1].accuracy, item[0])))


def _scores(keys: Sequence[Key], correct: NDArray[np.bool_]) -> dict[Key, Score]:
    names = np.asarray(keys)
    return {key: Score(int(correct[names == key].sum()), int((names == key).sum())) for key in sorted(set(keys))}
