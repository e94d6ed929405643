"""Confusion matrices like the paper's Figures 5 and 6."""

from __future__ import annotations

from collections.abc import Sequence
from math import radians, sin
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from numpy.typing import NDArray

from fer3d.reporting.theme import LIGHT, SMALL, TEXT, WIDTH, Theme, drawing, new_sheet, share_text, text_width

# A printed row of rounded shares adds up to a little more or less than 1.
_ROUNDING = 0.05
_SLANT = 40  # degrees of the columns' names
_RIGHT = 0.76  # inches for the colour bar


def confusion_figure(
    confusion: NDArray[Any], emotions: Sequence[str], title: str, caution: str = "", theme: Theme = LIGHT
) -> Figure:
    """Draws a confusion matrix: a row an emotion, a column a prediction, each cell its share of the row.

    Args:
        confusion: `(num_classes, num_classes)` numbers of clips, or floating-point shares of each row, which are shown
            as they are. A row of zeros is an emotion without clips.
        emotions: The class names, in the order of both axes.
        title: What the figure shows.
        caution: `SYNTHETIC data` and the like, or nothing.
        theme: The colours.

    Raises:
        ValueError: The matrix does not fit the emotions, or holds something that is neither a count nor a share.
    """
    shares, num_clips = _row_shares(np.asarray(confusion), len(emotions))
    rows = list(emotions) if num_clips is None else list(map(_row_name, emotions, num_clips))
    left = 0.32 + max(text_width(line, SMALL) for row in rows for line in row.split("\n"))
    below = 0.36 + max(text_width(emotion, SMALL) for emotion in emotions) * sin(radians(_SLANT))
    side = WIDTH - left - _RIGHT
    with drawing(theme):
        sheet = new_sheet(theme, title, caution, side + below)
        axes = sheet.axes(left, 0, side, side)
        cells = axes.pcolormesh(
            np.nan_to_num(shares), cmap=theme.colormap, vmin=0, vmax=1, edgecolors=theme.grid, linewidth=0.6
        )
        axes.spines[:].set_visible(False)
        axes.invert_yaxis()
        places = np.arange(len(emotions)) + 0.5
        axes.set_xticks(places, emotions, rotation=_SLANT, ha="right", rotation_mode="anchor")
        axes.set_yticks(places, rows)
        axes.tick_params(length=0)
        axes.text(0.5, -below / side + 0.01, "predicted", transform=axes.transAxes, ha="center", va="bottom")
        axes.text(-left / side + 0.02, 0.5, "emotion", transform=axes.transAxes, rotation=90, ha="left", va="center")
        fitting = 0.85 * side / len(emotions) / text_width(share_text(0.999), 1)
        _print_shares(axes, shares, min(fitting, TEXT), theme)
        bar = sheet.axes(left + side + 0.1, 0, 0.12, side)
        sheet.figure.colorbar(cells, cax=bar).outline.set_visible(False)
        bar.set_ylabel("share of the emotion's clips")
        for collection in bar.collections:
            collection.set_rasterized(True)  # as 256 paths it would outweigh all else
    return sheet.figure


def _row_name(emotion: str, num_clips: int) -> str:
    return f"{emotion}\n{num_clips} clip{'' if num_clips == 1 else 's'}"


def _row_shares(confusion: NDArray[Any], num_classes: int) -> tuple[NDArray[np.float64], NDArray[np.int64] | None]:
    """Returns shares, NaN in a row without clips, and the number of clips of each row if it is known."""
    if confusion.shape != (num_classes, num_classes):
        raise ValueError(f"a confusion matrix of {num_classes} emotions cannot have the shape {confusion.shape}")
    totals = confusion.sum(1)
    if not np.isfinite(totals).all() or (confusion < 0).any():
        raise ValueError("a confusion matrix holds numbers of clips or shares of a row, none of them negative")
    are_shares = np.issubdtype(confusion.dtype, np.floating) and bool((totals <= 1 + _ROUNDING).all())
    whole = np.ones(num_classes) if are_shares else totals
    nothing = np.full(confusion.shape, np.nan)
    shares = np.divide(confusion, whole[:, None], out=nothing, where=totals[:, None] > 0)
    return shares, None if are_shares else totals.astype(np.int64)


def _print_shares(axes: Axes, shares: NDArray[np.float64], size: float, theme: Theme) -> None:
    for (row, column), share in np.ndenumerate(shares):
        colour = theme.text_on(to_hex(theme.colormap(share))) if share > 0 else theme.muted
        text = "-" if np.isnan(share) else share_text(share)
        axes.text(column + 0.5, row + 0.5, text, size=size, color=colour, ha="center", va="center")
