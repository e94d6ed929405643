"""When a trial ends before its last fold."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, Protocol

from optuna.exceptions import ExperimentalWarning
from optuna.pruners import BasePruner, NopPruner, ThresholdPruner, WilcoxonPruner
from optuna.study import Study
from optuna.trial import Trial, TrialState

from fer3d.evaluation.protocols import EpochProtocol
from fer3d.search.outcomes import FoldOutcome, attainable_accuracy


@dataclass(frozen=True)
class Progress:
    """How far a trial has come.

    Attributes:
        outcomes: Its folds in the order of their training.
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
        """The accuracy that is still within reach; the trial's accuracy once all folds are done."""
        return attainable_accuracy(self.outcomes, self.num_clips, self.protocol)

    @property
    def complete(self) -> bool:
        """Whether all folds are done."""
        return len(self.outcomes) == self.num_folds


class Pruning(Protocol):
    """Decides after each job of a trial whether the trial ends."""

    # Where a finished trial is worth showing; None where every one is.
    threshold: float | Literal["best"] | None

    def pruner(self) -> BasePruner:
        """The pruner of Optuna's that a study is opened with."""

    def prunes(self, trial: Trial, progress: Progress) -> bool:
        """Reports how far a trial has come, and says whether it ends here."""


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
    """Ends a trial as soon as the threshold is out of reach, whatever its other folds give; see `attainable_accuracy`.

    The paper prunes trials that "will yield a LOSO cross-validation accuracy less than 96.5%" (section 3). Stock
    pruners judge what a trial has reached so far: a mean over folds rises again, so that a threshold on it kills good
    trials.

    Args:
        threshold: The accuracy that a trial must be able to reach; `best`: that of the best finished trial.

    Raises:
        ValueError: The threshold is neither `best` nor a share.
    """

    def __init__(self, threshold: float | Literal["best"]) -> None:
        is_share = isinstance(threshold, int | float) and not isinstance(threshold, bool) and 0 <= threshold <= 1
        if threshold != "best" and not is_share:
            raise ValueError(f"search.pruning.threshold must be a share such as 0.965, or best, got {threshold!r}")
        self.threshold = threshold

    def pruner(self) -> BasePruner:
        """Optuna's threshold pruner, which is exact on the attainable accuracy."""
        return NopPruner() if self.threshold == "best" else ThresholdPruner(lower=self.threshold)

    def prunes(self, trial: Trial, progress: Progress) -> bool:
        """Reports the attainable accuracy, and prunes where it is below the threshold."""
        _report(trial, progress.attainable, len(progress.outcomes))
        if self.threshold != "best":
            return trial.should_prune()
        best = max(_finished_values(trial.study), default=0.0)
        return progress.attainable < best


class Wilcoxon:
    """Ends a trial that a signed-rank test finds worse than the best one on the folds that both have run.

    Statistical, not exact: it ends good trials, too. In simulated studies (`benchmarks/search_cost.py`) it cut one in
    seven of those that would have reached 96.5 %.

    Args:
        p_threshold: The p-value below which a trial ends.
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
        """Reports each fold's accuracy under the fold's number, which pairs it with the best trial's."""
        last_step = progress.num_folds + 1
        if last_step in _reported(trial):
            return True  # the process ended before Optuna was told
        accuracies = {outcome.fold: outcome.accuracy(progress.protocol) for outcome in progress.outcomes}
        for fold, accuracy in accuracies.items():
            _report(trial, accuracy, fold)
        if not trial.should_prune():
            return False
        # The last step is what Optuna takes for the value of a pruned trial; one fold's accuracy would say little.
        _report(trial, sum(accuracies.values()) / len(accuracies), last_step)
        return True


def _report(trial: Trial, value: float, step: int) -> None:
    """Reports a value once: a trial that goes on after an interruption has reported some already."""
    if step not in _reported(trial):
        trial.report(value, step)


def _reported(trial: Trial) -> Mapping[int, float]:
    return trial.study.get_trials(deepcopy=False)[trial.number].intermediate_values


def _finished_values(study: Study) -> list[float]:
    trials = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    return [trial.value for trial in trials if trial.value is not None]
