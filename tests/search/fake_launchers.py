"""A launcher that runs jobs in this process, and the searches that use it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.utils import JobReturn, JobStatus
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig
from optuna.trial import FrozenTrial

from fer3d.search.jobs import JobsInTurn, JobsSideBySide
from fer3d.search.leases import Leases
from fer3d.search.objective import FunctionObjective
from fer3d.search.sampling import SeededSampler
from fer3d.search.search import Search
from fer3d.search.space import SearchSpace
from fer3d.search.storage import open_storage, open_study, storage_url
from fer3d.search.sweeper_settings import SweeperSettings

Function = Callable[[int, Mapping[str, Any]], Any]


class FakeLauncher(Launcher):
    """Calls a function with the trial's number and its settings.

    Attributes:
        jobs: The trials that it was given, in their order.
    """

    def __init__(self, function: Function) -> None:
        self.function = function
        self.jobs: list[int] = []

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        raise NotImplementedError

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """As Hydra does, keeps what the function raises for whoever asks for what it returned."""
        (overrides,) = job_overrides
        parsed = OverridesParser.create().parse_overrides(list(overrides))
        self.jobs.append(initial_job_idx)
        done = JobReturn(overrides=overrides)
        try:
            done.return_value = self.function(initial_job_idx, {each.key_or_group: each.value() for each in parsed})
            done.status = JobStatus.COMPLETED
        except Exception as error:
            done.return_value = error
            done.status = JobStatus.FAILED
        return [done]


def square(trial: int, settings: Mapping[str, Any]) -> float:
    """What there is to minimise."""
    return float(settings["x"]) ** 2


def sweeper_settings(**changes: Any) -> SweeperSettings:
    """Settings of a search that draws at random and minimises."""
    usual = {
        "sampler": {"_target_": "optuna.samplers.RandomSampler", "seed": 0},
        "directions": ("minimize",),
        "storage": None,
        "study_name": None,
        "num_trials": 4,
        "num_at_once": 1,
        "max_failure_rate": 0.0,
        "params": {},
        "custom_search_space": None,
    }
    return SweeperSettings(**{**usual, **changes})


def states(trials: Sequence[FrozenTrial]) -> list[str]:
    """How each trial ended, or `running`."""
    return [trial.state.name.lower() for trial in trials]


@contextmanager
def opened_search(
    function: Function,
    *,
    num_trials: int,
    url: str | None = None,
    folder: Path = Path(),
    space: SearchSpace | None = None,
    directions: Sequence[str] = ("minimize",),
    sampler: Mapping[str, Any] | None = None,
    num_at_once: int = 1,
    **settings: Any,
) -> Iterator[Search]:
    """Opens a search as another process would; `search.jobs` calls the function."""
    space = space or SearchSpace.parse({"x": "interval(0,1)"})
    storage = open_storage(storage_url(folder, url))
    seeded = SeededSampler(sampler or {"_target_": "optuna.samplers.RandomSampler", "seed": 0}, space)
    objective = FunctionObjective(directions)
    study = open_study("study", storage, directions, seeded, objective.pruner())
    launcher = FakeLauncher(function)
    try:
        with Leases(storage.engine, "study") as leases:
            yield Search(
                study=study,
                leases=leases,
                space=space,
                objective=objective,
                jobs=JobsInTurn(launcher) if num_at_once == 1 else JobsSideBySide(launcher),
                num_trials=num_trials,
                num_at_once=num_at_once,
                **settings,
            )
    finally:
        storage.engine.dispose()
