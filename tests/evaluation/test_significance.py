"""Tests of two runs against the paper's printed folds, SciPy and brute force, and what must hold for any two runs."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from math import inf, isnan, nan
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats

from fer3d.evaluation.significance import FoldTests, compare_clips, compare_folds, holm
from fer3d.paper.printed import TABLE_4, TABLE_5, FoldTable

Pair = tuple[list[float], list[float]]
RATIO = 1 / 9
P_VALUES = ("t_one_sided", "t_two_sided", "t_corrected", "wilcoxon")
# Whether first and second get each clip right.
OUTCOMES = st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=60)


@st.composite
def folds(draw: st.DrawFn, min_folds: int = 1) -> Pair:
    """Two runs' accuracies in the same folds of a few clips each, so that ties and equal folds are frequent."""
    sizes = draw(st.lists(st.integers(1, 34), min_size=min_folds, max_size=8))
    first, second = ([draw(st.integers(0, size)) / size for size in sizes] for _ in range(2))
    return first, second


def differences(pair: Pair) -> NDArray[np.float64]:
    return np.round(np.subtract(*pair), 12)


def vary(pair: Pair) -> bool:
    return bool(np.ptp(differences(pair)) > 0)


def printed(table: FoldTable, first: str, second: str) -> FoldTests:
    shares = {row.name: np.array(row.accuracies) / 100 for row in table.rows}
    return compare_folds(shares[first], shares[second], RATIO)


def clips(outcomes: Sequence[tuple[bool, bool]]) -> Any:
    return compare_clips(*zip(*outcomes, strict=True))


@pytest.mark.parametrize(
    ("table", "first", "second", "expected"),
    [
        (TABLE_4, "c1", "c2", ["0.00057", "0.00114", "0.0039", "0.0104"]),
        (TABLE_4, "c1", "c3", ["0.00065", "0.00130", "0.0020", "0.0115"]),
        (TABLE_5, "c2", "c1", ["0.03621", "0.07241", "0.1543", "0.1950"]),
        (TABLE_5, "c2", "c4", ["0.00598", "0.01195", "0.0312", "0.0590"]),
    ],
)
def test_the_papers_folds(table: FoldTable, first: str, second: str, expected: list[str]) -> None:
    """One-sided t, two-sided t, Wilcoxon, Nadeau and Bengio."""
    found = printed(table, first, second)
    p_values = found.t_one_sided, found.t_two_sided, found.wilcoxon, found.t_corrected
    assert [f"{p:.{digits}f}" for p, digits in zip(p_values, (5, 5, 4, 4), strict=True)] == expected


def test_effects_of_the_papers_folds() -> None:
    found = printed(TABLE_5, "c2", "c1")
    assert (found.num_folds, found.num_better, found.num_equal, found.num_worse) == (10, 8, 0, 2)
    assert found.mean_difference == pytest.approx(0.8425 - 0.7706)
    assert found.cohens_dz == pytest.approx(0.6434, abs=1e-4)
    assert found.rank_biserial == pytest.approx((42 - 13) / 55)
    assert found.interval == pytest.approx((-0.0080, 0.1518), abs=1e-4)
    assert found.interval_corrected == pytest.approx((-0.0443, 0.1881), abs=1e-4)


@given(folds(min_folds=2).filter(vary))
def test_t_is_scipys(pair: Pair) -> None:
    found = compare_folds(*pair, RATIO)
    expected = stats.ttest_1samp(differences(pair), 0)
    one_sided = stats.ttest_1samp(differences(pair), 0, alternative="greater")
    interval = expected.confidence_interval(0.95)
    assert found.t_two_sided == pytest.approx(expected.pvalue)
    assert found.t_one_sided == pytest.approx(one_sided.pvalue)
    assert found.interval == pytest.approx((interval.low, interval.high), abs=1e-9)


@given(folds())
def test_wilcoxon_is_what_all_signs_give(pair: Pair) -> None:
    kept = differences(pair)[differences(pair) != 0]
    ranks = stats.rankdata(np.abs(kept))
    sums = np.array([sum(chosen) for chosen in itertools.product(*((0, rank) for rank in ranks))])
    far = np.abs(sums - ranks.sum() / 2) >= abs(ranks[kept > 0].sum() - ranks.sum() / 2)
    assert compare_folds(*pair, RATIO).wilcoxon == pytest.approx(far.mean())


def test_wilcoxon_is_exact_for_as_many_folds_as_loso_has() -> None:
    rng = np.random.default_rng(0)
    first, second = rng.integers(0, 4, (2, 118)) / 3
    found = compare_folds(first, second, 1 / 117)
    close = stats.wilcoxon(np.round(first - second, 12), method="asymptotic", correction=True).pvalue
    assert found.wilcoxon == pytest.approx(close, rel=0.02)
    assert compare_folds(np.ones(118), np.zeros(118), 0).wilcoxon == 2.0**-117


