"""What the figures of a study share: the marks of trials by how they ended, and axes of settings and accuracies."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, MaxNLocator, NullLocator

from fer3d.evaluation.tables import percent
from fer3d.reporting.study_settings import Setting, value_text
from fer3d.reporting.theme import LINE, MARGIN, SMALL, TEXT, WIDTH, Sheet, Theme, text_width, wrap
from fer3d.search.records import State, StudyRecord

# Inches.
LEGEND_ROW = TEXT * 1.45 / 72
NUMBER_HEIGHT = 0.5
_LABEL_GAP = 0.12
_MAX_LABEL = 1.1

_GOLDEN = 0.6180339887


@dataclass(frozen=True, slots=True)
class Mark:
    """How a trial is drawn.

    Attributes:
        marker: The shape, unlike that of every other state.
        colour: The colour of its edge.
        face: The colour within; that of the paper where it is hollow.
        size: In points.
    """

    marker: str
    colour: str
    face: str
    size: float

    def handle(self) -> Line2D:
        """The mark in a legend."""
        return Line2D([], [], linestyle="none", **self.style())

    def style(self, scale: float = 1.0) -> dict[str, Any]:
        """The mark as arguments of `Axes.plot`."""
        return {
            "marker": self.marker,
            "markersize": self.size * scale,
            "markeredgecolor": self.colour,
            "markerfacecolor": self.face,
            "markeredgewidth": 0.9 * min(1.0, scale + 0.15),
        }


def state_marks(theme: Theme) -> dict[State, Mark]:
    """The mark of each state; shapes tell them apart where colours do not."""
    return {
        "complete": Mark("o", theme.accents[0], theme.accents[0], 4.2),
        "pruned": Mark("v", theme.accents[1], theme.paper, 4.6),
        "failed": Mark("X", theme.alert, theme.alert, 5.2),
        "running": Mark("s", theme.muted, theme.paper, 4.2),
    }


def cross(theme: Theme, size: float) -> Mark:
    """The paper's red cross."""
    return Mark("x", theme.alert, theme.alert, size)


def ring(theme: Theme) -> Mark:
    """What the best trial has around its mark."""
    return Mark("o", theme.ink, "none", 9)


def crowding(num_trials: int) -> float:
    """By how much marks shrink where there are many of them."""
    return float(max(0.55, min(1.0, (150 / max(num_trials, 1)) ** 0.35)))


def spread(number: int) -> float:
    """Moves a mark by -0.5 to 0.5, always the same for a trial and far from its neighbours."""
    return float((number * _GOLDEN) % 1 - 0.5)


def accuracy_threshold(record: StudyRecord) -> float | None:
    """The threshold of a study where it is an accuracy, and does not move with the best trial."""
    return float(record.threshold) if isinstance(record.threshold, int | float) else None


def threshold_entries(record: StudyRecord, theme: Theme) -> list[tuple[Any, str]]:
    """The threshold in a legend; nothing where it is no accuracy."""
    threshold = accuracy_threshold(record)
    return [] if threshold is None else [(Line2D([], [], **threshold_style(theme)), f"threshold {percent(threshold)}")]


def threshold_style(theme: Theme) -> dict[str, Any]:
    """The threshold's line as arguments of `Axes.axhline`."""
    return {"color": theme.muted, "linestyle": (0, (4, 2)), "linewidth": 1.1}


def accuracy_axis(axis: Axis, num_ticks: int = 5) -> None:
    """Shows shares as percentages, with no more decimals than they need, so that narrow panels have room for them."""
    axis.set_major_locator(MaxNLocator(num_ticks, steps=[1, 2, 5, 10]))
    axis.set_major_formatter(FuncFormatter(lambda share, _: f"{100 * share:.4g} %"))


def accuracy_limits(values: Sequence[float], pad: float = 0.07) -> tuple[float, float]:
    """The range of an axis that holds all the values."""
    low, high = min(values), max(values)
    margin = max(pad * (high - low), 0.002)
    return low - margin, high + margin


