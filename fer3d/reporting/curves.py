"""How training went: loss and accuracy of every fold after every epoch."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator, PercentFormatter
from numpy.typing import NDArray

from fer3d.evaluation.run_results import EvaluationError, RunResults
from fer3d.reporting.theme import LIGHT, LINE, MARGIN, SMALL, WIDTH, Sheet, Theme, drawing, new_sheet
from fer3d.training.results import FoldResult, fold_folder

METRICS_NAME = "metrics.csv"

# More lines than these hide each other.
MAX_LINES = 12
BAND = (0.1, 0.9)

_COLUMNS = ("train/loss", "train/accuracy", "held_out/loss", "held_out/accuracy")

# Inches.
_PANEL = 1.5
_GAP = 0.16
_LEFT = 0.62
_LEGEND = 0.28
_AXIS = 0.45


@dataclass(frozen=True)
class Curves:
    """What each fold's training and held-out clips gave after each epoch.

    Attributes:
        folds: `num_folds` numbers.
        num_held_out: `(num_folds,)` clips that each fold held out.
        train_loss: `(num_folds, num_epochs)`, while training, so with dropout and augmentation.
        train_accuracy: `(num_folds, num_epochs)`, the same.
        held_out_loss: `(num_folds, num_epochs)`.
        held_out_accuracy: `(num_folds, num_epochs)`.
    """

    folds: tuple[int, ...]
    num_held_out: NDArray[np.int64]
    train_loss: NDArray[np.float64]
    train_accuracy: NDArray[np.float64]
    held_out_loss: NDArray[np.float64]
    held_out_accuracy: NDArray[np.float64]

    @property
    def num_epochs(self) -> int:
        """Number of epochs."""
        return int(self.train_loss.shape[1])


def read_curves(run: RunResults) -> Curves:
    """Reads the `metrics.csv` of each of a run's folds.

    Raises:
        EvaluationError: One is missing or damaged, or does not have an entry for every epoch.
    """
    folds = [fold for fold in run.folds if fold.clip_ids]
    values = np.array([_read_fold(run.folder, fold) for fold in folds])
    train_loss, train_accuracy, held_out_loss, held_out_accuracy = np.moveaxis(values, 1, 0)
    return Curves(
        folds=tuple(fold.fold for fold in folds),
        num_held_out=np.array([len(fold.clip_ids) for fold in folds]),
        train_loss=train_loss,
        train_accuracy=train_accuracy,
        held_out_loss=held_out_loss,
        held_out_accuracy=held_out_accuracy,
    )


def curves_figure(curves: Curves, title: str, caution: str = "", theme: Theme = LIGHT) -> Figure:
    """Draws loss and accuracy by epoch, of training clips (dashed) and held-out clips.

    A thick line is all held-out clips together, or the mean of the folds' training. Up to 12 folds have a thin line
    each; more are a band that holds the middle 80 % of them.

    Args:
        curves: The curves.
        title: What the figure shows.
        caution: `SYNTHETIC data` and the like, or nothing.
        theme: The colours.
    """
    notes = _notes(len(curves.folds))
    below = _AXIS + len(notes) * SMALL * LINE
    with drawing(theme):
        sheet = new_sheet(theme, title, caution, _LEGEND + 2 * _PANEL + _GAP + below + MARGIN)
        loss, accuracy = (
            _panel(sheet, _LEGEND + number * (_PANEL + _GAP), name, curves.num_epochs)
            for number, name in enumerate(("loss", "accuracy"))
        )
        training, held_out = _Style(theme.accents[1], (0, (3, 1.2)), 2), _Style(theme.accents[0], "-", 3)
        even = np.ones(len(curves.folds))
        lines = [
            _draw_folds(loss, curves.train_loss, even, training),
            _draw_folds(loss, curves.held_out_loss, curves.num_held_out, held_out),
        ]
        _draw_folds(accuracy, curves.train_accuracy, even, training)
        _draw_folds(accuracy, curves.held_out_accuracy, curves.num_held_out, held_out)
        loss.set_ylim(bottom=0)
        loss.tick_params(labelbottom=False)
        accuracy.set(ylim=(max(0, accuracy.get_ylim()[0]), 1.01), xlabel="epoch")
        accuracy.yaxis.set_major_formatter(PercentFormatter(1, decimals=0, symbol=" %"))
        canvas = sheet.canvas()
        canvas.legend(
            lines,
            ["training clips", "held-out clips"],
            loc="upper left",
            bbox_to_anchor=(MARGIN / WIDTH, 1),
            borderaxespad=0,
            borderpad=0,
            ncols=2,
            frameon=False,
            handlelength=2.6,
        )
        top = sheet.height - MARGIN - len(notes) * SMALL * LINE
        canvas.text(MARGIN, top, "\n".join(notes), size=SMALL, color=theme.muted, va="top")
    return sheet.figure


@dataclass(frozen=True, slots=True)
class _Style:
    colour: str
    dashes: str | tuple[int, tuple[float, ...]]
    zorder: float


def _panel(sheet: Sheet, top: float, name: str, num_epochs: int) -> Axes:
    width = WIDTH - _LEFT - 2.5 * MARGIN
    axes = sheet.axes(_LEFT, top, width, _PANEL, grid="y")
    axes.set_xlim((1, num_epochs) if num_epochs > 1 else (0.5, 1.5))
    axes.xaxis.set_major_locator(MaxNLocator(16, integer=True, steps=[1, 2, 5, 10], min_n_ticks=1))
    axes.set_ylabel(name)
    # Beside each other's, whatever the width of the numbers.
    axes.yaxis.set_label_coords(-(_LEFT - 0.2) / width, 0.5)
    return axes


def _draw_folds(axes: Axes, values: NDArray[np.float64], weights: NDArray[Any], style: _Style) -> Line2D:
    """Draws the folds' `(num_folds, num_epochs)` values and returns the thick line."""
    epochs = np.arange(1, values.shape[1] + 1)
    if len(values) > MAX_LINES:
        low, high = np.quantile(values, BAND, axis=0)
        axes.fill_between(epochs, low, high, color=style.colour, alpha=0.22, linewidth=0, zorder=style.zorder - 1)
    elif len(values) > 1:
        axes.plot(epochs, values.T, color=style.colour, alpha=0.45, linewidth=0.7, zorder=style.zorder - 1)
    mean = np.average(values, axis=0, weights=weights)
    # One epoch alone makes no line.
    marker = "o" if len(epochs) == 1 else ""
    (line,) = axes.plot(
        epochs, mean, color=style.colour, linestyle=style.dashes, linewidth=2.2, marker=marker, zorder=style.zorder
    )
    return line