def test_equal_differences_are_ties_whatever_their_last_bit() -> None:
    first, second = [30 / 33, 31 / 33, 2 / 3], [28 / 33, 29 / 33, 1 / 3]
    assert first[0] - second[0] != first[1] - second[1]
    assert compare_folds(first, second, RATIO).rank_biserial == 1
    assert compare_folds([first[0], second[1]], [second[0], first[1]], RATIO).rank_biserial == 0
    assert isnan(compare_folds(first[:2], second[:2], RATIO).t_two_sided)


@given(folds())
def test_swapping_the_runs_mirrors_every_number(pair: Pair) -> None:
    found, mirror = compare_folds(*pair, RATIO), compare_folds(*pair[::-1], RATIO)
    for name in ("t_two_sided", "t_corrected", "wilcoxon"):
        assert getattr(found, name) == pytest.approx(getattr(mirror, name), nan_ok=True)
    for name in ("mean_difference", "cohens_dz", "rank_biserial"):
        assert getattr(found, name) == pytest.approx(-getattr(mirror, name), nan_ok=True)
    for name in ("interval", "interval_corrected"):
        low, high = getattr(mirror, name)
        assert getattr(found, name) == pytest.approx((-high, -low), nan_ok=True)
    assert (found.num_better, found.num_equal, found.num_worse) == (
        mirror.num_worse,
        mirror.num_equal,
        mirror.num_better,
    )
    if differences(pair).any():
        assert found.t_one_sided == pytest.approx(1 - mirror.t_one_sided, nan_ok=True)


@given(folds())
def test_numbers_stay_where_they_belong(pair: Pair) -> None:
    found = compare_folds(*pair, RATIO)
    p_values = [getattr(found, name) for name in P_VALUES]
    assert all(isnan(p) or 0 <= p <= 1 for p in p_values)
    assert -1 <= found.rank_biserial <= 1
    assert isnan(found.t_two_sided) == (not vary(pair) and differences(pair).any())
    if vary(pair):
        assert found.interval[0] <= found.mean_difference <= found.interval[1]
        # The interval holds zero exactly where the test does not reject at 5 %.
        assert (found.interval[0] <= 0 <= found.interval[1]) == (found.t_two_sided >= 0.05)
        corrected = found.interval_corrected
        assert (corrected[0] <= 0 <= corrected[1]) == (found.t_corrected >= 0.05)


@given(folds(min_folds=2).filter(vary), st.floats(0, 2))
def test_the_correction_makes_less_sure(pair: Pair, ratio: float) -> None:
    found = compare_folds(*pair, ratio)
    assert found.t_corrected >= found.t_two_sided - 1e-12
    assert found.interval_corrected[1] >= found.interval[1] - 1e-12
    none = compare_folds(*pair, 0)
    assert none.t_corrected == pytest.approx(none.t_two_sided)


@given(folds(), st.floats(0, 1))
def test_a_fold_without_a_difference_changes_no_rank(pair: Pair, accuracy: float) -> None:
    found = compare_folds(*pair, RATIO)
    longer = compare_folds([*pair[0], accuracy], [*pair[1], accuracy], RATIO)
    assert longer.wilcoxon == pytest.approx(found.wilcoxon)
    assert longer.rank_biserial == found.rank_biserial
    assert longer.num_equal == found.num_equal + 1


@pytest.mark.parametrize("num_folds", [1, 2, 10])
def test_no_difference_at_all_is_p_1_and_no_effect(num_folds: int) -> None:
    found = compare_folds(np.linspace(0, 1, num_folds), np.linspace(0, 1, num_folds), RATIO)
    assert [getattr(found, name) for name in P_VALUES] == [1, 1, 1, 1]
    assert (found.mean_difference, found.cohens_dz, found.rank_biserial) == (0, 0, 0)


@pytest.mark.parametrize(("num_folds", "wilcoxon"), [(1, 1), (2, 0.5), (10, 2 / 2**10)])
def test_equal_differences_leave_nothing_to_judge_a_mean_by(num_folds: int, wilcoxon: float) -> None:
    second = np.linspace(0.1, 0.8, num_folds)
    found = compare_folds(second + 0.1, second, RATIO)
    assert [found.t_one_sided, found.t_two_sided, found.t_corrected] == pytest.approx([nan] * 3, nan_ok=True)
    assert [*found.interval, *found.interval_corrected] == pytest.approx([nan] * 4, nan_ok=True)
    assert isnan(found.cohens_dz)
    assert (found.wilcoxon, found.rank_biserial) == (wilcoxon, 1)
    assert found.mean_difference == pytest.approx(0.1)


