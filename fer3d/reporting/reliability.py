"""Reliability diagrams: whether a run is right as often as it is sure."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator, PercentFormatter

from fer3d.evaluation.calibration import NUM_BINS, Calibration
from fer3d.evaluation.tables import percent
from fer3d.reporting.theme import LIGHT, LINE, MARGIN, SMALL, WIDTH, Theme, drawing, new_sheet, wrap

# Inches.
_PANEL = 2.3
_HISTOGRAM = 0.7
_GAP = 0.14
_LEFT = 0.62
_RIGHT = 0.28
_LEGEND = 0.28
_AXIS = 0.45


def reliability_figure(calibration: Calibration, title: str, caution: str = "", theme: Theme = LIGHT) -> Figure:
    """Draws the accuracy of clips by their confidence, and how many clips have which confidence.

    A bar is a bin's accuracy, with its 95 % Wilson interval; a bin without clips has none. The line across it is the
    bin's mean confidence: the gap between the two, weighted by its clips, is its part of the expected calibration
    error. (DeGroot and Fienberg, The Statistician 32, 1983; as in Guo et al., ICML 2017.)

    Args:
        calibration: How sure the run is of which clips.
        title: What the figure shows.
        caution: `SYNTHETIC data` and the like, or nothing.
        theme: The colours.
    """
    notes = wrap(ece_text(calibration), SMALL, WIDTH - 2 * MARGIN)
    below = _AXIS + len(notes) * SMALL * LINE
    with drawing(theme):
        sheet = new_sheet(theme, title, caution, _LEGEND + _PANEL + _GAP + _HISTOGRAM + below + MARGIN)
        width = WIDTH - _LEFT - _RIGHT
        accuracy = sheet.axes(_LEFT, _LEGEND, width, _PANEL, grid="y")
        clips = sheet.axes(_LEFT, _LEGEND + _PANEL + _GAP, width, _HISTOGRAM, grid="y")
        _draw_accuracy(accuracy, calibration, theme)
        _draw_clips(clips, calibration, theme)
        for axes, name in ((accuracy, "accuracy"), (clips, "clips")):
            axes.set(xlim=(0, 1), ylabel=name)
            axes.yaxis.set_label_coords(-(_LEFT - 0.2) / width, 0.5)
        canvas = sheet.canvas()
        canvas.legend(
            handles=[
                Patch(facecolor=theme.accents[0], label="accuracy, 95 % interval"),
                Line2D([], [], color=theme.accents[1], linewidth=2.4, label="mean confidence"),
                Line2D([], [], color=theme.muted, linewidth=1, linestyle=(0, (4, 2)), label="calibrated"),
            ],
            loc="upper left",
            bbox_to_anchor=(MARGIN / WIDTH, 1),
            borderaxespad=0,
            borderpad=0,
            ncols=3,
            frameon=False,
            handlelength=1.8,
            columnspacing=1.4,
        )
        top = sheet.height - MARGIN - len(notes) * SMALL * LINE
        canvas.text(MARGIN, top, "\n".join(notes), size=SMALL, color=theme.muted, va="top")
    return sheet.figure


def ece_text(calibration: Calibration) -> str:
    """The expected calibration error as a sentence, with what it would be if there were none."""
    low, high = map(percent, calibration.ece_if_calibrated)
    return (
        f"Expected calibration error {percent(calibration.ece)}, in {NUM_BINS} bins of confidence; on as many clips, a "
        f"calibrated network would have {low} to {high} (95%)."
    )


def _draw_accuracy(axes: Axes, calibration: Calibration, theme: Theme) -> None:
    axes.plot([0, 1], [0, 1], color=theme.muted, linewidth=1, linestyle=(0, (4, 2)), zorder=1)
    for one in calibration.bins:
        middle, (least, most) = (one.low + one.high) / 2, one.score.interval()
        axes.bar(
            middle, one.score.accuracy, one.high - one.low, color=theme.accents[0], edgecolor=theme.paper, zorder=2
        )
        # The paper's colour around the ink's keeps it legible on the bar.
        for colour, linewidth in ((theme.paper, 3), (theme.ink, 1.2)):
            axes.vlines(middle, least, most, colors=colour, linewidth=linewidth, zorder=3)
        axes.hlines(one.confidence, one.low, one.high, colors=theme.accents[1], linewidth=2.4, zorder=4)
    axes.set_ylim(0, 1.02)
    axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0, symbol=" %"))
    axes.tick_params(labelbottom=False)


def _draw_clips(axes: Axes, calibration: Calibration, theme: Theme) -> None:
    edges = np.linspace(0, 1, NUM_BINS + 1)
    counts = np.zeros(NUM_BINS)
    for one in calibration.bins:
        counts[round(one.low * NUM_BINS)] = one.score.num_clips
    axes.bar((edges[:-1] + edges[1:]) / 2, counts, 1 / NUM_BINS, color=theme.muted, edgecolor=theme.paper)
    axes.yaxis.set_major_locator(MaxNLocator(3, integer=True, steps=[1, 2, 5, 10]))
    axes.xaxis.set_major_formatter(PercentFormatter(1, decimals=0, symbol=" %"))
    axes.set_xlabel("confidence: probability of the predicted emotion")
