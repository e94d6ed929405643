"""Which subjects are hard: the clips of each, the hardest first."""

from __future__ import annotations

from collections.abc import Mapping
from math import ceil

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from fer3d.evaluation.measures import HARDEST_FIRST, Score, hardest_first
from fer3d.reporting.theme import LIGHT, LINE, MARGIN, SMALL, TEXT, WIDTH, Theme, drawing, new_sheet, text_width, wrap

_WIDE = WIDTH - 2 * MARGIN

# Inches.
_ROW = 0.165
_BAR = 0.09
_SUMMARY_BAR = 0.16
_GAP = 0.08
_COLUMN_GAP = 0.22
_MIN_BAR = 0.45
_MIN_CLIP = 0.05

_MAX_COLUMNS = 3
_ROWS_WORTH_A_COLUMN = 10


def subjects_figure(per_subject: Mapping[str, Score], title: str, caution: str = "", theme: Theme = LIGHT) -> Figure:
    """Draws how many clips of each subject were right.

    The bar on top shows how many subjects have all their clips right; they need no bar of their own. The others follow
    in the order of `hardest_first`, column by column; a bar is divided into the subject's clips while they can be seen.

    Args:
        per_subject: Each subject's score.
        title: What the figure shows.
        caution: `SYNTHETIC data` and the like, or nothing.
        theme: The colours.

    Raises:
        ValueError: There are no subjects.
    """
    if not per_subject:
        raise ValueError("there are no subjects to draw")
    hard = hardest_first(per_subject)
    right = Score(len(per_subject) - len(hard), len(per_subject))
    followed = f"; the others, {HARDEST_FIRST}:" if hard else ""
    summary = wrap(f"{right.num_correct} of {right.num_clips} subjects have all clips right{followed}", TEXT, _WIDE)
    names = max((text_width(name, SMALL) for name in hard), default=0.0) + _GAP
    numbers = max((text_width(_number(score), SMALL) for score in hard.values()), default=0.0) + _GAP
    fitting = int((_WIDE + _COLUMN_GAP) / (names + _MIN_BAR + numbers + _COLUMN_GAP))
    num_columns = max(1, min(_MAX_COLUMNS, fitting, ceil(len(hard) / _ROWS_WORTH_A_COLUMN)))
    num_rows = ceil(len(hard) / num_columns)
    step = (_WIDE + _COLUMN_GAP) / num_columns
    width = step - _COLUMN_GAP - names - numbers
    above = len(summary) * TEXT * LINE + _SUMMARY_BAR + 2 * _GAP
    with drawing(theme):
        sheet = new_sheet(theme, title, caution, above + num_rows * _ROW + MARGIN)
        canvas = sheet.canvas()
        canvas.text(MARGIN, 0, "\n".join(summary), va="top")
        _draw_bar(canvas, (MARGIN, above - _SUMMARY_BAR - _GAP), (_WIDE, _SUMMARY_BAR), right, theme)
        for place, (name, score) in enumerate(hard.items()):
            column, row = divmod(place, num_rows)
            left, middle = MARGIN + column * step, above + (row + 0.5) * _ROW
            canvas.text(left, middle, name, size=SMALL, va="center_baseline")
            _draw_bar(canvas, (left + names, middle - _BAR / 2), (width, _BAR), score, theme)
            number_left = left + names + width + _GAP
            canvas.text(number_left, middle, _number(score), size=SMALL, color=theme.muted, va="center_baseline")
    return sheet.figure


def _number(score: Score) -> str:
    return f"{score.num_correct}/{score.num_clips}"


def _draw_bar(
    canvas: Axes, corner: tuple[float, float], extent: tuple[float, float], score: Score, theme: Theme
) -> None:
    """Draws a bar whose coloured part is what was right, with thin lines between its clips."""
    (left, top), (width, height) = corner, extent
    canvas.add_patch(Rectangle(corner, width, height, facecolor=theme.grid, linewidth=0))
    canvas.add_patch(Rectangle(corner, width * score.accuracy, height, facecolor=theme.accents[0], linewidth=0))
    if width / score.num_clips >= _MIN_CLIP:
        borders = [left + width * clip / score.num_clips for clip in range(1, score.num_clips)]
        canvas.vlines(borders, top, top + height, colors=theme.paper, linewidth=1)
