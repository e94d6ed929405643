"""How a search went: every trial's accuracy, how the best one rose."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from fer3d.reporting.study_axes import (
    accuracy_axis,
    accuracy_limits,
    accuracy_threshold,
    crowding,
    legend,
    legend_height,
    note_lines,
    state_marks,
    threshold_entries,
    threshold_style,
    trial_axis,
    write_notes,
)
from fer3d.reporting.theme import LIGHT, LINE, MARGIN, SMALL, WIDTH, Theme, drawing, new_sheet
from fer3d.search.records import State, StudyRecord, TrialRecord

# Inches.
_LEFT = 0.7
_RIGHT = 0.12
_PANEL = 2.3
_LANE = 0.16
_AXIS = 0.4


def history_figure(record: StudyRecord, title: str, theme: Theme = LIGHT) -> Figure:
    """Draws each trial by its number: its accuracy, or what it could still have reached when it was pruned.

    A trial that failed or has not ended has no accuracy, and stands in a lane of its own below.

    Args:
        record: The study.
        title: What the figure shows.
        theme: The colours.
    """
    entries = _history_entries(record, theme)
    notes = note_lines(
        f"Accuracy: {record.protocol.title}. A pruned trial stands at the accuracy that it could have reached at most "
        "when it ended."
    )
    lanes: list[State] = [state for state in ("failed", "running") if _of(record, state)]
    above = legend_height(entries)
    with drawing(theme):
        below = _AXIS + len(lanes) * _LANE + 2 * MARGIN + len(notes) * SMALL * LINE
        sheet = new_sheet(theme, title, record.caution, above + _PANEL + below)
        canvas = sheet.canvas()
        width = WIDTH - _LEFT - _RIGHT
        axes = sheet.axes(_LEFT, above, width, _PANEL, grid="y")
        trial_axis(axes, len(record.trials), labelled=not lanes)
        _draw_history(axes, record, theme)
        if lanes:
            below_it = sheet.axes(_LEFT, above + _PANEL, width, len(lanes) * _LANE)
            trial_axis(below_it, len(record.trials))
            _draw_unfinished(below_it, record, lanes, theme)
            axes.spines["bottom"].set_visible(True)
        legend(canvas, entries)
        write_notes(sheet, canvas, notes)
    return sheet.figure


def _history_entries(record: StudyRecord, theme: Theme) -> list[tuple[Any, str]]:
    marks = state_marks(theme)
    names: dict[State, str] = {"complete": "complete", "pruned": "pruned: at most"}
    entries: list[tuple[Any, str]] = [
        (marks[state].handle(), name) for state, name in names.items() if _of(record, state)
    ]
    if record.best is not None:
        entries.append((Line2D([], [], color=theme.ink, linewidth=1.5), "best so far"))
    entries += threshold_entries(record, theme)
    if record.num_startup_trials:
        startup = Patch(facecolor=theme.grid, alpha=0.6, edgecolor=theme.muted, linestyle=":")
        entries.append((startup, f"first {record.num_startup_trials}: drawn at random"))
    return entries


def _draw_history(axes: Axes, record: StudyRecord, theme: Theme) -> None:
    marks, scale = state_marks(theme), crowding(len(record.trials))
    values = []
    # Pruned ones first, below what counts.
    for state in ("pruned", "complete"):
        trials = _of(record, state)
        values += [trial.attainable for trial in trials]
        axes.plot(
            [trial.number for trial in trials],
            [trial.attainable for trial in trials],
            linestyle="none",
            **marks[state].style(scale),
        )
    threshold = accuracy_threshold(record)
    if threshold is not None:
        axes.axhline(threshold, **threshold_style(theme))
        values.append(threshold)
    complete = sorted(_of(record, "complete"), key=lambda trial: trial.number)
    if complete:
        numbers, best = [trial.number for trial in complete], [trial.attainable for trial in complete]
        rising = [max(best[: place + 1]) for place in range(len(best))]
        last = max(len(record.trials) - 1, numbers[-1])
        axes.plot([*numbers, last], [*rising, rising[-1]], color=theme.ink, linewidth=1.5, drawstyle="steps-post")
    if record.num_startup_trials:
        end = min(record.num_startup_trials, len(record.trials)) - 0.5
        axes.axvspan(axes.get_xlim()[0], end, facecolor=theme.grid, alpha=0.6, linewidth=0, zorder=0)
        axes.axvline(end, color=theme.muted, linestyle=":", linewidth=1)
    axes.set_ylim(accuracy_limits(values or [0.0, 1.0]))
    accuracy_axis(axes.yaxis)
    axes.set_ylabel("accuracy")
    axes.yaxis.set_label_coords(-(_LEFT - 0.14) / (WIDTH - _LEFT - _RIGHT), 0.5)


def _draw_unfinished(axes: Axes, record: StudyRecord, lanes: Sequence[State], theme: Theme) -> None:
    marks = state_marks(theme)
    axes.set_ylim(len(lanes) - 0.5, -0.5)
    axes.set_yticks(range(len(lanes)), list(lanes))
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    for lane, state in enumerate(lanes):
        numbers = [trial.number for trial in _of(record, state)]
        axes.plot(numbers, [lane] * len(numbers), linestyle="none", **marks[state].style(0.85))


def _of(record: StudyRecord, state: State) -> list[TrialRecord]:
    return [trial for trial in record.trials if trial.state == state]
