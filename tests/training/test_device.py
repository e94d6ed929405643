from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from fer3d.training import device
from fer3d.training.device import pick_gpu, trainer_devices

# Says which of four GPUs it picks as soon as it is asked, and keeps it until its input ends. PyTorch, which it does not
# need for that, would take seconds.
PICKER = """
import os, sys
sys.modules["torch"] = object()
from fer3d.training.device import pick_gpu
for _ in sys.stdin:
    print(pick_gpu(4, os.getpid()), flush=True)
"""


@pytest.fixture(autouse=True)
def locks(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Path]:
    """The folder of the locks, so that no other test's process has any."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    pick_gpu.cache_clear()
    yield tmp_path
    for lock in device._KEPT:
        lock.close()
    device._KEPT.clear()
    pick_gpu.cache_clear()


def count_gpus(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: number)


@pytest.mark.parametrize("accelerator", ["auto", "gpu", "cuda"])
def test_of_several_gpus_a_process_takes_a_free_one_and_keeps_it(
    accelerator: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    count_gpus(monkeypatch, 2)
    assert trainer_devices(accelerator, 1) == [0]
    assert trainer_devices(accelerator, 1) == [0]


@pytest.mark.parametrize("num_gpus", [0, 1])
def test_a_single_gpu_is_left_to_lightning(num_gpus: int, monkeypatch: pytest.MonkeyPatch) -> None:
    count_gpus(monkeypatch, num_gpus)
    assert trainer_devices("auto", 1) == 1


@pytest.mark.parametrize("devices", [2, [1], "auto", -1])
def test_the_users_own_choice_stays(devices: object, monkeypatch: pytest.MonkeyPatch) -> None:
    count_gpus(monkeypatch, 4)
    assert trainer_devices("gpu", devices) == devices


def test_the_cpu_has_no_number(monkeypatch: pytest.MonkeyPatch, locks: Path) -> None:
    count_gpus(monkeypatch, 4)
    assert trainer_devices("cpu", 1) == 1
    assert list(locks.iterdir()) == []


def test_processes_pick_different_gpus_and_one_that_is_killed_frees_its_own(locks: Path) -> None:
    assert pick_gpu(4, 1) == 0
    first, second, third = (picker(locks) for _ in range(3))
    assert [picked(first), picked(second), picked(second)] == [1, 2, 2]
    first.kill()
    first.communicate()
    assert picked(third) == 1
    for process in (second, third):
        process.communicate()


def test_the_same_gpu_has_the_same_lock_whatever_else_a_process_sees(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2,3")
    assert pick_gpu(2, 1) == 0
    # Another process, which sees GPU 2 as its second one.
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2,1")
    assert pick_gpu(2, 2) == 1


def test_where_all_are_taken_processes_spread_by_their_numbers() -> None:
    assert [pick_gpu(2, pid) for pid in (10, 11, 12, 13)] == [0, 1, 0, 1]
    assert [pick_gpu(2, pid) for pid in (20, 21)] == [0, 1]


def picker(folder: Path) -> subprocess.Popen[str]:
    command, environment = [sys.executable, "-c", PICKER], {**os.environ, "TMPDIR": str(folder)}
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment)


def picked(process: subprocess.Popen[str]) -> int:
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write("pick\n")
    process.stdin.flush()
    return int(process.stdout.readline())
