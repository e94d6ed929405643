"""Tables of paired comparisons: the paper's Tables 4 and 5 with ours beside them, and all pairs of runs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from math import isnan, nan

from fer3d.evaluation.comparison import Comparison
from fer3d.evaluation.comparison_tables import p_value
from fer3d.evaluation.protocols import BEST_EPOCH, LAST_EPOCH, EpochProtocol
from fer3d.evaluation.run_results import EvaluationError
from fer3d.evaluation.significance import FoldTests, compare_folds
from fer3d.evaluation.tables import Table
from fer3d.paper.printed import TABLE_4, TABLE_5, TEN_FOLD, FoldTable
from fer3d.paper.tables import (
    PAPER_CORPORA,
    beside_paper,
    paper_name,
    row_label,
    runs_beside,
)
from fer3d.reporting.parts import DataTable
from fer3d.reporting.report_runs import CORPUS_TITLES, ReportRun, alike, joint_caution

_NUM_FOLDS = 10
# Held-out clips for each training clip, with ten equal folds.
_RATIO = 1 / (_NUM_FOLDS - 1)
# The configuration that is to be better than the others: the first row of Tables 4 and 5.
_REFERENCES = {table.corpus: table.rows[0].name for table in (TABLE_4, TABLE_5)}
_PROTOCOLS = (BEST_EPOCH, LAST_EPOCH)
_TESTS = ("one-sided t", "two-sided t", "corrected t", "Wilcoxon", "McNemar", "mean, points", "d_z")
_TESTS_COLUMNS = ("first, second", "epoch", *_TESTS)
TESTS_NOTE = (
    "Is the first better than the second? The one-sided paired t-test over folds is what the paper prints; the others "
    "are two-sided. The corrected one (Nadeau and Bengio) allows for the training clips that folds share; McNemar's, "
    "exact, goes over pooled clips and is the one for LOSO. Points are percentage points, first less second, in the "
    "mean over folds; d_z is Cohen's."
)

# A row of a table and the runs that it shows.
Row = tuple[Sequence[ReportRun], tuple[str, ...]]


def fold_tables(runs: Sequence[ReportRun]) -> tuple[DataTable, ...]:
    """Tables 4 and 5: accuracies by fold, and p-values if there is a pair, at the best and at the last epoch."""
    tables: list[DataTable] = []
    for printed in (TABLE_4, TABLE_5):
        groups = [_ordered(group) for group in alike(runs_beside(runs, printed.corpus, TEN_FOLD))]
        if groups:
            tables.append(_accuracies(printed, groups))
        if any(len(group) > 1 for group in groups):
            tables.append(_tests(printed, groups))
    return tuple(tables)


def pairs_table(runs: Sequence[ReportRun]) -> DataTable | None:
    """Every pair of runs on one corpus under one cross-validation; None where there is no such pair."""
    pairs = [pair for group in alike(runs) for pair in combinations(_ordered(group), 2)]
    if not pairs:
        return None
    rows, reasons = _pairs(pairs, {one.slug: one.label for one in runs})
    paired = {one.slug: one for ones, _ in rows for one in ones}
    caution = joint_caution(list(paired.values()))
    return DataTable(
        Table("All pairs: p-values", _TESTS_COLUMNS, tuple(row for _, row in rows), reasons, caution),
        cautions={number: joint_caution(ones) for number, (ones, _) in enumerate(rows)},
    )


def _accuracies(printed: FoldTable, groups: Sequence[Sequence[ReportRun]]) -> DataTable:
    rows = tuple(
        (f"the paper: {row.name}", BEST_EPOCH.title, *(f"{it:g}" for it in row.accuracies), f"{row.average:g}")
        for row in printed.rows
    )
    ours: list[Row] = [
        ((one,), _accuracies_row(one, protocol)) for protocol in _PROTOCOLS for group in groups for one in group
    ]
    table = Table(
        title=f"{printed.source} ({CORPUS_TITLES[printed.corpus]}, {TEN_FOLD}): accuracy of each fold in %",
        columns=("", "epoch", *map(str, range(1, _NUM_FOLDS + 1)), "average"),
        rows=rows,
        note="The paper's folds need not hold the same subjects as ours.",
    )
    return beside_paper(table, ours)


def _accuracies_row(one: ReportRun, protocol: EpochProtocol) -> tuple[str, ...]:
    measures = one.evaluation.under(protocol).measures
    folds = (measures.per_fold.get(fold) for fold in range(1, _NUM_FOLDS + 1))
    return (
        row_label(one),
        protocol.title,
        *(f"{100 * score.accuracy:.1f}" if score else "-" for score in folds),
        f"{100 * measures.mean_over_folds:.2f}",
    )


def _tests(printed: FoldTable, groups: Sequence[Sequence[ReportRun]]) -> DataTable:
    ours, reasons = _pairs(
        [(reference, one) for reference, *others in groups for one in others],
        _short_names([one for group in groups for one in group]),
    )
    table = Table(
        title=f"{printed.source} ({CORPUS_TITLES[printed.corpus]}, {TEN_FOLD}): p-values",
        columns=_TESTS_COLUMNS,
        rows=tuple(_printed_tests(printed)),
        note=reasons,
    )
    return beside_paper(table, ours)


def _printed_tests(printed: FoldTable) -> Iterator[tuple[str, ...]]:
    """The paper's p-values as printed, and what its own fold accuracies give."""
    first, *others = printed.rows
    for row in others:
        names = f"the paper: {first.name}, {row.name}"
        tests = compare_folds([it / 100 for it in first.accuracies], [it / 100 for it in row.accuracies], _RATIO)
        p_values = (nan if row.p_value is None else row.p_value, *[nan] * (len(_TESTS) - 3))
        yield f"{names} (as printed)", BEST_EPOCH.title, *map(p_value, p_values), "-", "-"
        yield f"{names} (recomputed)", BEST_EPOCH.title, *_cells(tests, nan)


