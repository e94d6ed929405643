from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from fake_entries import make_entry
from numpy.typing import NDArray

from fer3d.evaluation.run_results import EvaluationError, RunResults
from fer3d.evaluation.significance import compare_folds
from fer3d.evaluation.tables import json_text
from fer3d.paper.ablation import BASE, VARIANTS, effects, effects_json, effects_table

NUM_CLIPS, NUM_FOLDS = 120, 10
ELU, DROPOUT = VARIANTS[0].name, VARIANTS[-1].name


def right(share: float, seed: int, num_seeds: int = 2) -> NDArray[np.bool_]:
    return np.random.default_rng(seed).random((num_seeds, NUM_CLIPS)) < share


def runs_of(**shares: float) -> list[RunResults]:
    return [run for number, (name, share) in enumerate(shares.items()) for run in _runs(name, right(share, number))]


def _runs(name: str, table: NDArray[np.bool_]) -> tuple[RunResults, ...]:
    return make_entry(name, table, num_folds=NUM_FOLDS).runs


def test_names_of_variants_are_unique_and_name_folders() -> None:
    names = [variant.name for variant in VARIANTS]
    assert len(set(names)) == len(names)
    assert all(name.replace("_", "").isalnum() and Path(name).name == name for name in names)


def test_an_effect_is_the_mean_difference_over_folds_and_seeds_to_c1() -> None:
    tables = {BASE: right(0.8, 0), ELU: right(0.9, 1), DROPOUT: right(0.3, 2)}
    found = effects([run for name, table in tables.items() for run in _runs(name, table)])
    assert [effect.variant.name for effect in found] == [ELU, DROPOUT]
    # Clip number i is held out in fold i % 10.
    folds = {name: table.mean(0).reshape(-1, NUM_FOLDS).mean(0) for name, table in tables.items()}
    for effect in found:
        expected = compare_folds(folds[effect.variant.name], folds[BASE], 1 / 9)
        assert effect.tests.mean_difference == pytest.approx(expected.mean_difference)
        assert effect.tests.interval_corrected == pytest.approx(expected.interval_corrected)
    assert found[1].tests.mean_difference < -0.3
    assert found[1].p_holm == pytest.approx(2 * found[1].tests.t_corrected)


def test_the_order_of_runs_does_not_matter() -> None:
    runs = runs_of(**{BASE: 0.8, ELU: 0.7, DROPOUT: 0.5})
    assert effects(runs) == effects(runs[::-1])


def test_table_and_json_say_the_same_and_that_the_clips_are_synthetic() -> None:
    found = effects(runs_of(**{BASE: 0.8, DROPOUT: 0.5}))
    table = effects_table(found, "SYNTHETIC data")
    assert "SYNTHETIC data" in table.heading
    ((choice, points, _, _, paper),) = table.rows
    told = json.loads(json_text(effects_json(found, "SYNTHETIC data")))
    (effect,) = told["effects"]
    assert told["caution"] == "SYNTHETIC data"
    assert choice == "dropout: 0.75"
    assert float(points) == pytest.approx(100 * effect["mean_difference"], abs=0.05)
    assert paper == effect["variant"]["paper"] == "lowers accuracy"


def test_runs_without_c1_or_with_other_seeds_are_refused() -> None:
    with pytest.raises(EvaluationError, match="none of the runs is c1"):
        effects(runs_of(**{ELU: 0.8}))
    runs = runs_of(**{BASE: 0.8, ELU: 0.7})
    with pytest.raises(EvaluationError, match=rf"{ELU} has the seeds \[0\], and c1 has \[0, 1\]"):
        effects(runs[:-1])
    fewer = replace(runs[-1], folds=runs[-1].folds[:-1])
    with pytest.raises(EvaluationError, match="cannot be compared"):
        effects([*runs[:-1], fewer])
