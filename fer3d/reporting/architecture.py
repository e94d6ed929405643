"""Drawings of networks like the paper's Figures 3 and 4."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from matplotlib.axes import Axes
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch

from fer3d.reporting.network_blocks import Block, describe_network
from fer3d.reporting.theme import LIGHT, LINE, MARGIN, SMALL, WIDTH, Theme, drawing, new_sheet, wrap

__all__ = ["Block", "architecture_figure", "describe_network"]

_COLUMNS = 4

# Inches.
_GUTTER = 0.14
_GAP = 0.18
_PADDING = 0.05
_BELOW = 2 * SMALL * LINE + 0.04
_CHANNEL = 0.2
_BOX = (WIDTH - 2 * MARGIN - 2 * _GUTTER - (_COLUMNS - 1) * _GAP) / _COLUMNS

# Which accent a kind of block has; the others are grey.
_ACCENTS = {"conv": 0, "pool": 2, "linear": 1, "output": 3}


def architecture_figure(blocks: Sequence[Block], title: str, caution: str = "", theme: Theme = LIGHT) -> Figure:
    """Draws a network as boxes in the order of the data, row by row.

    Below each box stand the shape of what leaves it and the number of its parameters, below all of them the total.

    Args:
        blocks: The network, as `describe_network` returns it.
        title: What the figure shows.
        caution: `SYNTHETIC data` and the like, or nothing.
        theme: The colours.

    Raises:
        ValueError: There are no blocks.
    """
    if not blocks:
        raise ValueError("there are no blocks to draw")
    texts = [_wrapped(block.lines) for block in blocks]
    places, height = _places(texts)
    notes = wrap(_note(blocks), SMALL, WIDTH - 2 * MARGIN)
    with drawing(theme):
        sheet = new_sheet(theme, title, caution, height + len(notes) * SMALL * LINE + MARGIN)
        canvas = sheet.canvas()
        for block, text, place in zip(blocks, texts, places, strict=True):
            _draw_block(canvas, block, text, place, theme)
        for (_, before), (block, after) in pairwise(zip(blocks, places, strict=True)):
            if block.output_shape:  # not what comes last beside the data's way
                _draw_arrow(canvas, before, after, theme)
        canvas.text(MARGIN, height, "\n".join(notes), size=SMALL, va="top")
    return sheet.figure


@dataclass(frozen=True, slots=True)
class _Place:
    left: float
    top: float
    height: float

    @property
    def middle(self) -> float:
        return self.top + self.height / 2

    @property
    def right(self) -> float:
        return self.left + _BOX


def _wrapped(lines: Sequence[str]) -> list[str]:
    return [part for line in lines for part in wrap(line, SMALL, _BOX - 2 * _PADDING, bold=True)]


def _places(texts: Sequence[Sequence[str]]) -> tuple[list[_Place], float]:
    """Returns where the boxes are, those of a row of equal height, and where they end."""
    places, top = [], 0.02
    for start in range(0, len(texts), _COLUMNS):
        row = texts[start : start + _COLUMNS]
        height = max(map(len, row)) * SMALL * LINE + 2 * _PADDING
        places += [_Place(MARGIN + _GUTTER + column * (_BOX + _GAP), top, height) for column in range(len(row))]
        top += height + _BELOW + _CHANNEL
    return places, top


def _draw_block(canvas: Axes, block: Block, text: Sequence[str], place: _Place, theme: Theme) -> None:
    colour = theme.accents[_ACCENTS[block.kind]] if block.kind in _ACCENTS else theme.muted
    frame = FancyBboxPatch(
        (place.left, place.top),
        _BOX,
        place.height,
        boxstyle="round,pad=0,rounding_size=0.04",
        facecolor=to_rgba(colour, 0.14),
        edgecolor=colour,
        linestyle="--" if block.kind == "dropout" else "-",
        linewidth=1.1,
    )
    canvas.add_patch(frame)
    centre = place.left + _BOX / 2
    top = place.middle - len(text) * SMALL * LINE / 2
    num_bold = len(_wrapped(block.lines[:1]))
    for number, line in enumerate(text):
        weight = "bold" if number < num_bold else "normal"
        y = top + (number + 0.5) * SMALL * LINE
        canvas.text(centre, y, line, size=SMALL, weight=weight, ha="center", va="center_baseline")
    below = ["x".join(map(str, block.output_shape))] if block.output_shape else []
    if block.num_parameters:
        below.append(f"{_rounded(block.num_parameters)} params")
    canvas.text(
        centre, place.top + place.height + 0.04, "\n".join(below), size=SMALL, color=theme.muted, ha="center", va="top"
    )


def _draw_arrow(canvas: Axes, before: _Place, after: _Place, theme: Theme) -> None:
    """Draws the way to the next box; to the next row it runs below this one."""
    bend = after.top - _CHANNEL / 2
    way = [(before.right, before.middle), (after.left, after.middle)]
    if after.top > before.top:
        right, left = before.right + _GUTTER / 2, after.left - _GUTTER
        way[1:1] = [(right, before.middle), (right, bend), (left, bend), (left, after.middle)]
    style = {"arrowstyle": "-|>", "color": theme.muted, "linewidth": 1, "shrinkA": 0, "shrinkB": 0, "mutation_scale": 7}
    canvas.plot(*zip(*way[:-1], strict=True), color=theme.muted, linewidth=1, solid_joinstyle="round")
    canvas.annotate("", way[-1], way[-2], arrowprops=style)


def _note(blocks: Sequence[Block]) -> str:
    total = sum(block.num_parameters for block in blocks)
    shape = "channels x frames x height x width" if len(blocks[0].output_shape) == 4 else "without the batch"
    return f"{total:,} parameters. Below each box: the shape of what leaves it ({shape}) and its parameters."


def _rounded(number: int) -> str:
    """Returns a number of parameters with three digits that mean something."""
    for unit, size in (("M", 10**6), ("k", 10**3)):
        if number >= size:
            return f"{number / size:.{max(0, 3 - len(str(number // size)))}f} {unit}"
    return str(number)
