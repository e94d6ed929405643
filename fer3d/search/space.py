"""The search space, in Hydra's override syntax: `choice`, `range`, `interval`, `tag(log, ...)`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import ChoiceSweep, IntervalSweep, Override, RangeSweep
from hydra.errors import HydraException
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import Trial

from fer3d.overrides import is_readable, quoted, written

Value = str | int | float | bool | None


class SpaceError(ValueError):
    """A search space cannot be searched."""


@dataclass(frozen=True)
class SearchSpace:
    """The settings that a search varies, and those that it holds fixed.

    Attributes:
        distributions: Distribution of each varied setting, by its name on the command line.
        fixed: The fixed settings, as on the command line.
        texts: Override syntax of choices that differ from their stored value (lists, quoted strings), by setting and
            choice.
        written: The varied settings as the user wrote them.
        held: Names of the fixed settings, without a leading `+`.
    """

    distributions: dict[str, BaseDistribution]
    fixed: tuple[str, ...] = ()
    texts: dict[tuple[str, Value], str] = field(default_factory=dict)
    written: dict[str, str] = field(default_factory=dict)
    held: tuple[str, ...] = ()

    @classmethod
    def parse(cls, params: Mapping[str, Any], overrides: Iterable[str] = ()) -> SearchSpace:
        """Parses a space.

        Args:
            params: Settings and their sweeps, such as `{"model.dropout": "interval(0, 1)"}`. A setting without a sweep
                is fixed.
            overrides: Command-line settings, which take precedence: a sweep replaces that of `params`, a plain value
                fixes the setting.

        Raises:
            SpaceError: A sweep cannot be parsed, or its kind cannot be searched.
        """
        space = cls({}, (), {}, {})
        fixed: dict[str, str] = {}
        for override in _parsed([*_lines(params), *overrides]):
            name = override.get_key_element()
            bare = name.lstrip("+")
            for known in [known for known in space.distributions if known.lstrip("+") == bare]:
                del space.distributions[known], space.written[known]
            fixed.pop(bare, None)
            if override.is_sweep_override():
                space.distributions[name] = _distribution(override, name, space.texts)
                space.written[name] = str(override.input_line).partition("=")[2]
            else:
                fixed[bare] = str(override.input_line)
        return cls(space.distributions, tuple(fixed.values()), space.texts, space.written, tuple(fixed))

    def draw(self, trial: Trial) -> None:
        """Samples each setting; Optuna returns the stored value if the trial has one."""
        for name, distribution in self.distributions.items():
            if isinstance(distribution, CategoricalDistribution):
                trial.suggest_categorical(name, distribution.choices)
            elif isinstance(distribution, IntDistribution):
                trial.suggest_int(
                    name, distribution.low, distribution.high, step=distribution.step, log=distribution.log
                )
            elif isinstance(distribution, FloatDistribution):
                trial.suggest_float(
                    name, distribution.low, distribution.high, step=distribution.step, log=distribution.log
                )

    def check_drawn(self, params: Mapping[str, Any]) -> None:
        """Checks the settings that a custom search space added.

        Raises:
            SpaceError: One of them is fixed.
        """
        both = [name for name in params if name not in self.distributions and name.lstrip("+") in self.held]
        if both:
            raise SpaceError(
                f"hydra.sweeper.custom_search_space samples {', '.join(both)}, which the command line or the search "
                "space fixes: remove one of the two"
            )

    def overrides(self, params: Mapping[str, Any]) -> list[str]:
        """A trial's settings as on the command line, including those of a custom search space."""
        return [f"{name}={self.texts.get((name, value)) or _text(value)}" for name, value in params.items()]

    def examples(self, name: str) -> list[str]:
        """All choices of a setting, or the two ends of its range, as on the command line."""
        distribution: Any = self.distributions[name]
        if isinstance(distribution, CategoricalDistribution):
            return [self.texts.get((name, choice)) or _text(choice) for choice in distribution.choices]
        return [_text(distribution.low), _text(distribution.high)]

    def grid(self) -> dict[str, list[Value]]:
        """All values of each setting.

        Raises:
            SpaceError: A setting has infinitely many values.
        """
        return {name: _values(name, distribution) for name, distribution in self.distributions.items()}


def _lines(params: Mapping[str, Any]) -> list[str]:
    return [f"{name}={value if isinstance(value, str) else written(value)}" for name, value in params.items()]


def _parsed(lines: Sequence[str]) -> list[Override]:
    try:
        return OverridesParser.create().parse_overrides(list(lines))
    except HydraException as error:
        raise SpaceError(f"the search space cannot be parsed: {error}") from error


def _distribution(override: Override, name: str, texts: dict[tuple[str, Value], str]) -> BaseDistribution:
    value = override.value()
    try:
        if isinstance(value, ChoiceSweep):
            return CategoricalDistribution(_choices(value, name, texts))
        if isinstance(value, RangeSweep) and value.start is not None and value.stop is not None:
            numbers = _range(value.start, value.stop, value.step)
            # `shuffle` makes the values categorical but keeps their order: to Optuna, another order is another
            # distribution, and it would refuse to resume the study.
            return CategoricalDistribution(_values(name, numbers)) if value.shuffle else numbers
        if isinstance(value, IntervalSweep) and value.start is not None and value.end is not None:
            log = "log" in value.tags
            if isinstance(value.start, int) and isinstance(value.end, int) and not isinstance(value.start, bool):
                return IntDistribution(value.start, value.end, log=log)
            return FloatDistribution(value.start, value.end, log=log)
    except (ValueError, HydraException) as error:
        raise SpaceError(f"{override.input_line} cannot be searched: {error}") from error
    raise SpaceError(
        f"{override.input_line} cannot be searched: write choice(a, b), range(start, stop, step), interval(low, high) "
        "or tag(log, interval(low, high))"
    )


def _range(start: float, stop: float, step: float) -> BaseDistribution:
    if any(isinstance(number, float) for number in (start, stop, step)):
        return FloatDistribution(start, stop, step=step)
    return IntDistribution(int(start), int(stop), step=int(step))


def _choices(sweep: ChoiceSweep, name: str, texts: dict[tuple[str, Value], str]) -> list[Value]:
    choices: list[Value] = []
    for element in sweep.list:
        # Quoted strings, lists and dictionaries are stored in override syntax.
        plain = isinstance(element, str | int | float | bool | None)
        text = quoted(element) if isinstance(element, str) else str(Override._get_value_element_as_str(element))
        choice: Value = element if plain else text  # type: ignore[assignment]
        choices.append(choice)
        # Strings only: 1 and True are the same key.
        if isinstance(choice, str):
            texts[name, choice] = text
    return choices


def _text(value: Any) -> str:
    """A value in override syntax; a string that Hydra can parse is already in it."""
    return value if isinstance(value, str) and is_readable(value) else written(value)


def _values(name: str, distribution: BaseDistribution) -> list[Value]:
    if isinstance(distribution, CategoricalDistribution):
        return list(distribution.choices)
    if isinstance(distribution, IntDistribution) and not distribution.log:
        return list(range(distribution.low, distribution.high + 1, distribution.step))
    if isinstance(distribution, FloatDistribution) and distribution.step is not None:
        # Decimal, since 0.1 + 2 * 0.1 > 0.3 would be out of range.
        low, high, step = (Decimal(str(end)) for end in (distribution.low, distribution.high, distribution.step))
        return [float(low + place * step) for place in range(int((high - low) // step) + 1)]
    raise SpaceError(
        f"a grid needs a finite number of values, but {name} is drawn from an interval: use choice or range"
    )
