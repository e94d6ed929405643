from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from outcome_tables import fold, protocols, trials

from fer3d.evaluation.protocols import BEST_EPOCH, LAST_EPOCH, EpochProtocol
from fer3d.search.fold_order import ORDERS, Order, expected_wrong, fold_order
from fer3d.search.outcomes import FoldOutcome

SIZES = dict.fromkeys(range(1, 9), 4)

histories = st.lists(trials(max_folds=8), max_size=6)


def hardest_first(history: list[list[FoldOutcome]], seed: int = 0, sizes: dict[int, int] = SIZES) -> list[int]:
    return fold_order("hardest_first", sizes, history, LAST_EPOCH, seed)


def wrong(number: int, num_wrong: int, of: int = 4) -> FoldOutcome:
    return fold(number, of, of - num_wrong)


@given(histories, protocols, st.integers(0, 2**32 - 1), st.sampled_from(ORDERS))
def test_every_order_has_every_fold_once(
    history: list[list[FoldOutcome]], protocol: EpochProtocol, seed: int, order: Order
) -> None:
    numbers = fold_order(order, SIZES, history, protocol, seed)
    assert sorted(numbers) == sorted(SIZES)
    assert numbers == fold_order(order, SIZES, history, protocol, seed)
    # They are kept as JSON.
    assert {type(number) for number in numbers} == {int}


@given(st.data(), histories, protocols)
def test_processes_that_know_the_same_trials_agree(
    data: st.DataObject, history: list[list[FoldOutcome]], protocol: EpochProtocol
) -> None:
    otherwise = [data.draw(st.permutations(trial)) for trial in data.draw(st.permutations(history))]
    sizes = dict(data.draw(st.permutations(list(SIZES.items()))))
    for order in ORDERS:
        assert fold_order(order, sizes, otherwise, protocol, 3) == fold_order(order, SIZES, history, protocol, 3)


def test_by_number() -> None:
    assert fold_order("by_number", {3: 1, 1: 9, 2: 4}, [[wrong(3, 4)]], LAST_EPOCH, 5) == [1, 2, 3]


def test_shuffled_goes_by_the_seed_alone() -> None:
    orders = [fold_order("shuffled", SIZES, [], LAST_EPOCH, seed) for seed in range(20)]
    assert len({tuple(order) for order in orders}) == 20
    assert len({order[0] for order in orders}) > 3
    assert fold_order("shuffled", SIZES, [[wrong(8, 4)]], LAST_EPOCH, 7) == orders[7]


def test_without_history_large_folds_come_first_and_equal_ones_by_the_seed() -> None:
    sizes = {number: 1 + number % 2 for number in range(1, 13)}
    orders = [hardest_first([], seed, sizes) for seed in range(20)]
    for seed, order in enumerate(orders):
        assert [sizes[number] for number in order] == [2] * 6 + [1] * 6
        shuffled = fold_order("shuffled", sizes, [], LAST_EPOCH, seed)
        assert order[:6] == [number for number in shuffled if sizes[number] == 2]
    assert len({tuple(order) for order in orders}) == 20


def test_folds_that_nobody_ran_lie_between_hard_and_easy_ones_in_seeded_order() -> None:
    history = [[wrong(1, 4), wrong(2, 0), wrong(3, 3), wrong(4, 0)] for _ in range(5)]
    orders = [hardest_first(history, seed) for seed in range(20)]
    assert {tuple(order[:2]) for order in orders} == {(1, 3)}
    assert {frozenset(order[-2:]) for order in orders} == {frozenset({2, 4})}
    assert len({tuple(order[2:6]) for order in orders}) > 5


def test_the_hardest_folds_are_learned() -> None:
    rng = np.random.default_rng(0)
    chances = np.array([0.02, 0.05, 0.1, 0.2, 0.4, 0.9])
    sizes = dict.fromkeys(range(1, 7), 4)
    history = [
        [wrong(number, int(rng.binomial(4, chance))) for number, chance in enumerate(chances, start=1)]
        for _ in range(60)
    ]
    assert hardest_first(history, sizes=sizes) == [6, 5, 4, 3, 2, 1]
    expected = np.array(list(expected_wrong(sizes, history, LAST_EPOCH).values()))
    np.testing.assert_allclose(expected / expected.sum(), chances / chances.sum(), atol=0.05)


