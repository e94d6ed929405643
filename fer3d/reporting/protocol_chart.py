"""How much the choice of the epoch changes a run's accuracy: one dot a run and epoch protocol."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from fer3d.evaluation.measures import Score
from fer3d.evaluation.protocols import PROTOCOLS, EpochProtocol
from fer3d.reporting.theme import LIGHT, LINE, MARGIN, SMALL, TEXT, WIDTH, Theme, drawing, new_sheet, wrap

_TITLE = "Accuracy under each epoch protocol"
_NOTES = (
    "Clips right of all held-out clips, with Wilson's 95 % interval.",
    "Hollow and dashed: the held-out clips themselves chose the epoch (optimistic).",
)

# Inches.
_NAMES = 1.5
_NUMBERS = 1.3
_ROW = 0.32
_GAP = 0.12
_AXIS = 0.3

_MARKERS = ("D", "s", "o", "^")


def protocols_figure(
    scores: Mapping[str, Mapping[EpochProtocol, Score]], caution: str = "", theme: Theme = LIGHT
) -> Figure:
    """Draws the pooled accuracy of runs under each epoch protocol, with Wilson's 95 % intervals.

    A protocol by which held-out clips choose the epoch has a hollow marker on a dashed line, and says so.

    Args:
        scores: For the label of each run, its pooled score under each of its protocols.
        caution: `SYNTHETIC data` and the like, or nothing.
        theme: The colours.

    Raises:
        ValueError: There are no scores.
    """
    everything = [score for run in scores.values() for score in run.values()]
    if not everything:
        raise ValueError("there are no scores to draw")
    labels = {run: wrap(run, TEXT, WIDTH - 2 * MARGIN, bold=True) for run in scores}
    height = sum(len(labels[run]) * TEXT * LINE + len(scores[run]) * _ROW + _GAP for run in scores)
    with drawing(theme):
        sheet = new_sheet(theme, _TITLE, caution, height + _AXIS + len(_NOTES) * SMALL * LINE + MARGIN)
        axes = sheet.axes(_NAMES, 0, WIDTH - _NAMES - _NUMBERS, height, grid="x")
        axes.set(ylim=(height, 0), xlim=_limits(everything), yticks=[])
        axes.spines["left"].set_visible(False)
        axes.xaxis.set_major_locator(MaxNLocator(4, steps=[1, 2, 5, 10]))
        axes.xaxis.set_major_formatter(PercentFormatter(1, decimals=0, symbol=" %"))
        canvas = sheet.canvas()
        top = 0.0
        for run, by_protocol in scores.items():
            for line in labels[run]:
                canvas.text(MARGIN, top, line, size=TEXT, weight="bold", va="top")
                top += TEXT * LINE
            for protocol, score in by_protocol.items():
                _draw_score(axes, canvas, top + _ROW / 2, protocol, score, theme)
                top += _ROW
            top += _GAP
        for number, note in enumerate(_NOTES):
            canvas.text(MARGIN, top + _AXIS + number * SMALL * LINE, note, size=SMALL, color=theme.muted, va="top")
    return sheet.figure


def _limits(scores: Sequence[Score]) -> tuple[float, float]:
    low = min(score.interval()[0] for score in scores)
    high = max(score.interval()[1] for score in scores)
    margin = 0.06 * (high - low)
    return max(low - margin, -0.01), min(high + margin, 1.01)


def _draw_score(axes: Axes, canvas: Axes, y: float, protocol: EpochProtocol, score: Score, theme: Theme) -> None:
    place = PROTOCOLS.index(protocol) if protocol in PROTOCOLS else len(PROTOCOLS)
    colour = theme.accents[1] if protocol.optimistic else theme.accents[0]
    low, high = score.interval()
    axes.plot(
        [low, high], [y, y], color=colour, linewidth=1.6, linestyle=(0, (2.5, 1.5)) if protocol.optimistic else "-"
    )
    axes.plot(
        [score.accuracy],
        [y],
        marker=_MARKERS[place % len(_MARKERS)],
        markersize=6,
        markeredgewidth=1.4,
        markeredgecolor=colour,
        markerfacecolor=theme.paper if protocol.optimistic else colour,
        clip_on=False,
    )
    name = "\n".join(wrap(protocol.title, SMALL, _NAMES - 3 * MARGIN))
    canvas.text(2 * MARGIN, y, name, size=SMALL, va="center", linespacing=1.15)
    numbers = f"{score.accuracy:.1%} [{100 * low:.1f}, {100 * high:.1f}]".replace("%", " %")
    canvas.text(WIDTH - MARGIN, y, numbers, size=SMALL, va="center", ha="right")
