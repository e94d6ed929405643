"""The settings of `hydra.sweeper`, checked."""

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
    """How a study is sampled and kept, whatever its trials are.

    Attributes:
        sampler: `_target_` and arguments.
        directions: One for each value; empty where the objective decides.
        storage: The database's URL; None for a file in the study's folder.
        study_name: The study's name; None for one made of what is searched.
        num_trials: How many finished trials the study is to have.
        num_at_once: How many trials a process carries out at a time.
        max_failure_rate: The share of them that may fail.
        max_job_retries: How often a job that is lost, or that the machine failed, is submitted again.
        retry_failed: Whether to try the failed trials that there are again.
        params: Settings and what they are drawn from.
        custom_search_space: The dotted name of a function that draws more settings; None for none.
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
            SettingsError: One does not exist, or is of another kind.
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
        """What draws a trial's further settings, given the configuration.

        Raises:
            SpaceError: There is no such function.
        """
        if self.custom_search_space is None:
            return None
        try:
            function = get_method(self.custom_search_space)
        except Exception as error:
            raise SpaceError(
                f"hydra.sweeper.custom_search_space={self.custom_search_space} is no function (config, trial): {error}"
            ) from error
        return lambda trial: function(config, trial)


_Direction = Literal["minimize", "maximize"]


@dataclass(frozen=True)
class _Given:
    """The settings under the names that the command line has for them, as the sweeper's YAML explains them."""

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
