"""The part of the page that compares three or more entries: their accuracy and cost, and what differs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from fer3d.evaluation.comparison import held_out_clips
from fer3d.evaluation.entries import entries_of, group_seeds
from fer3d.evaluation.protocols import BEST_EPOCH, LAST_EPOCH
from fer3d.evaluation.ranking import Ranking
from fer3d.evaluation.ranking_tables import pairs_matrix, standings_table
from fer3d.evaluation.run_results import EvaluationError
from fer3d.evaluation.tables import Table, percent
from fer3d.reporting.page import DataTable, Facts, Part, Picture, Prose, Section, draw, side_by_side, slug
from fer3d.reporting.ranking_figures import bars_text, cost_figure, priced, ranks_figure, unpriced_text
from fer3d.reporting.runs import ReportRun, alike

# The epoch protocols under which entries are compared, the honest one first; its ranking is drawn, too.
_COMPARED = (LAST_EPOCH, BEST_EPOCH)
_LEAST = 3  # entries; two are a pair


@dataclass(frozen=True)
class RankedRuns:
    """Runs that hold out the same clips in the same folds, as at least three entries.

    Attributes:
        runs: The runs.
        rankings: The rankings of their entries, one for each epoch protocol.
    """

    runs: tuple[ReportRun, ...]
    rankings: tuple[Ranking, ...]


def rank_runs(runs: Sequence[ReportRun]) -> tuple[list[RankedRuns], list[str]]:
    """Compares the runs that share clips and folds, if they are at least three entries; says why others cannot be."""
    ranked: list[RankedRuns] = []
    reasons: list[str] = []
    for group in _sharing_clips(runs):
        named = [one.renamed for one in group]
        try:
            if len(named) < _LEAST or len(group_seeds(named)) < _LEAST:
                continue
            entries = entries_of(named)
        except EvaluationError as error:
            reasons.append(f"{error}.")
            continue
        ranked.append(RankedRuns(tuple(group), tuple(Ranking.of(entries, protocol) for protocol in _COMPARED)))
    return ranked, reasons


def ranking_part(ranked: RankedRuns, number: int) -> Section:
    """What the rankings of some runs show; `number`, from 0, is that of the part on its page."""
    drawn, *_ = ranked.rankings
    one = ranked.runs[0]
    name = slug(f"{one.run.corpus} {one.run.cross_validation} {number + 1 if number else ''}")
    entries = sorted((standing.entry for standing in drawn.standings), key=lambda entry: entry.label)
    made_of = Facts(tuple((entry.label, ", ".join(str(run.folder) for run in entry.runs)) for entry in entries))
    parts: list[Part] = [] if all(value == label for label, value in made_of.pairs) else [made_of]
    for ranking in ranked.rankings:
        parts += [Prose(ranking.sentence), _marked(standings_table(ranking, costs=True), ranking)]
        parts += side_by_side(list(_pictures(ranking, name))) if ranking is drawn else ()
        parts.append(_marked(pairs_matrix(ranking), ranking))
    title = f"{len(entries)} entries on {one.corpus_title}, {one.run.cross_validation}"
    return Section(f"comparison-{name}", title, tuple(parts), drawn.caution)


def _sharing_clips(runs: Sequence[ReportRun]) -> Iterator[list[ReportRun]]:
    for group in alike(runs):
        found: dict[frozenset[tuple[str, tuple[int, str]]], list[ReportRun]] = {}
        for one in group:
            found.setdefault(frozenset(held_out_clips(one.run).items()), []).append(one)
        yield from found.values()


def _marked(table: Table, ranking: Ranking) -> DataTable:
    """A table with a row for each entry, and each row's caution beside it."""
    cautions = {standing.label: standing.entry.caution for standing in ranking.standings}
    return DataTable(table, cautions={number: cautions[row[0]] for number, row in enumerate(table.rows)})


def _pictures(ranking: Ranking, name: str) -> Iterator[Picture]:
    caution = f" {ranking.caution}." if ranking.caution else ""
    if shown := priced(ranking):
        said = "; ".join(
            f"{standing.label}: {percent(standing.accuracy)} with {standing.entry.gflop:.3g} GFLOP"
            for standing in shown
            if standing.entry.gflop
        )
        yield draw(
            f"accuracy-cost-{name}",
            f"Accuracy against cost, {ranking.protocol.title}. {said}.{caution}",
            f"Pooled accuracy with its interval, and what it costs to predict a clip. {unpriced_text(ranking)}".strip(),
            cost_figure(ranking),
        )
    ranks = "; ".join(f"{standing.label}: {standing.mean_rank:.2f}" for standing in ranking.standings)
    yield draw(
        f"mean-ranks-{name}",
        f"Mean ranks, {ranking.protocol.title}. {ranks}.{caution}",
        bars_text(ranking),
        ranks_figure(ranking),
    )
