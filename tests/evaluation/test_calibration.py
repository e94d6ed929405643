from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from runs_in_memory import EMOTIONS, make_run, runs, said, with_logits
from scipy.special import softmax

from fer3d.evaluation.calibration import NUM_BINS, Calibration
from fer3d.evaluation.evaluation import Outcome
from fer3d.evaluation.protocols import INNER_VAL, LAST_EPOCH, PROTOCOLS
from fer3d.evaluation.run_results import RunResults
from fer3d.training.results import EpochPredictions

clips = st.lists(st.tuples(st.floats(0.01, 1), st.booleans()), min_size=1, max_size=40)


def predictions(num_clips: int, factor: float, seed: int, subject: str) -> EpochPredictions:
    """One epoch of a network whose logits are right once they are divided by `factor`."""
    rng = np.random.default_rng(seed)
    logits = 2 * rng.normal(size=(num_clips, len(EMOTIONS)))
    below = rng.random((num_clips, 1)) > softmax(logits, axis=-1).cumsum(-1)
    return EpochPredictions(
        logits=(factor * logits[None]).astype(np.float32),
        labels=np.minimum(below.sum(-1), len(EMOTIONS) - 1).astype(np.int64),
        clip_ids=tuple(f"{subject}/{number}" for number in range(num_clips)),
        subjects=(subject,) * num_clips,
    )


def simulated(factors: tuple[float, ...], num_clips: int = 1500) -> RunResults:
    """A run whose folds' networks are too sure by these factors."""
    held_out = [predictions(num_clips, factor, number, f"S{number}") for number, factor in enumerate(factors)]
    kept = [predictions(num_clips, factor, 99 + number, "inner") for number, factor in enumerate(factors)]
    return make_run(held_out, kept)


def made_of(pairs: list[tuple[float, bool]]) -> Calibration:
    confidences, correct = zip(*pairs, strict=True)
    return Calibration.of(confidences, correct)


def test_a_calibrated_network_has_next_to_no_error() -> None:
    outcome = Outcome.of(simulated((1.0, 1.0)), LAST_EPOCH)
    low, high = outcome.calibration.ece_if_calibrated
    assert low < outcome.calibration.ece < high < 0.035
    assert outcome.temperatures == pytest.approx({1: 1, 2: 1}, abs=0.06)


def test_each_fold_that_is_too_sure_has_its_own_temperature() -> None:
    outcome = Outcome.of(simulated((3.0, 1.5)), LAST_EPOCH)
    assert outcome.temperatures == pytest.approx({1: 3, 2: 1.5}, rel=0.07)
    assert outcome.scaled is not None
    assert outcome.calibration.ece > 0.08 > outcome.calibration.ece_if_calibrated[1]
    assert outcome.scaled.ece < outcome.scaled.ece_if_calibrated[1]


def test_an_error_by_hand() -> None:
    """Bins of a fifteenth: 0.9 and 0.92 share (13/15, 14/15], 0.5 is alone in (7/15, 8/15]."""
    found = Calibration.of([0.92, 0.5, 0.9], [False, True, True])
    assert [(one.confidence, one.score.num_correct, one.score.num_clips) for one in found.bins] == [
        (0.5, 1, 1),
        (pytest.approx(0.91), 1, 2),
    ]
    assert found.ece == pytest.approx((0.5 + 2 * 0.41) / 3)


@pytest.mark.parametrize("number", range(1, NUM_BINS + 1))
def test_a_bin_has_its_upper_edge(number: int) -> None:
    edge = number / NUM_BINS
    (one,) = Calibration.of([edge], [True]).bins
    assert (one.low, one.high) == ((number - 1) / NUM_BINS, edge)


@given(clips)
def test_bins_add_up(pairs: list[tuple[float, bool]]) -> None:
    found = made_of(pairs)
    assert sum(one.score.num_clips for one in found.bins) == len(pairs)
    assert sum(one.score.num_correct for one in found.bins) == sum(right for _, right in pairs)
    mean = sum(one.score.num_clips * one.confidence for one in found.bins) / len(pairs)
    assert mean == pytest.approx(np.mean([sure for sure, _ in pairs]))
    assert all(one.low < one.high <= before.low for before, one in zip(found.bins[1:], found.bins, strict=False))


