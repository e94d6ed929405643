from __future__ import annotations

import importlib
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from scipy.stats import binom

FEW = ("--runs", "20")


@pytest.fixture
def benchmark(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(Path(__file__).parents[1] / "benchmarks")
    return importlib.import_module("best_epoch")


def best_of_independent(size: int, num_epochs: int, accuracy: float) -> float:
    """The expected number of clips right at the best of epochs that err independently, by its distribution."""
    below = binom.cdf(np.arange(size), size, accuracy) ** num_epochs
    return float((1 - below).sum())


def test_folds_are_those_of_ckplus(benchmark: ModuleType) -> None:
    assert (len(benchmark.LOSO), sum(benchmark.LOSO)) == (118, 327)
    assert (len(benchmark.TEN_FOLDS), sum(benchmark.TEN_FOLDS)) == (10, 327)


@pytest.mark.parametrize(("num_epochs", "accuracy"), [(16, 0.95), (10, 0.95), (16, 0.8)])
def test_independent_epochs_come_to_what_arithmetic_says(
    benchmark: ModuleType, num_epochs: int, accuracy: float
) -> None:
    found = benchmark.simulate(num_epochs, accuracy, 0.0, 200, 0)
    expected = [
        sum(best_of_independent(size, num_epochs, accuracy) for size in sizes) / 327
        for sizes in ([327], benchmark.TEN_FOLDS, benchmark.LOSO)
    ]
    assert found == pytest.approx([accuracy, *expected], abs=0.004)


def test_epochs_that_say_the_same_leave_nothing_to_choose(benchmark: ModuleType) -> None:
    last, *others = benchmark.simulate(16, 0.95, 1.0, 200, 0)
    assert last == pytest.approx(0.95, abs=0.003)
    assert others == [last] * 3


def test_smaller_folds_and_less_correlation_flatter_more(benchmark: ModuleType) -> None:
    rows = np.array([benchmark.simulate(16, 0.95, correlation, 100, 0) for correlation in benchmark.CORRELATIONS[:-1]])
    assert (np.diff(rows, axis=1) > 0).all()
    assert (np.diff(rows[:, 1:], axis=0) < 0).all()


def test_the_documented_numbers_come_out(benchmark: ModuleType) -> None:
    """Of fewer runs, so within a few tenths."""
    text = (Path(__file__).parents[1] / "docs" / "protocols.md").read_text()
    said = [line.split("|")[1:-1] for line in text.splitlines() if line.startswith(("| 0", "| 1 "))]
    assert [float(row[0]) for row in said] == list(benchmark.CORRELATIONS)
    for correlation, *shares in said:
        documented = [float(share.strip(" %")) / 100 for share in shares]
        assert documented == pytest.approx(benchmark.simulate(16, 0.95, float(correlation), 100, 1), abs=0.004)


def test_the_same_seed_says_the_same(benchmark: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    said = []
    for seed in (1, 1, 2):
        assert benchmark.main((*FEW, f"--seed={seed}")) == 0
        said.append(capsys.readouterr().out)
    assert said[0] == said[1] != said[2]
    assert "[SIMULATED]" in said[0]


@pytest.mark.parametrize("arguments", [("--accuracy", "95"), ("--epochs", "0"), ("--runs", "0")])
def test_arguments_that_make_no_run_are_refused(benchmark: ModuleType, arguments: tuple[str, ...]) -> None:
    with pytest.raises(SystemExit):
        benchmark.main(arguments)
