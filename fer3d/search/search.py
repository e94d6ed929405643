"""The search loop: starts trials, submits their jobs, and reports the results to Optuna."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from optuna.study import Study
from optuna.trial import Trial, TrialState

from fer3d.search.faults import Blame, fault_of
from fer3d.search.jobs import Job, JobResult, Jobs
from fer3d.search.leases import Leases
from fer3d.search.objective import Objective, Steps, TrialRun
from fer3d.search.space import SearchSpace
from fer3d.search.storage import StudyError, one_transaction
from fer3d.search.study_trials import RETRY_OF, KnownTrials, StudyTrials
from fer3d.training.results import ResultError

_logger = logging.getLogger(__name__)
ERROR = "error"
# Interval between checks on other processes when nothing else is left to do.
_POLL_SECONDS = 2.0


def enqueue_failed(study: Study, say: Callable[[str], None]) -> None:
    """Enqueues a retry of each failed trial. Call from one process at a time.

    Args:
        study: The study.
        say: Receives a message for the user.
    """
    failed = KnownTrials.of(study).failed
    for trial in failed:
        # A single write, so that a crash cannot enqueue a trial twice.
        study.enqueue_trial(trial.params, user_attrs={RETRY_OF: trial.number})
    if failed:
        say(f"retrying failed trials: {', '.join(str(trial.number) for trial in failed)}")


@dataclass
class Active:
    """A trial that this process runs.

    Attributes:
        trial: The trial.
        run: Its state.
        num_retries: How often its current job was resubmitted.
    """

    trial: Trial
    run: TrialRun
    num_retries: int = 0


@dataclass
class Search:
    """The search of one process. Any number of processes can share a study.

    Attributes:
        study: The study.
        leases: The trial leases.
        space: The search space.
        objective: The objective.
        jobs: Runs the jobs.
        num_trials: Target number of finished trials, including those of earlier starts and other processes.
        num_at_once: Number of trials that this process runs concurrently.
        max_failure_rate: Fraction of `num_trials` that may fail before the search stops.
        max_job_retries: How often to resubmit a job that was lost or that failed because of the machine.
        retry_pause: Seconds before the first retry of a job; doubled for each further retry.
        retry_failed: Whether to retry the study's failed trials.
        extend: Adds settings to a trial after the space is sampled; see `hydra.sweeper.custom_search_space`.
        wait_for_others: Whether to wait for the running trials of other processes as well.
        first: Settings of a new study's first trial; those that are missing are sampled.
        say: Receives messages for the user.
        show: Receives the number of finished trials and the progress of each running trial.
    """

    study: Study
    leases: Leases
    space: SearchSpace
    objective: Objective
    jobs: Jobs
    num_trials: int
    num_at_once: int = 1
    max_failure_rate: float = 0.0
    max_job_retries: int = 3
    retry_pause: float = 1.0
    retry_failed: bool = False
    extend: Callable[[Trial], None] | None = None
    wait_for_others: bool = False
    first: Mapping[str, Any] = field(default_factory=dict)
    say: Callable[[str], None] = _logger.info
    show: Callable[[int, Mapping[int, Steps]], None] = lambda num_finished, active: None
    _active: dict[int, Active] = field(default_factory=dict)
    _trials: StudyTrials = field(init=False)

    def __post_init__(self) -> None:
        self._trials = StudyTrials(self.study)

    def run(self) -> None:
        """Searches until the study has `num_trials` finished trials.

        Raises:
            StudyError: Too many trials failed; the machine repeatedly fails a job; or an input of a job is damaged.
        """
        try:
            if self.first:
                with self.leases.mutex():
                    if not self._trials.now.trials:
                        self.study.enqueue_trial(dict(self.first))
            if self.retry_failed:
                with self.leases.mutex():
                    enqueue_failed(self.study, self.say)
            while True:
                while len(self._active) < self.num_at_once and self._begin():
                    pass
                self._show()
                if self._active:
                    self._receive(self.jobs.wait())
                elif not self._wait_for_others():
                    return
        except BaseException:
            self.jobs.cancel()
            raise

    def _show(self) -> None:
        active = {number: one.run.steps for number, one in self._active.items()}
        self.show(self._trials.now.num_finished, active)

    def _begin(self) -> bool:
        """Starts a trial or resumes an orphan. Returns False if there is none."""
        self._check_failures()
        with self.leases.mutex():
            trial = self._orphan() or self._next()
        if trial is None:
            return False
        try:
            with one_transaction(self.study):
                self.space.draw(trial)
            if self.extend is not None:
                self.extend(trial)
            self.space.check_drawn(trial.params)
            run = self.objective.begin(trial, [*self.space.fixed, *self.space.overrides(trial.params)])
        except BaseException:
            # The trial is not active yet; release it so that the next start resumes it.
            self.leases.give_back(trial.number)
            raise
        self._active[trial.number] = Active(trial, run)
        self._go_on(trial.number)
        return True

    def _orphan(self) -> Trial | None:
        for trial in self._trials.now.running:
            number = trial.number
            if number in self._active or not self.leases.take(number):
                continue
            # Its process may have finished it in the meantime.
            if any(still.number == number for still in self._trials.now.running):
                self.say(f"trial {number}: resumed, its process is gone")
                return Trial(self.study, trial._trial_id)
            self.leases.give_back(number)
        return None

    def _next(self) -> Trial | None:
        if self._trials.now.num_begun >= self.num_trials:
            return None
        trial = self.study.ask()
        self.leases.take(trial.number)
        return trial

    def _go_on(self, number: int) -> None:
        """Submits a trial's next job, or reports its result."""
        active = self._active[number]
        job = active.run.next_job()
        if job is not None:
            self.jobs.submit(job)
            return
        verdict = active.run.verdict
        self._tell(active, verdict.state, verdict.values, verdict.sentence)

    def _receive(self, result: JobResult) -> None:
        number = result.job.trial
        active = self._active[number]
        if not self.leases.holds(number):
            # Another process owns the trial; write nothing more.
            del self._active[number]
            self.say(f"trial {number}: taken over by another process while this one sent no heartbeats")
            return
        error = result.error
        if error is None:
            try:
                active.run.receive(result.returned)
            except (ValueError, ResultError) as raised:
                error = raised
        if error is None:
            active.num_retries = 0
            self._go_on(number)
        else:
            self._retry_or_fail(active, result.job, error)

    def _retry_or_fail(self, active: Active, job: Job, error: BaseException) -> None:
        """Resubmits a job unless its trial's settings caused the failure. The job skips its finished folds."""
        fault = fault_of(error, alone=len(self._active) == 1)
        sentence, num_retries = fault.sentence, active.num_retries
        if fault.blame in (Blame.UNCLEAR, Blame.MACHINE) and num_retries < self.max_job_retries:
            active.num_retries += 1
            self.say(f"trial {job.trial}: {sentence}; retry {num_retries + 1} of {self.max_job_retries}")
            time.sleep(self.retry_pause * 2**num_retries)
            self.jobs.submit(job)
            return
        if fault.blame in (Blame.MACHINE, Blame.DAMAGE):
            tried = f", tried {num_retries + 1} times" if fault.blame is Blame.MACHINE else ""
            raise StudyError(
                f"trial {job.trial} cannot continue{tried}: {sentence}; its settings are not the cause: fix this, and "
                "the same command continues"
            ) from error
        if fault.blame is Blame.UNCLEAR:
            sentence = f"{sentence} (tried {num_retries + 1} times)"
        active.trial.set_user_attr(ERROR, sentence)
        self._tell(active, TrialState.FAIL, None, f"failed: {sentence}", error=sentence)

    def _tell(
        self,
        active: Active,
        state: TrialState,
        values: Sequence[float] | None,
        sentence: str,
        error: str | None = None,
    ) -> None:
        number = active.trial.number
        del self._active[number]
        active.run.close(state, error)
        self.study.tell(number, values=values, state=state)
        self.leases.give_back(number)
        self.say(f"trial {number}: {sentence}")

    def _check_failures(self) -> None:
        failed = self._trials.now.failed
        # Relative to the target number, so that a first trial that fails is not 100 %.
        allowed = math.floor(self.max_failure_rate * self.num_trials)
        if len(failed) > allowed:
            raise StudyError(
                f"{len(failed)} trials of study {self.study.study_name} failed, and "
                f"hydra.sweeper.max_failure_rate={self.max_failure_rate:g} allows {allowed} of {self.num_trials}; the "
                f"last one, trial {failed[-1].number}, with {failed[-1].user_attrs.get(ERROR, 'no message')}; fix "
                "this, then retry them with hydra.sweeper.retry_failed=true"
            )

    def _wait_for_others(self) -> bool:
        """Waits while a trial of another process may be an orphan, or has to be waited for.

        Returns False when this process has nothing left to do.
        """
        unfinished = self._trials.now.running
        undecided = any(not self.leases.known_alive(trial.number) for trial in unfinished)
        if undecided or (unfinished and self.wait_for_others):
            time.sleep(_POLL_SECONDS)
            return True
        if unfinished:
            numbers = ", ".join(str(trial.number) for trial in unfinished)
            self.say(f"other processes run the remaining trials: {numbers}")
        return False
