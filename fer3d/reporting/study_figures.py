"""The figures in a study's report: the paper's Figure 2, and the history of all trials with the bounds of pruned ones.

`optuna.visualization` draws complete trials only, so these two are drawn here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator, NullLocator
from optuna.distributions import BaseDistribution

from fer3d.evaluation.tables import percent
from fer3d.reporting.page import value_text
from fer3d.reporting.theme import ACCENTS, ALERT, GRID, INK, MUTED, PAPER, SMALL, new_figure, stacked, style
from fer3d.search.records import State, StudyRecord, TrialRecord

MAX_LANES = 12  # of a setting; more make the figure unreadable
OTHERS = "other choices"

_PANEL, _LANE, _NUMBERS, _ROW_HEADING = 1.7, 0.15, 0.5, 0.24  # inches

_STATE_MARKS: dict[State, dict[str, Any]] = {
    "complete": {"marker": "o", "color": ACCENTS[0], "markersize": 4.2},
    "pruned": {"marker": "v", "color": ACCENTS[1], "markersize": 4.6, "markerfacecolor": PAPER},
    "failed": {"marker": "X", "color": ALERT, "markersize": 5.2},
    "running": {"marker": "s", "color": MUTED, "markersize": 4.2, "markerfacecolor": PAPER},
}
_CROSS: dict[str, Any] = {"marker": "x", "color": ALERT, "markersize": 5, "linestyle": "none", "clip_on": False}
_RING: dict[str, Any] = {
    "marker": "o", "color": INK, "markersize": 8, "markerfacecolor": "none", "linestyle": "none", "clip_on": False,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Setting:
    """A searched setting as an axis."""

    name: str  # on the command line
    distribution: Any  # what its values were drawn from
    lanes: tuple[Any, ...]  # its choices in the order of the space, or the frequent ones and `OTHERS`; none of a number

    def place(self, value: Any) -> float:
        """The lane of a choice, from 0; a number's own value."""
        if not self.lanes:
            return float(value)
        return float(self.lanes.index(value) if value in self.lanes else len(self.lanes) - 1)


def read_settings(record: StudyRecord) -> tuple[Setting, ...]:
    """The settings that a study varies: those of its space in order, then those of a custom search space."""
    distributions: dict[str, BaseDistribution] = {}
    for trial in record.trials:
        distributions |= trial.distributions
    names = [name for name in dict.fromkeys((*record.space, *distributions)) if name in distributions]
    return tuple(Setting(name, distributions[name], _lanes(record, name, distributions[name])) for name in names)


def study_marks(record: StudyRecord) -> str:
    """The subtitle of every figure of a study: its cautions, and the epoch protocol of its accuracies."""
    chosen = "CHOSEN BY A SEARCH" if record.best else ""
    return ", ".join(filter(None, [record.caution, chosen, record.protocol.title]))


def fixed_threshold(record: StudyRecord) -> float | None:
    """The pruning threshold, if it is an accuracy rather than that of the best trial."""
    return float(record.threshold) if isinstance(record.threshold, int | float) else None


def accuracy_range(record: StudyRecord, trials: Sequence[TrialRecord]) -> tuple[float, float]:
    """The range of an axis that holds the accuracies or bounds of trials, and the threshold."""
    threshold = fixed_threshold(record)
    values = [trial.attainable for trial in trials] + ([] if threshold is None else [threshold])
    low, high = min(values, default=0.0), max(values, default=1.0)
    margin = max(0.08 * (high - low), 0.002)
    return low - margin, high + margin


def figure2_trials(record: StudyRecord) -> tuple[TrialRecord, ...]:
    """The trials of Figure 2, by number: complete, and not below the threshold if that is an accuracy."""
    threshold = fixed_threshold(record)
    shown = [trial for trial in record.complete if threshold is None or trial.attainable >= threshold]
    return tuple(sorted(shown, key=lambda trial: trial.number))


