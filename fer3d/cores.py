"""Number of cores available to this process, and number of threads it uses.

Libraries count the machine's cores and start too many threads where a container or Slurm allows fewer.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterator
from pathlib import Path

_THREADS = "OMP_NUM_THREADS"


def count_cores(root: Path = Path("/")) -> int:
    """Number of cores available to this process: the minimum of CPU affinity, cgroup quotas and Slurm's allocation.

    Args:
        root: Folder that contains `proc` and `sys`.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min([cores, *_cgroup_limits(root), *_slurm_limits()]))


def count_threads() -> int:
    """Number of compute threads: `OMP_NUM_THREADS` if set, otherwise one per core."""
    return _first_number(os.environ.get(_THREADS, "")) or count_cores()


def share_cores(num_processes: int) -> None:
    """Limits this process and its children to an even share of the cores; an existing `OMP_NUM_THREADS` wins."""
    os.environ.setdefault(_THREADS, str(max(1, count_cores() // num_processes)))


def tell_libraries() -> None:
    """Sets defaults for threads and memory of the libraries; call it before importing PyTorch."""
    # joblib counts cores itself.
    os.environ.setdefault("LOKY_MAX_CPU_COUNT", str(count_cores()))
    # On a busy machine, threads that spin while waiting take cores from the threads they wait for. A few microseconds
    # are worth it: waking a thread for each of a step's hundreds of operations takes a fifth of the time.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    os.environ.setdefault("GOMP_SPINCOUNT", "20000")
    # PyTorch asks Linux for large pages, which are paged in with fewer faults.
    os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")


def _cgroup_limits(root: Path) -> Iterator[int]:
    """Yields the CPU quotas of this process's cgroup and its ancestors, in cores, rounded up."""
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:
        return
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers and "cpu" not in controllers.split(","):
            continue
        # cgroup v2 lists no controllers here; it is mounted alone or beside v1 as "unified".
        mounts = ("cpu", controllers) if controllers else ("", "unified")
        own = Path(path.strip("/"))
        # Inside a container, ancestors have a shorter path or are not visible.
        for group in (own, *own.parents):
            for mount in mounts:
                quota = _quota(root / "sys/fs/cgroup" / mount / group)
                if quota is not None:
                    yield math.ceil(quota)


def _quota(group: Path) -> float | None:
    try:
        if (group / "cpu.max").exists():
            quota, period = (group / "cpu.max").read_text().split()
        else:
            quota, period = ((group / f"cpu.cfs_{name}_us").read_text() for name in ("quota", "period"))
        # "max" (v2) and -1 (v1) mean no limit.
        return int(quota) / int(period) if int(quota) > 0 and int(period) > 0 else None
    except (OSError, ValueError):
        return None


def _slurm_limits() -> Iterator[int]:
    """Yields the cores that Slurm gave to this task.

    A job with a single task that did not request cores per task gets all the cores of its allocation on the node.
    """
    names = ["SLURM_CPUS_PER_TASK"]
    if "SLURM_JOB_ID" in os.environ and os.environ.get("SLURM_NTASKS", "1") == "1":
        names += ["SLURM_CPUS_ON_NODE", "SLURM_JOB_CPUS_PER_NODE"]
    given = (_first_number(os.environ.get(name, "")) for name in names)
    yield from list(filter(None, given))[:1]


def _first_number(text: str) -> int | None:
    """The positive number at the start of a text such as `4(x2)` or `4,2`."""
    match = re.match(r"\s*(\d+)", text)
    return int(match[1]) or None if match else None
