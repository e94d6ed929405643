"""The tables of a comparison: accuracies, tests and effect sizes, epoch protocols side by side."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import isnan

from fer3d.clips.folds import FoldKind
from fer3d.evaluation.comparison import Comparison
from fer3d.evaluation.run_results import RunResults
from fer3d.evaluation.significance import Interval
from fer3d.evaluation.tables import Table, percent

# A row's name, and what stands in it for each comparison.
Rows = tuple[tuple[str, Callable[[Comparison], str]], ...]


def comparison_tables(comparisons: Sequence[Comparison]) -> tuple[Table, ...]:
    """Tables of the accuracies, the tests and the effect sizes of two runs, a column an epoch protocol.

    Args:
        comparisons: Those of the same two runs, such as `compare_runs` makes; at least one.
    """
    first, second = comparisons[0].first, comparisons[0].second
    return (
        _table(comparisons, "Accuracy", _ACCURACIES, f"First: {first.folder.name}. Second: {second.folder.name}."),
        _table(comparisons, "p-values: is first better than second, or are they alike?", _TESTS, _tests_note(first)),
        _table(comparisons, "Effects: first less second", _EFFECTS, _EFFECTS_NOTE),
    )


def _tests_note(run: RunResults) -> str:
    if run.num_folds == 1:
        right = "Here McNemar's test counts: one fold has no spread to judge by."
    elif run.fold_kind is FoldKind.LOSO:
        right = "Here McNemar's test counts: LOSO folds are too small and too unequal for t-tests."
    else:
        right = (
            "Here the corrected t-test (Nadeau and Bengio) counts: folds share training clips, which makes the plain "
            "ones too sure; McNemar's, on pooled clips, is the one for LOSO, whose folds are too small for t-tests."
        )
    return (
        f"{right} One-sided asks whether first is better, and is what the paper prints; all others are two-sided. "
        "Wilcoxon's and McNemar's are exact."
    )


def _table(comparisons: Sequence[Comparison], title: str, rows: Rows, note: str) -> Table:
    return Table(
        title=title,
        columns=("", *(comparison.protocol.title for comparison in comparisons)),
        rows=tuple((name, *(cell(comparison) for comparison in comparisons)) for name, cell in rows),
        note=note,
        caution=comparisons[0].caution,
    )


def p_value(value: float) -> str:
    """A p-value with the paper's five decimals; a dash where a test could not be made (NaN)."""
    if isnan(value):
        return "-"
    return f"{value:.5f}" if value >= 1e-5 else "< 0.00001"


def _number(value: float) -> str:
    return "-" if isnan(value) else f"{value:.2f}"


def _points(value: float) -> str:
    """A difference of accuracies in percentage points."""
    # Rounded twice, so that 22 of 320 clips are 6.88 points however they were summed up.
    return "-" if isnan(value) else f"{round(100 * value, 9):+.2f}"


def _between(interval: Interval, write: Callable[[float], str]) -> str:
    return "-" if isnan(interval[0]) else " to ".join(map(write, interval))


_ACCURACIES: Rows = (
    ("first: clips right", lambda it: f"{it.clips.correct_first} of {it.clips.num_clips}"),
    ("second: clips right", lambda it: f"{it.clips.correct_second} of {it.clips.num_clips}"),
    ("first: pooled accuracy", lambda it: percent(it.clips.correct_first / it.clips.num_clips)),
    ("second: pooled accuracy", lambda it: percent(it.clips.correct_second / it.clips.num_clips)),
    ("first: mean over folds", lambda it: percent(it.folds.mean_first)),
    ("second: mean over folds", lambda it: percent(it.folds.mean_second)),
)
_TESTS: Rows = (
    ("folds: paired t, one-sided", lambda it: p_value(it.folds.t_one_sided)),
    ("folds: paired t", lambda it: p_value(it.folds.t_two_sided)),
    ("folds: corrected t", lambda it: p_value(it.folds.t_corrected)),
    ("folds: Wilcoxon", lambda it: p_value(it.folds.wilcoxon)),
    ("clips: McNemar", lambda it: p_value(it.clips.mcnemar)),
)
_EFFECTS_NOTE = (
    "Points are percentage points. First is better where a difference, d_z or the rank-biserial correlation is above 0 "
    "and odds are above 1: clips right in first alone to those right in second alone."
)
_EFFECTS: Rows = (
    ("folds: mean, points", lambda it: _points(it.folds.mean_difference)),
    ("folds: its 95% interval", lambda it: _between(it.folds.interval, _points)),
    ("folds: the same, corrected", lambda it: _between(it.folds.interval_corrected, _points)),
    ("folds: Cohen's d_z", lambda it: _number(it.folds.cohens_dz)),
    ("folds: rank-biserial", lambda it: _number(it.folds.rank_biserial)),
    ("folds: better, equal, worse", lambda it: f"{it.folds.num_better}, {it.folds.num_equal}, {it.folds.num_worse}"),
    ("clips: pooled, points", lambda it: _points(it.clips.difference)),
    ("clips: right in one run alone", lambda it: f"{it.clips.only_first} to {it.clips.only_second}"),
    ("clips: odds of these", lambda it: _number(it.clips.odds_ratio)),
    ("clips: their 95% interval", lambda it: _between(it.clips.odds_interval, _number)),
)
