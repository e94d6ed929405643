from __future__ import annotations

import importlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import optuna
import pytest
from fake_runs import write_run
from scipy import stats

from fer3d.evaluation.protocols import LAST_EPOCH
from fer3d.evaluation.run_results import EvaluationError

SMALL = ("--studies", "1", "--trials", "12", "--wilcoxon-studies", "0")


@pytest.fixture(autouse=True)
def _optuna_as_before() -> Iterator[None]:
    verbosity = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    yield
    optuna.logging.set_verbosity(verbosity)


@pytest.fixture
def benchmark(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(Path(__file__).parents[1] / "benchmarks")
    return importlib.import_module("search_cost")


@pytest.fixture
def runs(tmp_path: Path) -> list[Path]:
    """Two runs of six subjects with four clips, a fold each; the second subject is always wrong."""
    correct = np.ones((6, 3, 4), dtype=bool)
    correct[1] = False
    return [write_run(tmp_path, list(correct), cv="loso", subjects_per_fold=1, seed=seed) for seed in range(2)]


class CutsAtOnce:
    """What must not be called exact."""

    threshold = 0.0

    def pruner(self) -> optuna.pruners.BasePruner:
        return optuna.pruners.NopPruner()

    def prunes(self, *_: Any) -> bool:
        return True


def test_the_same_seed_says_the_same(benchmark: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    said = []
    for seed in (1, 1, 2):
        benchmark.main((*SMALL, f"--seed={seed}"))
        said.append(capsys.readouterr().out)
    assert said[0] == said[1] != said[2]
    assert said[0].count("SYNTHETIC difficulties, SYNTHETIC trials") == 2


def test_recorded_runs_say_which_subjects_are_hard(benchmark: ModuleType, runs: list[Path]) -> None:
    corpus = benchmark.recorded_corpus(runs, LAST_EPOCH)
    assert corpus.sizes == dict.fromkeys(range(1, 7), 4)
    assert corpus.hardest_first[0] == 2
    mean = 1 / 6
    for fold, clips in corpus.difficulties.items():
        odds = np.exp(clips)
        np.testing.assert_allclose(odds / (1 + odds), ((8 if fold == 2 else 0) + mean) / 9)


def test_recorded_runs_are_replayed_under_every_rule(
    benchmark: ModuleType, runs: list[Path], capsys: pytest.CaptureFixture[str]
) -> None:
    names = [run.name for run in runs]
    arguments = ("--runs", *map(str, runs), "--protocol", "last_epoch", "--studies", "1", "--trials", "12")
    assert benchmark.main(arguments) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert f"[difficulties recorded on SYNTHETIC clips: {', '.join(names)}, last_epoch; SYNTHETIC trials]" in said
    assert "replayed on 12 of 12 trials" in said


def test_runs_of_other_clips_are_refused(benchmark: ModuleType, runs: list[Path], tmp_path: Path) -> None:
    other = write_run(tmp_path, 0.5, num_folds=2, name="other")
    with pytest.raises(EvaluationError, match=rf"{other} holds out other clips than {runs[0]}"):
        benchmark.recorded_corpus([runs[0], other], LAST_EPOCH)
    with pytest.raises(SystemExit, match="holds out other clips"):
        benchmark.main(("--runs", str(runs[0]), str(other)))


@pytest.mark.parametrize(
    "arguments", [("--studies", "0"), ("--trials", "5"), ("--protocol", "x"), ("--threshold", "96.5")]
)
def test_arguments_that_make_no_study_are_refused(benchmark: ModuleType, arguments: tuple[str, ...]) -> None:
    with pytest.raises(SystemExit):
        benchmark.main(arguments)


def test_a_bound_that_cuts_wrongly_fails(
    benchmark: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(benchmark, "ExactBound", lambda threshold: CutsAtOnce())
    assert benchmark.main((*SMALL, "--threshold", "0.9")) == 1
    captured = capsys.readouterr()
    assert "MISSED" in captured.out
    assert "this is a bug in fer3d" in captured.err


def test_simulated_clips_are_as_often_wrong_as_they_should_be(benchmark: ModuleType) -> None:
    corpus = benchmark.simulated_corpus(0)
    assert (len(corpus.sizes), corpus.num_clips) == (118, 327)
    for accuracy, folds in corpus.probabilities.items():
        assert np.concatenate(list(folds.values())).mean() == pytest.approx(1 - accuracy)
    trials = benchmark.simulate_study(corpus, 120, 0)
    for accuracy in benchmark.ACCURACIES:
        found = [
            sum(outcome.num_wrong(LAST_EPOCH) for outcome in trial.outcomes.values()) / 327
            for trial in trials
            if trial.accuracy == accuracy
        ]
        assert len(found) == 20
        assert 1 - np.mean(found) == pytest.approx(accuracy, abs=0.012)


def test_learning_costs_little_against_knowing(benchmark: ModuleType) -> None:
    corpora = [benchmark.simulated_corpus(seed) for seed in range(2)]
    costs = benchmark.measure(corpora, 60, 0, 0.965, 0)
    shares = dict(zip([rule.title for rule in costs.rules], costs.mean_shares(costs.accuracies <= 0.9), strict=True))
    assert shares["all folds"] == 1
    assert shares["hardest known"] <= shares["hardest first"] < 0.5 * shares["shuffled"]
    assert shares["hardest first"] < min(0.25, 1.5 * shares["hardest known"])
    assert np.isnan(shares["Wilcoxon"])
    assert costs.wrongly_cut == [0] * 6
    assert costs.exact_is_exact
    assert not replace(costs, shares=0 * costs.shares).exact_is_exact


def test_what_is_remembered_is_what_scipy_says(benchmark: ModuleType) -> None:
    rng = np.random.default_rng(0)
    tables = [rng.integers(-2, 3, rng.integers(2, 8)) / 3 for _ in range(25)] + [rng.normal(size=5) for _ in range(5)]
    options = {"alternative": "less", "zero_method": "zsplit"}
    expected = [stats.wilcoxon(table, **options).pvalue for table in tables]
    with benchmark.remembered_wilcoxon():
        found = [stats.wilcoxon(rng.permutation(table), **options).pvalue for table in tables]
    np.testing.assert_allclose(found, expected)
