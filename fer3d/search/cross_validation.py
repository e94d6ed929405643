"""A trial as a cross-validation: fold jobs, the hardest folds first, and an end as soon as it has lost."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from optuna.pruners import BasePruner
from optuna.trial import FrozenTrial, Trial, TrialState

from fer3d.evaluation.protocols import EpochProtocol
from fer3d.overrides import override
from fer3d.search.fold_order import ORDERS, Order, fold_order
from fer3d.search.jobs import Job
from fer3d.search.objective import Steps, TrialRun, Verdict
from fer3d.search.outcomes import SEARCH_PROTOCOLS, FoldOutcome, attainable_accuracy
from fer3d.search.pruning import Progress, Pruning
from fer3d.search.storage import lacking
from fer3d.search.trial_tracking import TrialTracker
from fer3d.training.results import FoldResult, ResultError

# What a trial keeps in its study besides its settings.
FOLDS, ORDER, RUN = "folds", "order", "run"


class CrossValidationSettings:
    """How a search carries out cross-validations: `conf/search`.

    Args:
        space: What each searched setting is drawn from, in the words of Hydra's command line.
        protocol: The epoch protocol whose accuracy is a trial's value.
        pruning: When a trial ends before its last fold.
        order: In which order a trial trains its folds.
        order_seed: Decides between folds of which nothing is known yet.
        folds_per_job: Number of folds that a job trains.

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
    ) -> None:
        if not isinstance(space, Mapping):
            raise ValueError(f"search.space must be settings and what they are drawn from, or {{}}, got {space!r}")
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


@dataclass(frozen=True)
class CrossValidation:
    """What a search of cross-validations optimises.

    Attributes:
        settings: How.
        sizes: Number of held-out clips of each fold.
        study: The study's name.
        corpus: The corpus's name.
        folder: The study's folder, below which each job has its own.
        job_overrides: What every job is told besides its trial's settings.
        tracker: Where trials are logged.
    """

    settings: CrossValidationSettings
    sizes: Mapping[int, int]
    study: str
    corpus: str
    folder: Path
    job_overrides: Sequence[str] = ()
    tracker: TrialTracker | None = None
    directions: Sequence[str] = field(default=("maximize",), init=False)

    def pruner(self) -> BasePruner:
        """The pruner that the study is opened with."""
        return self.settings.pruning.pruner()

    def check(self, study: str, trials: Sequence[FrozenTrial], params: Sequence[str]) -> None:
        """See `check_trials`."""
        check_trials(study, trials, params, len(self.sizes), sum(self.sizes.values()), self.settings.protocol)

    def begin(self, trial: Trial, overrides: Sequence[str]) -> TrialRun:
        """Begins a trial, or goes on with one from the folds that it has."""
        trials = trial.study.get_trials(deepcopy=False)
        stored = trials[trial.number].user_attrs
        order = stored.get(ORDER)
        if order is None:
            finished = [other for other in trials if other.state in (TrialState.COMPLETE, TrialState.PRUNED)]
            history = [read_outcomes(other.user_attrs) for other in finished]
            order = fold_order(
                self.settings.order,
                dict(self.sizes),
                history,
                self.settings.protocol,
                # The trial's number, so that shuffled folds are so anew in each trial.
                self.settings.order_seed + (trial.number if self.settings.order == "shuffled" else 0),
            )
            trial.set_user_attr(ORDER, order)
        return CrossValidationRun(self, trial, tuple(overrides), order, read_outcomes(stored))


