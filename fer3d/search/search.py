"""The search itself: begins trials while there is room, gives their jobs away, and tells Optuna how they ended."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from optuna.study import Study
from optuna.trial import FrozenTrial, Trial, TrialState

from fer3d.search.faults import Blame, fault_of
from fer3d.search.jobs import Job, JobResult, Jobs
from fer3d.search.leases import Leases
from fer3d.search.objective import Objective, Steps, TrialRun
from fer3d.search.retries import counted, enqueue_failed
from fer3d.search.space import SearchSpace
from fer3d.search.storage import StudyError
from fer3d.training.results import ResultError

ERROR = "error"
# How often to look whether other processes still live, where nothing else is left to do.
_POLL_SECONDS = 2.0


@dataclass
class Active:
    """A trial that this process carries out.

    Attributes:
        trial: The trial.
        run: How far it has come.
        num_retries: How often its job was submitted again.
    """

    trial: Trial
    run: TrialRun
    num_retries: int = 0


@dataclass
class Search:
    """A search of one process; any number of them share a study.

    Attributes:
        study: The study.
        leases: Which process carries out which trial.
        space: The search space.
        objective: What trials are carried out on.
        jobs: The jobs under way.
        num_trials: How many finished trials the study is to have, those of earlier starts and other processes included.
        num_at_once: How many trials this process carries out at a time.
        max_failure_rate: The share of `num_trials` that may fail before the search gives up.
        max_job_retries: How often a job that is lost, or that the machine failed, is submitted again.
        retry_pause: Seconds before a job is submitted again for the first time, and twice as many each time after.
        retry_failed: Whether to try the failed trials that there are again.
        extend: Adds to a trial's settings, once the space is drawn; see `hydra.sweeper.custom_search_space`.
        wait_for_others: Whether to end only when no trial is carried out any more, be it by another process.
        say: Where sentences for people go.
        show: Is told the number of finished trials, and how far each trial under way has come.
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
    say: Callable[[str], None] = lambda sentence: print(sentence, flush=True)
    show: Callable[[int, Mapping[int, Steps]], None] = lambda num_finished, active: None
    _active: dict[int, Active] = field(default_factory=dict)

    def run(self) -> None:
        """Searches until the study has its number of finished trials.

        Raises:
            StudyError: Too many trials failed; the machine fails a job again and again; or what a job reads is damaged.
        """
        try:
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
        trials = counted(self.study)
        active = {number: one.run.steps for number, one in self._active.items()}
        self.show(sum(trial.state.is_finished() for trial in trials), active)

    def _begin(self) -> bool:
        """Begins a trial, or goes on with one whose process is gone; False if there is none to begin."""
        self._check_failures()
        with self.leases.mutex():
            trial = self._orphan() or self._next()
        if trial is None:
            return False
        try:
            self.space.draw(trial)
            if self.extend is not None:
                self.extend(trial)
            self.space.check_drawn(trial.params)
            run = self.objective.begin(trial, [*self.space.fixed, *self.space.overrides(trial.params)])
        except BaseException:
            # Not yet among those that are told; the next start takes it from here.
            self.leases.give_back(trial.number)
            raise
        self._active[trial.number] = Active(trial, run)
        self._go_on(trial.number)
        return True

    def _orphan(self) -> Trial | None:
        for trial in self._unfinished():
            number = trial.number
            if number in self._active or not self.leases.take(number):
                continue
            # Its process may have ended it between the two.
            if any(still.number == number for still in self._unfinished()):
                self.say(f"trial {number}: goes on where its process left it")
                return Trial(self.study, trial._trial_id)
            self.leases.give_back(number)
        return None

    def _next(self) -> Trial | None:
        # Waiting ones were enqueued by the user, and count once they run.
        running_or_done = [trial for trial in counted(self.study) if trial.state != TrialState.WAITING]
        if len(running_or_done) >= self.num_trials:
            return None
        trial = self.study.ask()
        self.leases.take(trial.number)
        return trial

    def _unfinished(self) -> list[FrozenTrial]:
        return self.study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))

    def _go_on(self, number: int) -> None:
        """Submits a trial's next job, or tells its verdict."""
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
            # Another process is at it or done, and nothing more may be written.
            del self._active[number]
            self.say(f"trial {number}: was taken over by another process while this one was silent")
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
        """Submits a job again unless its trial's settings are to blame; its finished folds are found by it."""
        fault = fault_of(error, alone=len(self._active) == 1)
        sentence, num_retries = fault.sentence, active.num_retries
        if fault.blame in (Blame.UNCLEAR, Blame.MACHINE) and num_retries < self.max_job_retries:
            active.num_retries += 1
            self.say(f"trial {job.trial}: {sentence}; again, {num_retries + 1} of {self.max_job_retries} times")
            time.sleep(self.retry_pause * 2**num_retries)
            self.jobs.submit(job)
            return
        if fault.blame in (Blame.MACHINE, Blame.DAMAGE):
            tried = f", tried {num_retries + 1} times" if fault.blame is Blame.MACHINE else ""
            raise StudyError(
                f"trial {job.trial} cannot go on{tried}: {sentence}; this is no fault of its settings: once it is "
                "mended, the same command continues"
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
        failed = [trial for trial in counted(self.study) if trial.state == TrialState.FAIL]
        # Of the trials that there are to be, so that a first one that fails is not all of them.
        allowed = math.floor(self.max_failure_rate * self.num_trials)
        if len(failed) > allowed:
            raise StudyError(
                f"{len(failed)} trials of the study {self.study.study_name} failed, and "
                f"hydra.sweeper.max_failure_rate={self.max_failure_rate:g} allows {allowed} of {self.num_trials}; the "
                f"last one, trial {failed[-1].number}, with {failed[-1].user_attrs.get(ERROR, 'no message')}; once "
                "that is mended, hydra.sweeper.retry_failed=true tries them again"
            )

    def _wait_for_others(self) -> bool:
        """Waits a moment where it is open whether a trial of another process is still carried out, or matters.

        Returns False when nothing is left to do here.
        """
        unfinished = self._unfinished()
        undecided = any(not self.leases.known_alive(trial.number) for trial in unfinished)
        if undecided or (unfinished and self.wait_for_others):
            time.sleep(_POLL_SECONDS)
            return True
        if unfinished:
            numbers = ", ".join(str(trial.number) for trial in unfinished)
            self.say(f"other processes carry out the rest: trial {numbers}")
        return False