def test_a_larger_fold_is_harder_where_its_clips_are_as_hard() -> None:
    history = [[wrong(1, 1, of=2), wrong(2, 3, of=6)] for _ in range(9)]
    assert hardest_first(history, sizes={1: 2, 2: 6}) == [2, 1]


@pytest.mark.parametrize("num_trials", [10, 40])
def test_folds_that_only_bad_trials_ran_are_not_taken_for_hard(num_trials: int) -> None:
    """Pruned trials ran fold 1, in which they did better than elsewhere; good ones ran fold 2, and did worse there.

    The share of wrong clips is 25 % in fold 1 and 12.5 % in fold 2, and yet fold 2 is the hard one.
    """
    sizes = {1: 16, 2: 16, 3: 16, 4: 16}
    bad = [wrong(3, 8, of=16), wrong(4, 8, of=16), wrong(1, 4, of=16)]
    good = [wrong(3, 1, of=16), wrong(4, 1, of=16), wrong(2, 2, of=16)]
    history = [bad, good] * (num_trials // 2)
    assert hardest_first(history, sizes=sizes)[0] == 2
    assert hardest_first(history, sizes=sizes)[-1] == 1
    expected = expected_wrong(sizes, history, LAST_EPOCH)
    assert expected[2] / expected[3] == pytest.approx(2, rel=0.2)
    assert expected[1] / expected[3] == pytest.approx(0.5, rel=0.2)


@pytest.mark.parametrize("seed", range(3))
def test_where_every_trial_is_pruned_early_it_mostly_runs_hard_folds(seed: int) -> None:
    """A clip of the first half of folds is ten times as hard as another; trials end with their fourth mistake."""
    rng = np.random.default_rng(seed)
    sizes = dict.fromkeys(range(1, 31), 3)
    history: list[list[FoldOutcome]] = []
    for _ in range(80):
        badness = rng.choice([0.02, 0.04])
        done: list[FoldOutcome] = []
        for number in hardest_first(history, sizes=sizes):
            done.append(wrong(number, int(rng.binomial(3, badness * (10 if number <= 15 else 1))), of=3))
            if sum(outcome.num_wrong(LAST_EPOCH) for outcome in done) >= 4:
                break
        history.append(done)
    ran = [outcome.fold for done in history[40:] for outcome in done]
    assert np.mean([number <= 15 for number in ran]) > 0.8


def test_the_protocol_says_which_clips_are_wrong() -> None:
    history = [[fold(1, 4, 0, 4), fold(2, 4, 3, 3)]] * 3
    assert fold_order("hardest_first", {1: 4, 2: 4}, history, LAST_EPOCH, 0) == [2, 1]
    history = [[fold(1, 4, 4, 0), fold(2, 4, 3, 3)]] * 3
    assert fold_order("hardest_first", {1: 4, 2: 4}, history, LAST_EPOCH, 0) == [1, 2]
    assert fold_order("hardest_first", {1: 4, 2: 4}, history, BEST_EPOCH, 0) == [2, 1]


def test_trials_without_a_mistake_or_a_fold_teach_nothing() -> None:
    spotless = [[wrong(number, 0) for number in SIZES], []]
    assert expected_wrong(SIZES, spotless, LAST_EPOCH) == expected_wrong(SIZES, [], LAST_EPOCH)
    assert hardest_first(spotless) == hardest_first([])


def test_folds_of_another_study_are_passed_over() -> None:
    known = [[wrong(5, 3), wrong(6, 0)]]
    assert hardest_first([[*known[0], wrong(99, 4)]]) == hardest_first(known)
    assert hardest_first(known)[0] == 5


def test_a_single_fold_does_not_tell_a_hard_fold_from_a_bad_trial() -> None:
    assert hardest_first([[wrong(5, 3)]]) == hardest_first([])
