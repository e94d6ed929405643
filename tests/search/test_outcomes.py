from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from itertools import permutations
from pathlib import Path

import numpy as np
import pytest
from fake_runs import write_run
from hypothesis import given
from hypothesis import strategies as st
from outcome_tables import fold, judged, num_clips, pooled_accuracy, protocols, thresholds, trials

from fer3d.evaluation.evaluation import Evaluation
from fer3d.evaluation.protocols import BEST_EPOCH, INNER_VAL, LAST_EPOCH, PROTOCOLS, EpochProtocol
from fer3d.evaluation.run_results import RunResults
from fer3d.search.outcomes import SEARCH_PROTOCOLS, FoldOutcome, attainable_accuracy
from fer3d.training.results import EpochPredictions


def recorded(outputs: Path, seed: int, sizes: tuple[int, ...], num_epochs: int) -> RunResults:
    rng = np.random.default_rng(seed)
    tables = [rng.random((num_epochs, size)) < 0.7 for size in sizes]
    inner = [rng.random((num_epochs, 5)) < 0.7 for _ in sizes]
    return RunResults.read(write_run(outputs, tables, inner_val=inner, subjects_per_fold=1, seed=seed))


@given(st.data())
def test_the_bound_never_ends_a_trial_that_would_have_passed(data: st.DataObject) -> None:
    outcomes, protocol = data.draw(trials()), data.draw(protocols)
    threshold = data.draw(thresholds(outcomes))
    passes = pooled_accuracy(outcomes, protocol) >= threshold
    for order in permutations(outcomes):
        for folds_per_job in (1, 2, 3):
            reached = [progress.attainable >= threshold for progress in judged(order, protocol, folds_per_job)]
            # Of a trial that passes, none is out of reach; one that fails is found out at the latest at its end.
            assert all(reached) == passes
            assert reached == sorted(reached, reverse=True)


@given(trials(), protocols, st.integers(0, 5))
def test_what_is_attainable_is_attained_where_all_other_clips_are_right(
    outcomes: list[FoldOutcome], protocol: EpochProtocol, num_done: int
) -> None:
    done = outcomes[:num_done]
    perfect = [replace(one, num_correct=(one.num_held_out,) * len(one.num_correct)) for one in outcomes[num_done:]]
    attainable = attainable_accuracy(done, num_clips(outcomes), protocol)
    assert attainable == pooled_accuracy([*done, *perfect], protocol)


@given(trials(max_folds=8), protocols)
def test_attainable_accuracy_never_rises(outcomes: list[FoldOutcome], protocol: EpochProtocol) -> None:
    total = num_clips(outcomes)
    bounds = [attainable_accuracy(outcomes[:done], total, protocol) for done in range(len(outcomes) + 1)]
    assert bounds[0] == 1
    assert bounds == sorted(bounds, reverse=True)
    assert bounds[-1] == pooled_accuracy(outcomes, protocol)


@given(trials(), st.randoms(use_true_random=False))
def test_the_order_of_folds_changes_no_verdict(outcomes: list[FoldOutcome], random: object) -> None:
    shuffled = list(outcomes)
    random.shuffle(shuffled)
    for protocol in PROTOCOLS:
        assert attainable_accuracy(shuffled, 50, protocol) == attainable_accuracy(outcomes, 50, protocol)


@pytest.mark.parametrize(("seed", "sizes", "num_epochs"), [(0, (4, 1, 6), 5), (1, (1, 2, 3, 4, 5), 3), (2, (7, 7), 1)])
def test_with_all_folds_done_it_is_the_pooled_accuracy_that_is_evaluated(
    tmp_path: Path, seed: int, sizes: tuple[int, ...], num_epochs: int
) -> None:
    run = recorded(tmp_path, seed, sizes, num_epochs)
    outcomes = [FoldOutcome.of(result) for result in run.folds]
    evaluated = Evaluation.of(run).outcomes
    assert [outcome.protocol for outcome in evaluated] == list(PROTOCOLS)
    for outcome in evaluated:
        assert attainable_accuracy(outcomes, sum(sizes), outcome.protocol) == outcome.accuracy


