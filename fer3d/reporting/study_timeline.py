"""When each trial of a study ran, by how it ended."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from fer3d.reporting.study_axes import note_lines, state_marks, write_notes
from fer3d.reporting.theme import LIGHT, LINE, MARGIN, SMALL, WIDTH, Theme, drawing, new_sheet
from fer3d.search.records import State, StudyRecord, TrialRecord

STATES: tuple[State, ...] = ("complete", "pruned", "failed", "running")

# Inches.
_LEFT = 1.15
_RIGHT = 0.16
_AXIS = 0.4
_GAP = 0.1
_MIN_LANE = 0.2
_BAR = 0.1
_MIN_BAR = 0.035
_MAX_LANE = 0.9
# A trial of seconds in a study of days is still to be seen.
_MIN_LENGTH = 0.02

_UNITS = (("seconds", 1.0, 120.0), ("minutes", 60.0, 7200.0), ("hours", 3600.0, 172_800.0), ("days", 86_400.0, 0.0))


def timeline_figure(record: StudyRecord, title: str, theme: Theme = LIGHT) -> Figure:
    """Draws a bar from the start to the end of each trial, in a lane for each way to end.

    Trials of a lane that ran at the same time lie above each other. A trial that has not ended has a bar to the last
    moment that the study tells of.

    Args:
        record: The study.
        title: What the figure shows.
        theme: The colours.

    Raises:
        ValueError: No trial has begun.
    """
    begun = [trial for trial in record.trials if trial.started is not None]
    if not begun:
        raise ValueError("no trial has begun")
    spans = {state: _spans([trial for trial in begun if trial.state == state], begun) for state in STATES}
    spans = {state: lane for state, lane in spans.items() if lane}
    last = max(end for lane in spans.values() for _, end in lane)
    unit, seconds = _unit(last)
    rows = {state: _stack(lane) for state, lane in spans.items()}
    heights = {state: _lane_height(max(numbers) + 1) for state, numbers in rows.items()}
    notes = note_lines("A bar is a trial from its start to its end, time in between included when nothing ran.")
    height = sum(heights.values()) + _GAP * len(heights)
    with drawing(theme):
        sheet = new_sheet(theme, title, record.caution, height + _AXIS + 2 * MARGIN + len(notes) * SMALL * LINE)
        axes = sheet.axes(_LEFT, 0, WIDTH - _LEFT - _RIGHT, height, grid="x")
        span = max(last / seconds, 1e-9)
        axes.set(xlim=(0, 1.01 * span), ylim=(height, 0), xlabel=f"{unit} since the study began")
        axes.xaxis.set_major_locator(MaxNLocator(7, steps=[1, 2, 5, 10]))
        least = _MIN_LENGTH / (WIDTH - _LEFT - _RIGHT) * span
        top, middles = _GAP / 2, []
        for state, lane in spans.items():
            bars = [(start / seconds, max((end - start) / seconds, least)) for start, end in lane]
            _draw_lane(axes, bars, rows[state], (top, heights[state]), state, theme)
            middles.append(top + heights[state] / 2)
            top += heights[state] + _GAP
        axes.set_yticks(middles, [f"{len(lane)} {state}" for state, lane in spans.items()])
        axes.tick_params(axis="y", length=0)
        axes.spines["left"].set_visible(False)
        write_notes(sheet, sheet.canvas(), notes)
    return sheet.figure


def _spans(trials: Sequence[TrialRecord], begun: Sequence[TrialRecord]) -> list[tuple[float, float]]:
    """Start and end of each trial in seconds since the first of the study began, by their starts."""
    first, last = min(filter(None, (trial.started for trial in begun))), _last(begun)
    return sorted(
        ((trial.started - first).total_seconds(), ((trial.finished or last) - first).total_seconds())
        for trial in trials
        if trial.started is not None
    )


def _last(begun: Sequence[TrialRecord]) -> datetime:
    return max(filter(None, (moment for trial in begun for moment in (trial.started, trial.finished))))


def _stack(spans: Sequence[tuple[float, float]]) -> list[int]:
    """The row of each span within its lane, so that none lies on another."""
    ends: list[float] = []
    rows = []
    for start, end in spans:
        row = next((row for row, taken in enumerate(ends) if taken <= start), len(ends))
        ends[row : row + 1] = [end]
        rows.append(row)
    return rows


def _lane_height(num_rows: int) -> float:
    return max(_MIN_LANE, min(num_rows * _BAR, max(_MAX_LANE, num_rows * _MIN_BAR)))


def _draw_lane(
    axes: Axes,
    bars: Sequence[tuple[float, float]],
    rows: Sequence[int],
    place: tuple[float, float],
    state: State,
    theme: Theme,
) -> None:
    top, height = place
    pitch = height / (max(rows) + 1)
    mark = state_marks(theme)[state]
    hollow = mark.face != mark.colour
    for number in range(max(rows) + 1):
        its = [bar for bar, row in zip(bars, rows, strict=True) if row == number]
        axes.broken_barh(
            its,
            (top + (number + 0.1) * pitch, 0.8 * pitch),
            facecolor=mark.face,
            edgecolor=mark.colour if hollow else theme.paper,
            linewidth=0.6 if hollow else 0.2,
        )


def _unit(seconds: float) -> tuple[str, float]:
    """The unit that gives an axis numbers of a handy size, and its length in seconds."""
    return next((name, length) for name, length, most in _UNITS if seconds < most or not most)
