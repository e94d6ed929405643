"""The arithmetic of what in the paper does not add up."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Collection, Iterator, Sequence
from math import floor

import numpy as np
import pytest

from fer3d.evaluation.significance import FoldTests, compare_folds
from fer3d.paper.discrepancies import DISCREPANCIES
from fer3d.paper.printed import C2, FIGURE_5, FIGURE_6, TABLE_4, TABLE_5, FoldRow, FoldTable, published_results

# Clips of each emotion in the order of the figure: CK+'s as distributed (Lucey et al. 2010), Oulu-CASIA's 80 subjects.
NUM_CLIPS = {"Figure 5": (45, 59, 25, 69, 28, 83, 18), "Figure 6": (80,) * 6}
# CK+'s folds by the rule of every tenth subject, which Frame Attention Networks (reference 27) and others have.
STEP_FOLDS = (33, 39, 40, 35, 30, 37, 29, 29, 33, 22)
# The comparisons of Tables 4 and 5.
PAIRS = ((TABLE_4, "c1", "c2"), (TABLE_4, "c1", "c3"), (TABLE_5, "c2", "c1"), (TABLE_5, "c2", "c4"))
# Sizes of a fold that are not absurd for a tenth of 327.
SIZES = range(20, 49)


def row(table: FoldTable, name: str) -> FoldRow:
    return next(row for row in table.rows if row.name == name)


def compared(table: FoldTable, first: str, second: str) -> FoldTests:
    return compare_folds(*(np.array(row(table, name).accuracies) / 100 for name in (first, second)), 1 / 9)


def shown(share: float) -> str:
    """As the figures show a share: two significant digits."""
    return f"{share:.2g}"


def sizes_for(accuracy: float, sizes: Collection[int] = SIZES) -> set[int]:
    """Numbers of clips of which some make this percentage, rounded or cut off after one decimal."""
    wanted = round(10 * accuracy)
    return {
        size
        for size in sizes
        for num_right in range(size + 1)
        if wanted in (floor(1000 * num_right / size + 0.5), floor(1000 * num_right / size + 1e-9))
    }


def column_sums(counts: Sequence[Sequence[int]]) -> tuple[int, ...]:
    return tuple(map(sum, zip(*counts, strict=True)))


def as_shown(counts: Sequence[Sequence[int]]) -> list[list[str]]:
    return [[shown(count / sum(line)) for count in line] for line in counts]


def row_counts(shares: Sequence[float]) -> Iterator[tuple[int, ...]]:
    """All whole numbers of up to 120 clips that are shown as these shares."""
    for size in range(10, 120):
        cells = [[count for count in range(size + 1) if shown(count / size) == shown(share)] for share in shares]
        yield from (chosen for chosen in itertools.product(*cells) if sum(chosen) == size)


def fits(shares: Sequence[Sequence[float]], num_clips: Sequence[int]) -> list[tuple[tuple[int, ...], ...]]:
    """All matrices of clips that are shown as these shares and have these sums of columns."""
    found: list[tuple[tuple[int, ...], ...]] = [()]
    for shares_of_row in shares:
        options = list(row_counts(shares_of_row))
        longer = [(*rows, option) for rows in found for option in options]
        found = [rows for rows in longer if all(np.less_equal(column_sums(rows), num_clips))]
    return [rows for rows in found if column_sums(rows) == tuple(num_clips)]


def moved_share() -> list[list[float]]:
    """Figure 5 with the 0.083 of row fear under anger."""
    shares = [list(line) for line in FIGURE_5.shares]
    fear, anger, contempt = (FIGURE_5.emotions.index(name) for name in ("fear", "anger", "contempt"))
    shares[fear][anger], shares[fear][contempt] = shares[fear][contempt], shares[fear][anger]
    return shares


def test_figure_6_fits_the_corpus_in_one_way_only() -> None:
    assert fits(FIGURE_6.shares, NUM_CLIPS["Figure 6"]) == [FIGURE_6.counts]


def test_figure_5_fits_the_corpus_in_one_way_only_with_a_share_moved() -> None:
    assert fits(FIGURE_5.shares, NUM_CLIPS["Figure 5"]) == []
    assert fits(moved_share(), NUM_CLIPS["Figure 5"]) == [FIGURE_5.counts]


def check_the_loso_accuracy(what: str) -> None:
    assert all(f"{num_right / 327:.2%}" != "97.56%" for num_right in range(328))
    assert f"319 of 327 are {319 / 327:.2%}, and 320 of 328 are {320 / 328:.2%}" in what


def check_figure_6(what: str) -> None:
    assert FIGURE_6.shares[1][4] == 0.076
    assert f"6 of 80 are {6 / 80} and 7 of 80 are {7 / 80}, where 0.076" in what
    *sizes, last = [sum(line) for line in FIGURE_6.counts]
    assert f"rows of {', '.join(map(str, sizes))} and {last} clips" in what
    assert column_sums(FIGURE_6.counts) == NUM_CLIPS["Figure 6"]
    num_right, num_clips = np.trace(FIGURE_6.counts), np.sum(FIGURE_6.counts)
    assert f"{num_right} of {num_clips} are right ({num_right / num_clips:.2%})" in what
    assert as_shown(FIGURE_6.counts) == [[shown(share) for share in line] for line in FIGURE_6.shares]


def check_figure_5(what: str) -> None:
    assert (FIGURE_5.shares[2][6], FIGURE_5.shares[4][2]) == (0.083, 0.037)
    assert f"2 of CK+'s 25 fear clips are {2 / 25:.3f} and 1 of its 28 sadness clips is {1 / 28:.3f}" in what
    *sizes, last = [sum(line) for line in FIGURE_5.counts]
    assert f"rows of {', '.join(map(str, sizes))} and {last} clips" in what
    assert column_sums(FIGURE_5.counts) == NUM_CLIPS["Figure 5"]
    assert f"{np.trace(FIGURE_5.counts)} of {np.sum(FIGURE_5.counts)} are right" in what
    assert as_shown(FIGURE_5.counts) == [[shown(share) for share in line] for line in moved_share()]
    as_printed = [list(line) for line in FIGURE_5.counts]
    as_printed[2] = [0, 0, 22, 0, 0, 0, 2]
    assert as_shown(as_printed) == [[shown(share) for share in line] for line in FIGURE_5.shares]
    assert column_sums(as_printed) == (43, 59, 25, 69, 28, 83, 20)


def check_rows_of_table_4_are_unlike(what: str) -> None:
    pairs = zip(row(TABLE_4, "c2").accuracies, row(TABLE_4, "c3").accuracies, strict=True)
    common = [sizes_for(first) & sizes_for(second) for first, second in pairs]
    assert [fold for fold, sizes in enumerate(common, start=1) if not sizes] == [1, 10]
    assert (sizes_for(93.9), sizes_for(96.8), sizes_for(90)) == ({33}, {31, 32}, {20, 30, 40})
    assert "93.9 is 31 of 33 clips and 96.8 is 30 of 31 or 31 of 32" in what


def check_the_clips_of_c3(what: str) -> None:
    sizes = [sizes_for(accuracy) for accuracy in row(TABLE_4, "c3").accuracies]
    assert 327 not in {sum(chosen) for chosen in itertools.product(*sizes)}
    likeliest = sorted(itertools.chain(*(size & {32, 33} for size in sizes)))
    assert likeliest == [32] * 4 + [33] * 6
    assert f"have {sum(likeliest)}." in what


def check_the_folds_of_previous_works(what: str) -> None:
    assert (sum(STEP_FOLDS), STEP_FOLDS.count(33)) == (327, 2)
    assert f"{', '.join(map(str, STEP_FOLDS[:-1]))} and {STEP_FOLDS[-1]} clips" in what
    sizes = [sizes_for(accuracy) for accuracy in row(TABLE_4, "c2").accuracies]
    assert [fold for fold, size in enumerate(sizes, start=1) if size & set(STEP_FOLDS) == {33}] == [1, 3, 4, 5, 6, 7]
    assert [fold for fold, size in enumerate(sizes, start=1) if not size & {32, 33}] == [10]


def check_averages(what: str) -> None:
    rows = {(table.source, each.name): each for table in (TABLE_4, TABLE_5) for each in table.rows}
    wrong = {key: each for key, each in rows.items() if abs(np.mean(each.accuracies) - each.average) > 0.005}
    assert list(wrong) == [("Table 4", "c2"), ("Table 4", "c3"), ("Table 5", "c1")]
    c2, c3, c1 = (f"{np.mean(each.accuracies):.2f}" for each in wrong.values())
    assert f"average {c2} and {c3} (printed: 90.76 and 91.14), those of c1 in Table 5 {c1} (printed: 77.08" in what
    num_right = sum(round(48 * accuracy / 100) for accuracy in row(TABLE_5, "c1").accuracies)
    assert (num_right, f"{num_right / 480:.2%}") == (370, "77.08%")
    assert f"26 of 33 are {100 * 26 / 33:.2f}" in what


def check_rows_of_table_5_are_unlike(what: str) -> None:
    for name, size, other in (("c2", 40, 48), ("c4", 40, 48), ("c1", 48, 40)):
        assert all(size in sizes_for(accuracy) for accuracy in row(TABLE_5, name).accuracies)
        assert not all(other in sizes_for(accuracy) for accuracy in row(TABLE_5, name).accuracies)
    assert f"97.5% of 48 would be {0.975 * 48:.1f} clips" in what


def check_the_two_accuracies_of_c2(what: str) -> None:
    assert row(TABLE_5, "c2").average == np.mean(row(TABLE_5, "c2").accuracies)
    assert f"{337 / 400:.2%} in Table 5, which is 337 of 400 clips, and {404 / 480:.2%} elsewhere" in what
    assert all(f"{num_right / 400:.2%}" != "84.17%" for num_right in range(401))


def check_p_values_are_one_sided(what: str) -> None:
    found = [compared(table, first, second) for table, first, second in PAIRS]
    # What is printed seems to be of accuracies that were not cut off.
    p_values = [row(table, second).p_value for table, _, second in PAIRS]
    assert [tests.t_one_sided for tests in found] == pytest.approx(p_values, rel=0.035)
    on_ckplus = f"{found[0].t_one_sided:.5f} and {found[1].t_one_sided:.5f} (c1 and c2, c1 and c3 on CK+)"
    on_oulu = f"{found[2].t_one_sided:.4f} and {found[3].t_one_sided:.4f} (c2 and c1, c2 and c4 on Oulu-CASIA)"
    assert f"{on_ckplus}, {on_oulu}" in what
    assert [tests.t_two_sided for tests in found] == pytest.approx([2 * tests.t_one_sided for tests in found])
    assert f"c2 and c1 then have {found[2].t_two_sided:.3f}" in what


def check_what_survives_correction(what: str) -> None:
    p_values = [f"{compared(table, first, second).t_corrected:.3f}" for table, first, second in PAIRS]
    assert "{} and {} on CK+, but {} and {} on Oulu-CASIA".format(*p_values) in what
    assert [float(p) < 0.05 for p in p_values] == [True, True, False, False]


def check_ten_folds_beat_loso(what: str) -> None:
    assert f"{np.sum(FIGURE_5.counts) - np.trace(FIGURE_5.counts)} of 327 clips wrong under LOSO" in what
    assert set(row(TABLE_4, "c1").accuracies) == {100}
    assert f"10 folds of about {round(327 / 10)} clips instead of 118 of about {round(327 / 118)}" in what


def check_better_results(what: str) -> None:
    oulu = published_results("oulu_casia", "10-fold")
    in_table = [result.accuracy for result in oulu if result.source.startswith("Table 8")]
    above = [accuracy for accuracy in in_table if accuracy > 84.17]
    assert f"Table 8 lists {' and '.join(map(str, above))} above" in what


def check_no_initializer_is_no_option(what: str) -> None:
    assert {setting.name: setting.printed for setting in C2.searched}["Initializer"] == "none"
    assert what.endswith("the best trial of Table 3 has none.")


# In the order of `DISCREPANCIES`, but for the last: references to figures have no arithmetic.
CHECKS = (
    check_the_loso_accuracy,
    check_figure_6,
    check_figure_5,
    check_rows_of_table_4_are_unlike,
    check_the_clips_of_c3,
    check_the_folds_of_previous_works,
    check_averages,
    check_rows_of_table_5_are_unlike,
    check_the_two_accuracies_of_c2,
    check_p_values_are_one_sided,
    check_what_survives_correction,
    check_ten_folds_beat_loso,
    check_better_results,
    check_no_initializer_is_no_option,
)


@pytest.mark.parametrize("check", CHECKS)
def test_the_arithmetic_of_each_discrepancy(check: Callable[[str], None]) -> None:
    check(DISCREPANCIES[CHECKS.index(check)].what)


def test_each_discrepancy_is_checked() -> None:
    assert len(CHECKS) == len(DISCREPANCIES) - 1
    assert all(each.where and each.what.endswith(".") for each in DISCREPANCIES)
