"""Objective whose trials are cross-validations: fold jobs, hardest folds first, pruned once the bound is too low."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from optuna.pruners import BasePruner
from optuna.study import Study
from optuna.trial import FrozenTrial, Trial, TrialState

from fer3d.evaluation.protocols import EpochProtocol
from fer3d.overrides import override
from fer3d.search.fold_order import ORDERS, Order, fold_order
from fer3d.search.jobs import Job
from fer3d.search.objective import Steps, TrialRun, Verdict
from fer3d.search.outcomes import SEARCH_PROTOCOLS, FoldOutcome, attainable_accuracy
from fer3d.search.pruning import Progress, Pruning
from fer3d.search.storage import lacking, one_transaction
from fer3d.search.trial_tracking import TrialTracker
from fer3d.training.results import FoldResult, ResultError

# User attributes of a trial.
FOLDS, ORDER, RUN = "folds", "order", "run"


class CrossValidationSettings:
    """Settings of the cross-validations of a search: `conf/search`.

    Args:
        space: Sweep of each searched setting, in Hydra's override syntax.
        protocol: The epoch protocol whose accuracy is a trial's value.
        pruning: The pruning rule.
        order: The order in which a trial trains its folds.
        order_seed: Breaks ties in the fold order.
        folds_per_job: Number of folds per job.
        base_first: Whether the first trial has the settings that the search starts from.

    Raises:
        ValueError: A setting is out of range.
    """

    def __init__(
        self,
        space: Mapping[str, Any],
        protocol: str,
        pruning: Pruning,
        order: Order = "hardest_first",
        order_seed: int = 0,
        folds_per_job: int = 1,
        base_first: bool = False,
    ) -> None:
        if not isinstance(space, Mapping):
            raise ValueError(f"search.space must map settings to sweeps, or be {{}}, got {space!r}")
        if protocol not in SEARCH_PROTOCOLS:
            raise ValueError(f"search.protocol must be one of {', '.join(SEARCH_PROTOCOLS)}, got {protocol!r}")
        if order not in ORDERS:
            raise ValueError(f"search.order must be one of {', '.join(ORDERS)}, got {order!r}")
        if not isinstance(folds_per_job, int) or isinstance(folds_per_job, bool) or folds_per_job < 1:
            raise ValueError(f"search.folds_per_job must be at least 1, got {folds_per_job!r}")
        self.space = space
        self.protocol = SEARCH_PROTOCOLS[protocol]
        self.pruning = pruning
        self.order = order
        self.order_seed = order_seed
        self.folds_per_job = folds_per_job
        self.base_first = base_first


@dataclass(frozen=True)
class CrossValidation:
    """The objective of a search over cross-validations.

    Attributes:
        settings: The settings of `conf/search`.
        sizes: Number of held-out clips of each fold.
        study: The study's name.
        corpus: The corpus's name.
        folder: The study's folder; each job has a subfolder.
        job_overrides: Settings of every job besides those of its trial.
        tracker: Logs the trials.
    """

    settings: CrossValidationSettings
    sizes: Mapping[int, int]
    study: str
    corpus: str
    folder: Path
    job_overrides: Sequence[str] = ()
    tracker: TrialTracker | None = None
    directions: Sequence[str] = field(default=("maximize",), init=False)
    # The study's finished trials, which never change, as `fold_order` has counted them.
    _known: set[int] = field(default_factory=set, init=False, repr=False, compare=False)
    _counted: list[NDArray[np.float64]] = field(default_factory=list, init=False, repr=False, compare=False)

    def pruner(self) -> BasePruner:
        """Optuna's pruner for the study."""
        return self.settings.pruning.pruner()

    def check(self, study: str, trials: Sequence[FrozenTrial], params: Sequence[str]) -> None:
        """See `check_trials`."""
        check_trials(study, trials, params, len(self.sizes), sum(self.sizes.values()), self.settings.protocol)

    def begin(self, trial: Trial, overrides: Sequence[str]) -> TrialRun:
        """Starts a trial, or resumes it from its stored folds."""
        stored = trial.user_attrs
        order = stored.get(ORDER)
        if order is None:
            order = fold_order(
                self.settings.order,
                dict(self.sizes),
                self._newly_finished(trial.study),
                self.settings.protocol,
                # With the trial's number, shuffled orders differ between trials.
                self.settings.order_seed + (trial.number if self.settings.order == "shuffled" else 0),
                self._counted,
            )
            trial.set_user_attr(ORDER, order)
        return CrossValidationRun(self, trial, overrides, order, stored)

    def _newly_finished(self, study: Study) -> list[list[FoldOutcome]]:
        """The outcomes of each trial that finished since the last time."""
        finished = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE, TrialState.PRUNED))
        new = [trial for trial in finished if trial.number not in self._known]
        self._known.update(trial.number for trial in new)
        return [read_outcomes(trial.user_attrs) for trial in new]


