"""The paper's Figure 2: a red cross for each configuration that passed, the best on the top right, and its choices."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from fer3d.evaluation.tables import percent
from fer3d.reporting.study_axes import (
    Mark,
    accuracy_axis,
    accuracy_limits,
    accuracy_threshold,
    cross,
    crowding,
    fitted,
    labels_width,
    legend,
    legend_height,
    note_lines,
    ring,
    setting_axis,
    setting_height,
    threshold_entries,
    threshold_style,
    trial_axis,
    write_notes,
)
from fer3d.reporting.study_settings import Setting
from fer3d.reporting.theme import LIGHT, LINE, MARGIN, SMALL, WIDTH, Theme, drawing, new_sheet
from fer3d.search.records import StudyRecord, TrialRecord

# Inches.
_PANEL = 1.55
_AXIS = 0.36
_HEADING = 0.2
_LANE = 0.135
_RIGHT = 0.3

_CROSS = 5.0


def figure2_trials(record: StudyRecord) -> tuple[TrialRecord, ...]:
    """The trials of the figure, by number: complete, and at or above the threshold where it is an accuracy."""
    threshold = accuracy_threshold(record)
    shown = [trial for trial in record.complete if threshold is None or trial.attainable >= threshold]
    return tuple(sorted(shown, key=lambda trial: trial.number))


def figure2(record: StudyRecord, settings: Sequence[Setting], title: str, theme: Theme = LIGHT) -> Figure:
    """Draws the accuracy of each trial that passed, and below it which choice each of them made.

    Args:
        record: The study.
        settings: Its settings.
        title: What the figure shows.
        theme: The colours.

    Raises:
        ValueError: No trial passed.
    """
    trials = figure2_trials(record)
    if not trials or record.best is None:
        raise ValueError("no trial passed")
    entries = _entries(record, theme)
    notes = note_lines(
        f"Accuracy: {record.protocol.title}; chosen on these very folds. Below: which choice each of these trials "
        "made, and on the right how many of them made it."
    )
    panel_top = legend_height(entries)
    rows_top = panel_top + _PANEL + _AXIS
    height = rows_top + sum(map(_row_height, settings)) + _AXIS + 2 * MARGIN + len(notes) * SMALL * LINE
    with drawing(theme):
        sheet = new_sheet(theme, title, record.caution, height)
        canvas = sheet.canvas()
        left = max(labels_width(settings), 0.62)
        mark = cross(theme, _CROSS * crowding(len(trials)))
        axes = sheet.axes(left, panel_top, WIDTH - left - _RIGHT, _PANEL, grid="y")
        _draw_accuracies(axes, record, trials, mark, theme)
        top = rows_top
        for setting in settings:
            name = fitted(setting.name, WIDTH - 2 * MARGIN, bold=True)
            canvas.text(MARGIN, top + _HEADING - 0.04, name, size=SMALL, weight="bold", va="bottom")
            axes = sheet.axes(left, top + _HEADING, WIDTH - left - _RIGHT, _row_height(setting) - _HEADING)
            trial_axis(axes, len(record.trials), labelled=setting is settings[-1])
            setting_axis(axes, setting, theme, left)
            _draw_choices(axes, setting, trials, record.best, mark, theme)
            _write_counts(canvas, setting, trials, top + _HEADING, theme)
            top += _row_height(setting)
        legend(canvas, entries)
        write_notes(sheet, canvas, notes)
    return sheet.figure


def _row_height(setting: Setting) -> float:
    return _HEADING + setting_height(setting, _LANE)


def _entries(record: StudyRecord, theme: Theme) -> list[tuple[Any, str]]:
    best = record.best
    named = f"best: trial {best.number}, {percent(best.attainable)}" if best else ""
    crosses = "complete trial" if accuracy_threshold(record) is None else "trial that passed"
    marks = [(cross(theme, _CROSS).handle(), crosses), (ring(theme).handle(), named)]
    return [*marks, *threshold_entries(record, theme)]


def _draw_accuracies(axes: Axes, record: StudyRecord, trials: Sequence[TrialRecord], mark: Mark, theme: Theme) -> None:
    trial_axis(axes, len(record.trials))
    values = [trial.attainable for trial in trials]
    threshold = accuracy_threshold(record)
    if threshold is not None:
        values = [*values, threshold]
        axes.axhline(threshold, **threshold_style(theme))
    axes.set_ylim(accuracy_limits(values, pad=0.1))
    accuracy_axis(axes.yaxis)
    _mark_best(axes, record.best, theme)
    axes.plot([t.number for t in trials], [t.attainable for t in trials], linestyle="none", **mark.style())
    if record.best is not None:
        axes.plot([record.best.number], [record.best.attainable], linestyle="none", **ring(theme).style())


def _draw_choices(
    axes: Axes, setting: Setting, trials: Sequence[TrialRecord], best: TrialRecord, mark: Mark, theme: Theme
) -> None:
    _mark_best(axes, best, theme)
    made = [trial for trial in trials if setting.name in trial.params]
    places = [setting.place(trial.params[setting.name]) for trial in made]
    # Lanes are narrower than the panel above.
    axes.plot([trial.number for trial in made], places, linestyle="none", clip_on=False, **mark.style(0.75))
    if setting.name in best.params:
        place = setting.place(best.params[setting.name])
        axes.plot([best.number], [place], linestyle="none", clip_on=False, **ring(theme).style(0.8))


def _write_counts(canvas: Axes, setting: Setting, trials: Sequence[TrialRecord], top: float, theme: Theme) -> None:
    counts = Counter(setting.place(trial.params[setting.name]) for trial in trials if setting.name in trial.params)
    for lane in range(len(setting.labels)):
        middle = top + (lane + 0.5) * _LANE
        canvas.text(
            WIDTH - MARGIN, middle, str(counts[lane]), size=SMALL, color=theme.muted, ha="right", va="center_baseline"
        )


def _mark_best(axes: Axes, best: TrialRecord | None, theme: Theme) -> None:
    """A line through all panels, so that the best trial's choices are found."""
    if best is not None:
        axes.axvline(best.number, color=theme.ink, linewidth=0.8, linestyle=(0, (1, 1.6)), zorder=0.5)
