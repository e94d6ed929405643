"""Pruning: whether a trial ends before its last fold."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, Protocol

from optuna.exceptions import ExperimentalWarning
from optuna.pruners import BasePruner, NopPruner, ThresholdPruner, WilcoxonPruner
from optuna.trial import Trial

from fer3d.evaluation.protocols import EpochProtocol
from fer3d.search.outcomes import FoldOutcome, attainable_accuracy
from fer3d.search.study_trials import StudyTrials


@dataclass(frozen=True)
class Progress:
    """The progress of a trial.

    Attributes:
        outcomes: The folds that are done, in the order of their training.
        num_clips: Number of clips that all folds hold out together.
        num_folds: Number of all folds.
        protocol: The epoch protocol.
    """

    outcomes: tuple[FoldOutcome, ...]
    num_clips: int
    num_folds: int
    protocol: EpochProtocol

    @property
    def attainable(self) -> float:
        """The highest accuracy that the trial can reach; its accuracy once all folds are done."""
        return attainable_accuracy(self.outcomes, self.num_clips, self.protocol)

    @property
    def complete(self) -> bool:
        """Whether all folds are done."""
        return len(self.outcomes) == self.num_folds


class Pruning(Protocol):
    """Decides after each job of a trial whether to prune it."""

    # The accuracy above which reports show a trial; None to show all.
    threshold: float | Literal["best"] | None

    def pruner(self) -> BasePruner:
        """The Optuna pruner that the study is opened with."""

    def prunes(self, trial: Trial, progress: Progress) -> bool:
        """Reports the progress of a trial to Optuna, and returns whether to prune the trial."""


class NoPruning:
    """Every trial runs all its folds."""

    threshold = None

    def pruner(self) -> BasePruner:
        """The pruner that never prunes."""
        return NopPruner()

    def prunes(self, trial: Trial, progress: Progress) -> bool:
        """Reports the attainable accuracy."""
        _report(trial, progress.attainable, len(progress.outcomes))
        return False


class ExactBound:
    """Prunes a trial as soon as it cannot reach the threshold in any case; see `attainable_accuracy`.

    Stock pruners judge what a trial has reached so far. A mean over folds can rise again, so a threshold on it prunes
    good trials. Haddad et al. (ISVC 2020, section 3) prune trials that "will yield a LOSO cross-validation accuracy
    less than 96.5%".

    Args:
        threshold: The accuracy that a trial must be able to reach; `best` for that of the best finished trial.

    Raises:
        ValueError: The threshold is neither `best` nor between 0 and 1.
    """

    def __init__(self, threshold: float | Literal["best"]) -> None:
        is_share = isinstance(threshold, int | float) and not isinstance(threshold, bool) and 0 <= threshold <= 1
        if threshold != "best" and not is_share:
            raise ValueError(f"search.pruning.threshold must be a share such as 0.965, or best, got {threshold!r}")
        self.threshold = threshold
        self._trials: StudyTrials | None = None

    def pruner(self) -> BasePruner:
        """Optuna's threshold pruner, which is exact on the attainable accuracy."""
        return NopPruner() if self.threshold == "best" else ThresholdPruner(lower=self.threshold)

    def prunes(self, trial: Trial, progress: Progress) -> bool:
        """Reports the attainable accuracy, and prunes if it is below the threshold."""
        _report(trial, progress.attainable, len(progress.outcomes))
        if self.threshold != "best":
            return trial.should_prune()
        if self._trials is None or self._trials.study is not trial.study:
            self._trials = StudyTrials(trial.study)
        return progress.attainable < self._trials.now.best_value


class Wilcoxon:
    """Prunes a trial that a signed-rank test finds worse than the best trial on the folds that both have run.

    This is statistical, not exact, and prunes good trials, too: in simulated studies (`benchmarks/search_cost.py`), one
    in seven of those that would have reached 96.5 %.

    Args:
        p_threshold: The p-value below which a trial is pruned.
        num_startup_folds: Number of folds that every trial runs.
    """

    threshold = None

    def __init__(self, p_threshold: float = 0.1, num_startup_folds: int = 2) -> None:
        self.p_threshold = p_threshold
        self.num_startup_folds = num_startup_folds

    def pruner(self) -> BasePruner:
        """Optuna's Wilcoxon pruner."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ExperimentalWarning)
            return WilcoxonPruner(p_threshold=self.p_threshold, n_startup_steps=self.num_startup_folds)

    def prunes(self, trial: Trial, progress: Progress) -> bool:
        """Reports each fold's accuracy with the fold's number as its step, which pairs folds with the best trial's."""
        last_step = progress.num_folds + 1
        if last_step in _reported(trial):
            return True  # pruned before an interruption
        accuracies = {outcome.fold: outcome.accuracy(progress.protocol) for outcome in progress.outcomes}
        for fold, accuracy in accuracies.items():
            _report(trial, accuracy, fold)
        if not trial.should_prune():
            return False
        # Optuna uses the last step as the value of a pruned trial: here, the mean instead of one fold's accuracy.
        _report(trial, sum(accuracies.values()) / len(accuracies), last_step)
        return True


def _report(trial: Trial, value: float, step: int) -> None:
    """Reports a value once, since a resumed trial has reported some already."""
    if step not in _reported(trial):
        trial.report(value, step)


def _reported(trial: Trial) -> Mapping[int, float]:
    # Read when this process took the trial over, and up to date since: nobody else writes to it.
    return trial._cached_frozen_trial.intermediate_values