class CrossValidationRun:
    """A running trial.

    Args:
        objective: The objective.
        trial: The trial.
        overrides: Its settings, as on the command line.
        order: The numbers of all folds, in training order.
        stored: Its user attributes, with the finished folds of an interrupted trial.
    """

    def __init__(
        self,
        objective: CrossValidation,
        trial: Trial,
        overrides: Sequence[str],
        order: Sequence[int],
        stored: Mapping[str, Any],
    ) -> None:
        self._objective = objective
        self._trial = trial
        # Made once per trial, since Hydra's parser takes milliseconds.
        self._overrides = (
            *overrides,
            *objective.job_overrides,
            selected_by(objective.study, trial.number, objective.corpus),
            override("+trial", trial.number),
            override("hydra.sweep.dir", str(objective.folder)),
            # Hydra writes the settings of the job there.
            "hydra.output_subdir=.hydra",
        )
        self._order = order
        self._outcomes = read_outcomes(stored)
        self._run = stored.get(RUN)
        # The folds of the current job and of the previous one.
        self._block: list[int] = []
        self._received: list[int] = []
        self._pruned = bool(self._outcomes) and self._prunes()

    @property
    def progress(self) -> Progress:
        """The finished folds and the bound."""
        sizes = self._objective.sizes
        return Progress(tuple(self._outcomes), sum(sizes.values()), len(sizes), self._protocol)

    def next_job(self) -> Job | None:
        """The job for the next block of folds; None if the trial is complete or pruned."""
        done = {outcome.fold for outcome in self._outcomes}
        block = [fold for fold in self._order if fold not in done][: self._objective.settings.folds_per_job]
        self._block = block
        if not block or self._pruned:
            return None
        number = self._trial.number
        return Job(
            number,
            (
                *self._overrides,
                override("+fold", block),
                f"hydra.sweep.subdir={job_folder(number, block)}",
            ),
        )

    def receive(self, returned: Any) -> None:
        """Takes the fold results of a job.

        Raises:
            ValueError: The job returned something else.
            ResultError: The results belong to other folds.
        """
        if not isinstance(returned, list) or not all(isinstance(result, FoldResult) for result in returned):
            raise ValueError(f"a fold job must return fold results, got {returned!r}")
        wanted = {fold: self._objective.sizes[fold] for fold in self._block}
        got = [(result.fold, len(result.labels)) for result in returned]
        if sorted(got) != sorted(wanted.items()):
            run = returned[0].info.get("run") if returned else "its run"
            raise ResultError(
                f"expected results of {_folds(wanted.items())}, got {_folds(got)}: a fold folder in {run} holds the "
                "result of another fold; delete that folder"
            )
        self._block, self._received = [], [result.fold for result in returned]
        self._outcomes += [FoldOutcome.of(result) for result in returned]
        # One transaction per block, so that a crash leaves whole blocks.
        with one_transaction(self._trial.study):
            self._trial.set_user_attr(FOLDS, {str(outcome.fold): outcome.as_json() for outcome in self._outcomes})
            if self._run != (run := returned[0].info["run"]):
                self._trial.set_user_attr(RUN, run)
                self._run = run
            self._pruned = self._prunes()

    @property
    def steps(self) -> Steps:
        """The progress in folds."""
        progress = self.progress
        last = f"fold{'s' if len(self._received) > 1 else ''} {', '.join(map(str, self._received))}"
        return Steps(len(progress.outcomes), progress.num_folds, f"{progress.attainable:.2%} at most", last)

    @property
    def verdict(self) -> Verdict:
        """The result of the trial."""
        progress = self.progress
        num_wrong = round((1 - progress.attainable) * progress.num_clips)
        folds = f"{len(progress.outcomes)} of {progress.num_folds} folds"
        done = f"{folds}, {num_wrong} of {progress.num_clips} clips wrong"
        if self._pruned:
            return Verdict(TrialState.PRUNED, None, f"pruned after {done}: {progress.attainable:.2%} at most")
        accuracy = progress.attainable
        return Verdict(TrialState.COMPLETE, (accuracy,), f"{accuracy:.2%} ({self._protocol.title}), {done}")

    def close(self, state: TrialState, error: str | None = None) -> None:
        """Logs the trial."""
        if self._objective.tracker is not None:
            self._objective.tracker.log(self._trial, self.progress, state, error)

    @property
    def _protocol(self) -> EpochProtocol:
        return self._objective.settings.protocol

    def _prunes(self) -> bool:
        """Whether to prune; a trial with all folds done is complete, never pruned."""
        prunes = self._objective.settings.pruning.prunes(self._trial, self.progress)
        return prunes and not self.progress.complete


