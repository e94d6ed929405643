"""Samplers seeded per trial, so that a resumed study does not repeat draws."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from hydra.errors import InstantiationException
from hydra.utils import get_class, instantiate
from optuna.distributions import BaseDistribution
from optuna.exceptions import ExperimentalWarning
from optuna.samplers import BaseSampler, GridSampler, QMCSampler, RandomSampler
from optuna.search_space import IntersectionSearchSpace
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from fer3d.search.space import SearchSpace


class SeededSampler(BaseSampler):
    """Gives each trial its own sampler, seeded by the study's seed and the trial's number.

    A sampler with one fixed seed would repeat its draws after a resume and in concurrent processes. All other state of
    Optuna's samplers is stored in the study.

    Args:
        settings: `_target_` and arguments. Without a `seed`, or with `seed: null`, draws are not reproducible.
        space: The search space, which a grid sampler needs.
    """

    def __init__(self, settings: Mapping[str, Any], space: SearchSpace) -> None:
        self._settings = dict(settings)
        self._seed: int | None = self._settings.get("seed")
        self._class = get_class(self._settings["_target_"])
        self._space = space
        self._sampler = self._make(0)

    @property
    def num_trials(self) -> int | None:
        """Number of points of a grid; None for any other sampler."""
        if not issubclass(self._class, GridSampler):
            return None
        return math.prod(len(values) for values in self._space.grid().values())

    def before_trial(self, study: Study, trial: FrozenTrial) -> None:
        """Creates the trial's sampler."""
        before, self._sampler = self._sampler, self._make(trial.number)
        # Which settings all trials have, as Optuna found it: anew, each sampler would go through all trials for it.
        if isinstance(getattr(self._sampler, "_search_space", None), IntersectionSearchSpace):
            self._sampler._search_space = before._search_space  # type: ignore[attr-defined]
        self._sampler.before_trial(study, trial)

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """See `optuna.samplers.BaseSampler`."""
        return self._sampler.infer_relative_search_space(study, trial)

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """See `optuna.samplers.BaseSampler`."""
        return self._sampler.sample_relative(study, trial, search_space)

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """See `optuna.samplers.BaseSampler`."""
        # Seeded by the setting's name as well, so that a trial interrupted between two settings resumes alike.
        sampler = self._make(trial.number, param_name)
        return sampler.sample_independent(study, trial, param_name, param_distribution)

    def after_trial(self, study: Study, trial: FrozenTrial, state: TrialState, values: Sequence[float] | None) -> None:
        """See `optuna.samplers.BaseSampler`."""
        # An exhausted grid calls Study.stop, which fails outside Study.optimize; here `num_trials` ends the search.
        if not isinstance(self._sampler, GridSampler):
            self._sampler.after_trial(study, trial, state, values)

    def _make(self, number: int, setting: str = "") -> BaseSampler:
        settings: dict[str, Any] = dict(self._settings)
        more: dict[str, Any] = {}
        drawn = None if self._seed is None else _derive(self._seed, number, setting)
        if issubclass(self._class, GridSampler):
            # One order of the grid for all trials; the study stores which points are taken.
            more["search_space"] = self._space.grid()
        elif issubclass(self._class, QMCSampler):
            # One sequence for all trials, whose index the study stores; only categorical settings are random.
            more |= {"independent_sampler": RandomSampler(drawn), "seed": self._seed or 0}
        elif "seed" in settings:
            more["seed"] = drawn
        with warnings.catch_warnings():
            # Optuna would warn once per trial, even about samplers that have existed for years.
            warnings.simplefilter("ignore", ExperimentalWarning)
            try:
                made = instantiate(settings, **more)
            except InstantiationException as error:
                cause = error.__cause__ or error
                raise ValueError(
                    f"hydra.sweeper.sampler={settings['_target_']} cannot be instantiated: {cause}"
                ) from error
        sampler: BaseSampler = made if isinstance(made, BaseSampler) else made()
        return sampler


def _derive(seed: int, number: int, setting: str) -> int:
    return int(np.random.SeedSequence([seed, number, *setting.encode()]).generate_state(1)[0])
