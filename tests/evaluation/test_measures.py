from __future__ import annotations

import math
import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from runs_in_memory import EMOTIONS, make_run, right, runs, said
from sklearn.metrics import accuracy_score, balanced_accuracy_score, confusion_matrix, f1_score

from fer3d.evaluation.measures import Measures, Score, measure
from fer3d.evaluation.protocols import LAST_EPOCH, held_out_predictions
from fer3d.evaluation.run_results import RunResults


def measured(run: RunResults) -> Measures:
    return measure(held_out_predictions(run, LAST_EPOCH), len(EMOTIONS))


@given(st.integers(1, 400).flatmap(lambda total: st.tuples(st.integers(0, total), st.just(total))))
def test_interval_solves_wilsons_equation(counts: tuple[int, int]) -> None:
    """Its ends are the shares p for which the accuracy lies z standard errors of p away."""
    score = Score(*counts)
    for share in score.interval():
        assert (score.accuracy - share) ** 2 == pytest.approx(
            1.959963985**2 * share * (1 - share) / counts[1], abs=1e-9
        )
    low, high = score.interval()
    assert 0 <= low <= score.accuracy <= high <= 1


def test_a_higher_confidence_takes_a_wider_interval() -> None:
    (low, high), (wide_low, wide_high) = Score(30, 40).interval(), Score(30, 40).interval(0.99)
    assert wide_low < low < high < wide_high


@given(runs())
def test_measures_are_scikit_learns(run: RunResults) -> None:
    predictions = held_out_predictions(run, LAST_EPOCH)
    labels, predicted = predictions.labels, predictions.predicted
    found = measured(run)
    assert found.pooled.accuracy == pytest.approx(accuracy_score(labels, predicted))
    np.testing.assert_array_equal(found.confusion, confusion_matrix(labels, predicted, labels=range(len(EMOTIONS))))
    assert found.macro_f1 == pytest.approx(f1_score(labels, predicted, average="macro", zero_division=0), abs=1e-6)
    with warnings.catch_warnings():
        # scikit-learn remarks on emotions without clips.
        warnings.simplefilter("ignore", UserWarning)
        assert found.uar == pytest.approx(balanced_accuracy_score(labels, predicted))


@given(runs())
def test_clips_are_counted_once_whatever_they_are_grouped_by(run: RunResults) -> None:
    found = measured(run)
    for scores in (found.per_fold, found.per_subject):
        assert sum(score.num_clips for score in scores.values()) == found.pooled.num_clips == found.confusion.sum()
        assert sum(score.num_correct for score in scores.values()) == found.pooled.num_correct
        assert list(scores) == sorted(scores)
    assert list(found.per_fold) == [fold.fold for fold in run.folds]


def test_means_weigh_folds_and_subjects_alike_whatever_their_size() -> None:
    run = make_run([right(1, of=1, subject="S001"), right(1, of=4, subject="S002"), right(2, of=5, subject="S002")])
    found = measured(run)
    assert found.pooled == Score(4, 10)
    assert found.per_fold == {1: Score(1, 1), 2: Score(1, 4), 3: Score(2, 5)}
    assert found.per_subject == {"S001": Score(1, 1), "S002": Score(3, 9)}
    assert found.mean_over_folds == pytest.approx((1 + 1 / 4 + 2 / 5) / 3)
    assert found.mean_over_subjects == pytest.approx((1 + 1 / 3) / 2)


def test_an_emotion_without_clips_has_no_recall_and_counts_in_no_mean() -> None:
    found = measured(make_run([said([[0, 0, 2, 3]], [0, 0, 2, 2])]))
    assert found.recall.tolist()[::2] == [1.0, 0.5]
    assert math.isnan(found.recall[1])
    assert math.isnan(found.recall[3])
    assert found.uar == 0.75
    # Anger 1, happy 2/3, surprise 0, since a clip was taken for it; fear plays no part.
    assert found.macro_f1 == pytest.approx((1 + 2 / 3 + 0) / 3)


def test_numbers_are_named_as_in_files() -> None:
    found = measured(make_run([said([[0, 1, 1, 1]], [0, 0, 1, 1])]))
    assert found.numbers == pytest.approx(
        {
            "pooled_accuracy": 0.75,
            "mean_over_folds": 0.75,
            "mean_over_subjects": 0.75,
            "uar": 0.75,
            "macro_f1": (2 / 3 + 4 / 5) / 2,
        }
    )
    assert all(type(value) is float for value in found.numbers.values())
