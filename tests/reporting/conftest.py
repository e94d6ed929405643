"""What the tests of the report share: runs of both corpora, one of them partial, and the page that shows them."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

import chromium
import pytest
from chromium import Browser
from fake_clips import write_store
from fake_runs import right, write_run
from reported import Reported

from fer3d.evaluation.run_results import RunResults
from fer3d.reporting.page import write_report
from fer3d.reporting.report import compose_page
from fer3d.reporting.runs import read_runs

OULU_EMOTIONS = ("anger", "disgust", "fear", "happy", "sadness", "surprise")


@pytest.fixture(scope="session")
def reported(tmp_path_factory: pytest.TempPathFactory) -> Reported:
    """Writes runs and their report once, since figures take their time."""
    outputs = tmp_path_factory.mktemp("outputs")
    c1 = write_run(tmp_path_factory.mktemp("draft"), [right(6, 6, 5)] * 10, name="ckplus_kfold10")
    store = write_store(c1, outputs / "clips" / "synthetic-1")
    settings = {"clip_store": store.digest, "overrides": ["experiment=ckplus_kfold10"]}
    c1 = write_run(outputs, [right(6, 6, 5)] * 10, name="ckplus_kfold10", **settings)
    write_metrics(c1)
    folds = [right(6, number % 3, 5 - number % 2) for number in range(10)]
    c2 = write_run(outputs, folds, name="ckplus_kfold10_c2", overrides=["experiment=ckplus_kfold10_c2"])
    oulu = write_run(
        outputs,
        [right(12, 9, 8)] * 10,
        name="oulu_kfold10",
        corpus="oulu_casia",
        synthetic=False,
        emotions=OULU_EMOTIONS,
        only=range(1, 9),
    )
    folders = [c1, c2, oulu]
    runs = read_runs(folders, partial=True)
    page = compose_page(runs)
    path = write_report(page, outputs / "report")
    return Reported(folders, runs, page, path, path.read_text())


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    if chromium.BINARY is None:
        pytest.skip("needs Chromium")
    with chromium.open_browser(tmp_path_factory.mktemp("profile")) as browser:
        yield browser


def write_metrics(run: Path) -> None:
    """Writes the curves that training would have left."""
    for fold in RunResults.read(run).folds:
        with (run / f"fold_{fold.fold:03d}" / "metrics.csv").open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["epoch", "train/loss", "train/accuracy", "held_out/loss", "held_out/accuracy"])
            for epoch, correct in enumerate(fold.num_correct):
                writer.writerow([epoch, 1 / (epoch + 1), 0.9, 1.5 / (epoch + 1), correct / len(fold.labels)])
