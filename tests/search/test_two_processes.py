"""Real search processes that share a study, that are killed and go on, and that start processes of their own."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from prepared import NARROW, PreparedCKPlus
from processes import start as start_python
from processes import wait_until

from fer3d.search.records import StudyRecord, TrialRecord

NUM_TRIALS = 6
# A trial of two folds takes about two seconds, and no trial is like another but for luck.
SEARCH = [
    *("-m", "hydra/sweeper=optuna", "hydra.sweeper.study_name=shared", f"hydra.sweeper.n_trials={NUM_TRIALS}"),
    *("search.pruning.threshold=0.0", "trainer.max_epochs=1", "model.dropout=interval(0,1)"),
    *(*NARROW, "model/activation=relu,elu"),
]
Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def start(prepared: PreparedCKPlus) -> Iterator[Start]:
    """Starts a search process."""
    started: list[subprocess.Popen[str]] = []

    def run(*arguments: str) -> subprocess.Popen[str]:
        command = ["-m", "fer3d.train", *SEARCH, *prepared.settings, f"outputs={prepared.outputs}", *arguments]
        # More threads than cores wait for each other.
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        process = start_python(*command, env=environment, cwd=prepared.outputs, start_new_session=True)
        started.append(process)
        return process

    yield run
    for process in started:
        process.kill()
        with process:
            pass


def output(process: subprocess.Popen[str]) -> str:
    out, err = process.communicate(timeout=180)
    assert process.returncode == 0, err
    return out


def ended(out: str) -> list[int]:
    """The numbers of the trials that a process says to have ended."""
    return [int(number) for number in re.findall(r"^trial (\d+): [\d.]+%", out, re.MULTILINE)]


def check_complete(study: str, storage: str | None = None, num_trials: int = NUM_TRIALS) -> None:
    """All trials are there once, with all their folds, and no two are drawn alike."""
    record = StudyRecord.read(study, storage)
    record.close()
    states = [(trial.number, trial.state) for trial in record.trials]
    assert states == [(number, "complete") for number in range(num_trials)]
    assert len({trial.params["model.dropout"] for trial in record.trials}) == num_trials
    for trial in record.trials:
        assert sorted(trial.order) == [1, 2]
        assert [outcome.fold for outcome in trial.outcomes] == list(trial.order)


@pytest.mark.slow
def test_two_processes_share_a_study(start: Start, make_database: Callable[[], str]) -> None:
    url = make_database()
    processes = [start(f"hydra.sweeper.storage={url}") for _ in range(2)]
    outputs = [output(process) for process in processes]
    assert sorted(ended(outputs[0]) + ended(outputs[1])) == list(range(NUM_TRIALS))
    assert all(ended(out) for out in outputs)
    assert "resumed" not in outputs[0] + outputs[1]
    check_complete("shared", url)


@pytest.mark.slow
def test_what_a_killed_process_leaves_another_one_finishes(
    start: Start, prepared: PreparedCKPlus, make_database: Callable[[], str]
) -> None:
    url = make_database()
    processes = [start(f"hydra.sweeper.storage={url}") for _ in range(2)]

    def is_within_a_fold(process: subprocess.Popen[str]) -> bool:
        return any(prepared.outputs.glob(f"*/.fold_*.partial-*-{process.pid}-*"))

    def stop_one() -> bool:
        for process in filter(is_within_a_fold, processes):
            process.send_signal(signal.SIGSTOP)
            if is_within_a_fold(process):
                process.send_signal(signal.SIGKILL)
                return True
            process.send_signal(signal.SIGCONT)
        return False

    wait_until(stop_one)
    wait_until(lambda: any(process.poll() is not None for process in processes))
    killed, other = sorted(processes, key=lambda process: process.poll() is None)
    assert killed.returncode == -signal.SIGKILL
    before, _ = killed.communicate(timeout=60)
    after = output(other)
    assert sorted(ended(before) + ended(after)) == list(range(NUM_TRIALS))
    (number,) = re.findall(r"^trial (\d+): resumed", after, re.MULTILINE)
    assert int(number) in ended(after)
    check_complete("shared", url)
    # Neither a half-written fold nor a lock.
    assert list(prepared.outputs.glob("*/.fold_*")) == []


@pytest.mark.slow
@pytest.mark.parametrize("launcher", ["joblib", "submitit_local"])
def test_a_launcher_carries_trials_out_in_processes_of_its_own(
    launcher: str, start: Start, prepared: PreparedCKPlus
) -> None:
    # A process of its own takes seconds to start, for each job.
    few = ["hydra.sweeper.n_trials=3", "hydra.sweeper.n_jobs=2", "search.folds_per_job=2"]
    out = output(start(f"hydra/launcher={launcher}", *few))
    assert sorted(ended(out)) == [0, 1, 2]
    study = prepared.outputs / "search" / "shared"
    check_complete(str(study), num_trials=3)
    assert len(list(study.glob("trial_*/fold_*_and_1_more"))) == 3


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_joblibs_processes_are_gone_with_the_search(
    how: signal.Signals, start: Start, prepared: PreparedCKPlus
) -> None:
    process = start("hydra/launcher=joblib", "hydra.launcher.n_jobs=2", "hydra.sweeper.n_jobs=2")
    wait_until(lambda: list(prepared.outputs.glob("*/.fold_*.partial-*")))
    assert len(session_of(process.pid)) > 2
    process.send_signal(how)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 128 + how
    assert err.splitlines()[-1].endswith("the same command continues")
    assert "Traceback" not in err
    wait_until(lambda: not session_of(process.pid))


@pytest.mark.slow
def test_what_a_killed_process_of_joblibs_was_at_is_done_again(start: Start, prepared: PreparedCKPlus) -> None:
    process = start("hydra/launcher=joblib", "hydra.launcher.n_jobs=2", "hydra.sweeper.n_jobs=2")

    def kill_one() -> bool:
        for folder in prepared.outputs.glob("*/.fold_*.partial-*"):
            os.kill(int(folder.name.split("-")[-2]), signal.SIGKILL)
            return True
        return False

    wait_until(kill_one)
    out = output(process)
    assert "process of the launcher died" in out
    assert "retry 1 of 3" in out
    assert sorted(ended(out)) == list(range(NUM_TRIALS))
    check_complete(str(prepared.outputs / "search" / "shared"))


def session_of(leader: int) -> list[int]:
    """The processes that a process started with all that they started, and that still run."""
    running = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            state, _, _, session = stat.read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()[:4]
            if int(session) == leader and state != "Z":
                running.append(int(stat.parent.name))
    return running


def trained_folds(outputs: Path) -> dict[str, str]:
    """When each fold of any trial was trained."""
    return {
        f"{path.parent.parent.name}/{path.parent.name}": json.loads(path.read_text(encoding="utf-8"))["finished"]
        for path in outputs.glob("*/fold_*/result.json")
    }


def end_after(process: subprocess.Popen[str], how: signal.Signals, outputs: Path, num_folds: int) -> tuple[int, str]:
    """Sends a signal once there are so many folds, and returns the exit status and the errors."""
    wait_until(lambda: len(trained_folds(outputs)) >= num_folds or process.poll() is not None)
    process.send_signal(how)
    _, err = process.communicate(timeout=120)
    return process.returncode, err


def story(trials: tuple[TrialRecord, ...]) -> list[tuple[Any, ...]]:
    return [
        (trial.number, trial.state, trial.params, trial.order, [(one.fold, one.num_correct) for one in trial.outcomes])
        for trial in trials
    ]


def read(outputs: Path) -> tuple[TrialRecord, ...]:
    record = StudyRecord.read(str(outputs / "search" / "shared"))
    record.close()
    return record.trials


@pytest.mark.slow
def test_it_goes_on_after_ctrl_c_and_kill_as_if_nothing_had_been(prepared: PreparedCKPlus, start: Start) -> None:
    def search(outputs: Path) -> subprocess.Popen[str]:
        return start("hydra.sweeper.n_trials=3", "trainer.max_epochs=8", f"outputs={outputs}")

    whole, broken = prepared.outputs, prepared.outputs.with_name("broken")
    shutil.copytree(whole, broken)
    out, err = search(whole).communicate(timeout=120)
    assert "3 trials complete, 0 pruned, 0 failed" in out, err

    status, err = end_after(search(broken), signal.SIGINT, broken, 1)
    assert status == 130
    assert err.splitlines()[1:] == [
        "fer3d: stopped by Ctrl-C; the same command continues"
    ]  # after one that the corpus is tiny
    assert [trial.state for trial in read(broken)] == ["running"]
    status, _ = end_after(search(broken), signal.SIGKILL, broken, 3)
    assert status == -signal.SIGKILL
    assert [trial.state for trial in read(broken)] == ["complete", "running"]
    before = trained_folds(broken)
    assert len(before) in (3, 4)

    process = search(broken)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    assert "trial 1: resumed" in out
    assert story(read(broken)) == story(read(whole))
    assert len({tuple(trial.params.values()) for trial in read(broken)}) == 3
    assert trained_folds(broken).items() >= before.items()
    assert len(trained_folds(broken)) == 2 * 3
    assert [path.name for path in broken.rglob("*.lock")] == []