@style()
def figure2(record: StudyRecord, settings: Sequence[Setting], title: str) -> Figure:
    """Draws the accuracy of each trial that passed, and below it the choices that these trials made.

    A number to the right of a lane counts the trials in it. At least one trial must have passed.
    """
    trials, best = figure2_trials(record), record.complete[0]
    heights = [_LANE * len(setting.lanes) or _NUMBERS for setting in settings]
    figure = new_figure(title, study_marks(record), _PANEL + 0.75 + sum(heights) + _ROW_HEADING * len(heights))
    panels = stacked(figure, [_PANEL - _ROW_HEADING, *heights])
    top, *rows = panels
    _trial_axis(panels[-1], record)
    top.tick_params(labelbottom=True)
    passed = "complete trial" if fixed_threshold(record) is None else "trial that passed"
    cross = _CROSS | {"markersize": _CROSS["markersize"] * _crowding(len(trials))}
    top.plot([trial.number for trial in trials], [trial.attainable for trial in trials], **cross, label=passed)
    top.plot(best.number, best.attainable, **_RING, label=f"best: trial {best.number}, {percent(best.attainable)}")
    _accuracy_axis(top, record, trials)
    _legend(top)
    for axes, setting in zip(rows, settings, strict=True):
        _setting_axis(axes, setting)
        _draw_choices(axes, setting, trials, cross | {"markersize": 0.75 * cross["markersize"]})
        _draw_choices(axes, setting, [best], _RING | {"markersize": 6.5})
        counts = Counter(setting.place(trial.params[setting.name]) for trial in trials if setting.name in trial.params)
        for lane in range(len(setting.lanes)):
            axes.annotate(
                str(counts[lane]), (1, lane), (18, 0), ("axes fraction", "data"), "offset points",
                size=SMALL, color=MUTED, ha="right", va="center_baseline", annotation_clip=False,
            )  # fmt: skip
    for axes in panels:
        # A line through all rows leads to the best trial's choices.
        axes.axvline(best.number, color=INK, linewidth=0.8, linestyle=(0, (1, 1.6)), zorder=0.5)
    panels[-1].tick_params(bottom=True)
    return figure


@style()
def history_figure(record: StudyRecord, title: str) -> Figure:
    """Draws each trial by its number: its accuracy, or the upper bound at which it was pruned.

    A failed or running trial has no accuracy and stands in a lane of its own below.
    """
    by_state = {state: [trial for trial in record.trials if trial.state == state] for state in _STATE_MARKS}
    lanes: list[State] = [state for state in ("failed", "running") if by_state[state]]
    figure = new_figure(title, study_marks(record), 2.9 + _LANE * len(lanes))
    axes, *below = panels = stacked(figure, [2.1, _LANE * len(lanes)] if lanes else [1])
    _trial_axis(panels[-1], record)
    axes.tick_params(bottom=not lanes)
    # Complete trials are drawn above pruned ones.
    names: tuple[tuple[State, str, int], ...] = (("complete", "complete", 3), ("pruned", "pruned: at most", 2))
    for state, name, zorder in names:
        if its := by_state[state]:
            marks = _STATE_MARKS[state] | {"linestyle": "none", "zorder": zorder, "label": name}
            marks["markersize"] *= _crowding(len(record.trials))
            axes.plot([trial.number for trial in its], [trial.attainable for trial in its], **marks)
    if complete := by_state["complete"]:
        numbers = [trial.number for trial in complete]
        rising = list(accumulate((trial.attainable for trial in complete), max))
        last = max(len(record.trials) - 1, numbers[-1])
        axes.step([*numbers, last], [*rising, rising[-1]], where="post", color=INK, linewidth=1.5, label="best so far")
    _accuracy_axis(axes, record, by_state["complete"] + by_state["pruned"])
    axes.set_ylabel("accuracy")
    if number := record.num_startup_trials:
        end, label = min(number, len(record.trials)) - 0.5, f"first {number}: drawn at random"
        axes.axvspan(axes.get_xlim()[0], end, facecolor=GRID, alpha=0.6, linewidth=0, zorder=0, label=label)
        axes.axvline(end, color=MUTED, linestyle=":", linewidth=1)
    _legend(axes)
    for lower in below:
        lower.set(ylim=(len(lanes) - 0.5, -0.5))
        lower.set_yticks(range(len(lanes)), lanes)
        lower.tick_params(axis="y", length=0)
        for lane, state in enumerate(lanes):
            numbers = [trial.number for trial in by_state[state]]
            lower.plot(numbers, [lane] * len(numbers), linestyle="none", **_STATE_MARKS[state])
    return figure


