"""Searches whose jobs run on a real Slurm, and what becomes of them when jobs, nodes and search processes die."""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from prepared import NARROW, PreparedCKPlus
from slurm_cluster import SlurmCluster, slurm_cluster, wait_until, why_not

from fer3d.search.records import StudyRecord

pytestmark = pytest.mark.slow

NUM_TRIALS, NUM_FOLDS = 2, 2
# Both trials at once, the folds of each in one job; a fold takes seconds, so that there is time for what happens to it.
SEARCH = [
    *("hydra.sweeper.study_name=shared", f"hydra.sweeper.n_trials={NUM_TRIALS}", "search.pruning.threshold=0.0"),
    *("model.dropout=interval(0,1)", *NARROW, "model/activation=relu,elu", "trainer.max_epochs=30"),
]


@pytest.fixture(scope="module")
def cluster() -> Iterator[SlurmCluster]:
    """One for all tests of this module."""
    reason = why_not()
    if reason is not None:
        pytest.skip(reason)
    with slurm_cluster() as started:
        yield started


@pytest.fixture
def watch(prepared: PreparedCKPlus) -> Iterator[FoldWatch]:
    """Sees each training of a fold begin and end."""
    with FoldWatch(prepared.outputs) as watching:
        yield watching


@pytest.fixture
def start(prepared: PreparedCKPlus, cluster: SlurmCluster) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Starts the documented command, with settings that are tiny."""
    started: list[subprocess.Popen[str]] = []

    def run(*arguments: str) -> subprocess.Popen[str]:
        tiny = [*prepared.settings, f"outputs={prepared.outputs}", *SEARCH]
        process = subprocess.Popen(
            [sys.executable, *documented_command()[1:], *tiny, *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**cluster.environment, "OMP_NUM_THREADS": "1"},
            cwd=prepared.outputs,
        )
        started.append(process)
        return process

    yield run
    for process in started:
        process.kill()
        process.communicate()
    for job in cluster.running():
        cluster.ask("scancel", job)
    wait_until(lambda: cluster.num_jobs() == 0)


def documented_command() -> list[str]:
    text = (Path(__file__).parents[2] / "docs/cluster.md").read_text(encoding="utf-8")
    (command,) = re.findall(r"^    (python -m fer3d.train -m .*hydra/launcher=submitit_slurm .*)$", text, re.MULTILINE)
    return shlex.split(command)


class FoldWatch:
    """A context manager that sees the trainings of folds by their work folders, and that finished folds stay.

    Attributes:
        begun: The work folders of each fold so far, by the folder that they were to become.
        finished: Each finished fold's folder, and what tells it from another of that name.
    """

    def __init__(self, outputs: Path) -> None:
        self._outputs = outputs
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self.begun: dict[Path, set[str]] = defaultdict(set)
        self.finished: dict[Path, set[tuple[int, int]]] = defaultdict(set)

    def __enter__(self) -> FoldWatch:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._over.set()
        self._thread.join()

    @property
    def num_begun(self) -> int:
        return sum(map(len, self.begun.values()))

    def check(self, num_interrupted: int) -> None:
        """Each fold was trained to its end once, and nothing was trained besides but what was interrupted."""
        self.__exit__()
        self._look()
        assert len(self.finished) == NUM_TRIALS * NUM_FOLDS
        assert {len(states) for states in self.finished.values()} == {1}
        assert self.num_begun == len(self.finished) + num_interrupted
        # Neither a half-written fold nor a lock.
        assert list(self._outputs.glob("*/.fold_*")) == []

    def _watch(self) -> None:
        while not self._over.wait(0.02):
            self._look()

    def _look(self) -> None:
        for run in self._outputs.glob("*-*/"):
            for name in os.listdir(run):
                match = re.fullmatch(r"\.(fold_\d+)\.partial-.*", name)
                if match:
                    self.begun[run / match[1]].add(name)
                elif re.fullmatch(r"fold_\d+", name):
                    state = (run / name / "result.json").stat()
                    self.finished[run / name].add((state.st_ino, state.st_mtime_ns))


def output(process: subprocess.Popen[str]) -> str:
    out, err = process.communicate(timeout=240)
    assert process.returncode == 0, out + err
    return out


def check_complete(outputs: Path) -> None:
    """All trials are there once, with all their folds."""
    record = StudyRecord.read(str(outputs / "search" / "shared"), None)
    record.close()
    states = [(trial.number, trial.state) for trial in record.trials]
    assert states == [(number, "complete") for number in range(NUM_TRIALS)]
    assert [sorted(outcome.fold for outcome in trial.outcomes) for trial in record.trials] == [[1, 2]] * NUM_TRIALS


def test_the_documented_command(
    start: Callable[..., subprocess.Popen[str]], watch: FoldWatch, cluster: SlurmCluster, prepared: PreparedCKPlus
) -> None:
    process = start()
    wait_until(lambda: len(cluster.running()) == 2)
    assert set(cluster.running().values()) == {"n1", "n2"}
    output(process)
    watch.check(num_interrupted=0)
    check_complete(prepared.outputs)
