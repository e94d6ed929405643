from __future__ import annotations

import resource
import sys
from pathlib import Path

import pytest
import torch

from fer3d.memory import free_bytes, freed_memory_kept

CPU = torch.device("cpu")


def write(root: Path, files: dict[str, str]) -> Path:
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(content)
    return root


MEMINFO = {"proc/meminfo": "MemTotal: 4000 kB\nMemAvailable:    1000 kB\n"}


def test_what_the_machine_has_left(tmp_path: Path) -> None:
    assert free_bytes(CPU, write(tmp_path, MEMINFO)) == 1_024_000


@pytest.mark.parametrize(
    ("group", "folder"),
    [("0::/slurm/job\n", ""), ("9:cpu,memory:/slurm/job\n", "memory/"), ("1:cpu:/other\n0::/slurm/job\n", "")],
)
def test_the_least_that_a_control_group_or_one_above_it_leaves(tmp_path: Path, group: str, folder: str) -> None:
    limit, used = ("limit_in_bytes", "usage_in_bytes") if folder else ("max", "current")
    files = {
        "proc/self/cgroup": group,
        f"sys/fs/cgroup/{folder}slurm/job/memory.{limit}": "max\n" if not folder else str(2**63 - 4096),
        f"sys/fs/cgroup/{folder}slurm/job/memory.{used}": "1000\n",
        f"sys/fs/cgroup/{folder}slurm/memory.{limit}": "5000\n",
        f"sys/fs/cgroup/{folder}slurm/memory.{used}": "2000\n",
    }
    assert free_bytes(CPU, write(tmp_path, {**MEMINFO, **files})) == 3000


def test_this_machine_has_some() -> None:
    assert free_bytes(CPU) > 1_000_000
    assert free_bytes(CPU, Path("/nowhere")) > 1_000_000


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="measures by Linux's page faults")
def test_freed_memory_is_used_again_and_given_back_in_the_end() -> None:
    def faults() -> int:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        for _ in range(20):
            torch.ones(4_000_000)
        return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

    with freed_memory_kept():
        faults()
        kept = faults()
    assert kept < 0.2 * faults()