def trial_axis(axes: Axes, num_trials: int, *, labelled: bool = True) -> None:
    """Makes the x axis that of trial numbers; without labels where another one below has them."""
    margin = max(0.5, 0.015 * num_trials)
    axes.set_xlim(-margin, max(num_trials - 1, 1) + margin)
    axes.xaxis.set_major_locator(MaxNLocator(9, integer=True, steps=[1, 2, 5, 10], min_n_ticks=1))
    if labelled:
        axes.set_xlabel("trial")
    else:
        axes.spines["bottom"].set_visible(False)
        axes.tick_params(axis="x", length=0, labelbottom=False)


def legend(canvas: Axes, entries: Sequence[tuple[Any, str]], top: float = 0.0, columns: int = 2) -> None:
    """Names marks, above what they are in, in rows of `LEGEND_ROW` inches."""
    canvas.legend(
        [handle for handle, _ in entries],
        [text for _, text in entries],
        loc="upper left",
        bbox_to_anchor=(MARGIN, top),
        bbox_transform=canvas.transData,
        borderaxespad=0,
        borderpad=0,
        labelspacing=0.3,
        ncols=columns,
        frameon=False,
        handlelength=2.0,
        columnspacing=1.2,
    )


def legend_height(entries: Sequence[tuple[Any, str]], columns: int = 2) -> float:
    """Inches that a legend takes, with the space below it."""
    return -(-len(entries) // columns) * LEGEND_ROW + 0.08


def note_lines(*notes: str) -> list[str]:
    """Sentences below a figure as lines that fit."""
    return [line for note in notes for line in wrap(note, SMALL, WIDTH - 2 * MARGIN)]


def write_notes(sheet: Sheet, canvas: Axes, lines: Sequence[str]) -> None:
    """Writes the lines at the lower end of a sheet."""
    top = sheet.height - MARGIN - len(lines) * SMALL * LINE
    canvas.text(MARGIN, top, "\n".join(lines), size=SMALL, color=sheet.theme.muted, va="top", linespacing=1.25)


def fitted(text: str, width: float, *, bold: bool = False) -> str:
    """The text, or as much of its beginning as fits into `width` inches."""
    if text_width(text, SMALL, bold=bold) <= width:
        return text
    while text and text_width(f"{text}…", SMALL, bold=bold) > width:
        text = text[:-1]
    return f"{text}…"


def labels_width(settings: Sequence[Setting]) -> float:
    """Inches to the left of axes that hold the names of all choices and the numbers."""
    widths = [text_width(label, SMALL) for setting in settings for label in setting.labels]
    return min(max([0.5, *widths]), _MAX_LABEL) + _LABEL_GAP


def setting_height(setting: Setting, lane: float) -> float:
    """Inches that a setting's axis takes, at so many a lane."""
    return NUMBER_HEIGHT if setting.choices is None else max(1, len(setting.labels)) * lane


def setting_axis(axes: Axes, setting: Setting, theme: Theme, labels: float) -> None:
    """Makes the y axis that of a setting: a lane a choice, the first on top, or its numbers.

    Args:
        axes: The axes.
        setting: The setting.
        theme: The colours.
        labels: Inches that there are for the names of choices.
    """
    axes.spines["left"].set_visible(False)
    axes.tick_params(axis="y", length=0, pad=3)
    if setting.choices is not None:
        lanes = range(len(setting.labels))
        axes.set_ylim(len(lanes) - 0.5, -0.5)
        axes.set_yticks(list(lanes), [fitted(label, labels - _LABEL_GAP) for label in setting.labels])
        axes.hlines(lanes, *axes.get_xlim(), color=theme.grid, linewidth=0.7, zorder=0)
        return
    low, high, log = setting.low, setting.high, setting.log
    if log:
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
    axes.grid(axis="y", color=theme.grid, linewidth=0.7)
    axes.set_axisbelow(True)