def test_a_fold_alone_is_what_its_fold_is_evaluated_to(tmp_path: Path) -> None:
    run = recorded(tmp_path, 3, (4, 1, 6), 5)
    outcomes = [FoldOutcome.of(result) for result in run.folds]
    evaluation = Evaluation.of(run)
    for protocol in (BEST_EPOCH, LAST_EPOCH, INNER_VAL):
        scores = evaluation.under(protocol).measures.per_fold
        for outcome in outcomes:
            assert outcome.num_wrong(protocol) == scores[outcome.fold].num_wrong
            assert outcome.accuracy(protocol) == pytest.approx(scores[outcome.fold].accuracy)


def test_an_outcome_is_what_the_fold_left(tmp_path: Path) -> None:
    outputs, correct = tmp_path, [[[1, 0, 0], [1, 1, 1]], [[1, 0], [0, 0]]]
    runs = [RunResults.read(write_run(outputs, correct, subjects_per_fold=1, name=name)) for name in ("a", "b")]
    assert [FoldOutcome.of(result) for result in runs[0].folds] == [
        FoldOutcome(1, 3, (1, 3), seconds=1.5),
        FoldOutcome(2, 2, (1, 0), seconds=1.5),
    ]


@given(trials(max_folds=1), st.booleans(), st.floats(0, 1e6))
def test_a_study_gives_back_what_it_was_given(outcomes: list[FoldOutcome], kept: bool, seconds: float) -> None:
    (outcome,) = outcomes
    outcome = replace(outcome, seconds=seconds, inner_epochs=outcome.inner_epochs if kept else {})
    assert FoldOutcome.from_json("1", json.loads(json.dumps(outcome.as_json()))) == outcome


def test_an_earlier_study_holds_the_epoch_of_inner_val_alone() -> None:
    stored = {"held_out": 4, "correct": [1, 3, 2], "inner_epoch": 3, "seconds": 1.5}
    assert FoldOutcome.from_json("7", stored) == FoldOutcome(7, 4, (1, 3, 2), {"inner_val": 3}, 1.5)


class EarlyEnough(EpochProtocol):
    """A protocol that fer3d does not have."""

    name, title, meaning, looks_at = "early_enough", "early enough", "the first epoch near the best one", "inner_val"

    def choose(self, folds: Mapping[int, EpochPredictions]) -> dict[int, int]:
        correct = {number: clips.num_correct for number, clips in folds.items()}
        return {number: 1 + int((each >= each.max() - 1).argmax()) for number, each in correct.items()}


def test_a_protocol_is_all_in_its_class(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    protocol = EarlyEnough()
    monkeypatch.setitem(SEARCH_PROTOCOLS, protocol.name, protocol)
    run = recorded(tmp_path, 4, (4, 3, 6), 5)
    outcomes = [FoldOutcome.from_json(str(fold.fold), FoldOutcome.of(fold).as_json()) for fold in run.folds]
    evaluation = Evaluation.of(run, [protocol])
    assert attainable_accuracy(outcomes, 13, protocol) == evaluation.accuracy(protocol)
    assert not protocol.optimistic


def test_inner_validation_needs_clips_that_were_kept_back() -> None:
    with pytest.raises(ValueError, match="fold 1 kept no training subjects back"):
        attainable_accuracy([fold(1, 4, 3)], 8, INNER_VAL)


def test_each_protocol_counts_by_its_rule() -> None:
    outcomes = [fold(1, 4, 4, 2, 1, inner_epoch=2), fold(2, 6, 3, 6, 5, inner_epoch=1)]
    bounds = {name: attainable_accuracy(outcomes, 20, protocol) for name, protocol in SEARCH_PROTOCOLS.items()}
    assert bounds == {"best_epoch": 1.0, "best_common_epoch": 0.9, "last_epoch": 0.8, "inner_val": 0.75}
