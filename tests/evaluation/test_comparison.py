"""Two runs paired fold by fold and clip by clip, why others cannot be, and what the tables say."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fake_runs import EMOTIONS, right, write_run

from fer3d.clips.independence import Independence
from fer3d.evaluation.comparison import Comparison, check_paired, compare_runs, comparison_json
from fer3d.evaluation.comparison_tables import comparison_tables
from fer3d.evaluation.protocols import BEST_COMMON_EPOCH, BEST_EPOCH, INNER_VAL, LAST_EPOCH, protocols_of
from fer3d.evaluation.run_results import EvaluationError, RunResults
from fer3d.evaluation.significance import compare_folds
from fer3d.evaluation.tables import json_text
from fer3d.training.results import FoldResult

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


def with_fold(run: RunResults, number: int, **changes: Any) -> RunResults:
    """The run with something else in one fold."""
    changed = [replace(fold, **changes) if fold.fold == number else fold for fold in run.folds]
    return replace(run, folds=tuple(changed))


def turned(fold: FoldResult) -> FoldResult:
    """The fold with its clips in the opposite order."""
    return replace(
        fold,
        logits=fold.logits[:, ::-1],
        labels=fold.labels[::-1],
        clip_ids=fold.clip_ids[::-1],
        subjects=fold.subjects[::-1],
    )


def refusal(first: RunResults, second: RunResults) -> str:
    with pytest.raises(EvaluationError) as caught:
        check_paired(first, second)
    begin = f"{first.folder} and {second.folder} cannot be compared pair by pair: "
    assert str(caught.value).startswith(begin)
    return str(caught.value).removeprefix(begin)


def test_accuracies_by_fold_and_clips_are_paired(make: Make) -> None:
    found = Comparison.of(make(BETTER), make(WORSE), LAST_EPOCH)
    assert found.folds == compare_folds([8 / 8, 7 / 8, 3 / 4], [4 / 8, 7 / 8, 1 / 4], (20 / 3) / (40 / 3))
    assert (found.clips.num_clips, found.clips.only_first, found.clips.only_second) == (20, 6, 0)
    assert (found.clips.correct_first, found.clips.correct_second) == (18, 12)


def test_each_protocol_takes_each_runs_own_epochs(make: Make) -> None:
    first, second = make(BETTER), make(WORSE)
    best = Comparison.of(first, second, BEST_EPOCH)
    assert (best.clips.correct_first, best.clips.correct_second) == (8 + 8 + 3, 6 + 7 + 3)
    common = Comparison.of(first, second, BEST_COMMON_EPOCH)  # the second of first, and the first of second
    assert (common.clips.correct_first, common.clips.correct_second) == (18, 16)


def test_swapping_the_runs_mirrors_the_comparison(make: Make) -> None:
    first, second = make(BETTER), make(WORSE)
    for found, mirror in zip(compare_runs(first, second), compare_runs(second, first), strict=True):
        assert found.protocol == mirror.protocol
        assert found.folds.t_corrected == pytest.approx(mirror.folds.t_corrected)
        assert found.clips.difference == -mirror.clips.difference


def test_a_run_does_not_differ_from_one_that_says_the_same_and_is_not_compared_with_itself(make: Make) -> None:
    run = make(BETTER)
    with pytest.raises(EvaluationError, match="is given twice"):
        compare_runs(run, run)
    for found in compare_runs(run, replace(run, folder=Path("other"))):
        assert (found.folds.t_one_sided, found.folds.wilcoxon, found.clips.mcnemar) == (1, 1, 1)


def test_clips_are_paired_by_id_and_not_by_order(make: Make) -> None:
    first, second = make(0.9, seed=1), make(0.6, seed=2)
    other = replace(second, folds=tuple(turned(fold) for fold in second.folds))
    assert not np.array_equal(other.folds[0].labels, second.folds[0].labels)
    for protocol in protocols_of(first):
        expected, found = Comparison.of(first, second, protocol), Comparison.of(first, other, protocol)
        assert (found.folds, found.clips) == (expected.folds, expected.clips)
        assert Comparison.of(other, first, protocol).clips.only_first == expected.clips.only_second


def test_other_settings_and_clip_stores_of_the_same_clips_can_be_compared(make: Make) -> None:
    check_paired(make(clip_store="c" * 64), make(clip_store="d" * 64, overrides=("faces.crop.margin=0.2",)))
    check_paired(make(seed=1), make(num_epochs=5, name="longer", overrides=("model.dropout=0.1",)))


def test_inner_validation_counts_only_where_both_have_it(make: Make) -> None:
    first, second = make(BETTER, inner_val=0.5), make(WORSE)
    assert [found.protocol for found in compare_runs(first, second)] == [BEST_EPOCH, BEST_COMMON_EPOCH, LAST_EPOCH]
    both = compare_runs(first, make(WORSE, inner_val=0.5))
    assert [found.protocol for found in both] == [BEST_EPOCH, BEST_COMMON_EPOCH, LAST_EPOCH, INNER_VAL]
    with pytest.raises(EvaluationError, match="kept no training subjects back"):
        Comparison.of(first, second, INNER_VAL)


def test_training_clips_of_both_runs_count_for_the_correction(make: Make) -> None:
    first, second = make(BETTER, inner_val=0.5), make(WORSE)  # trains on 4 clips less in each fold
    found = Comparison.of(first, second, LAST_EPOCH).folds
    assert found == compare_folds([8 / 8, 7 / 8, 3 / 4], [4 / 8, 7 / 8, 1 / 4], 40 / (40 + 40 - 12))


def test_runs_with_the_same_missing_folds_can_be_compared(make: Make) -> None:
    found = Comparison.of(make(BETTER, only=[1, 3]), make(WORSE, only=[1, 3]), LAST_EPOCH)
    assert (found.folds.num_folds, found.clips.num_clips) == (2, 12)
    assert found.caution == "SYNTHETIC data, PARTIAL: 1 of 3 folds missing"


@pytest.mark.parametrize(
    ("first", "second", "told"),
    [
        ({}, {"corpus": "ckplus"}, "their corpora are synthetic and ckplus"),
        (
            {"num_folds": 4, "cv": "loso"},
            {"num_folds": 2},
            "their cross-validations are 4 folds (LOSO) and 2 folds (2-fold)",
        ),
        ({}, {"emotions": EMOTIONS[:6]}, f"their emotions are {', '.join(EMOTIONS)} and {', '.join(EMOTIONS[:6])}"),
    ],
)
def test_runs_of_another_kind(make: Make, first: dict[str, Any], second: dict[str, Any], told: str) -> None:
    assert refusal(make(**first), make(**second)) == told


def test_partial_in_different_folds(make: Make) -> None:
    first, second, whole = make(0.8, only=[1, 2]), make(0.7, only=[2, 3]), make(0.6)
    names = first.folder, second.folder
    told = refusal(first, second)
    assert told.startswith(f"they lack different folds ({names[0]} lacks 3; {names[1]} lacks 1).")
    assert refusal(whole, second).startswith(f"they lack different folds ({names[1]} lacks 1).")


def test_other_clips(make: Make) -> None:
    first, second = make(clips_per_subject=4), make(clips_per_subject=5)
    told = refusal(first, second)
    assert told == f"they hold out different clips: 6 by {second.folder} alone, such as S001/005, S002/005, S003/005"
    assert refusal(second, first) == told
    renamed = with_fold(first, 1, clip_ids=("new", *first.folds[0].clip_ids[1:]))
    assert refusal(first, renamed) == (
        f"they hold out different clips: 1 by {first.folder} alone, such as S001/001; 1 by {first.folder} alone, "
        "such as new"
    )


def test_the_same_clips_in_other_folds(make: Make) -> None:
    run = make()
    exchanged = replace(run, folds=(replace(run.folds[1], fold=1), replace(run.folds[0], fold=2), run.folds[2]))
    assert refusal(run, exchanged) == (
        "they hold out the same clips in different folds (16, such as S001/001: fold 1 and fold 2)"
    )


def test_other_labels(make: Make) -> None:
    run = make()
    labels = run.folds[0].labels.copy()
    labels[0] = 3
    assert refusal(run, with_fold(run, 1, labels=labels)) == (
        "they label clips differently (1, such as S001/001: anger and fear)"
    )


def test_what_cannot_be_paired_is_not_compared(make: Make) -> None:
    first, second = make(), make(corpus="ckplus")
    with pytest.raises(EvaluationError, match="pair by pair"):
        Comparison.of(first, second, LAST_EPOCH)
    with pytest.raises(EvaluationError, match="pair by pair"):
        compare_runs(first, second)


def test_json_holds_the_same_numbers(make: Make) -> None:
    comparisons = compare_runs(make(BETTER), make(WORSE))
    told = comparison_json(comparisons)
    assert (told["caution"], told["first"]["name"], told["second"]["seed"]) == ("SYNTHETIC data", "fake", 0)
    assert list(told["protocols"]) == ["best_epoch", "best_common_epoch", "last_epoch"]
    assert [numbers["optimistic"] for numbers in told["protocols"].values()] == [True, True, False]
    last = comparisons[2]
    assert told["protocols"]["last_epoch"]["folds"]["mean_difference"] == last.folds.mean_difference
    assert told["protocols"]["last_epoch"]["folds"]["interval"] == list(last.folds.interval)
    assert told["protocols"]["last_epoch"]["clips"]["mcnemar"] == last.clips.mcnemar


def test_numbers_that_cannot_be_had_are_null_in_json(make: Make) -> None:
    comparisons = compare_runs(make(1.0, only=[1]), make(0.0, only=[1]))
    numbers = json.loads(json_text(comparison_json(comparisons)))["protocols"]["last_epoch"]
    assert numbers["folds"]["t_two_sided"] is None
    assert numbers["folds"]["interval"] == [None, None]
    assert numbers["clips"]["odds_ratio"] is None


def test_the_caution_is_that_of_either_run(make: Make) -> None:
    first, second = make(seed=0), make(seed=1, independence=Independence(num_shared=1))
    for pair in ((first, second), (second, first)):
        for comparison in compare_runs(*pair):
            assert comparison.caution == "SYNTHETIC data, NOT SUBJECT-INDEPENDENT"
    told = comparison_json(compare_runs(first, second))
    assert told["caution"] == "SYNTHETIC data, NOT SUBJECT-INDEPENDENT"
    assert [told[name]["subject_independent"] for name in ("first", "second")] == [True, False]


def test_one_given_fold_is_compared_by_its_clips(make: Make) -> None:
    given = {"cv": "given", "num_folds": 1, "independence": Independence(num_shared=2)}
    comparisons = compare_runs(make(0.9, **given), make(0.1, **given))
    assert all(comparison.clips.mcnemar < 0.05 for comparison in comparisons)
    _, tests, _ = comparison_tables(comparisons)
    assert "single fold" in tests.note
    assert "NOT SUBJECT-INDEPENDENT" in tests.heading


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
