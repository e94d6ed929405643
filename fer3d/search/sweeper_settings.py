"""The validated settings of `hydra.sweeper`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from annotated_types import Ge, Le, MinLen
from hydra.utils import get_method
from omegaconf import DictConfig, OmegaConf
from optuna.trial import Trial

from fer3d.search.space import SpaceError
from fer3d.settings import Count, Part, SettingsError, Text, check_arguments


@dataclass(frozen=True)
class SweeperSettings:
    """Settings of the sampler, the storage and the failure handling, for any objective.

    Attributes:
        sampler: `_target_` and arguments.
        directions: One for each value; empty for the objective's default.
        storage: The database's URL; None for a file in the study's folder.
        study_name: The study's name; None for one derived from its settings.
        num_trials: Target number of finished trials.
        num_at_once: Number of trials that a process runs concurrently.
        max_failure_rate: Fraction of `num_trials` that may fail.
        max_job_retries: How often to resubmit a job that was lost or that failed because of the machine.
        retry_failed: Whether to retry the study's failed trials.
        params: Settings and their sweeps.
        custom_search_space: The dotted name of a function that samples further settings; None for none.
    """

    sampler: Mapping[str, Any]
    directions: tuple[str, ...]
    storage: str | None
    study_name: str | None
    num_trials: int
    num_at_once: int
    max_failure_rate: float
    params: Mapping[str, Any]
    custom_search_space: str | None
    max_job_retries: int = 3
    retry_failed: bool = False

    @classmethod
    def read(cls, sweeper: DictConfig) -> SweeperSettings:
        """Reads the settings.

        Raises:
            SettingsError: A setting does not exist, or has the wrong type.
        """
        content: Any = OmegaConf.to_container(sweeper, resolve=True)
        given = check_arguments(_Given, content, "hydra.sweeper")
        direction, name = given["direction"], given["study_name"]
        if name is not None and {"", ".", ".."} & set(name.split("/")):
            raise SettingsError(f"hydra.sweeper.study_name must name a folder within outputs/search, got {name}")
        return cls(
            sampler=given["sampler"],
            directions=tuple(direction) if isinstance(direction, list) else (direction,) if direction else (),
            storage=given["storage"],
            study_name=name,
            num_trials=given["n_trials"],
            num_at_once=given["n_jobs"],
            max_failure_rate=float(given["max_failure_rate"]),
            params=given["params"] or {},
            custom_search_space=given["custom_search_space"],
            max_job_retries=given["max_job_retries"],
            retry_failed=given["retry_failed"],
        )

    def extend(self, config: DictConfig) -> Callable[[Trial], None] | None:
        """The function that samples a trial's further settings, bound to the configuration.

        Raises:
            SpaceError: The function does not exist.
        """
        if self.custom_search_space is None:
            return None
        try:
            function = get_method(self.custom_search_space)
        except Exception as error:
            raise SpaceError(
                f"hydra.sweeper.custom_search_space={self.custom_search_space} is not a function of (config, trial): "
                f"{error}"
            ) from error
        return lambda trial: function(config, trial)


_Direction = Literal["minimize", "maximize"]


@dataclass(frozen=True)
class _Given:
    """The settings by their names on the command line; the sweeper's YAML documents them."""

    sampler: Part
    direction: _Direction | Annotated[Sequence[_Direction], MinLen(1)] | None
    storage: Text | None
    study_name: Text | None
    n_trials: Count
    n_jobs: Count
    max_failure_rate: Annotated[float, Ge(0), Le(1)]
    max_job_retries: Annotated[int, Ge(0)]
    retry_failed: bool
    params: Mapping[str, Any] | None
    custom_search_space: Text | None