def _notes(num_folds: int) -> list[str]:
    together = "Thick: held-out clips of all folds together; training clips, mean of the folds."
    spread = (
        f"Band: the middle 80 % of {num_folds} folds." if num_folds > MAX_LINES else f"Thin: each of {num_folds} folds."
    )
    training = "Training clips are counted as they train: with dropout and augmentation."
    return [together, spread, training] if num_folds > 1 else [training]


def _read_fold(run_folder: Path, fold: FoldResult) -> NDArray[np.float64]:
    """Returns `(num_columns, num_epochs)`."""
    path = fold_folder(run_folder, fold.fold) / METRICS_NAME
    num_epochs = len(fold.logits)
    values = np.full((len(_COLUMNS), num_epochs), np.nan)
    try:
        with path.open(encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file):
                # A callback may log beside the epochs.
                if not any(row[column] for column in _COLUMNS):
                    continue
                epoch = int(row["epoch"])
                if not 0 <= epoch < num_epochs:
                    raise ValueError(f"it has an epoch {epoch + 1} of {num_epochs}")
                for number, column in enumerate(_COLUMNS):
                    # Lightning may spread an epoch over several rows.
                    if row[column]:
                        values[number, epoch] = float(row[column])
        for column, of_column in zip(_COLUMNS, values, strict=True):
            if not np.isfinite(of_column).all():
                epoch = int(np.isfinite(of_column).argmin()) + 1
                raise ValueError(f"it has no {column} for epoch {epoch}")
    except (OSError, ValueError, KeyError, TypeError, csv.Error) as error:
        reason = f"it has no column {error}" if isinstance(error, KeyError) else str(error)
        raise EvaluationError(
            f"{path} holds no usable curves: {reason}. Delete {path.parent} to train the fold again"
        ) from error
    return values