@given(clips, st.randoms())
def test_neither_order_nor_copies_of_all_clips_change_the_error(pairs: list[tuple[float, bool]], random: Any) -> None:
    found = made_of(pairs)
    shuffled = random.sample(pairs, len(pairs))
    assert made_of(shuffled).ece == found.ece
    assert made_of(shuffled).ece_if_calibrated == found.ece_if_calibrated
    assert made_of(pairs * 3).ece == pytest.approx(found.ece)


@given(clips)
def test_the_error_is_between_the_overall_gap_and_1(pairs: list[tuple[float, bool]]) -> None:
    gap = abs(np.mean([sure for sure, _ in pairs]) - np.mean([right for _, right in pairs]))
    assert gap - 1e-9 <= made_of(pairs).ece <= 1


@pytest.mark.parametrize("least", [0.3, 0.8])
def test_the_range_of_a_calibrated_network_holds_95_of_100(least: float) -> None:
    rng = np.random.default_rng(1)
    sure = np.linspace(least, 1, 300)
    low, high = Calibration.of(sure, np.ones(300)).ece_if_calibrated
    found = [Calibration.of(sure, rng.random(300) < sure).ece for _ in range(400)]
    assert np.mean([low <= ece <= high for ece in found]) == pytest.approx(0.95, abs=0.03)


def test_few_clips_have_a_range_far_above_0() -> None:
    """By luck alone: this is what an ECE has to exceed to mean anything."""
    ranges = [Calibration.of(np.linspace(0.3, 1, number), np.ones(number)).ece_if_calibrated for number in (10, 2000)]
    assert ranges[0][0] > 0.1
    assert ranges[1][1] < 0.04


@settings(max_examples=40)
@given(runs(inner_val=True))
def test_no_held_out_clip_has_a_say_in_the_temperature(run: RunResults) -> None:
    """Where held-out clips do not choose the epoch, neither their labels nor what is said of them counts."""
    changed = replace(
        with_logits(run, [5 - fold.logits[..., ::-1] for fold in run.folds]),
        folds=tuple(replace(fold, labels=(fold.labels + 1) % len(EMOTIONS)) for fold in run.folds),
    )
    for protocol in (LAST_EPOCH, INNER_VAL):
        before, after = (Outcome.of(each, protocol).temperatures for each in (run, changed))
        assert before == after
        assert set(before) == {fold.fold for fold in run.folds}


@settings(max_examples=20)
@given(runs(inner_val=True))
def test_temperatures_are_those_of_the_epoch_that_counts_and_change_no_answer(run: RunResults) -> None:
    for protocol in PROTOCOLS:
        outcome = Outcome.of(run, protocol)
        assert outcome.scaled is not None
        assert outcome.scaled.correct.sum() == outcome.score.num_correct
        sure: list[NDArray[np.float64]] = []
        for fold in run.folds:
            epoch = outcome.predictions.epochs[fold.fold]
            alone = replace(fold, logits=fold.logits[epoch - 1 : epoch], inner_val=_only(fold.inner_val, epoch))
            last = Outcome.of(replace(run, folds=(alone,)), LAST_EPOCH)
            assert last.temperatures == {fold.fold: outcome.temperatures[fold.fold]}
            scaled = alone.logits[0].astype(np.float64) / outcome.temperatures[fold.fold]
            sure.append(softmax(scaled, axis=-1).max(-1))
        np.testing.assert_allclose(outcome.scaled.confidences, np.sort(np.concatenate(sure)), rtol=1e-5)


def _only(clips: EpochPredictions | None, epoch: int) -> EpochPredictions:
    assert clips is not None
    return replace(clips, logits=clips.logits[epoch - 1 : epoch])


def test_without_clips_kept_back_there_is_no_temperature() -> None:
    outcome = Outcome.of(make_run([said([[0, 1]], [0, 0])]), LAST_EPOCH)
    assert (outcome.temperatures, outcome.scaled, "ece_scaled" in outcome.numbers) == ({}, None, False)
    assert outcome.numbers["ece"] == outcome.calibration.ece


@pytest.mark.parametrize(
    ("confidences", "correct"),
    [([], []), ([0.5], [True, True]), ([[0.5]], [[True]]), ([0.0], [True]), ([1.1], [True]), ([np.nan], [True])],
)
def test_what_are_no_confidences_is_refused(confidences: Any, correct: Any) -> None:
    with pytest.raises(ValueError, match="confidence"):
        Calibration.of(confidences, correct)
