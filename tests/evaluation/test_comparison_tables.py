"""What the tables of a comparison say."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fake_runs import right, write_run

from fer3d.evaluation.comparison import compare_runs
from fer3d.evaluation.comparison_tables import comparison_tables
from fer3d.evaluation.run_results import RunResults

Make = Callable[..., RunResults]
# Clips right of 8, 8 and 4, after each of two epochs.
BETTER = right(8, 7, 8), right(8, 8, 7), right(4, 2, 3)
WORSE = right(8, 6, 4), right(8, 7, 7), right(4, 3, 1)


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """Writes a run and reads it back."""

    def run(correct: Any = 0.8, **settings: Any) -> RunResults:
        return RunResults.read(write_run(tmp_path, correct, **settings), partial=True)

    return run


def test_tables_have_a_column_a_protocol_and_a_caution(make: Make) -> None:
    comparisons = compare_runs(make(BETTER), make(WORSE))
    accuracies, tests, effects = comparison_tables(comparisons)
    for table in (accuracies, tests, effects):
        assert table.columns == ("", *(found.protocol.title for found in comparisons))
        assert table.caution == "SYNTHETIC data"
        assert all(len(row) == len(table.columns) for row in table.rows)
    assert accuracies.rows[0] == ("first: clips right", "19 of 20", "18 of 20", "18 of 20")
    assert accuracies.rows[3] == ("second: pooled accuracy", "80.00%", "80.00%", "60.00%")
    assert comparisons[0].first.folder.name in accuracies.note
    rows = dict((row[0], row[1:]) for row in tests.rows)
    assert rows["clips: McNemar"][2] == f"{2 / 2**6:.5f}"
    assert dict((row[0], row[3]) for row in effects.rows) == {
        "folds: mean, points": "+33.33",
        "folds: its 95% interval": "-38.38 to +105.04",
        "folds: the same, corrected": "-80.05 to +146.72",
        "folds: Cohen's d_z": "1.15",
        "folds: rank-biserial": "1.00",
        "folds: better, equal, worse": "2, 1, 0",
        "clips: pooled, points": "+30.00",
        "clips: right in one run alone": "6 to 0",
        "clips: odds of these": "inf",
        "clips: their 95% interval": "1.18 to inf",
    }


def test_tables_say_which_test_counts(make: Make) -> None:
    loso = [make(correct, cv="loso", num_folds=5) for correct in (0.9, 0.5)]
    note = comparison_tables(compare_runs(loso[0], loso[1]))[1].note
    assert re.search(r"McNemar.* LOSO", note)
    note = comparison_tables(compare_runs(make(0.9), make(0.5)))[1].note
    assert note.startswith("Use the corrected t-test (Nadeau and Bengio)")
    assert "one-sided test asks whether first is better" in note


def test_numbers_that_cannot_be_had_are_dashes(make: Make) -> None:
    _, tests, effects = comparison_tables(compare_runs(make(1.0, only=[1]), make(0.0, only=[1])))
    assert [row[1] for row in tests.rows[:3]] == ["-"] * 3
    assert [row[1] for row in effects.rows[:4]] == ["+100.00", "-", "-", "-"]


def test_small_p_values_are_not_zero(make: Make) -> None:
    comparisons = compare_runs(make(1.0, clips_per_subject=9), make(0.0, clips_per_subject=9))
    assert comparison_tables(comparisons)[1].rows[4][1:] == ("< 0.00001",) * 3
