"""Tables of many entries: which runs they are, their results and cost, and the tests of all pairs."""

from __future__ import annotations

from collections.abc import Sequence
from math import isnan

from fer3d.evaluation.comparison_tables import p_value
from fer3d.evaluation.entries import Entry
from fer3d.evaluation.ranking import Ranking, Standing
from fer3d.evaluation.tables import Table, percent

_COSTS = ("parameters", "GFLOP", "clips/s", "s/fold")
_COSTS_NOTE = "GFLOP: to predict a clip. Clips/s: training clips. A dash: the results do not tell."


def costs_table(entries: Sequence[Entry], caution: str = "") -> Table:
    """The seeds of each entry, and what it costs."""
    rows = tuple((entry.label, ", ".join(map(str, entry.seeds)), *_costs(entry)) for entry in entries)
    return Table("Entries and their cost", ("", "seeds", *_COSTS), rows, _costs_note(entries), caution)


def standings_table(ranking: Ranking, *, costs: bool = False) -> Table:
    """The entries' results, the best first.

    Args:
        ranking: The ranking.
        costs: Whether the costs follow in the same row, where a table may be that wide.
    """
    entries = [standing.entry for standing in ranking.standings]
    several = len(entries[0].runs) > 1
    note = f"Pooled accuracy, with Wilson's interval{', its bounds the means over seeds' if several else ''}. " + (
        "Rank: mean over folds and seeds; ±: standard deviation over seeds." if several else "Rank: mean over folds."
    )
    return Table(
        title=f"Accuracy{' and cost' if costs else ''}, {ranking.protocol.title}",
        columns=("", "accuracy", "95% interval", "UAR", "rank", *(_COSTS if costs else ())),
        rows=tuple(
            (*_standing_row(standing), *(_costs(standing.entry) if costs else ())) for standing in ranking.standings
        ),
        note=f"{note} {_costs_note(entries)}" if costs else note,
        caution=ranking.caution,
    )


def pairs_table(ranking: Ranking) -> Table:
    """The tests of all pairs."""
    rows = tuple(
        (
            f"{pair.first}, {pair.second}",
            points_text(pair.folds.mean_difference),
            p_value(pair.t_holm),
            f"{pair.clips.only_first} to {pair.clips.only_second}",
            p_value(pair.mcnemar_holm),
        )
        for pair in ranking.pairs
    )
    return Table(
        title=f"All pairs, {ranking.protocol.title}: Holm-corrected p-values",
        columns=("first, second", "points", "corrected t", "clips", "McNemar"),
        rows=rows,
        note=f"Points: percentage points, first less second, in the mean over folds. {tests_note(ranking)}",
        caution=ranking.caution,
    )


def pairs_matrix(ranking: Ranking) -> Table:
    """The tests of all pairs, an entry a row and a column."""
    labels = [standing.label for standing in ranking.standings]
    cells = {
        (pair.first, pair.second): (
            f"{points_text(pair.folds.mean_difference)} ({p_value(pair.t_holm)}; {p_value(pair.mcnemar_holm)})"
        )
        for pair in ranking.pairs
    }
    return Table(
        title=f"All pairs, {ranking.protocol.title}: points and Holm-corrected p-values",
        columns=("", "better than", *labels[1:]),
        rows=tuple(
            (
                label,
                f"{len(ranking.beaten_by(label))} of {len(labels) - 1}",
                *(cells.get((label, other), "") for other in labels[1:]),
            )
            for label in labels
        ),
        note=(
            "Percentage points, row less column, in the mean over folds; in brackets the p-values of the corrected "
            f"t-test and of McNemar's. {tests_note(ranking)}"
        ),
        caution=ranking.caution,
    )


def tests_note(ranking: Ranking) -> str:
    """How the pairs are tested, and which test decides."""
    if ranking.test == "t_corrected":
        advice = "The corrected t-test (Nadeau and Bengio) over folds decides, since folds share training clips."
    elif len(ranking.standings[0].entry.runs[0].folds) == 1:
        advice = "McNemar's exact test over clips decides, since a single fold has no variance."
    else:
        advice = "McNemar's exact test over clips decides, since LOSO folds are too small and unequal for t-tests."
    if len(ranking.standings[0].accuracies) > 1:
        advice += " A fold's accuracy is the mean over seeds; a clip counts once, for the entry right under more seeds."
    return f"{advice} p-values are corrected for the number of pairs, {len(ranking.pairs)} (Holm)."


def points_text(difference: float) -> str:
    """A difference of accuracies in percentage points; a dash for NaN."""
    if isnan(difference):
        return "-"
    # Rounded twice, so that 22 of 320 clips are 6.88 points however they were summed up, and nothing is -0.
    return f"{round(100 * difference, 9) + 0.0:+.2f}"


def _standing_row(standing: Standing) -> tuple[str, ...]:
    spread = "" if standing.deviation is None else f" ± {percent(standing.deviation)}"
    interval = " to ".join(map(percent, standing.interval))
    accuracy = f"{percent(standing.accuracy)}{spread}"
    return standing.label, accuracy, interval, percent(standing.uar), f"{standing.mean_rank:.2f}"


def _costs(entry: Entry) -> tuple[str, ...]:
    return _count(entry.num_parameters), *map(_number, (entry.gflop, entry.clips_per_second, entry.seconds))


def _costs_note(entries: Sequence[Entry]) -> str:
    devices = sorted({device for entry in entries for device in entry.devices})
    different = f" Times are from different devices ({', '.join(devices)}): do not compare them."
    return f"{_COSTS_NOTE}{different if len(devices) > 1 else ''}"


def _count(value: int | None) -> str:
    if value is None:
        return "-"
    return f"{value / 1e6:.2f} M" if value >= 1e6 else f"{value:,.0f}"


def _number(value: float | None) -> str:
    """Three digits, which is as far as a measured time goes; thousands in full."""
    if value is None:
        return "-"
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
