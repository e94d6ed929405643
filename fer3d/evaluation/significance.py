"""Significance tests and effect sizes of two runs, paired over folds and paired over clips."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf, nan, sqrt

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import binomtest, rankdata
from scipy.stats import t as student

# Level of every interval.
CONFIDENCE = 0.95
# Shares such as 30/33 - 28/33 and 31/33 - 29/33 are equal, but not to the last bit.
_DECIMALS = 12

Interval = tuple[float, float]


@dataclass(frozen=True)
class FoldTests:
    """How two runs differ over the same folds. A difference is first minus second, so positive if first is better.

    If all differences are 0, every p-value is 1 and every effect 0. With one fold, or equal differences in all folds,
    the variance is 0, and whatever divides by it is NaN.

    Attributes:
        num_folds: Number of folds.
        num_better: Number of folds in which first is better.
        num_worse: Number of folds in which second is better.
        mean_first: Mean accuracy of first over the folds.
        mean_second: Mean accuracy of second.
        t_one_sided: p-value of the paired t-test with the alternative that first is better.
        t_two_sided: p-value of the two-sided paired t-test. It ignores that folds share training clips, and so finds
            differences too easily (Dietterich, Neural Computation 10(7), 1998).
        t_corrected: p-value of the corrected resampled t-test, two-sided: the variance of the mean is
            `(1 / num_folds + n_test / n_train)` times that of the differences (Nadeau and Bengio, Machine Learning
            52(3), 2003).
        wilcoxon: p-value of Wilcoxon's signed-rank test, two-sided. Folds without a difference are dropped (Wilcoxon,
            Biometrics Bulletin 1(6), 1945); tied differences share their mean rank; the p-value is exact for these
            ranks, over all assignments of signs. Tables for ranks without ties give slightly different values.
        interval: 95 % interval of the mean difference, by the paired t-test.
        interval_corrected: 95 % interval by the corrected test.
        cohens_dz: Mean difference divided by the standard deviation of the differences (Cohen 1988).
        rank_biserial: Matched-pairs rank-biserial correlation, from -1 to 1: the share of the rank sum that favours
            first minus the share that favours second (Kerby, Comprehensive Psychology 3, 2014).
    """

    num_folds: int
    num_better: int
    num_worse: int
    mean_first: float
    mean_second: float
    t_one_sided: float
    t_two_sided: float
    t_corrected: float
    wilcoxon: float
    interval: Interval
    interval_corrected: Interval
    cohens_dz: float
    rank_biserial: float

    @property
    def num_equal(self) -> int:
        """Number of folds in which the runs are equal."""
        return self.num_folds - self.num_better - self.num_worse

    @property
    def mean_difference(self) -> float:
        """Mean difference over folds."""
        return self.mean_first - self.mean_second


@dataclass(frozen=True)
class ClipTest:
    """How two runs differ over the same clips.

    Attributes:
        num_clips: Number of clips.
        correct_first: Number of clips that first gets right.
        correct_second: Number of clips that second gets right.
        only_first: Number of clips that first alone gets right.
        only_second: Number of clips that second alone gets right.
        mcnemar: p-value of McNemar's exact two-sided test, that each of the discordant clips is equally likely to be
            right in either run (McNemar, Psychometrika 12, 1947); 1 without any. It assumes independent clips.
        odds_ratio: `only_first / only_second`; infinite if only second has none, NaN if both have none.
        odds_interval: 95 % interval of the odds ratio: the exact interval of Clopper and Pearson (Biometrika 26, 1934)
            for the share of `only_first` in both, as odds.
    """

    num_clips: int
    correct_first: int
    correct_second: int
    only_first: int
    only_second: int
    mcnemar: float
    odds_ratio: float
    odds_interval: Interval

    @property
    def difference(self) -> float:
        """Pooled accuracy of first minus that of second."""
        return (self.only_first - self.only_second) / self.num_clips


def compare_folds(first: ArrayLike, second: ArrayLike, test_train_ratio: float) -> FoldTests:
    """Compares two runs over the same folds.

    Args:
        first: `(num_folds,)` accuracy of the first run in each fold, from 0 to 1.
        second: `(num_folds,)` accuracy of the second run, in the same order of folds.
        test_train_ratio: Ratio of held-out to training clips: 1/9 with ten equal folds.

    Raises:
        ValueError: There are no folds, the shapes differ, or the ratio is negative.
    """
    a, b = np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)
    if a.ndim != 1 or a.shape != b.shape or not len(a):
        raise ValueError(f"both runs must have one accuracy for each fold, got the shapes {a.shape} and {b.shape}")
    if not test_train_ratio >= 0:
        raise ValueError(f"test_train_ratio must be at least 0, got {test_train_ratio}")
    differences = np.round(a - b, _DECIMALS)
    k = len(differences)
    plain, corrected = (_standard_error(differences, share) for share in (1 / k, 1 / k + test_train_ratio))
    positive, total, wilcoxon = _signed_ranks(differences)
    return FoldTests(
        num_folds=k,
        num_better=int((differences > 0).sum()),
        num_worse=int((differences < 0).sum()),
        mean_first=float(a.mean()),
        mean_second=float(b.mean()),
        t_one_sided=_t_test(differences, plain)[0],
        t_two_sided=_t_test(differences, plain)[1],
        t_corrected=_t_test(differences, corrected)[1],
        wilcoxon=wilcoxon,
        interval=_t_interval(differences, plain),
        interval_corrected=_t_interval(differences, corrected),
        cohens_dz=_over(differences, plain * sqrt(k)),
        rank_biserial=(2 * positive - total) / total if total else 0.0,
    )


def compare_clips(first_correct: ArrayLike, second_correct: ArrayLike) -> ClipTest:
    """Compares two runs over the same clips.

    Args:
        first_correct: `(num_clips,)` whether the first run gets each clip right.
        second_correct: `(num_clips,)` for the second run, in the same order of clips.

    Raises:
        ValueError: There are no clips, or the shapes differ.
    """
    a, b = np.asarray(first_correct, dtype=bool), np.asarray(second_correct, dtype=bool)
    if a.ndim != 1 or a.shape != b.shape or not len(a):
        raise ValueError(f"both runs must have one value for each clip, got the shapes {a.shape} and {b.shape}")
    only_first, only_second = int((a & ~b).sum()), int((b & ~a).sum())
    p_value, interval = 1.0, (0.0, inf)
    if only_first + only_second:
        test = binomtest(only_first, only_first + only_second)
        share = test.proportion_ci(CONFIDENCE, method="exact")
        p_value, interval = float(test.pvalue), (_odds(share.low), _odds(share.high))
    return ClipTest(
        num_clips=len(a),
        correct_first=int(a.sum()),
        correct_second=int(b.sum()),
        only_first=only_first,
        only_second=only_second,
        mcnemar=p_value,
        odds_ratio=only_first / only_second if only_second else inf if only_first else nan,
        odds_interval=interval,
    )


def holm(p_values: ArrayLike) -> NDArray[np.float64]:
    """Corrects p-values for their number: an error in any of the tests is as unlikely as in one alone.

    The smallest is multiplied by the number of tests, the next one by one less, and so on; none falls below a smaller
    one, or exceeds 1 (Holm, Scandinavian Journal of Statistics 6(2), 1979).

    Args:
        p_values: `(num_tests,)`, from 0 to 1; NaN where a test is undefined, which counts as a test and stays NaN.

    Returns:
        `(num_tests,)` in the same order.
    """
    values = np.asarray(p_values, dtype=np.float64)
    order = np.argsort(values, kind="stable")  # puts NaN last
    corrected = np.empty_like(values)
    corrected[order] = np.minimum(np.maximum.accumulate(values[order] * np.arange(len(values), 0, -1)), 1)
    return corrected


def _standard_error(differences: NDArray[np.float64], share: float) -> float:
    """The standard error of the mean, with `share` of the variance of the differences; NaN if these are all equal."""
    if np.ptp(differences) == 0:  # computed, this variance may be a rounding error above 0
        return nan
    return sqrt(differences.var(ddof=1) * share)


def _over(differences: NDArray[np.float64], scale: float) -> float:
    return float(differences.mean()) / scale if differences.any() else 0.0


def _t_test(differences: NDArray[np.float64], error: float) -> tuple[float, float]:
    """The one-sided (first is better) and the two-sided p-value."""
    if not differences.any():
        return 1.0, 1.0
    t, freedom = _over(differences, error), len(differences) - 1
    return float(student.sf(t, freedom)), float(2 * student.sf(abs(t), freedom))


def _t_interval(differences: NDArray[np.float64], error: float) -> Interval:
    half = float(student.isf((1 - CONFIDENCE) / 2, len(differences) - 1)) * error
    return float(differences.mean()) - half, float(differences.mean()) + half


def _signed_ranks(differences: NDArray[np.float64]) -> tuple[int, int, float]:
    """Twice the rank sum that favours first, twice the total rank sum, and Wilcoxon's exact two-sided p-value."""
    kept = differences[differences != 0]
    ranks = (2 * rankdata(np.abs(kept))).astype(int)  # doubled, mean ranks of ties are whole numbers
    positive, total = int(ranks[kept > 0].sum()), int(ranks.sum())
    # The distribution of the rank sum, one rank after the other: each counts with probability 1/2. With ties, SciPy
    # enumerates all 2 ** num_folds signs, or approximates.
    probability = np.ones(1)
    for rank in ranks.tolist():
        probability = (np.pad(probability, (0, rank)) + np.pad(probability, (rank, 0))) / 2
    as_far = np.abs(2 * np.arange(total + 1) - total) >= abs(2 * positive - total)
    return positive, total, min(1.0, float(probability[as_far].sum()))


def _odds(share: float) -> float:
    return float(share / (1 - share)) if share < 1 else inf
