"""Tables of a comparison: accuracies, tests and effect sizes, with a column for each epoch protocol."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import isnan

from fer3d.clips.folds import FoldKind
from fer3d.evaluation.comparison import Comparison
from fer3d.evaluation.run_results import RunResults
from fer3d.evaluation.significance import Interval
from fer3d.evaluation.tables import Table, percent

# The name of a row, and its cell for a comparison.
Rows = tuple[tuple[str, Callable[[Comparison], str]], ...]


def comparison_tables(comparisons: Sequence[Comparison]) -> tuple[Table, ...]:
    """Tables of the accuracies, tests and effect sizes of two runs, with a column for each epoch protocol.

    Args:
        comparisons: Comparisons of the same two runs, as `compare_runs` makes them; at least one.
    """
    first, second = comparisons[0].first, comparisons[0].second
    return (
        _table(comparisons, "Accuracy", _ACCURACIES, f"First: {first.folder.name}. Second: {second.folder.name}."),
        _table(comparisons, "p-values: is first better than second, or are they alike?", _TESTS, _tests_note(first)),
        _table(comparisons, "Effects: first less second", _EFFECTS, _EFFECTS_NOTE),
    )


def _tests_note(run: RunResults) -> str:
    if run.num_folds == 1:
        advice = "Use McNemar's test here: a single fold has no variance."
    elif run.fold_kind is FoldKind.LOSO:
        advice = "Use McNemar's test here: LOSO folds are too small and too unequal for t-tests."
    else:
        advice = (
            "Use the corrected t-test (Nadeau and Bengio) here: folds share training clips, so the plain t-test finds "
            "differences too easily. McNemar's test, on pooled clips, is for LOSO: its folds are too small for t-tests."
        )
    return (
        f"{advice} The one-sided test asks whether first is better; all others are two-sided. Wilcoxon's and McNemar's "
        "are exact."
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
    """A p-value with five decimals; a dash for NaN, where the test is undefined."""
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
    "Points are percentage points. First is better if a difference, d_z or the rank-biserial correlation is above 0, "
    "or the odds are above 1: clips right in first alone to clips right in second alone."
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
