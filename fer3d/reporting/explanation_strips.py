"""Why a network says what it says, as a picture: the frames with the map over them, their shares, and the check."""

from __future__ import annotations

from math import ceil
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

from fer3d.explanation.curves import Curves
from fer3d.explanation.explain_clip import Explanation
from fer3d.explanation.gradcam import METHODS
from fer3d.explanation.sources import ShownClip
from fer3d.reporting.theme import (
    LIGHT,
    LINE,
    MARGIN,
    SMALL,
    TEXT,
    WIDTH,
    Sheet,
    Theme,
    drawing,
    new_sheet,
    share_text,
    wrap,
)

_WIDE = WIDTH - 2 * MARGIN
_GAP = 0.05  # inches
_BAR = 0.07
_PANEL = 0.95
# Frames in a row, of few and of many.
_COLUMNS, _MORE_COLUMNS, _FEW = 5, 8, 20
_OPACITY = 0.7
# All voxels above this quantile are equally bright: a single one would leave the others dark.
_BRIGHTEST = 0.998
# Rises evenly in lightness, for colour-blind readers as well.
_COLOURS = "inferno"


def with_map(frames: NDArray[np.uint8], evidence: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Lays a map over frames: no evidence leaves a frame as it is, the most in all frames is bright.

    Args:
        frames: `(T, H, W, C)`, grey or RGB.
        evidence: `(T, H, W)`, at least 0.

    Returns:
        RGB `(T, H, W, 3)`.
    """
    brightest = float(np.quantile(evidence, _BRIGHTEST)) or float(evidence.max())
    level = (evidence / brightest).clip(max=1) if brightest > 0 else evidence
    colours = matplotlib.colormaps[_COLOURS](0.25 + 0.75 * level)[..., :3] * 255
    opacity = _OPACITY * level[..., None] ** 0.75
    return np.asarray((frames * (1 - opacity) + colours * opacity).round(), dtype=np.uint8)


def explanation_figure(
    clip: ShownClip,
    explanation: Explanation,
    emotions: tuple[str, ...],
    said: tuple[str, float],
    theme: Theme = LIGHT,
) -> Figure:
    """Draws the explanation of one emotion of a clip.

    Args:
        clip: The clip.
        explanation: The explanation.
        emotions: The class names.
        said: What the network says of the clip, and with which probability.
        theme: The colours.
    """
    emotion, evidence = emotions[explanation.label], explanation.evidence
    words = f"Label {clip.label}; the" if clip.label else "The"
    words += (
        f" network says {said[0]} ({share_text(said[1])}). The brighter, the more evidence for {emotion} "
        f"({METHODS[evidence.method]} of layer {evidence.layer}); bars are the shares of frames."
    )
    lines = [(line, theme.muted) for line in wrap(words, TEXT, _WIDE)]
    lines += [(line, theme.alert) for line in wrap(explanation.doubt, TEXT, _WIDE)]
    num_frames, height, width = evidence.map.shape
    num_columns = min(num_frames, _COLUMNS) if num_frames <= _FEW else _MORE_COLUMNS
    num_columns = max(num_columns, _COLUMNS)
    cell = (_WIDE - (num_columns - 1) * _GAP) / num_columns
    row = cell * height / width + _BAR + 2 * _GAP + SMALL * LINE
    frames_height = ceil(num_frames / num_columns) * row
    top = len(lines) * TEXT * LINE + _GAP
    curves_height = 2 * TEXT * LINE + _PANEL + 0.45
    with drawing(theme):
        title = f"{clip.name}: why {emotion} ({share_text(explanation.probability)})"
        sheet = new_sheet(theme, title, clip.caution, top + frames_height + curves_height)
        canvas = sheet.canvas()
        for number, (line, colour) in enumerate(lines):
            canvas.text(MARGIN, number * TEXT * LINE, line, va="top", color=colour)
        pictures = with_map(clip.pixels, evidence.map.numpy())
        shares = evidence.shares.numpy()
        for number, picture in enumerate(pictures):
            down, right = divmod(number, num_columns)
            place = (MARGIN + right * (cell + _GAP), top + down * row)
            _draw_frame(canvas, place, cell, picture, float(shares[number]), float(shares.max()), theme)
        _draw_curves(sheet, top + frames_height + _GAP, explanation.curves, emotion)
    return sheet.figure


def _draw_frame(
    canvas: Axes,
    place: tuple[float, float],
    cell: float,
    picture: NDArray[np.uint8],
    share: float,
    largest: float,
    theme: Theme,
) -> None:
    left, top = place
    bottom = top + cell * picture.shape[0] / picture.shape[1]
    canvas.imshow(picture, extent=(left, left + cell, bottom, top), aspect="auto", interpolation="hanning")
    bottom += _GAP / 2
    canvas.add_patch(Rectangle((left, bottom), cell, _BAR, color=theme.grid, linewidth=0))
    if share > 0:
        canvas.add_patch(Rectangle((left, bottom), cell * share / largest, _BAR, color=theme.accents[0], linewidth=0))
    canvas.text(left + cell / 2, bottom + _BAR + _GAP / 2, f"{share:.0%}", size=SMALL, va="top", ha="center")


def _draw_curves(sheet: Sheet, top: float, curves: Curves, emotion: str) -> None:
    theme = sheet.theme
    panels = (
        ("Deletion", "blurred", curves.deletion, curves.random_deletion),
        ("Insertion", "sharp", curves.insertion, curves.random_insertion),
    )
    left, width = 0.42, (WIDTH - 3 * 0.42) / 2 + 0.1
    for number, (title, done, own, random) in enumerate(panels):
        axes = sheet.axes(left + number * (width + 0.42), top + 2 * TEXT * LINE, width, _PANEL, grid="y")
        axes.plot(curves.shares, random.T, color=theme.muted, linewidth=0.7)
        axes.plot(curves.shares, own, color=theme.accents[0], linewidth=1.8)
        axes.set(xlim=(0, 1), ylim=(0, 1), xticks=(0, 0.5, 1), yticks=(0, 0.5, 1))
        axes.set_xlabel(f"share {done}", size=SMALL)
        if number == 0:
            axes.set_ylabel("probability", size=SMALL)
        areas = curves.area(random)
        where: Any = {"transform": axes.transAxes, "size": TEXT, "va": "bottom"}
        axes.text(0, 1.24, f"{title}: area {curves.area(own):.2f}", color=theme.accents[0], weight="bold", **where)
        axes.text(0, 1.06, f"random maps: {areas.min():.2f} to {areas.max():.2f}", color=theme.muted, **where)
