"""The settings of `hydra.sweeper`, checked."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from hydra.utils import get_method
from omegaconf import DictConfig, OmegaConf
from optuna.trial import Trial
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from fer3d.search.arguments import check_arguments, hint
from fer3d.search.space import SpaceError

# What Hydra itself reads.
_OF_HYDRA = ("_target_", "_recursive_", "_convert_")


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
            ValueError: One is out of range, of another kind, or not known.
        """
        content: Any = OmegaConf.to_container(sweeper, resolve=True)
        try:
            given = _Given(**{key: value for key, value in content.items() if key not in _OF_HYDRA})
        except ValidationError as error:
            raise ValueError(_sentence(error)) from error
        check_arguments("hydra.sweeper.sampler", given.sampler)
        return cls(
            sampler=given.sampler,
            directions=given.direction,
            storage=given.storage,
            study_name=given.study_name,
            num_trials=given.n_trials,
            num_at_once=given.n_jobs,
            max_failure_rate=given.max_failure_rate,
            params=given.params,
            custom_search_space=given.custom_search_space,
            max_job_retries=given.max_job_retries,
            retry_failed=given.retry_failed,
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


def _directions(given: Any) -> Any:
    if given is None:
        return ()
    if given == []:
        raise ValueError("no direction")
    return tuple(given) if isinstance(given, list) else (given,)


def _text(given: Any) -> Any:
    # A name such as 2024.
    return str(given) if isinstance(given, int | float) and not isinstance(given, bool) else given


class _Given(BaseModel):
    """The settings under the names that the command line has for them, each with what it must be."""

    model_config = ConfigDict(strict=True, extra="forbid")

    sampler: dict[str, Any] = Field(description="a sampler, such as hydra/sweeper/sampler=tpe")
    direction: Annotated[tuple[Literal["minimize", "maximize"], ...], BeforeValidator(_directions)] = Field(
        description="minimize, maximize or a list of them"
    )
    storage: str | None = Field(
        description="a database's URL, such as sqlite:///study.db or postgresql+psycopg://user@host/database"
    )
    study_name: Annotated[Annotated[str, Field(min_length=1)] | None, BeforeValidator(_text)] = Field(
        description="a text"
    )
    n_trials: int = Field(ge=1, description="a whole number of at least 1")
    n_jobs: int = Field(ge=1, description="a whole number of at least 1")
    max_failure_rate: float = Field(ge=0, le=1, description="a share from 0 to 1")
    max_job_retries: int = Field(ge=0, description="a whole number of at least 0")
    retry_failed: bool = Field(description="true or false")
    params: Annotated[dict[str, Any], BeforeValidator(lambda given: {} if given is None else given)] = Field(
        description="settings and what they are drawn from, such as {x: interval(0,1)}"
    )
    custom_search_space: str | None = Field(description="the dotted name of a function (config, trial)")


def _sentence(error: ValidationError) -> str:
    """The first fault in words; the others are found one after the other."""
    fault = error.errors()[0]
    key = str(fault["loc"][0])
    if fault["type"] == "extra_forbidden":
        return f"hydra.sweeper.{key} is no setting of the sweeper: {hint(key, _Given.model_fields)}"
    wanted = _Given.model_fields[key].description
    if fault["type"] == "missing":
        return f"hydra.sweeper.{key} is missing: it must be {wanted}"
    return f"hydra.sweeper.{key} must be {wanted}, got {fault['input']!r}"
