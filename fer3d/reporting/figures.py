"""Figures of runs: each function takes data and returns a figure that includes its title and caution.

The title says what the figure shows; the caution is `SYNTHETIC data` and the like, or nothing. What a figure means in
words stands in its caption on the page, not in the drawing.
"""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from math import ceil
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter
from numpy.typing import NDArray

from fer3d.evaluation.calibration import NUM_BINS, Calibration
from fer3d.evaluation.learning_curves import LearningCurves
from fer3d.evaluation.measures import Score, hardest_first
from fer3d.evaluation.protocols import PROTOCOLS, EpochProtocol
from fer3d.reporting.theme import (
    ACCENTS,
    GRID,
    INK,
    LINE,
    MUTED,
    PAPER,
    RAMP,
    SMALL,
    TEXT,
    new_figure,
    share_text,
    stacked,
    style,
    text_on,
)

_PERCENT = PercentFormatter(1, decimals=0, symbol=" %")
# More lines than these hide each other; a band holds this part of the folds instead.
MAX_LINES = 12
BAND = (0.1, 0.9)
_MAX_CLIPS = 10  # of a subject's bar that is divided into its clips
_MARKERS = ("D", "s", "o", "^")


@style()
def confusion_figure(confusion: NDArray[Any], emotions: Sequence[str], title: str, caution: str = "") -> Figure:
    """Draws a confusion matrix: emotions in rows, predictions in columns, shares of the row in cells.

    The matrix holds `(num_classes, num_classes)` numbers of clips; both axes follow the order of `emotions`. A row of
    zeros is an emotion without clips.
    """
    totals = confusion.sum(1)
    nothing = np.full(confusion.shape, np.nan)
    shares = np.divide(confusion, totals[:, None], out=nothing, where=totals[:, None] > 0)
    rows = [f"{emotion}\n{n} clip{'' if n == 1 else 's'}" for emotion, n in zip(emotions, totals, strict=True)]
    figure = new_figure(title, caution, 4.1)
    axes = figure.subplots()
    cells = axes.pcolormesh(np.nan_to_num(shares), cmap=RAMP, vmin=0, vmax=1, edgecolors=GRID, linewidth=0.6)
    axes.set_box_aspect(1)
    axes.invert_yaxis()
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)
    places = np.arange(len(emotions)) + 0.5
    axes.set_xticks(places, emotions, rotation=40, ha="right", rotation_mode="anchor")
    axes.set_yticks(places, rows)
    axes.set(xlabel="predicted", ylabel="emotion")
    for (row, column), share in np.ndenumerate(shares):
        colour = text_on(RAMP(share)) if share > 0 else MUTED
        text = "-" if np.isnan(share) else share_text(share)
        size = min(TEXT, 60 / len(emotions))
        axes.text(column + 0.5, row + 0.5, text, size=size, color=colour, ha="center", va="center")
    bar = figure.colorbar(cells, shrink=0.8, aspect=28, label="share of the emotion's clips")
    bar.outline.set_visible(False)
    bar.solids.set_rasterized(True)  # type: ignore[union-attr]  # as 256 paths it would outweigh all else
    return figure


@style()
def curves_figure(curves: LearningCurves, title: str, caution: str = "") -> Figure:
    """Draws loss and accuracy by epoch, of training clips (dashed) and held-out clips.

    A thick line is all held-out clips together, or the mean of the folds' training. Up to 12 folds have a thin line
    each; more are a band that holds the middle 80 % of them.
    """
    figure = new_figure(title, caution, 3.9)
    loss, accuracy = figure.subplots(2, sharex=True)
    training: dict[str, Any] = {"color": ACCENTS[1], "linestyle": (0, (3, 1.2)), "zorder": 2, "label": "training clips"}
    held_out: dict[str, Any] = {"color": ACCENTS[0], "zorder": 3, "label": "held-out clips"}
    drawn = (loss, curves.train_loss, curves.held_out_loss), (accuracy, curves.train_accuracy, curves.held_out_accuracy)
    for axes, of_training, of_held_out in drawn:
        _draw_folds(axes, of_training, np.ones(len(curves.folds)), **training)
        _draw_folds(axes, of_held_out, curves.num_held_out, **held_out)
        axes.grid(axis="y")
    loss.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=2, handlelength=2.6)
    loss.set(ylabel="loss", ylim=(0, None))
    loss.tick_params(bottom=False)
    accuracy.set(ylabel="accuracy", ylim=(max(0, accuracy.get_ylim()[0]), 1.01), xlabel="epoch")
    accuracy.set_xlim((1, curves.num_epochs) if curves.num_epochs > 1 else (0.5, 1.5))
    accuracy.xaxis.set_major_locator(MaxNLocator(16, integer=True, steps=[1, 2, 5, 10], min_n_ticks=1))
    accuracy.yaxis.set_major_formatter(_PERCENT)
    figure.align_ylabels()
    return figure


