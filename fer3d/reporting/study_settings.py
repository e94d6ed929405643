"""The searched settings of a study, as figures and tables show them: choices in lanes, numbers on an axis."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from optuna.distributions import BaseDistribution, CategoricalDistribution

from fer3d.search.records import StudyRecord

# More lanes than these make a figure that nobody reads.
MAX_LANES = 12
OTHERS = "other choices"


@dataclass(frozen=True)
class Setting:
    """A searched setting.

    Attributes:
        name: Its name on the command line.
        choices: What it was chosen from, in the order of the space; of more than 12 those most often tried. None for a
            number from an interval or range.
        low: The least number.
        high: The greatest.
        log: Whether the number was drawn on a logarithmic scale.
        others: Whether there are further choices, which share the lane below the last.
    """

    name: str
    choices: tuple[Any, ...] | None
    low: float = 0.0
    high: float = 0.0
    log: bool = False
    others: bool = False

    @property
    def labels(self) -> tuple[str, ...]:
        """The names of the lanes; none for a number."""
        return (*map(value_text, self.choices or ()), *((OTHERS,) if self.others else ()))

    def place(self, value: Any) -> float:
        """The lane of a choice, from 0; a number's own value."""
        if self.choices is None:
            return float(value)
        return float(self.choices.index(value) if value in self.choices else len(self.choices))

    def share(self, value: Any) -> float:
        """Where a number lies between the least and the greatest, from 0 to 1, on its scale."""
        if self.low == self.high:
            return 0.5
        if self.log:
            return math.log(value / self.low) / math.log(self.high / self.low)
        return float((value - self.low) / (self.high - self.low))


def read_settings(record: StudyRecord) -> tuple[Setting, ...]:
    """The settings that a study's trials vary: those of its space in its order, then those of a custom search space."""
    distributions: dict[str, BaseDistribution] = {}
    for trial in record.study.get_trials(deepcopy=False):
        distributions |= trial.distributions
    names = [name for name in record.space if name in distributions]
    names += [name for name in distributions if name not in record.space]
    tried = {name: Counter(trial.params[name] for trial in record.trials if name in trial.params) for name in names}
    return tuple(_setting(name, distributions[name], tried[name]) for name in names)


def value_text(value: Any) -> str:
    """A setting's value for people: as on the command line, save that a number has four digits."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _setting(name: str, distribution: BaseDistribution, tried: Mapping[Any, int]) -> Setting:
    if not isinstance(distribution, CategoricalDistribution):
        drawn: Any = distribution
        return Setting(name, None, float(drawn.low), float(drawn.high), bool(drawn.log))
    choices = distribution.choices
    if len(choices) <= MAX_LANES:
        return Setting(name, tuple(choices))
    # Sorting is stable, so that equally frequent choices stay in the order of the space.
    kept = sorted(choices, key=lambda choice: -tried.get(choice, 0))[: MAX_LANES - 1]
    return Setting(name, tuple(choice for choice in choices if choice in kept), others=True)
