"""Parallel coordinates of the complete trials, turned: an axis a row, so that the names of choices fit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from fer3d.evaluation.tables import percent
from fer3d.reporting.study_axes import fitted, legend, legend_height, note_lines, write_notes
from fer3d.reporting.study_settings import Setting, value_text
from fer3d.reporting.theme import LIGHT, LINE, MARGIN, SMALL, WIDTH, Theme, drawing, new_sheet
from fer3d.search.records import StudyRecord, TrialRecord

# From as many trials on, the best tenth stands out.
MIN_TRIALS = 10

# Inches.
_INSET = 0.3
_TEXTS = 0.31
_FLIGHT = 0.3
_ROW = _TEXTS + _FLIGHT
_LEFT, _RIGHT = MARGIN + _INSET, WIDTH - MARGIN - _INSET


def parallel_figure(record: StudyRecord, settings: Sequence[Setting], title: str, theme: Theme = LIGHT) -> Figure:
    """Draws a line a complete trial through its choices, from the first setting on top to its accuracy at the bottom.

    Args:
        record: The study.
        settings: Its settings.
        title: What the figure shows.
        theme: The colours.

    Raises:
        ValueError: No trial is complete.
    """
    complete = record.complete
    if not complete:
        raise ValueError("no trial is complete")
    rows = [*map(_setting_row, settings), _accuracy_row(complete)]
    places = {trial.number: _places(trial, rank, len(complete), rows) for rank, trial in enumerate(complete)}
    groups = _groups(complete, theme)
    entries = [(Line2D([], [], **group.style), group.name) for group in groups]
    notes = note_lines(f"Accuracy: {record.protocol.title}. Within a choice, better trials run further to the right.")
    above = legend_height(entries)
    with drawing(theme):
        height = above + len(rows) * _ROW - _FLIGHT + 2 * MARGIN + len(notes) * SMALL * LINE
        sheet = new_sheet(theme, title, record.caution, height)
        canvas = sheet.canvas()
        tops = [above + row * _ROW for row in range(len(rows))]
        for group in groups:
            _draw_lines(canvas, [places[trial.number] for trial in group.trials], tops, group.style)
        for row, top in zip(rows, tops, strict=True):
            _draw_row(canvas, row, top, theme)
        legend(canvas, entries)
        write_notes(sheet, canvas, notes)
    return sheet.figure


@dataclass(frozen=True)
class _Row:
    """An axis: where values lie, from 0 to 1, and what stands there."""

    name: str
    setting: Setting | None
    ticks: Mapping[str, float]
    low: float = 0.0
    high: float = 1.0

    @property
    def slot(self) -> float:
        """The share of the axis that a choice has."""
        return 1 / len(self.ticks) if self.setting is not None and self.setting.choices is not None else 0.0


@dataclass(frozen=True)
class _Group:
    name: str
    trials: Sequence[TrialRecord]
    style: Mapping[str, Any]


def _setting_row(setting: Setting) -> _Row:
    if setting.choices is None:
        middle = (setting.low * setting.high) ** 0.5 if setting.log else (setting.low + setting.high) / 2
        values = dict.fromkeys((setting.low, middle, setting.high))
        return _Row(setting.name, setting, {value_text(value): setting.share(value) for value in values})
    number = len(setting.labels)
    return _Row(setting.name, setting, {label: (lane + 0.5) / number for lane, label in enumerate(setting.labels)})


def _accuracy_row(complete: Sequence[TrialRecord]) -> _Row:
    low, high = complete[-1].attainable, complete[0].attainable
    if low == high:
        return _Row("accuracy", None, {percent(low): 0.5}, low, high)
    return _Row("accuracy", None, {percent(low): 0.0, percent((low + high) / 2): 0.5, percent(high): 1.0}, low, high)


def _places(trial: TrialRecord, rank: int, number: int, rows: Sequence[_Row]) -> list[float]:
    """Where the line of a trial crosses each axis, in inches; NaN where it does not have the setting."""
    better = 0.5 - rank / (number - 1) if number > 1 else 0.0
    shares = []
    for row in rows:
        if row.setting is None:
            shares.append((trial.attainable - row.low) / (row.high - row.low) if row.high > row.low else 0.5)
        elif row.setting.name not in trial.params:
            shares.append(float("nan"))
        elif row.slot:
            shares.append((row.setting.place(trial.params[row.name]) + 0.5 + 0.7 * better) * row.slot)
        else:
            shares.append(row.setting.share(trial.params[row.name]))
    return [_LEFT + share * (_RIGHT - _LEFT) for share in shares]


def _groups(complete: Sequence[TrialRecord], theme: Theme) -> list[_Group]:
    """The trials by how they are drawn, what matters last and so on top."""
    best = complete[0]
    good = len(complete) // 10 if len(complete) >= MIN_TRIALS else 0
    groups = [
        _Group("complete trial", complete[1 + good :], {"color": theme.muted, "linewidth": 0.55, "alpha": 0.55}),
        _Group("best tenth", complete[1 : 1 + good], {"color": theme.accents[0], "linewidth": 1.2}),
        _Group(
            f"best: trial {best.number}, {percent(best.attainable)}",
            (best,),
            {"color": theme.alert, "linewidth": 2.2, "marker": "D", "markersize": 4.5},
        ),
    ]
    return [group for group in groups if group.trials]


def _draw_lines(
    canvas: Axes, lines: Sequence[Sequence[float]], tops: Sequence[float], style: Mapping[str, Any]
) -> None:
    """Draws all lines of a group as one path, upright where they pass a row's texts."""
    xs = np.array([[x for place in line for x in (place, place, place)] + [np.nan] for line in lines]).ravel()
    edges = [y for top in tops for y in (top, top + _TEXTS / 2, top + _TEXTS)]
    # They begin and end on an axis.
    edges[0], edges[-1] = edges[1], edges[-2]
    ys = np.array([[*edges, np.nan] for _ in lines]).ravel()
    # Of the three points of a row, the middle one lies on its axis.
    canvas.plot(xs, ys, solid_capstyle="butt", markevery=(1, 3), **style)


def _draw_row(canvas: Axes, row: _Row, top: float, theme: Theme) -> None:
    box = {"facecolor": theme.paper, "edgecolor": "none", "pad": 0.8, "alpha": 0.85}
    axis = top + _TEXTS / 2
    canvas.plot([_LEFT - _INSET / 2, _RIGHT + _INSET / 2], [axis, axis], color=theme.muted, linewidth=0.9, zorder=3)
    name = fitted(row.name, WIDTH - 2 * MARGIN, bold=True)
    canvas.text(MARGIN, axis - 0.025, name, size=SMALL, weight="bold", va="bottom", bbox=box, zorder=4)
    room = (row.slot or 1 / max(len(row.ticks), 1)) * (_RIGHT - _LEFT) - 0.05
    for label, share in row.ticks.items():
        x = _LEFT + share * (_RIGHT - _LEFT)
        canvas.plot([x, x], [axis, axis + 0.03], color=theme.muted, linewidth=0.9, zorder=3)
        canvas.text(x, axis + 0.04, fitted(label, room), size=SMALL, ha="center", va="top", bbox=box, zorder=4)