def _folds(sizes: Iterable[tuple[int, int]]) -> str:
    return ", ".join(f"fold {fold} of {size} held-out clips" for fold, size in sizes) or "nothing"


def read_outcomes(attributes: Mapping[str, Any]) -> list[FoldOutcome]:
    """The stored outcomes of a trial, in training order."""
    return [FoldOutcome.from_json(fold, stored) for fold, stored in attributes.get(FOLDS, {}).items()]


def check_trials(
    study: str,
    trials: Sequence[FrozenTrial],
    params: Sequence[str],
    num_folds: int,
    num_clips: int,
    protocol: EpochProtocol,
) -> None:
    """Checks that the stored trials are consistent; rows of the database may have been lost.

    Args:
        study: The study's name.
        trials: All its trials.
        params: The settings that each trial must have.
        num_folds: Number of folds of a complete trial.
        num_clips: Number of held-out clips over all folds.
        protocol: The epoch protocol of the trials' accuracies.

    Raises:
        StudyError: A trial lacks data, or the folds or accuracy of a complete one are inconsistent.
    """
    if [trial.number for trial in trials] != list(range(len(trials))):
        raise lacking(study, f"trials: it has {len(trials)}, but the last is trial {trials[-1].number}")
    for trial in trials:
        try:
            outcomes = read_outcomes(trial.user_attrs)
            accuracy = attainable_accuracy(outcomes, num_clips, protocol)
        except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
            raise lacking(study, f"readable folds of trial {trial.number}") from error
        is_complete = trial.state == TrialState.COMPLETE
        num_held_out = sum(outcome.num_held_out for outcome in outcomes)
        if is_complete and (len(outcomes), num_held_out) != (num_folds, num_clips):
            what = f"folds of trial {trial.number}, which is complete but has {len(outcomes)} of {num_folds} folds"
            raise lacking(study, f"{what} and {num_held_out} of {num_clips} held-out clips")
        if is_complete and (trial.values is None or not math.isclose(trial.values[0], accuracy, abs_tol=1e-9)):
            raise lacking(study, f"the accuracy of trial {trial.number}, which is {accuracy:.2%} by its folds")
        if trial.state == TrialState.PRUNED and not outcomes:
            raise lacking(study, f"the folds after which trial {trial.number} was pruned")
        if outcomes and (missing := [name for name in params if name not in trial.params]):
            raise lacking(study, f"settings of trial {trial.number}: {', '.join(missing)}")


def selected_by(study: str, number: int, corpus: str) -> str:
    """The setting that records a run's study and trial."""
    return override("selected_by", {"study": study, "trial": number, "corpus": corpus})


def job_folder(trial: int, block: Sequence[int]) -> str:
    """A job's folder within its study, such as `trial_0007/fold_003`, or `trial_0007/fold_003_and_3_more`."""
    more = f"_and_{len(block) - 1}_more" if len(block) > 1 else ""
    return f"trial_{trial:04d}/fold_{block[0]:03d}{more}"