@style()
def subjects_figure(per_subject: Mapping[str, Score], title: str, caution: str = "") -> Figure:
    """Draws how many clips of each subject were right.

    The bar on top shows how many subjects have all their clips right; they need no bar of their own. The others follow
    in the order of `hardest_first`, column by column; a bar is divided into the subject's clips while they can be seen.
    """
    hard = list(hardest_first(per_subject).items())
    longest = max((len(name) for name, _ in hard), default=0)
    num_columns = max(1, min(3, ceil(len(hard) / 10), 36 // (longest + 4)))
    num_rows = ceil(len(hard) / num_columns)
    figure = new_figure(title, caution, 0.5 + 0.165 * num_rows)
    figure.get_layout_engine().set(wspace=0.04)  # type: ignore[union-attr, call-arg]
    grid = figure.add_gridspec(2 if hard else 1, num_columns, height_ratios=[2, num_rows + 1] if hard else [1])
    whole = Score(len(per_subject) - len(hard), len(per_subject))
    _draw_bars(figure.add_subplot(grid[0, :]), [("all clips right", whole)], 1)
    for column in range(num_columns if hard else 0):
        shown = hard[column * num_rows : (column + 1) * num_rows]
        _draw_bars(figure.add_subplot(grid[1, column]), shown, num_rows)
    return figure


@style()
def protocols_figure(
    scores: Mapping[str, Mapping[EpochProtocol, Score]],
    title: str = "Accuracy under each epoch protocol",
    caution: str = "",
) -> Figure:
    """Draws the pooled accuracy of runs, by label, under each epoch protocol, with Wilson's 95 % intervals.

    A protocol by which held-out clips choose the epoch has a hollow marker on a dashed line.
    """
    labels = {run: textwrap.fill(run, 40) for run in scores}
    sizes = [0.32 * len(by_protocol) + 0.05 for by_protocol in scores.values()]
    headings = sum(TEXT * LINE * (label.count("\n") + 1) + 0.16 for label in labels.values())
    figure = new_figure(title, caution, sum(sizes) + headings + 0.3)
    for axes, (run, by_protocol) in zip(stacked(figure, sizes), scores.items(), strict=True):
        axes.set_title(labels[run])
        axes.set_yticks(range(len(by_protocol)), [textwrap.fill(protocol.title, 24) for protocol in by_protocol])
        axes.set_ylim(len(by_protocol) - 0.5, -0.5)
        axes.tick_params(length=0)
        axes.spines["left"].set_visible(False)
        axes.grid(axis="x")
        for row, (protocol, score) in enumerate(by_protocol.items()):
            _draw_score(axes, row, protocol, score)
    every = [score for run in scores.values() for score in run.values()]
    lowest, highest = min(score.interval()[0] for score in every), max(score.interval()[1] for score in every)
    margin = 0.06 * (highest - lowest)
    axes.set_xlim(max(lowest - margin, -0.01), min(highest + margin, 1.01))
    axes.xaxis.set_major_locator(MaxNLocator(4, steps=[1, 2, 5, 10]))
    axes.xaxis.set_major_formatter(_PERCENT)
    return figure


@style()
def reliability_figure(calibration: Calibration, title: str, caution: str = "") -> Figure:
    """Draws the accuracy of clips by their confidence, and how many clips have which confidence.

    The gap between a bin's accuracy and its mean confidence, weighted by its clips, is its part of the expected
    calibration error. (DeGroot and Fienberg, The Statistician 32, 1983; as in Guo et al., ICML 2017.)
    """
    figure = new_figure(title, caution, 3.9)
    accuracy, clips = figure.subplots(2, sharex=True, height_ratios=[3.3, 1])
    accuracy.plot([0, 1], [0, 1], color=MUTED, linewidth=1, linestyle=(0, (4, 2)), zorder=1, label="calibrated")
    bins, width = calibration.bins, 1 / NUM_BINS  # a bin without clips is not among them
    middles, heights = [(one.low + one.high) / 2 for one in bins], [one.score.accuracy for one in bins]
    accuracy.bar(middles, heights, width, color=ACCENTS[0], edgecolor=PAPER, zorder=2, label="accuracy, 95 % interval")
    intervals = np.array([one.score.interval() for one in bins]).reshape(-1, 2)
    # The paper's colour around the ink's keeps it legible on the bar.
    for colour, linewidth in ((PAPER, 3), (INK, 1.2)):
        accuracy.vlines(middles, *intervals.T, colors=colour, linewidth=linewidth, zorder=3)
    accuracy.hlines(
        [one.confidence for one in bins], [one.low for one in bins], [one.high for one in bins],
        colors=ACCENTS[1], linewidth=2.4, zorder=4, label="mean confidence",
    )  # fmt: skip
    accuracy.set(ylabel="accuracy", ylim=(0, 1.02))
    accuracy.yaxis.set_major_formatter(_PERCENT)
    accuracy.tick_params(bottom=False)
    accuracy.legend(loc="lower left", bbox_to_anchor=(-0.12, 1), ncols=3, handlelength=1.4, reverse=True)
    clips.bar(middles, [one.score.num_clips for one in bins], width, color=MUTED, edgecolor=PAPER)
    clips.set(ylabel="clips", xlim=(0, 1), xlabel="confidence: probability of the predicted emotion")
    clips.yaxis.set_major_locator(MaxNLocator(3, integer=True, steps=[1, 2, 5, 10]))
    clips.xaxis.set_major_formatter(_PERCENT)
    for axes in (accuracy, clips):
        axes.grid(axis="y")
    figure.align_ylabels()
    return figure


def _draw_folds(axes: Axes, values: NDArray[np.float64], weights: NDArray[Any], **line: Any) -> None:
    """Draws the folds' `(num_folds, num_epochs)` values and their weighted mean."""
    epochs = np.arange(1, values.shape[1] + 1)
    below: dict[str, Any] = {"color": line["color"], "zorder": line["zorder"] - 1}
    if len(values) > MAX_LINES:
        axes.fill_between(epochs, *np.quantile(values, BAND, axis=0), alpha=0.22, linewidth=0, **below)
    elif len(values) > 1:
        axes.plot(epochs, values.T, alpha=0.45, linewidth=0.7, **below)
    # A single epoch does not make a line.
    marker, mean = "o" if len(epochs) == 1 else "", np.average(values, axis=0, weights=weights)
    axes.plot(epochs, mean, linewidth=2.2, marker=marker, clip_on=not marker, **line)


def _draw_bars(axes: Axes, scores: Sequence[tuple[str, Score]], num_rows: int) -> None:
    """Draws one bar per score from the top: the coloured part is correct, thin lines separate clips."""
    axes.set(xlim=(0, 1), ylim=(num_rows - 0.5, -0.5), xticks=[])
    axes.set_yticks(range(len(scores)), [name for name, _ in scores])
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)
    axes.barh(range(len(scores)), 1, 0.55, color=GRID)
    axes.barh(range(len(scores)), [score.accuracy for _, score in scores], 0.55, color=ACCENTS[0])
    for row, (_, score) in enumerate(scores):
        if score.num_clips <= _MAX_CLIPS:
            between = np.arange(1, score.num_clips) / score.num_clips
            axes.vlines(between, row - 0.3, row + 0.3, colors=PAPER, linewidth=1)
        numbers = f"{score.num_correct}/{score.num_clips}"
        axes.text(1.04, row, numbers, size=SMALL, color=MUTED, va="center", transform=axes.get_yaxis_transform())


def _draw_score(axes: Axes, row: int, protocol: EpochProtocol, score: Score) -> None:
    place = PROTOCOLS.index(protocol) if protocol in PROTOCOLS else len(PROTOCOLS)
    colour, paint, line = (ACCENTS[1], PAPER, (0, (2.5, 1.5))) if protocol.optimistic else (ACCENTS[0], ACCENTS[0], "-")
    low, high = score.interval()
    axes.plot([low, high], [row, row], color=colour, linewidth=1.6, linestyle=line)
    marker = _MARKERS[place % len(_MARKERS)]
    dot: dict[str, Any] = {"markersize": 6, "markeredgewidth": 1.4, "markerfacecolor": paint, "clip_on": False}
    axes.plot(score.accuracy, row, marker=marker, color=colour, **dot)
    numbers = f"{score.accuracy:.1%} [{100 * low:.1f}, {100 * high:.1f}]".replace("%", " %")
    axes.text(1.03, row, numbers, size=SMALL, va="center", transform=axes.get_yaxis_transform())
