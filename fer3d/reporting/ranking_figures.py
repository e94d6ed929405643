"""Figures of many entries: accuracy against cost, and mean ranks with bars over what is not shown to differ."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from math import ceil, floor
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator, PercentFormatter

from fer3d.evaluation.ranking import Ranking, Standing
from fer3d.reporting.theme import ACCENTS, INK, LINE, MUTED, PAPER, SMALL, new_figure, style

_ROW = SMALL * LINE + 0.03  # inches of a label's line
_BAR = 0.1  # inches between the bars of groups
_AXIS = 0.5  # inches of an axis's numbers and its name
_WIDEST = 24  # characters in a line of a label


@style()
def cost_figure(ranking: Ranking) -> Figure:
    """Draws pooled accuracy with its interval against the GFLOP of a clip, a point for each entry that tells them.

    At least one entry must tell its GFLOP.
    """
    figure = new_figure(f"Accuracy against cost, {ranking.protocol.title}", ranking.caution, _cost_height(ranking))
    _draw_cost(figure.subplots(), ranking)
    return figure


@style()
def ranks_figure(ranking: Ranking) -> Figure:
    """Draws mean ranks as Demšar's critical-difference diagram does (Journal of Machine Learning Research 7, 2006).

    But folds of one corpus are not independent data sets, as the Nemenyi test of that diagram takes them to be. So a
    bar joins entries, each with a dot, among which the ranking's pairwise tests show no difference.
    """
    figure = new_figure(f"Mean ranks, {ranking.protocol.title}", ranking.caution, _ranks_height(ranking))
    _draw_ranks(figure.subplots(), ranking)
    return figure


@style()
def ranking_figure(ranking: Ranking) -> Figure:
    """Draws `cost_figure` above `ranks_figure` in one picture, with a note; only the latter if no GFLOP are known."""
    costs = bool(priced(ranking))
    title = f"{'Accuracy against cost, and mean ranks' if costs else 'Mean ranks'}, {ranking.protocol.title}"
    heights = [*([_cost_height(ranking)] if costs else []), _ranks_height(ranking)]
    figure = new_figure(title, ranking.caution, sum(heights), f"{bars_text(ranking)} {unpriced_text(ranking)}")
    parts = figure.subfigures(len(heights), squeeze=False, height_ratios=heights)[:, 0]
    if costs:
        _draw_cost(parts[0].subplots(), ranking)
    _draw_ranks(parts[-1].subplots(), ranking)
    return figure


def priced(ranking: Ranking) -> list[Standing]:
    """The entries whose results tell their GFLOP."""
    return [standing for standing in ranking.standings if standing.entry.gflop]


def unpriced_text(ranking: Ranking) -> str:
    """Which entries the cost figure lacks, and why; empty if none."""
    names = [standing.label for standing in ranking.standings if standing not in priced(ranking)]
    return f"Without a known cost, since the results do not tell GFLOP: {', '.join(names)}." if names else ""


def bars_text(ranking: Ranking) -> str:
    """What the bars of the ranks figure mean."""
    return (
        f"A bar joins entries (dots) among which no difference is shown: {ranking.test_name} of each pair, "
        "Holm-corrected. It is no Nemenyi critical difference, since folds of one corpus are not independent data sets."
    )


def _cost_height(ranking: Ranking) -> float:
    return _AXIS + max(2.2, _ROW * sum(map(_lines, priced(ranking))))


def _ranks_height(ranking: Ranking) -> float:
    half = ceil(len(ranking.standings) / 2)
    by_rank = _by_rank(ranking)
    rows = max(sum(map(_lines, by_rank[:half])), sum(map(_lines, by_rank[half:])))
    return _AXIS + _BAR * (len(ranking.groups) + 1.5) + _ROW * rows


def _draw_cost(axes: Axes, ranking: Ranking) -> None:
    shown = priced(ranking)
    costs = [standing.entry.gflop or 0 for standing in shown]
    look = _look(ranking)
    for standing, cost in zip(shown, costs, strict=True):
        axes.plot([cost, cost], standing.interval, color=look["color"], linewidth=1.2, alpha=0.5, zorder=2)
        axes.plot(cost, standing.accuracy, **look, zorder=3)
    axes.set_xscale("log")
    low, high = min(costs) / 1.6, max(costs) * 1.6
    axes.set(xlim=(low, high), xlabel="GFLOP to predict a clip", ylabel="pooled accuracy, 95 % interval")
    axes.xaxis.set_major_locator(LogLocator(subs=(1.0,) if high / low > 300 else (1.0, 2.0, 5.0), numticks=9))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))
    axes.yaxis.set_major_formatter(PercentFormatter(1, symbol=" %"))
    axes.grid(axis="y")
    bottom, top = axes.get_ylim()
    row = _ROW / (_cost_height(ranking) - _AXIS)
    wanted = [(standing.accuracy - bottom) / (top - bottom) for standing in shown]
    for standing, cost, place in zip(shown, costs, _spread(wanted, [row * _lines(it) for it in shown]), strict=True):
        axes.text(1.04, place, _label(standing), size=SMALL, va="center", transform=axes.transAxes)
        # A line from the label to its point, which may be far.
        axes.annotate(
            "", (cost, standing.accuracy), (1.03, place), "data", "axes fraction", annotation_clip=False,
            arrowprops={"arrowstyle": "-", "color": MUTED, "linewidth": 0.5, "shrinkA": 0, "shrinkB": 0, "zorder": 1},
        )  # fmt: skip


def _draw_ranks(axes: Axes, ranking: Ranking) -> None:
    ordered = _by_rank(ranking)
    ranks = {standing.label: standing.mean_rank for standing in ordered}
    low = floor(ordered[0].mean_rank)
    high = max(ceil(ordered[-1].mean_rank), low + 1)
    top = _BAR * (len(ranking.groups) + 1.5)  # inches from the axis down to the first label
    look = _look(ranking)
    half = ceil(len(ordered) / 2)
    for side, edge, standings in ((0, low, ordered[:half]), (1, high, ordered[half:][::-1])):
        down = top
        for standing in standings:
            middle = down + _ROW * _lines(standing) / 2
            axes.plot([standing.mean_rank] * 2 + [edge], [0, middle, middle], color=MUTED, linewidth=0.8, zorder=1)
            axes.text(
                1.02 if side else -0.02, middle, _label(standing, f"{standing.mean_rank:.2f}"), size=SMALL,
                ha="left" if side else "right", va="center", transform=axes.get_yaxis_transform(),
            )  # fmt: skip
            down += _ROW * _lines(standing)
    for level, group in enumerate(ranking.groups, start=1):
        places = [ranks[label] for label in group]
        height = _BAR * level
        axes.plot([min(places), max(places)], [height] * 2, color=INK, linewidth=2.2, solid_capstyle="butt", zorder=2)
        axes.plot(places, [height] * len(places), **look | {"linestyle": "none", "markersize": 5}, zorder=3)
    height = _ranks_height(ranking) - _AXIS
    axes.set(xlim=(low, high), ylim=(height, 0), yticks=[], xlabel="mean rank (1 is best)")
    axes.xaxis.set_label_position("top")
    axes.xaxis.tick_top()
    axes.xaxis.set_major_locator(MaxNLocator(12, integer=True, steps=[1, 2, 5, 10]))
    axes.spines[["left", "bottom"]].set_visible(False)
    axes.spines["top"].set_visible(True)


def _by_rank(ranking: Ranking) -> list[Standing]:
    return sorted(ranking.standings, key=lambda standing: standing.mean_rank)


def _look(ranking: Ranking) -> dict[str, Any]:
    """The marker of a point: hollow where the held-out clips chose the epoch, as in `protocols_figure`."""
    optimistic = ranking.protocol.optimistic
    colour = ACCENTS[1] if optimistic else ACCENTS[0]
    paint = PAPER if optimistic else colour
    return {
        "marker": "o", "color": colour, "markerfacecolor": paint, "markersize": 6, "markeredgewidth": 1.4,
        "clip_on": False,
    }  # fmt: skip


def _label(standing: Standing, number: str = "") -> str:
    return textwrap.fill(f"{standing.label}  {number}".rstrip(), _WIDEST)


def _lines(standing: Standing) -> int:
    return _label(standing, "0.00").count("\n") + 1


def _spread(wanted: Sequence[float], heights: Sequence[float]) -> list[float]:
    """Places of labels in falling order, as near to the wanted ones as their heights allow, from 1 down to 0."""
    places = list(wanted)
    ceiling = 1.0
    for index, height in enumerate(heights):
        places[index] = min(places[index], ceiling - height / 2)
        ceiling = places[index] - height / 2
    ground = 0.0
    for index in reversed(range(len(heights))):
        places[index] = max(places[index], ground + heights[index] / 2)
        ground = places[index] + heights[index] / 2
    return places
