"""How many cores this process may use, and how many threads it starts on them.

Libraries count the machine's cores, and threads that outnumber what a process gets wait for each other.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterator
from pathlib import Path

_THREADS = "OMP_NUM_THREADS"


def count_cores(root: Path = Path("/")) -> int:
    """Number of cores that this process may use: the least that the kernel's and Slurm's limits allow, at least 1.

    Args:
        root: Where `proc` and `sys` are.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min([cores, *_cgroup_limits(root), *_slurm_limits()]))


def count_threads() -> int:
    """Number of threads that this process computes with: `OMP_NUM_THREADS` where it is set, else one a core."""
    return _first_number(os.environ.get(_THREADS, "")) or count_cores()


def share_cores(num_processes: int) -> None:
    """Says that this process, or each of those that it starts, is one of several that share its cores evenly."""
    os.environ.setdefault(_THREADS, str(max(1, count_cores() // num_processes)))


def tell_libraries() -> None:
    """Tells libraries that this process and its children are not alone; to be called before PyTorch is imported."""
    # joblib shares cores among its processes by a count of its own.
    os.environ.setdefault("LOKY_MAX_CPU_COUNT", str(count_cores()))
    # Threads that spin while they wait for each other take the cores from those that they wait for, once others compute
    # beside them.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")


def _cgroup_limits(root: Path) -> Iterator[int]:
    """The quotas of this process's control group and of all above it, in cores, rounded up."""
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:
        return
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers and "cpu" not in controllers.split(","):
            continue
        # Version 2 has no controllers here, and is alone or beside version 1.
        mounts = ("cpu", controllers) if controllers else ("", "unified")
        own = Path(path.strip("/"))
        # A container shows the groups above its own under a shorter path, or not at all.
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
        # No limit is "max" in version 2, and -1 in version 1.
        return int(quota) / int(period) if int(quota) > 0 and int(period) > 0 else None
    except (OSError, ValueError):
        return None


def _slurm_limits() -> Iterator[int]:
    """What Slurm gave to this task; of a job that did not say how many cores a task takes, all, if it has one task."""
    names = ["SLURM_CPUS_PER_TASK"]
    if "SLURM_JOB_ID" in os.environ and os.environ.get("SLURM_NTASKS", "1") == "1":
        names += ["SLURM_CPUS_ON_NODE", "SLURM_JOB_CPUS_PER_NODE"]
    given = (_first_number(os.environ.get(name, "")) for name in names)
    yield from list(filter(None, given))[:1]


def _first_number(text: str) -> int | None:
    """The positive number that a text begins with, such as of `4(x2)` and `4,2`."""
    match = re.match(r"\s*(\d+)", text)
    return int(match[1]) or None if match else None
