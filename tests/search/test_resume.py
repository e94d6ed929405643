"""A search of real folds in a real process that is interrupted and killed, and goes on."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from prepared import NARROW, PreparedCKPlus

from fer3d.search.records import StudyRecord, TrialRecord

NUM_TRIALS = 3
SEARCH = [
    *("hydra/sweeper=optuna", f"hydra.sweeper.n_trials={NUM_TRIALS}", "hydra.sweeper.study_name=s"),
    *("search.pruning.threshold=0.0", "trainer.max_epochs=8"),
    *(*NARROW, "model/activation=choice(relu,elu,mish)"),
]
Start = Callable[[Path], "subprocess.Popen[str]"]


@pytest.fixture
def start(prepared: PreparedCKPlus) -> Start:
    """Starts the search with its outputs in a folder."""

    def run(outputs: Path) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "fer3d.train", "-m", *prepared.settings, f"outputs={outputs}", *SEARCH]
        # More threads than cores wait for each other where tests run beside it.
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)

    return run


def trained_folds(outputs: Path) -> dict[str, str]:
    """When each fold of any trial was trained."""
    return {
        f"{path.parent.parent.name}/{path.parent.name}": json.loads(path.read_text(encoding="utf-8"))["finished"]
        for path in outputs.glob("*/fold_*/result.json")
    }


def end_after(process: subprocess.Popen[str], how: signal.Signals, outputs: Path, num_folds: int) -> tuple[int, str]:
    """Sends a signal once there are so many folds, and returns the exit status and the errors."""
    deadline = time.monotonic() + 120
    while len(trained_folds(outputs)) < num_folds and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(how)
    _, err = process.communicate(timeout=120)
    return process.returncode, err


def story(trials: tuple[TrialRecord, ...]) -> list[tuple[Any, ...]]:
    return [
        (trial.number, trial.state, trial.params, trial.order, [(one.fold, one.num_correct) for one in trial.outcomes])
        for trial in trials
    ]


def read(outputs: Path) -> tuple[TrialRecord, ...]:
    record = StudyRecord.read(str(outputs / "search" / "s"))
    record.close()
    return record.trials


@pytest.mark.slow
def test_it_goes_on_after_ctrl_c_and_kill_as_if_nothing_had_been(prepared: PreparedCKPlus, start: Start) -> None:
    whole, broken = prepared.outputs, prepared.outputs.with_name("broken")
    shutil.copytree(whole, broken)
    out, err = start(whole).communicate(timeout=120)
    assert "3 trials complete, 0 pruned, 0 failed" in out, err

    status, err = end_after(start(broken), signal.SIGINT, broken, 1)
    assert status == 130
    assert err.splitlines()[1:] == [
        "fer3d: stopped by Ctrl-C; the same command continues"
    ]  # after one that the corpus is tiny
    assert [trial.state for trial in read(broken)] == ["running"]
    status, _ = end_after(start(broken), signal.SIGKILL, broken, 3)
    assert status == -signal.SIGKILL
    assert [trial.state for trial in read(broken)] == ["complete", "running"]
    before = trained_folds(broken)
    assert len(before) in (3, 4)

    process = start(broken)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    assert "trial 1: resumed" in out
    assert story(read(broken)) == story(read(whole))
    assert len({tuple(trial.params.values()) for trial in read(broken)}) == NUM_TRIALS
    assert trained_folds(broken).items() >= before.items()
    assert len(trained_folds(broken)) == 2 * NUM_TRIALS
    assert [path.name for path in broken.rglob("*.lock")] == []
