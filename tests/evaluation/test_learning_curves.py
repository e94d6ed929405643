from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fake_runs import write_run

from fer3d.evaluation.learning_curves import read_curves
from fer3d.evaluation.run_results import EvaluationError, RunResults

COLUMNS = ("epoch", "train/loss", "train/accuracy", "held_out/loss", "held_out/accuracy")


def write_metrics(run_folder: Path, fold: int, rows: Sequence[Sequence[Any]], columns: Sequence[str] = COLUMNS) -> Path:
    path = run_folder / f"fold_{fold:03d}" / "metrics.csv"
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([columns, *rows])
    return path


@pytest.fixture
def run(tmp_path: Path) -> RunResults:
    """A run of two folds with 4 and 5 held-out clips and two epochs, the second fold's file to be written."""
    tables = [np.ones((2, 4)), np.ones((2, 5))]
    folder = write_run(tmp_path, tables, subjects_per_fold=1)
    write_metrics(folder, 1, [[0, 2.0, 0.1, 2.1, 0.25], [1, 1.0, 0.5, 1.1, 0.75]])
    return RunResults.read(folder)


def test_reads_the_files_of_all_folds(run: RunResults) -> None:
    # One value a row, as Lightning writes what is logged at different times.
    rows = [[epoch, *(5 + epoch if i == j else "" for j in range(4))] for epoch in range(2) for i in range(4)]
    write_metrics(run.folder, 2, rows)
    curves = read_curves(run)
    assert curves.folds == (1, 2)
    assert curves.num_epochs == 2
    assert curves.num_held_out.tolist() == [4, 5]
    assert curves.train_loss.tolist() == [[2.0, 1.0], [5, 6]]
    assert curves.train_accuracy.tolist() == [[0.1, 0.5], [5, 6]]
    assert curves.held_out_loss.tolist() == [[2.1, 1.1], [5, 6]]
    assert curves.held_out_accuracy.tolist() == [[0.25, 0.75], [5, 6]]


@pytest.mark.parametrize(
    ("rows", "columns", "reason"),
    [
        ([[0, 1, 1, 1, 1]], COLUMNS, "no train/loss for epoch 2"),
        ([[0, 1, 1, 1, 1], [1, 1, 1, 1, ""]], COLUMNS, "no held_out/accuracy for epoch 2"),
        ([[0, 1, 1, 1, 1], [1, 1, 1, "nan", 1]], COLUMNS, "no held_out/loss for epoch 2"),
        ([[0, 1, 1, 1, 1], [1, 1, 1, 1, 1], [2, 1, 1, 1, 1]], COLUMNS, "an epoch 3 of 2"),
        ([[0, 1, 1], [1, 1, 1]], COLUMNS[:3], "lacks columns: .*held_out/loss"),
        ([[0, 1, 1, 1, "x"]], COLUMNS, "could not convert"),
        ([[0, 1], [1, 1]], COLUMNS, "no train/accuracy for epoch 1"),
        ([], (), "No columns"),
    ],
)
def test_a_damaged_file_is_named(rows: list[list[Any]], columns: Sequence[str], reason: str, run: RunResults) -> None:
    path = write_metrics(run.folder, 2, rows, columns)
    with pytest.raises(EvaluationError, match=reason) as caught:
        read_curves(run)
    assert str(path) in str(caught.value)


def test_a_file_of_bytes_is_damaged(run: RunResults) -> None:
    (run.folder / "fold_002/metrics.csv").write_bytes(b"\xff\xfe\x00epoch")
    with pytest.raises(EvaluationError, match="metrics"):
        read_curves(run)


def test_a_missing_file_is_named(run: RunResults) -> None:
    with pytest.raises(EvaluationError, match=r"fold_002/metrics\.csv holds no usable curves.*No such file"):
        read_curves(run)
