"""What each choice of a setting led to, over all trials."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from fer3d.reporting.study_axes import (
    accuracy_axis,
    accuracy_limits,
    accuracy_threshold,
    crowding,
    fitted,
    labels_width,
    legend,
    legend_height,
    note_lines,
    setting_axis,
    setting_height,
    spread,
    state_marks,
    threshold_entries,
    threshold_style,
    write_notes,
)
from fer3d.reporting.study_settings import Setting
from fer3d.reporting.theme import LIGHT, LINE, MARGIN, SMALL, WIDTH, Sheet, Theme, drawing, new_sheet
from fer3d.search.records import State, StudyRecord, TrialRecord

DRAWN: tuple[State, ...] = ("pruned", "complete")

# Inches.
_COLUMN_GAP = 0.3
_HEADING = 0.2
_LANE = 0.19
_AXIS = 0.24


def slices_figure(record: StudyRecord, settings: Sequence[Setting], title: str, theme: Theme = LIGHT) -> Figure:
    """Draws a panel a setting: the accuracy of each trial by what it chose, hollow where it was pruned.

    Args:
        record: The study.
        settings: Its settings, at least one.
        title: What the figure shows.
        theme: The colours.

    Raises:
        ValueError: No trial is complete or pruned.
    """
    limits = _limits(record)
    entries = _entries(record, theme)
    notes = note_lines(
        f"Accuracy: {record.protocol.title}. Hollow: what a pruned trial could have reached at most. Moved up or down "
        "within a choice's lane, so that marks do not hide each other."
    )
    above = legend_height(entries)
    places, height = _places(settings)
    with drawing(theme):
        sheet = new_sheet(theme, title, record.caution, above + height + 2 * MARGIN + len(notes) * SMALL * LINE)
        canvas = sheet.canvas()
        # A gap to the right of the second column, too: half of an accuracy sticks out there.
        step = (WIDTH - MARGIN) / 2
        for setting, (column, top) in zip(settings, places, strict=True):
            left = MARGIN + column * step
            name = fitted(setting.name, step - _COLUMN_GAP, bold=True)
            canvas.text(left, above + top + _HEADING - 0.05, name, size=SMALL, weight="bold", va="bottom")
            # The names of both columns' choices take what they need.
            labels = labels_width([one for one, (its, _) in zip(settings, places, strict=True) if its == column])
            axes = _panel(sheet, setting, (left + labels, above + top + _HEADING), step - _COLUMN_GAP - labels, limits)
            setting_axis(axes, setting, theme, labels)
            _draw_setting(axes, record, setting, theme)
        legend(canvas, entries)
        write_notes(sheet, canvas, notes)
    return sheet.figure


def _limits(record: StudyRecord) -> tuple[float, float]:
    values = [trial.attainable for trial in record.trials if trial.state in DRAWN]
    if not values:
        raise ValueError("no trial is complete or pruned")
    threshold = accuracy_threshold(record)
    return accuracy_limits(values if threshold is None else [*values, threshold])


def _places(settings: Sequence[Setting]) -> tuple[list[tuple[int, float]], float]:
    """Column and top of each panel, always in the column that is shorter so far; and the height of the longer one."""
    bottoms = [0.0, 0.0]
    places = []
    for setting in settings:
        column = 0 if bottoms[0] <= bottoms[1] else 1
        places.append((column, bottoms[column]))
        bottoms[column] += _HEADING + setting_height(setting, _LANE) + _AXIS
    return places, max(bottoms)


def _panel(
    sheet: Sheet, setting: Setting, corner: tuple[float, float], width: float, limits: tuple[float, float]
) -> Axes:
    axes = sheet.axes(*corner, width, setting_height(setting, _LANE), grid="x")
    axes.set_xlim(limits)
    accuracy_axis(axes.xaxis, num_ticks=3)
    return axes


def _entries(record: StudyRecord, theme: Theme) -> list[tuple[Any, str]]:
    marks = state_marks(theme)
    entries: list[tuple[Any, str]] = [
        (marks[state].handle(), {"pruned": "pruned: at most"}.get(state, state))
        for state in reversed(DRAWN)
        if any(trial.state == state for trial in record.trials)
    ]
    if record.complete:
        entries.append((_median_mark(theme), "median of complete trials"))
    return [*entries, *threshold_entries(record, theme)]


def _draw_setting(axes: Axes, record: StudyRecord, setting: Setting, theme: Theme) -> None:
    marks, scale = state_marks(theme), 0.85 * crowding(len(record.trials))
    threshold = accuracy_threshold(record)
    if threshold is not None:
        axes.axvline(threshold, **threshold_style(theme))
    for state in DRAWN:
        trials = [trial for trial in record.trials if trial.state == state and setting.name in trial.params]
        values = [trial.attainable for trial in trials]
        axes.plot(values, [_y(setting, trial) for trial in trials], linestyle="none", **marks[state].style(scale))
    for lane in range(len(setting.labels)):
        complete = [t.attainable for t in record.complete if _in_lane(setting, t, lane)]
        if complete:
            axes.add_line(_median_mark(theme, median(complete), lane))


def _y(setting: Setting, trial: TrialRecord) -> float:
    place = setting.place(trial.params[setting.name])
    return place if setting.choices is None else place + 0.62 * spread(trial.number)


def _in_lane(setting: Setting, trial: TrialRecord, lane: int) -> bool:
    return setting.name in trial.params and setting.place(trial.params[setting.name]) == lane


def _median_mark(theme: Theme, x: float | None = None, lane: int = 0) -> Line2D:
    return Line2D(
        [] if x is None else [x],
        [] if x is None else [lane],
        linestyle="none",
        marker="|",
        markersize=11,
        markeredgewidth=2,
        markeredgecolor=theme.ink,
        zorder=4,
    )
