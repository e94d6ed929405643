"""The whole way from rendered people to a trained fold, through the commands that a user types."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from fer3d.clips.store import ClipStore
from fer3d.training.results import read_result
from fer3d.twin.scene import read_scene

GIGABYTE = 1024**3


def run(folder: Path, *words: str, timeout: float = 1200) -> str:
    """Runs one of fer3d's commands in a folder and returns what it printed."""
    environment = {**os.environ, "WANDB_MODE": "offline", "HYDRA_FULL_ERROR": "1"}
    command = [sys.executable, "-m", *words]
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=timeout, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def stores(folder: Path) -> dict[str, ClipStore]:
    return {path.name.split("-")[0]: ClipStore.open(path) for path in (folder / "outputs/clips").iterdir()}


@pytest.mark.slow
def test_the_twin_gives_the_same_clips_as_a_ckplus(tmp_path: Path) -> None:
    run(tmp_path, "fer3d.prepare", "data.num_subjects=2", "progress=false")
    twin = tmp_path / "outputs/corpora/synthetic_ckplus"
    run(tmp_path, "fer3d.prepare", "data=ckplus", f"data.root={twin}", "progress=false")
    made = stores(tmp_path)
    assert made["ckplus"].digest == made["synthetic"].digest
    assert made["ckplus"].synthetic
    assert len(made["ckplus"]) >= 2


@pytest.mark.slow
def test_the_demo(tmp_path: Path) -> None:
    run(tmp_path, "fer3d.prepare")
    store = stores(tmp_path)["synthetic"]
    assert (len(store), len(set(store.subjects))) == (327, 118)
    report: dict[str, Any] = json.loads((store.folder / "report.json").read_text())
    frames = report["num_frames_by_source"]
    assert frames["detected"] / (frames["detected"] + frames["nearest"] + frames["full_frame"]) >= 0.995

    printed = run(tmp_path, "fer3d.train", "+fold=3", "save_checkpoint=true")
    assert "SYNTHETIC" in printed
    assert resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024 < 3 * GIGABYTE
    (folder,) = (tmp_path / "outputs").glob("synthetic-kfold10-compact-*/fold_003")
    result = read_result(folder)
    # Far above chance (25 % for the largest class), and below what the twin would give were it trivial.
    assert result.num_correct[-1] / len(result.labels) > 0.7
    assert "done already" in run(tmp_path, "fer3d.train", "+fold=3")

    video, told = tmp_path / "people.mp4", folder / "result.json"
    run(
        tmp_path,
        "fer3d.twin.scene",
        str(video),
        "--twin",
        "outputs/corpora/synthetic_ckplus",
        "--held-out-by",
        str(told),
    )
    printed = run(
        tmp_path, "fer3d.predict", str(video), "--with", str(folder / "last.ckpt"), "--window", "0.6", "--page"
    )
    assert "SYNTHETIC" in printed
    table = pd.read_csv(tmp_path / "predictions/people.mp4.csv")
    truth = read_scene(video)
    # At the apex of an expression, the network knows it far above chance, which is a seventh.
    right = [
        row.label == shown.emotion
        for row in table[table.label.notna()].itertuples()
        for shown in truth.frames[row.frame]
        if shown.strength > 0.9 and shown.share > 0.9 and shown.box[0] < (row.x1 + row.x2) / 2 < shown.box[2]
    ]
    assert len(right) > 20
    assert np.mean(right) > 0.4