class CrossValidationRun:
    """A trial that is being carried out.

    Args:
        objective: What it is a trial of.
        trial: The trial.
        overrides: Its settings as on the command line.
        order: The numbers of all folds, in the order in which they are trained.
        outcomes: Those that are done.
    """

    def __init__(
        self,
        objective: CrossValidation,
        trial: Trial,
        overrides: tuple[str, ...],
        order: Sequence[int],
        outcomes: Sequence[FoldOutcome],
    ) -> None:
        self._objective = objective
        self._trial = trial
        self._overrides = overrides
        self._order = order
        self._outcomes = list(outcomes)
        # The folds of the job under way, and of the one before it.
        self._block: list[int] = []
        self._received: list[int] = []
        self._pruned = bool(outcomes) and self._prunes()

    @property
    def progress(self) -> Progress:
        """How far the trial has come."""
        sizes = self._objective.sizes
        return Progress(tuple(self._outcomes), sum(sizes.values()), len(sizes), self._protocol)

    def next_job(self) -> Job | None:
        """The next block of folds; None where the trial is complete or pruned."""
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
                *self._objective.job_overrides,
                selected_by(self._objective.study, number, self._objective.corpus),
                override("+trial", number),
                override("+fold", block),
                override("hydra.sweep.dir", str(self._objective.folder)),
                override("hydra.sweep.subdir", job_folder(number, block)),
                # Its settings lie there, since nothing else does.
                "hydra.output_subdir=.hydra",
            ),
        )

    def receive(self, returned: Any) -> None:
        """Takes the fold results of a job.

        Raises:
            ValueError: It returned something else.
            ResultError: They are not those of the folds that it was to train.
        """
        if not isinstance(returned, list) or not all(isinstance(result, FoldResult) for result in returned):
            raise ValueError(f"a fold job must return fold results, got {returned!r}")
        wanted = {fold: self._objective.sizes[fold] for fold in self._block}
        got = [(result.fold, len(result.labels)) for result in returned]
        if sorted(got) != sorted(wanted.items()):
            run = returned[0].info.get("run") if returned else "its run"
            raise ResultError(
                f"the job that was to train {_folds(wanted.items())} returned {_folds(got)}: a fold's folder in {run} "
                "holds another one's result; delete it"
            )
        self._block, self._received = [], [result.fold for result in returned]
        self._outcomes += [FoldOutcome.of(result) for result in returned]
        # One write for a block: a process that is killed leaves whole blocks.
        self._trial.set_user_attr(FOLDS, {str(outcome.fold): outcome.as_json() for outcome in self._outcomes})
        self._trial.set_user_attr(RUN, returned[0].info["run"])
        self._pruned = self._prunes()

    @property
    def steps(self) -> Steps:
        """How many of its folds are done."""
        progress = self.progress
        last = f"fold{'s' if len(self._received) > 1 else ''} {', '.join(map(str, self._received))}"
        return Steps(len(progress.outcomes), progress.num_folds, f"{progress.attainable:.2%} at most", last)

    @property
    def verdict(self) -> Verdict:
        """How the trial ended."""
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
        """A trial whose folds are all done is complete, whatever they gave."""
        prunes = self._objective.settings.pruning.prunes(self._trial, self.progress)
        return prunes and not self.progress.complete


def _folds(sizes: Iterable[tuple[int, int]]) -> str:
    return ", ".join(f"fold {fold} of {size} held-out clips" for fold, size in sizes) or "nothing"


def read_outcomes(attributes: Mapping[str, Any]) -> list[FoldOutcome]:
    """The outcomes that a trial keeps, in the order of their training."""
    return [FoldOutcome.from_json(fold, stored) for fold, stored in attributes.get(FOLDS, {}).items()]


def check_trials(
    study: str,
    trials: Sequence[FrozenTrial],
    params: Sequence[str],
    num_folds: int,
    num_clips: int,
    protocol: EpochProtocol,
) -> None:
    """Checks that a study's trials have what they say that they have; rows of its database may be lost.

    Args:
        study: The study's name.
        trials: All its trials.
        params: The settings that each trial has values of.
        num_folds: Number of folds of a complete trial.
        num_clips: Number of clips that they hold out together.
        protocol: The epoch protocol of the trials' accuracies.

    Raises:
        StudyError: A trial lacks something; a complete one has other folds or another accuracy than it should.
    """
    if [trial.number for trial in trials] != list(range(len(trials))):
        raise lacking(study, f"trials: it has {len(trials)}, the last of which is trial {trials[-1].number}")
    for trial in trials:
        try:
            outcomes = read_outcomes(trial.user_attrs)
            accuracy = attainable_accuracy(outcomes, num_clips, protocol)
        except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
            raise lacking(study, f"readable folds of trial {trial.number}") from error
        is_complete = trial.state == TrialState.COMPLETE
        num_held_out = sum(outcome.num_held_out for outcome in outcomes)
        if is_complete and (len(outcomes), num_held_out) != (num_folds, num_clips):
            what = f"folds of trial {trial.number}, which is complete and has {len(outcomes)} of {num_folds}"
            raise lacking(study, f"{what}, with {num_held_out} of {num_clips} held-out clips")
        if is_complete and (trial.values is None or not math.isclose(trial.values[0], accuracy, abs_tol=1e-9)):
            raise lacking(study, f"the accuracy of trial {trial.number}, which its folds make {accuracy:.2%}")
        if trial.state == TrialState.PRUNED and not outcomes:
            raise lacking(study, f"the folds after which trial {trial.number} was pruned")
        if outcomes and (missing := [name for name in params if name not in trial.params]):
            raise lacking(study, f"settings of trial {trial.number}: {', '.join(missing)}")


def selected_by(study: str, number: int, corpus: str) -> str:
    """The setting by which a run says whose trial it is."""
    return override("selected_by", {"study": study, "trial": number, "corpus": corpus})


def job_folder(trial: int, block: Sequence[int]) -> str:
    """A job's folder within its study's, such as `trial_0007/fold_003`, or `trial_0007/fold_003_and_3_more`."""
    more = f"_and_{len(block) - 1}_more" if len(block) > 1 else ""
    return f"trial_{trial:04d}/fold_{block[0]:03d}{more}"
