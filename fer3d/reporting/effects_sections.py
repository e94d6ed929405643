"""The part of the page that shows what changes of the settings do, as pictures and tables."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite

from matplotlib.figure import Figure

from fer3d.evaluation.effects import Effects
from fer3d.evaluation.protocols import LAST_EPOCH
from fer3d.evaluation.ranking import LEVEL
from fer3d.evaluation.tables import Table
from fer3d.reporting.page import DataTable, Part, Section, draw, slug
from fer3d.reporting.runs import ReportRun
from fer3d.reporting.theme import ACCENTS, INK, LINE, PAPER, SMALL, new_figure, style


@dataclass(frozen=True)
class EffectsWing:
    """Puts effects before all other sections of a report."""

    effects: Sequence[Effects]
    beside: Sequence[Table] = ()  # tables after them
    title = "and what each change does"

    def check(self, runs: Sequence[ReportRun]) -> None:
        """Effects stand for themselves: any runs may follow."""

    def opening(self, runs: Sequence[ReportRun]) -> tuple[Section, ...]:
        """One section with a picture and a table for each set of changes."""
        parts: list[Part] = []
        for effects in self.effects:
            table = effects.table()
            said = "; ".join(f"{label}: {points} points, {interval}" for label, _, points, interval, *_ in table.rows)
            parts.append(
                draw(
                    f"effects-{slug(effects.title)}",
                    f"{table.heading}. {said}.",
                    "Points gained or lost, with the corrected 95 % interval. Filled: Holm-corrected p below "
                    f"{LEVEL:g}. An interval that holds 0 shows no effect, nor that there is none.",
                    effects_figure(effects),
                )
            )
            parts.append(DataTable(table))
        parts += map(DataTable, self.beside)
        caution = ", ".join(dict.fromkeys(effects.caution for effects in self.effects if effects.caution))
        return (Section("effects", "What each change does", tuple(parts), caution),)

    def closing(self, runs: Sequence[ReportRun]) -> tuple[Section, ...]:
        """Nothing."""
        return ()


@style()
def effects_figure(effects: Effects) -> Figure:
    """Draws the percentage points that each change gains, with their corrected intervals, one row a change.

    A point is filled where the Holm-corrected p-value shows a difference.
    """
    row = SMALL * LINE + 0.1
    figure = new_figure(f"{effects.title}, {LAST_EPOCH.title}", effects.caution, row * len(effects.effects) + 0.5)
    axes = figure.subplots()
    axes.axvline(0, color=INK, linewidth=0.8)
    for place, effect in enumerate(effects.effects):
        low, high = (100 * bound for bound in effect.tests.interval_corrected)
        if isfinite(low):
            axes.plot([low, high], [place, place], color=ACCENTS[0], linewidth=1.4, zorder=2)
        paint = ACCENTS[0] if effect.p_holm < LEVEL else PAPER
        axes.plot(
            100 * effect.tests.mean_difference, place, "o", color=ACCENTS[0], markerfacecolor=paint, markersize=6,
            markeredgewidth=1.4, zorder=3,
        )  # fmt: skip
    axes.set(ylim=(len(effects.effects) - 0.5, -0.5), xlabel="points, 95 % interval")
    axes.set_yticks(range(len(effects.effects)), [effect.change.label for effect in effects.effects])
    axes.grid(axis="x")
    return figure
