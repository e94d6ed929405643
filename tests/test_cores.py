from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from fixture_types import Compose, MakeStore

from fer3d import cores
from fer3d.cores import count_cores, count_threads, share_cores, tell_libraries
from fer3d.training.run import Run

NUM_AFFINE = 16


@pytest.fixture(autouse=True)
def machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sixteen cores, and nobody who limits them."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(NUM_AFFINE)))
    for name in [name for name in os.environ if name.startswith("SLURM_") or name == "OMP_NUM_THREADS"]:
        monkeypatch.delenv(name)


@pytest.fixture
def root(tmp_path: Path) -> Callable[..., Path]:
    """Makes a kernel's files: what this process's groups are, and the files of groups."""

    def make(groups: str, files: dict[str, str]) -> Path:
        for name, text in {"proc/self/cgroup": groups, **files}.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"{text}\n")
        return tmp_path

    return make


def quota_1(folder: str, quota: int) -> dict[str, str]:
    return {f"{folder}/cpu.cfs_quota_us": str(quota), f"{folder}/cpu.cfs_period_us": "100000"}


def test_without_limits_there_is_what_the_process_may_run_on(root: Callable[..., Path], tmp_path: Path) -> None:
    assert count_cores(tmp_path) == NUM_AFFINE
    files = {"sys/fs/cgroup/a/cpu.max": "max 100000", **quota_1("sys/fs/cgroup/cpu/a", -1)}
    assert count_cores(root("0::/a\n3:cpu:/a", files)) == NUM_AFFINE
    assert count_threads() == count_cores()


@pytest.mark.parametrize(
    ("groups", "files", "expected"),
    [
        ("0::/a/b", {"sys/fs/cgroup/a/b/cpu.max": "250000 100000"}, 3),
        ("0::/a/b", {"sys/fs/cgroup/a/b/cpu.max": "max 100000", "sys/fs/cgroup/a/cpu.max": "400000 100000"}, 4),
        ("0::/a/b", {"sys/fs/cgroup/a/b/cpu.max": "500000 100000", "sys/fs/cgroup/a/cpu.max": "200000 100000"}, 2),
        ("0::/", {"sys/fs/cgroup/cpu.max": "10000 100000"}, 1),
        ("3:memory:/\n0::/a", {"sys/fs/cgroup/unified/a/cpu.max": "300000 100000"}, 3),
        ("4:cpu:/a", quota_1("sys/fs/cgroup/cpu/a", 150_000), 2),
        ("4:cpu,cpuacct:/a/b", quota_1("sys/fs/cgroup/cpu,cpuacct/a", 500_000), 5),
        # A container sees its own group as the root, and may be told the host's path.
        ("4:cpu,cpuacct:/docker/123", quota_1("sys/fs/cgroup/cpu,cpuacct", 700_000), 7),
        # Another group's limit is none of this process's, and a damaged file is none at all.
        ("0::/a", {"sys/fs/cgroup/b/cpu.max": "100000 100000", "sys/fs/cgroup/a/cpu.max": "what"}, NUM_AFFINE),
        ("4:memory:/a", quota_1("sys/fs/cgroup/cpu/a", 100_000), NUM_AFFINE),
    ],
)
def test_the_least_quota_of_its_groups_counts(
    root: Callable[..., Path], groups: str, files: dict[str, str], expected: int
) -> None:
    assert count_cores(root(groups, files)) == expected


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({"SLURM_CPUS_PER_TASK": "3", "SLURM_CPUS_ON_NODE": "8"}, 3),
        ({"SLURM_CPUS_PER_TASK": "64"}, NUM_AFFINE),
        ({"SLURM_CPUS_ON_NODE": "8"}, 8),
        ({"SLURM_NTASKS": "1", "SLURM_JOB_CPUS_PER_NODE": "6(x2),4"}, 6),
        # Whose the cores are is not said.
        ({"SLURM_NTASKS": "4", "SLURM_CPUS_ON_NODE": "8"}, NUM_AFFINE),
        ({"SLURM_CPUS_PER_TASK": "many"}, NUM_AFFINE),
    ],
)
def test_slurm_is_believed(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], expected: int, tmp_path: Path
) -> None:
    for name, value in {"SLURM_JOB_ID": "7", **environment}.items():
        monkeypatch.setenv(name, value)
    assert count_cores(tmp_path) == expected


def test_what_is_left_of_a_job_that_is_over_says_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SLURM_CPUS_ON_NODE", "2")
    assert count_cores(tmp_path) == NUM_AFFINE


@pytest.mark.parametrize(("value", "expected"), [("5", 5), ("4,2", 4), ("0", 3), ("all", 3), ("", 3)])
def test_the_user_decides_on_threads(monkeypatch: pytest.MonkeyPatch, value: str, expected: int) -> None:
    monkeypatch.setattr(cores, "count_cores", lambda: 3)
    monkeypatch.setenv("OMP_NUM_THREADS", value)
    assert count_threads() == expected


@pytest.mark.parametrize(("num_processes", "expected"), [(1, 8), (2, 4), (3, 2), (20, 1)])
def test_processes_share_cores_evenly(monkeypatch: pytest.MonkeyPatch, num_processes: int, expected: int) -> None:
    monkeypatch.setattr(cores, "count_cores", lambda: 8)
    monkeypatch.setattr(os, "environ", {})
    share_cores(num_processes)
    assert count_threads() == expected
    # Who was told by the user, or has been told already, goes on with that.
    share_cores(5)
    assert count_threads() == expected


def test_a_process_that_is_bound_counts_what_it_is_bound_to() -> None:
    bind = "import os; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})"
    ask = f"{bind}; from fer3d.cores import count_cores; print(count_cores())"
    done = subprocess.run([sys.executable, "-c", ask], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout == "1\n"


def test_joblib_gives_its_processes_their_share() -> None:
    """And a fold in one of them computes with that many threads."""
    ask = """
import os
os.cpu_count, os.sched_getaffinity = lambda: 16, lambda pid: set(range(16))
from fer3d.cores import *
os.environ["SLURM_CPUS_PER_TASK"] = "6"
tell_libraries()
from joblib import Parallel, delayed, cpu_count
print(cpu_count(), Parallel(2)([delayed(count_threads)()] * 2))
"""
    environment = {name: value for name, value in os.environ.items() if name != "LOKY_MAX_CPU_COUNT"}
    done = subprocess.run(
        [sys.executable, "-c", ask], capture_output=True, text=True, check=True, timeout=60, env=environment
    )
    assert done.stdout == "6 [3, 3]\n"


@pytest.mark.slow
def test_a_fold_is_trained_with_the_threads_that_its_process_may_use(
    monkeypatch: pytest.MonkeyPatch, make_store: MakeStore, compose_tiny: Compose
) -> None:
    before = torch.get_num_threads()
    monkeypatch.setenv("SLURM_CPUS_PER_TASK", "2")
    try:
        Run.of(compose_tiny(), make_store()).fold_result(1)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize("command", ["train", "reproduce"])
def test_libraries_are_told_before_they_look(command: str) -> None:
    ask = f"import sys, fer3d.{command}; print({{'torch', 'cv2', 'joblib'}} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", ask], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout == "set()\n"


def test_threads_that_wait_leave_the_core_to_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "environ", {})
    tell_libraries()
    assert os.environ["OMP_WAIT_POLICY"] == "passive"
    os.environ["OMP_WAIT_POLICY"] = "active"
    tell_libraries()
    assert os.environ["OMP_WAIT_POLICY"] == "active"
