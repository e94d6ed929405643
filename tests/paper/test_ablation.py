from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from fake_entries import make_entry
from fake_studies import FakeTrial, write_study

from fer3d.evaluation.effects import Effects
from fer3d.evaluation.run_results import EvaluationError
from fer3d.paper.ablation import BASE, VARIANTS, Importances
from fer3d.search.storage import StudyError


def trial(num_wrong: int, **params: object) -> FakeTrial:
    return FakeTrial("complete", [1] * num_wrong + [0] * (10 - num_wrong), params)


# Pooling decides nearly everything, dropout a little, and CLAHE is always the same.
DECIDED = [
    trial(
        1 + 4 * (pooling == "max") + (dropout > 0.5),
        **{"model/pooling": pooling, "model.dropout": dropout, "clips.clahe": True},
    )
    for pooling in ("average", "max")
    for dropout in (0.1, 0.3, 0.5, 0.7, 0.9)
]


def effects() -> Effects:
    """Those of all variants; dropout 0.75 alone does harm."""
    rng = np.random.default_rng(0)
    tables = {name: rng.random((2, 120)) < 0.9 for name in (BASE, *(variant.name for variant in VARIANTS))}
    tables[VARIANTS[-1].name][:] = False
    runs = [run for name, table in tables.items() for run in make_entry(name, table).runs]
    return Effects.of("choices", [variant.change for variant in VARIANTS], runs)


def test_names_of_variants_are_unique_and_name_folders() -> None:
    names = [variant.name for variant in VARIANTS]
    assert len(set(names)) == len(names)
    assert all(name.replace("_", "").isalnum() and Path(name).name == name for name in names)


def test_a_search_stands_beside_the_effects_of_each_choice(tmp_path: Path) -> None:
    table = Importances.read(str(write_study(tmp_path, DECIDED))).beside(effects())
    rows = {row[0]: row[1:] for row in table.rows}
    assert list(rows) == list(dict.fromkeys(variant.choice for variant in VARIANTS))
    assert rows["dropout"][1] == "1 of 3"
    assert float(rows["dropout"][0].split(" to ")[0]) < -80  # from nine tenths right to nothing
    assert float(rows["pooling"][2]) > 0.8 > float(rows["dropout"][2])
    assert rows["CLAHE"][2] == "-"
    assert "10 complete trials" in table.note
    assert "SYNTHETIC data" in table.heading


def test_a_search_without_importances_is_refused(tmp_path: Path) -> None:
    with pytest.raises(EvaluationError, match="No importances: 3 of 3 trials are complete; at least 4"):
        Importances.read(str(write_study(tmp_path, DECIDED[:3])))
    with pytest.raises(StudyError, match="nowhere"):
        Importances.read(str(tmp_path / "nowhere"))