@pytest.mark.parametrize(("first", "second"), [([], []), ([1], [1, 1]), ([[1]], [[1]]), (1, 1)])
def test_what_cannot_be_paired_is_refused(first: Any, second: Any) -> None:
    with pytest.raises(ValueError, match="one accuracy for each fold"):
        compare_folds(first, second, RATIO)
    with pytest.raises(ValueError, match="one value for each clip"):
        compare_clips(first, second)


@pytest.mark.parametrize("ratio", [-0.1, nan])
def test_a_ratio_that_is_none_is_refused(ratio: float) -> None:
    with pytest.raises(ValueError, match="test_train_ratio "):
        compare_folds([1], [1], ratio)


def test_mcnemar_by_hand() -> None:
    found = clips([(True, False)] * 9 + [(False, True)] * 2 + [(True, True)] * 80 + [(False, False)] * 9)
    assert (found.num_clips, found.correct_first, found.correct_second) == (100, 89, 82)
    assert (found.only_first, found.only_second) == (9, 2)
    assert found.difference == pytest.approx(0.07)
    assert found.mcnemar == pytest.approx(2 * (1 + 11 + 55) / 2**11)  # none, one or two of 11 tosses
    assert found.odds_ratio == 4.5
    low, high = found.odds_interval
    # Clopper and Pearson: at either end, what was seen or more extreme has a probability of 2.5 %.
    assert stats.binom.sf(8, 11, low / (1 + low)) == pytest.approx(0.025)
    assert stats.binom.cdf(9, 11, high / (1 + high)) == pytest.approx(0.025)


def test_mcnemar_without_clips_to_judge_by() -> None:
    found = clips([(True, True), (False, False)])
    assert (found.mcnemar, found.difference, found.odds_interval) == (1, 0, (0, inf))
    assert isnan(found.odds_ratio)
    one_way = clips([(True, False)] * 5)
    assert (one_way.odds_ratio, one_way.odds_interval[1]) == (inf, inf)
    assert clips([(False, True)] * 5).odds_interval[0] == 0


@given(OUTCOMES)
def test_swapping_the_runs_mirrors_mcnemar(outcomes: list[tuple[bool, bool]]) -> None:
    found, mirror = clips(outcomes), clips([(second, first) for first, second in outcomes])
    assert mirror.mcnemar == pytest.approx(found.mcnemar)
    assert mirror.difference == -found.difference
    assert (mirror.only_first, mirror.correct_first) == (found.only_second, found.correct_second)
    low, high = mirror.odds_interval
    assert found.odds_interval == pytest.approx((1 / high if high else inf, 1 / low if low else inf))


@given(OUTCOMES, st.integers(0, 50), st.integers(0, 50))
def test_clips_that_both_get_right_or_wrong_never_change_mcnemar(
    outcomes: list[tuple[bool, bool]], both: int, neither: int
) -> None:
    found, more = clips(outcomes), clips([*outcomes, *[(True, True)] * both, *[(False, False)] * neither])
    assert (more.mcnemar, more.odds_interval) == (found.mcnemar, found.odds_interval)
    assert more.correct_first == found.correct_first + both


@given(OUTCOMES)
def test_mcnemar_and_its_interval_agree_with_what_was_seen(outcomes: list[tuple[bool, bool]]) -> None:
    found = clips(outcomes)
    assert 0 < found.mcnemar <= 1
    assert found.difference == pytest.approx((found.correct_first - found.correct_second) / len(outcomes))
    low, high = found.odds_interval
    assert isnan(found.odds_ratio) or low <= found.odds_ratio <= high
    assert (low <= 1 <= high) == (found.mcnemar >= 0.05)


def test_holm_by_hand() -> None:
    """The example of four tests: 0.005 x 4, 0.01 x 3, 0.03 x 2, and 0.04 x 1 is raised to the one before it."""
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.5, 0.6]) == pytest.approx([1, 1])
    assert holm([0.02]) == pytest.approx([0.02])
    assert holm([]).shape == (0,)


def test_an_undefined_test_counts_as_a_test() -> None:
    corrected = holm([nan, 0.01, 0.02])
    assert isnan(corrected[0])
    assert corrected[1:] == pytest.approx([0.03, 0.04])


@given(st.lists(st.floats(0, 1), min_size=1, max_size=9), st.randoms(use_true_random=False))
def test_holm_lies_between_no_correction_and_bonferroni_in_any_order(values: list[float], random: Any) -> None:
    corrected = holm(values)
    assert (corrected >= np.asarray(values)).all()
    assert (corrected <= np.minimum(1, np.multiply(values, len(values)))).all()
    order = list(range(len(values)))
    random.shuffle(order)
    assert holm([values[index] for index in order]) == pytest.approx(corrected[order])
