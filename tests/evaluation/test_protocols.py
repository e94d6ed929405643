from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from runs_in_memory import EMOTIONS, make_run, right, runs, said, with_logits

from fer3d.evaluation.protocols import (
    BEST_COMMON_EPOCH,
    BEST_EPOCH,
    INNER_VAL,
    LAST_EPOCH,
    PROTOCOLS,
    held_out_predictions,
    protocols_of,
)
from fer3d.evaluation.run_results import EvaluationError, RunResults


def num_right(run: RunResults, epochs: dict[int, int]) -> int:
    """Counted clip by clip."""
    count = 0
    for fold in run.folds:
        for logits, label in zip(fold.logits[epochs[fold.fold] - 1], fold.labels, strict=True):
            count += max(range(len(logits)), key=lambda index: logits[index]) == label
    return count


def pooled(run: RunResults, protocol: object) -> int:
    (chosen,) = (each for each in PROTOCOLS if each is protocol)
    return int(held_out_predictions(run, chosen).correct.sum())


@pytest.fixture
def run() -> RunResults:
    """Pooled: 4, 5 and 3 of 7 clips right."""
    return make_run([right(3, 2, 2, of=4, subject="S001"), right(1, 3, 1, of=3, subject="S002")])


def test_protocols_that_look_at_held_out_clips_say_so() -> None:
    assert [protocol.optimistic for protocol in PROTOCOLS] == [True, True, False, False]
    assert [("optimistic" in protocol.title) for protocol in PROTOCOLS] == [True, True, False, False]


def test_each_protocol_chooses_by_its_rule(run: RunResults) -> None:
    assert BEST_EPOCH.epochs(run) == {1: 1, 2: 2}
    assert BEST_COMMON_EPOCH.epochs(run) == {1: 2, 2: 2}
    assert LAST_EPOCH.epochs(run) == {1: 3, 2: 3}
    assert [pooled(run, protocol) for protocol in PROTOCOLS[:3]] == [6, 5, 3]


@given(runs())
def test_best_common_epoch_is_the_best_of_all_common_ones(run: RunResults) -> None:
    scores = [num_right(run, dict.fromkeys(range(1, 9), epoch)) for epoch in range(1, run.num_epochs + 1)]
    assert set(BEST_COMMON_EPOCH.epochs(run).values()) == {scores.index(max(scores)) + 1}


@given(runs())
def test_best_epoch_is_the_best_of_each_fold_alone(run: RunResults) -> None:
    for fold in run.folds:
        alone = replace(run, folds=(fold,))
        assert BEST_EPOCH.epochs(run)[fold.fold] == BEST_COMMON_EPOCH.epochs(alone)[fold.fold]


@given(runs(inner_val=True), st.integers(0, 2**32 - 1))
def test_inner_val_never_looks_at_held_out_clips(run: RunResults, seed: int) -> None:
    rng = np.random.default_rng(seed)
    other = with_logits(run, [rng.normal(size=fold.logits.shape).astype(np.float32) for fold in run.folds])
    assert INNER_VAL.epochs(other) == INNER_VAL.epochs(run)


@given(runs(inner_val=True))
def test_inner_val_takes_the_epoch_with_the_most_clips_right_then_the_lowest_loss(run: RunResults) -> None:
    for fold in run.folds:
        inner = fold.inner_val
        assert inner is not None
        ranks = []
        for epoch, logits in enumerate(inner.logits.astype(float).tolist(), start=1):
            correct = sum(row.index(max(row)) == label for row, label in zip(logits, inner.labels, strict=True))
            loss = sum(
                math.log(sum(map(math.exp, row))) - row[label] for row, label in zip(logits, inner.labels, strict=True)
            )
            ranks.append((-correct, loss, epoch))
        assert INNER_VAL.epochs(run)[fold.fold] == min(ranks)[-1]


def test_inner_val_is_fold_by_fold_and_breaks_ties_by_the_loss() -> None:
    held_out = [right(2, 2, 2, of=2, subject=subject) for subject in ("S001", "S002", "S003")]
    surer = said([[0, 0], [0, 0], [0, 0]], [0, 0], sure=[[1, 1], [5, 5], [5, 4]])
    equal = said([[0, 1], [0, 1], [0, 1]], [0, 0])
    run = make_run(held_out, [right(0, 1, 2, of=3), surer, equal])
    assert INNER_VAL.epochs(run) == {1: 3, 2: 2, 3: 1}


def test_inner_val_needs_clips_that_were_kept_back(run: RunResults) -> None:
    assert protocols_of(run) == (BEST_EPOCH, BEST_COMMON_EPOCH, LAST_EPOCH)
    with pytest.raises(EvaluationError, match=r"run kept no training subjects back.*cv\.inner_val=0\.1"):
        held_out_predictions(run, INNER_VAL)


def test_inner_val_needs_them_in_every_fold() -> None:
    held_out = [right(1, 2, of=3, subject="S001"), right(1, 2, of=3, subject="S002")]
    kept = right(2, 1, of=2)
    assert protocols_of(make_run(held_out, [kept, kept])) == PROTOCOLS
    some = make_run(held_out, [kept, None])
    assert INNER_VAL not in protocols_of(some)
    with pytest.raises(EvaluationError):
        INNER_VAL.epochs(some)


@given(runs(inner_val=True))
def test_predictions_are_those_of_the_chosen_epochs(run: RunResults) -> None:
    for protocol in PROTOCOLS:
        found = held_out_predictions(run, protocol)
        assert found.epochs == protocol.epochs(run)
        clips = zip(found.clip_ids, found.subjects, found.folds, found.labels, found.probabilities, strict=True)
        for fold in run.folds:
            for index, clip_id in enumerate(fold.clip_ids):
                logits = fold.logits[found.epochs[fold.fold] - 1, index].astype(float)
                weights = np.exp(logits)
                clip, subject, number, label, probabilities = next(clips)
                assert (clip, subject, number, label) == (clip_id, fold.subjects[index], fold.fold, fold.labels[index])
                np.testing.assert_allclose(probabilities, weights / weights.sum())
        assert next(clips, None) is None


@given(runs(inner_val=True))
def test_what_is_predicted_is_what_the_folds_count(run: RunResults) -> None:
    for protocol in PROTOCOLS:
        found = held_out_predictions(run, protocol)
        assert int(found.correct.sum()) == num_right(run, found.epochs)


def test_probabilities_of_huge_logits_are_numbers() -> None:
    found = held_out_predictions(make_run([said([[2, 1]], [2, 2], sure=1e30)]), LAST_EPOCH)
    np.testing.assert_array_equal(found.probabilities, np.eye(len(EMOTIONS))[[2, 1]])
