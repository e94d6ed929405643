"""What a search needs to know of the thing it optimises: a cross-validation, or any function."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from optuna.pruners import BasePruner, NopPruner
from optuna.trial import FrozenTrial, Trial, TrialState

from fer3d.search.jobs import Job


@dataclass(frozen=True)
class Steps:
    """How far a trial has come, for people.

    Attributes:
        done: Number of its steps that are done.
        total: Number of all its steps.
        said: What is known of it.
        last: The step that was done last.
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
        values: One for each direction; none where it was pruned.
        sentence: The verdict for people.
    """

    state: TrialState
    values: tuple[float, ...] | None
    sentence: str


class TrialRun(Protocol):
    """A trial that is being carried out, job after job."""

    def next_job(self) -> Job | None:
        """The job to do next; None where the trial has its verdict."""

    def receive(self, returned: Any) -> None:
        """Takes what the job before returned.

        Raises:
            ValueError: It is not what the objective needs.
            ResultError: It is of something else than the job was to do.
        """

    @property
    def steps(self) -> Steps:
        """How far the trial has come."""

    @property
    def verdict(self) -> Verdict:
        """How the trial ended."""

    def close(self, state: TrialState, error: str | None = None) -> None:
        """Is told that the trial is over, before Optuna is."""


class Objective(Protocol):
    """What trials are carried out on."""

    @property
    def directions(self) -> Sequence[str]:
        """`minimize` or `maximize`, one for each value."""

    def pruner(self) -> BasePruner:
        """The pruner that the study is opened with."""

    def check(self, study: str, trials: Sequence[FrozenTrial], params: Sequence[str]) -> None:
        """Checks the trials that a study has, whose searched settings are `params`.

        Raises:
            StudyError: One of them lacks what it must have.
        """

    def begin(self, trial: Trial, overrides: Sequence[str]) -> TrialRun:
        """Begins a trial, or goes on with one that was interrupted."""


class FunctionObjective:
    """A function that is called once a trial, and returns a value for each direction.

    Args:
        directions: `minimize` or `maximize`, one for each value.
    """

    def __init__(self, directions: Sequence[str]) -> None:
        self.directions: Sequence[str] = directions

    def pruner(self) -> BasePruner:
        """None: a function says nothing before it is done."""
        return NopPruner()

    def check(self, study: str, trials: Sequence[FrozenTrial], params: Sequence[str]) -> None:
        """Nothing: a trial keeps nothing but its value."""

    def begin(self, trial: Trial, overrides: Sequence[str]) -> TrialRun:
        """Begins a trial."""
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