def _lanes(record: StudyRecord, name: str, distribution: BaseDistribution) -> tuple[Any, ...]:
    choices: tuple[Any, ...] = getattr(distribution, "choices", ())
    if len(choices) <= MAX_LANES:
        return choices
    tried = Counter(trial.params[name] for trial in record.trials if name in trial.params)
    # Stable sorting keeps equally frequent choices in the order of the space.
    kept = sorted(choices, key=lambda choice: -tried[choice])[: MAX_LANES - 1]
    return (*(choice for choice in choices if choice in kept), OTHERS)


def _crowding(num_trials: int) -> float:
    """Scale of the markers, smaller for many trials."""
    return float(max(0.55, min(1.0, (150 / max(num_trials, 1)) ** 0.35)))


def _cut(text: str, length: int) -> str:
    return text if len(text) <= length else f"{text[: length - 1]}…"


def _trial_axis(axes: Axes, record: StudyRecord) -> None:
    """Sets up the x axis of trial numbers for all axes that share it."""
    margin = max(0.5, 0.015 * len(record.trials))
    axes.set(xlim=(-margin, max(len(record.trials) - 1, 1) + margin), xlabel="trial")
    axes.xaxis.set_major_locator(MaxNLocator(9, integer=True, steps=[1, 2, 5, 10], min_n_ticks=1))


def _accuracy_axis(axes: Axes, record: StudyRecord, trials: Sequence[TrialRecord]) -> None:
    if (threshold := fixed_threshold(record)) is not None:
        label = f"threshold {percent(threshold)}"
        axes.axhline(threshold, color=MUTED, linestyle=(0, (4, 2)), linewidth=1.1, label=label)
    axes.set_ylim(accuracy_range(record, trials))
    axes.yaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda share, _: f"{100 * share:.4g} %"))
    axes.grid(axis="y")


def _legend(axes: Axes) -> None:
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=2, handlelength=2)


def _draw_choices(axes: Axes, setting: Setting, trials: Sequence[TrialRecord], marks: dict[str, Any]) -> None:
    made = [
        (trial.number, setting.place(trial.params[setting.name])) for trial in trials if setting.name in trial.params
    ]
    axes.plot([number for number, _ in made], [place for _, place in made], **marks)


def _setting_axis(axes: Axes, setting: Setting) -> None:
    """Sets up the title and the y axis of a setting: a lane per choice, the first on top, or its numeric range."""
    axes.set_title(_cut(setting.name, 60), fontsize=SMALL, pad=3)
    axes.tick_params(bottom=False, left=False)
    axes.spines[["bottom", "left"]].set_visible(False)
    axes.grid(axis="y")
    if setting.lanes:
        axes.set_ylim(len(setting.lanes) - 0.5, -0.5)
        axes.set_yticks(range(len(setting.lanes)), [_cut(value_text(lane), 18) for lane in setting.lanes])
        return
    low, high = setting.distribution.low, setting.distribution.high
    if setting.distribution.log:
        axes.set_yscale("log")
        axes.yaxis.set_minor_locator(NullLocator())
        axes.set_yticks(list(dict.fromkeys((low, (low * high) ** 0.5, high))))
        margin = (high / low) ** 0.06 if high > low else 1.1
        axes.set_ylim(low / margin, high * margin)
    else:
        margin = 0.06 * (high - low) or 0.5
        axes.set_ylim(low - margin, high + margin)
        axes.yaxis.set_major_locator(MaxNLocator(3, steps=[1, 2, 5, 10], min_n_ticks=2))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: value_text(float(value))))
