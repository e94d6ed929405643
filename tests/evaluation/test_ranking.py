"""Many entries: what must hold for any, what the tests of a pair become among others, and what is said of it."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from fake_entries import chance_entries, make_entry
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from fer3d.evaluation.comparison import Comparison
from fer3d.evaluation.entries import Entry
from fer3d.evaluation.protocols import BEST_EPOCH, LAST_EPOCH
from fer3d.evaluation.ranking import Ranking, rank_entries, rankings_json
from fer3d.evaluation.ranking_tables import costs_table, pairs_matrix, pairs_table, standings_table
from fer3d.evaluation.tables import json_text

FOUR = {"good": 0.95, "fair": 0.9, "alike": 0.9, "poor": 0.3}


@st.composite
def entries(draw: st.DrawFn, num_seeds: int | None = None) -> tuple[Entry, ...]:
    """Two to five entries of a few clips, so that ties and identical entries are frequent."""
    seeds, folds = num_seeds or draw(st.integers(1, 3)), draw(st.integers(1, 4))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    tables: list[NDArray[np.bool_]] = []
    for _ in range(draw(st.integers(2, 5))):
        shares = rng.choice([0.1, 0.9])
        copied = tables and draw(st.integers(0, 3)) == 0
        tables.append(tables[0] if copied else rng.random((seeds, folds * 5)) < shares)
    kind = draw(st.sampled_from(["k_fold", "loso"]))
    return tuple(make_entry("abcde"[i], table, num_folds=folds, kind=kind) for i, table in enumerate(tables))


@given(entries())
def test_what_holds_for_any_entries(given_entries: tuple[Entry, ...]) -> None:
    found = Ranking.of(given_entries, LAST_EPOCH)
    number = len(given_entries)
    assert sum(standing.mean_rank for standing in found.standings) == pytest.approx(number * (number + 1) / 2)
    accuracies = [standing.accuracy for standing in found.standings]
    # Means of the same accuracies in another order of seeds differ in their last bit.
    assert accuracies == pytest.approx(sorted(accuracies, reverse=True))
    assert len(found.pairs) == number * (number - 1) / 2
    for standing in found.standings:
        low, high = standing.interval
        assert 0 <= low <= standing.accuracy + 1e-12
        assert standing.accuracy - 1e-12 <= high <= 1
    for pair in found.pairs:
        assert pair.mcnemar_holm >= pair.clips.mcnemar
        assert not pair.t_holm < pair.folds.t_corrected
        together = any(pair.first in group and pair.second in group for group in found.groups)
        assert together == (pair.better is None)
    groups = [set(group) for group in found.groups]
    assert not any(one < other for one in groups for other in groups)
    json_text(rankings_json([found]))


@given(entries(), st.randoms(use_true_random=False))
def test_the_order_of_entries_changes_nothing(given_entries: tuple[Entry, ...], random: Any) -> None:
    shuffled = list(given_entries)
    random.shuffle(shuffled)
    first, second = (json_text(rankings_json(rank_entries(each))) for each in (given_entries, shuffled))
    assert first == second


@given(entries())
def test_identical_entries_are_never_different(given_entries: tuple[Entry, ...]) -> None:
    found = Ranking.of([*given_entries, replace(given_entries[0], label="twin")], LAST_EPOCH)
    (pair,) = (pair for pair in found.pairs if {pair.first, pair.second} == {given_entries[0].label, "twin"})
    assert (pair.t_holm, pair.mcnemar_holm, pair.better) == (1, 1, None)


@given(entries(num_seeds=1))
def test_two_entries_of_one_seed_are_compared_as_two_runs(given_entries: tuple[Entry, ...]) -> None:
    ranking = Ranking.of(given_entries[:2], LAST_EPOCH)
    runs = {entry.label: entry.runs[0] for entry in given_entries}
    (pair,) = ranking.pairs
    expected = Comparison.of(runs[pair.first], runs[pair.second], LAST_EPOCH)
    assert pair.folds.t_corrected == pytest.approx(expected.folds.t_corrected, nan_ok=True)
    assert pair.folds.mean_difference == pytest.approx(expected.folds.mean_difference)
    assert (pair.clips.mcnemar, pair.clips.only_first) == (expected.clips.mcnemar, expected.clips.only_first)
    assert pair.mcnemar_holm == pair.clips.mcnemar  # one pair needs no correction


def test_seeds_do_not_multiply_the_clips_or_folds() -> None:
    """Seeds that all say the same are no more evidence than one."""
    rng = np.random.default_rng(0)
    tables = [rng.random(60) < share for share in (0.9, 0.7, 0.5)]
    once, often = (
        Ranking.of([make_entry("abc"[i], [table] * seeds) for i, table in enumerate(tables)], LAST_EPOCH)
        for seeds in (1, 5)
    )
    for name in ("t_holm", "mcnemar_holm"):
        assert [getattr(pair, name) for pair in often.pairs] == pytest.approx([getattr(it, name) for it in once.pairs])
    for several, one in zip(often.standings, once.standings, strict=True):
        assert several.interval == pytest.approx(one.interval)


def test_a_clip_counts_for_the_entry_that_is_right_under_more_seeds() -> None:
    first = [[1, 1, 0, 1], [1, 0, 0, 1], [1, 1, 0, 0]]
    second = [[0, 1, 0, 1], [0, 1, 1, 0], [0, 0, 0, 1]]
    (pair,) = Ranking.of([make_entry("a", first, num_folds=2), make_entry("b", second, num_folds=2)], LAST_EPOCH).pairs
    assert (pair.clips.num_clips, pair.clips.only_first, pair.clips.only_second) == (4, 1, 1)


def test_ranks_are_means_over_folds_and_seeds_with_ties_shared() -> None:
    tables = {"a": [[1, 1], [1, 0]], "b": [[1, 0], [1, 1]], "c": [[0, 0], [1, 0]]}
    found = Ranking.of([make_entry(label, table, num_folds=2) for label, table in tables.items()], LAST_EPOCH)
    ranks = {standing.label: standing.mean_rank for standing in found.standings}
    assert ranks == {"a": (1.5 + 1 + 2 + 2.5) / 4, "b": (1.5 + 2.5 + 2 + 1) / 4, "c": (3 + 2.5 + 2 + 2.5) / 4}


def test_says_what_is_shown_and_what_is_not() -> None:
    found = Ranking.of(chance_entries(FOUR, seeds=3), LAST_EPOCH)
    assert found.test == "t_corrected"
    assert set(found.groups[0]) == {"good", "fair", "alike"}
    assert found.beaten_by("good") == ("poor",)
    assert found.sentence == (
        f"On these folds, {', '.join(found.groups[0][:2])} and {found.groups[0][2]} are each better than poor "
        "(Holm-corrected p < 0.05, corrected resampled t-test); no difference is shown among "
        f"{', '.join(found.groups[0][:2])} and {found.groups[0][2]}, which does not mean that there is none."
    )
    nothing = Ranking.of(chance_entries({"a": 0.7, "b": 0.7}), LAST_EPOCH)
    assert "no difference is shown between" in nothing.sentence
    assert "better" not in nothing.sentence
    everything = Ranking.of(chance_entries({"a": 0.95, "b": 0.1}), LAST_EPOCH)
    assert everything.sentence.startswith("On these folds, a is better than b (")
    assert "no difference" not in everything.sentence
    many = Ranking.of(chance_entries(dict.fromkeys("abcdefghijkl", 0.7)), LAST_EPOCH)
    assert "no difference is shown in 66 of 66 pairs" in many.sentence
    more = Ranking.of(chance_entries({"bad": 0.1, **{letter: 0.9 for letter in "abcdefghijklmnop"}}), LAST_EPOCH)
    assert more.sentence.startswith("On these folds, one entry is better than the other in 16 of 136 pairs (")


@pytest.mark.parametrize(("kind", "num_folds"), [("loso", 110), ("given", 1)])
def test_mcnemar_decides_where_folds_are_small_or_single(kind: str, num_folds: int) -> None:
    found = Ranking.of(chance_entries(FOUR, kind=kind, num_folds=num_folds), LAST_EPOCH)
    assert found.test == "mcnemar"
    assert found.sentence.startswith("On these clips, ")
    assert all((pair.better is not None) == (pair.mcnemar_holm < 0.05) for pair in found.pairs)
    assert "McNemar's exact test over clips decides" in pairs_table(found).note


def test_json_holds_all_numbers() -> None:
    found = rank_entries(chance_entries(FOUR, [0.5, 2, None, 7], seeds=2))
    told = json.loads(json_text(rankings_json(found)))
    assert told["caution"] == "SYNTHETIC data"
    assert [(each["label"], each["seeds"]) for each in told["entries"]] == [(label, [0, 1]) for label in sorted(FOUR)]
    assert list(told["protocols"]) == ["best_epoch", "best_common_epoch", "last_epoch"]
    last = told["protocols"]["last_epoch"]
    assert (last["optimistic"], last["decided_by"], last["level"]) == (False, "t_corrected_holm", 0.05)
    assert {each["label"]: each["gflop"] for each in last["entries"]} == {
        "good": 0.5, "fair": 2, "alike": None, "poor": 7,
    }  # fmt: skip
    assert len(last["pairs"]) == 6
    assert {"first", "second", "better", "t_corrected_holm", "mcnemar_holm", "folds", "clips"} <= set(last["pairs"][0])


def test_tables_have_a_row_an_entry_and_a_caution() -> None:
    found = Ranking.of(chance_entries(FOUR, [0.5, 2, None, 78], seeds=2), BEST_EPOCH)
    tables = standings_table(found, costs=True), pairs_table(found), pairs_matrix(found)
    for table in tables:
        assert table.caution == "SYNTHETIC data"
        assert found.protocol.title in table.title
        assert all(len(row) == len(table.columns) for row in table.rows)
    costs = {row[0]: row[5:] for row in tables[0].rows}
    assert costs["good"] == ("500,000", "0.5", "18", "2")
    assert costs["alike"] == ("-", "-", "-", "2")
    assert costs["poor"][:2] == ("78.00 M", "78")
    assert [row[0] for row in tables[0].rows] == [row[0] for row in tables[2].rows]
    assert tables[2].rows[-1][2:] == ("", "", "")
    assert len(tables[1].rows) == 6
    assert costs_table([it.entry for it in found.standings], "SYNTHETIC data").heading.endswith("[SYNTHETIC data]")


def test_times_of_different_devices_are_not_to_be_compared() -> None:
    pair = [make_entry("a", [True] * 20, device="cpu"), make_entry("b", [False] * 20, device="H100")]
    assert "different devices (H100, cpu)" in costs_table(pair).note
    assert "devices" not in costs_table(pair[:1]).note
