"""What a change does, on made-up runs."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from fake_entries import make_entry
from numpy.typing import NDArray

from fer3d.evaluation.effects import Change, Effects
from fer3d.evaluation.run_results import EvaluationError, RunResults
from fer3d.evaluation.significance import compare_folds
from fer3d.evaluation.tables import json_text

NUM_CLIPS, NUM_FOLDS = 120, 10
GENTLE, HARSH = Change("gentle", "gentle", "base"), Change("harsh", "harsh", "base", "lowers accuracy")


def right(share: float, seed: int, num_seeds: int = 2) -> NDArray[np.bool_]:
    return np.random.default_rng(seed).random((num_seeds, NUM_CLIPS)) < share


def runs_of(**shares: float) -> list[RunResults]:
    return [run for number, (name, share) in enumerate(shares.items()) for run in _runs(name, right(share, number))]


def _runs(name: str, table: NDArray[np.bool_]) -> tuple[RunResults, ...]:
    return make_entry(name, table, num_folds=NUM_FOLDS).runs


def test_an_effect_is_the_mean_difference_over_folds_and_seeds() -> None:
    tables = {"base": right(0.8, 0), "gentle": right(0.9, 1), "harsh": right(0.3, 2)}
    found = Effects.of("two", [GENTLE, HARSH], [run for name, table in tables.items() for run in _runs(name, table)])
    assert [effect.change for effect in found.effects] == [GENTLE, HARSH]
    # Clip number i is held out in fold i % 10.
    folds = {name: table.mean(0).reshape(-1, NUM_FOLDS).mean(0) for name, table in tables.items()}
    for effect in found.effects:
        expected = compare_folds(folds[effect.change.changed], folds["base"], 1 / 9)
        assert effect.tests.mean_difference == pytest.approx(expected.mean_difference)
        assert effect.tests.interval_corrected == pytest.approx(expected.interval_corrected)
    harsh = found.effects[1]
    assert harsh.tests.mean_difference < -0.3
    assert harsh.p_holm == pytest.approx(2 * harsh.tests.t_corrected)


def test_neither_the_order_of_runs_nor_other_runs_matter() -> None:
    runs = runs_of(base=0.8, gentle=0.7, harsh=0.5)
    assert Effects.of("", [HARSH], runs) == Effects.of("", [HARSH], [runs[1], runs[5], runs[0], runs[4]])


def test_a_run_that_is_the_same_has_no_effect() -> None:
    table = right(0.8, 0)
    found = Effects.of("", [GENTLE], [*_runs("base", table), *_runs("gentle", table)])
    assert found.effects[0].tests.mean_difference == 0
    assert found.effects[0].p_holm == 1


def test_table_and_json_say_the_same_and_that_the_clips_are_synthetic() -> None:
    found = Effects.of("one", [HARSH], runs_of(base=0.8, harsh=0.5))
    table = found.table()
    assert "SYNTHETIC data" in table.heading
    ((label, _, points, *_, published),) = table.rows
    told = json.loads(json_text(found.numbers))
    (effect,) = told["effects"]
    assert told["caution"] == found.caution == "SYNTHETIC data"
    assert label == effect["change"]["label"] == "harsh"
    assert float(points) == pytest.approx(100 * effect["mean_difference"], abs=0.05)
    assert published == effect["change"]["published"] == "lowers accuracy"


def test_missing_runs_and_other_seeds_or_folds_are_refused() -> None:
    with pytest.raises(EvaluationError, match="base has no run"):
        Effects.of("", [GENTLE], runs_of(gentle=0.8))
    runs = runs_of(base=0.8, gentle=0.7)
    with pytest.raises(EvaluationError, match=r"gentle has the seeds \[0\] and base has the seeds \[0, 1\]"):
        Effects.of("", [GENTLE], runs[:-1])
    fewer = replace(runs[-1], folds=runs[-1].folds[:-1])
    with pytest.raises(EvaluationError, match="cannot be compared"):
        Effects.of("", [GENTLE], [*runs[:-1], fewer])