def _short_names(runs: Sequence[ReportRun]) -> dict[str, str]:
    """For the slug of each run what the paper calls its configuration, or its label where that is not enough."""
    counts = Counter(map(paper_name, runs))
    return {one.slug: name if (name := paper_name(one)) and counts[name] == 1 else one.label for one in runs}


def _pairs(pairs: Sequence[tuple[ReportRun, ReportRun]], names: Mapping[str, str]) -> tuple[list[Row], str]:
    """Returns a row for each pair and epoch protocol, and why some pairs have none.

    Args:
        pairs: The pairs, that which may be better first.
        names: For the slug of each run its name in the row.
    """
    rows: list[Row] = []
    reasons: list[str] = []
    for first, second in pairs:
        try:
            for protocol in _PROTOCOLS:
                comparison = Comparison.of(first.renamed, second.renamed, protocol)
                cells = _cells(comparison.folds, comparison.clips.mcnemar)
                named = f"{names[first.slug]}, {names[second.slug]}"
                rows.append(((first, second), (named, protocol.title, *cells)))
        except EvaluationError as error:
            reasons.append(f"{error}.")
    return rows, " ".join(reasons)


def _cells(tests: FoldTests, mcnemar: float) -> tuple[str, ...]:
    p_values = (tests.t_one_sided, tests.t_two_sided, tests.t_corrected, tests.wilcoxon, mcnemar)
    effect = "-" if isnan(tests.cohens_dz) else f"{tests.cohens_dz:.2f}"
    # Rounded twice, so that 22 of 320 clips are 6.88 points however they were summed up, and nothing is -0.
    points = round(100 * tests.mean_difference, 9) + 0.0
    return *map(p_value, p_values), f"{points:+.2f}", effect


def _ordered(group: Sequence[ReportRun]) -> list[ReportRun]:
    """The run that is to be better goes first: c1 on CK+, c2 on Oulu-CASIA; else the runs stay as they were given."""
    reference = _REFERENCES.get(PAPER_CORPORA.get(group[0].run.corpus, ""))
    return sorted(group, key=lambda one: paper_name(one) != reference)
