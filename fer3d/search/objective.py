"""The interface between a search and its objective: a cross-validation, or any function."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from optuna.pruners import BasePruner, NopPruner
from optuna.trial import FrozenTrial, Trial, TrialState

from fer3d.search.jobs import Job


@dataclass(frozen=True)
class Steps:
    """The progress of a trial for the progress display.

    Attributes:
        done: Number of steps that are done.
        total: Number of all steps.
        said: Interim result, as text.
        last: The last step, as text.
    """

    done: int
    total: int
    said: str = ""
    last: str = ""


@dataclass(frozen=True)
class Verdict:
    """How a trial ended.

    Attributes:
        state: Complete or pruned.
        values: One for each direction; None if it was pruned.
        sentence: The verdict as text.
    """

    state: TrialState
    values: tuple[float, ...] | None
    sentence: str


class TrialRun(Protocol):
    """A running trial, job after job."""

    def next_job(self) -> Job | None:
        """The next job; None if the trial has its verdict."""

    def receive(self, returned: Any) -> None:
        """Takes the return value of the last job.

        Raises:
            ValueError: It has the wrong type.
            ResultError: It belongs to another job.
        """

    @property
    def steps(self) -> Steps:
        """The progress of the trial."""

    @property
    def verdict(self) -> Verdict:
        """How the trial ended."""

    def close(self, state: TrialState, error: str | None = None) -> None:
        """Called when the trial is over, before Optuna is told."""


class Objective(Protocol):
    """What the trials of a search evaluate."""

    @property
    def directions(self) -> Sequence[str]:
        """`minimize` or `maximize`, one for each value."""

    def pruner(self) -> BasePruner:
        """The pruner that the study is opened with."""

    def check(self, study: str, trials: Sequence[FrozenTrial], params: Sequence[str]) -> None:
        """Checks the stored trials of a study, whose searched settings are `params`.

        Raises:
            StudyError: A trial is incomplete.
        """

    def begin(self, trial: Trial, overrides: Sequence[str]) -> TrialRun:
        """Starts a trial, or resumes an interrupted one."""


class FunctionObjective:
    """A function that is called once for each trial, and returns a value for each direction.

    Args:
        directions: `minimize` or `maximize`, one for each value.
    """

    def __init__(self, directions: Sequence[str]) -> None:
        self.directions: Sequence[str] = directions

    def pruner(self) -> BasePruner:
        """No pruning: a function reports no intermediate values."""
        return NopPruner()

    def check(self, study: str, trials: Sequence[FrozenTrial], params: Sequence[str]) -> None:
        """Nothing to check: a trial stores only its values."""

    def begin(self, trial: Trial, overrides: Sequence[str]) -> TrialRun:
        """Starts a trial."""
        return _FunctionRun(trial, tuple(overrides), len(self.directions))


class _FunctionRun:
    def __init__(self, trial: Trial, overrides: tuple[str, ...], num_values: int) -> None:
        self._job: Job | None = Job(trial.number, overrides)
        self._num_values = num_values
        self._values: tuple[float, ...] = ()

    def next_job(self) -> Job | None:
        job, self._job = self._job, None
        return job

    def receive(self, returned: Any) -> None:
        self._values = _floats(returned, self._num_values)

    @property
    def steps(self) -> Steps:
        return Steps(0, 1)

    @property
    def verdict(self) -> Verdict:
        return Verdict(TrialState.COMPLETE, self._values, ", ".join(f"{value:.6g}" for value in self._values))

    def close(self, state: TrialState, error: str | None = None) -> None:
        pass


def _floats(returned: Any, num_values: int) -> tuple[float, ...]:
    try:
        values = (float(returned),) if num_values == 1 else tuple(map(float, returned))
    except (TypeError, ValueError):
        values = ()
    if len(values) != num_values or any(value != value for value in values):
        wanted = "a number" if num_values == 1 else f"{num_values} numbers, one for each direction"
        raise ValueError(f"the function must return {wanted}, got {returned!r}")
    return values
