"""The benchmark of a search's bookkeeping runs from end to end; its figures are not judged here."""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from types import ModuleType

import pytest
from hydra.utils import instantiate
from optuna.pruners import NopPruner
from optuna.samplers import RandomSampler

from fer3d.configuration import compose_train
from fer3d.search.cross_validation import check_trials
from fer3d.search.space import SearchSpace
from fer3d.search.storage import open_storage, open_study


@pytest.fixture
def benchmark(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(Path(__file__).parents[1] / "benchmarks")
    module = importlib.import_module("search_bookkeeping")
    monkeypatch.setattr(module, "WINDOW", 2)
    return module


def test_the_figures_of_a_trial_add_up(
    benchmark: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    benchmark.main(["--trials", "12", "--folds", "4", "--json", str(tmp_path / "figures.json")])
    (found,) = json.loads((tmp_path / "figures.json").read_text())
    assert (found["num_trials"], found["num_folds"]) == (12, 4)
    assert sum(found["mean_parts"].values()) == pytest.approx(found["mean_seconds"])
    assert min(found["mean_parts"].values()) > 0
    assert 1 <= found["mean_folds"] <= 4
    assert found["mean_commits"] > found["mean_folds"]
    assert "SYNTHETIC" in capsys.readouterr().out


@pytest.mark.parametrize(("search", "num_folds"), [("table1", 4), ("paper", 118)])
def test_a_study_is_filled_as_a_search_would_have_left_it(
    search: str, num_folds: int, benchmark: ModuleType, tmp_path: Path
) -> None:
    settings = instantiate(compose_train([f"search={search}"]).search)
    space = SearchSpace.parse(settings.space)
    corpus = benchmark._in_folds(benchmark.simulated_corpus(0), num_folds)
    trials = benchmark._finished(benchmark.simulate_study(corpus, 12, 0), corpus, space, settings)
    storage = open_storage(f"sqlite:///{tmp_path / 'study.db'}")
    study = open_study("study", storage, ["maximize"], RandomSampler(), NopPruner())
    benchmark._fill(storage.engine, study._study_id, trials)
    filled = study.get_trials()
    check_trials("study", filled, tuple(space.distributions), num_folds, 327, settings.protocol)
    assert len({trial.state for trial in filled}) == 2
    storage.engine.dispose()
