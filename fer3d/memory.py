"""Free memory of the machine, its cgroups and the GPU, and how this process allocates its own."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

# Parameters of glibc's `mallopt`, and their defaults.
_TRIM_THRESHOLD, _MMAP_MAX = -1, -4
_DEFAULTS = {_TRIM_THRESHOLD: 128 * 1024, _MMAP_MAX: 65536}


@contextmanager
def freed_memory_kept() -> Iterator[None]:
    """Keeps memory that is freed inside the block for the next allocation, where the C library is glibc.

    By default, glibc returns large blocks to the system at once. Every activation of every training step on a CPU is
    then mapped, zeroed and paged in anew, which takes a third of the compact network's time.
    """
    library: Any = ctypes.CDLL(None) if os.name == "posix" else None
    if not hasattr(library, "mallopt") or not hasattr(library, "malloc_trim"):
        yield
        return
    library.mallopt(_MMAP_MAX, 0)
    library.mallopt(_TRIM_THRESHOLD, 2**31 - 1)
    try:
        yield
    finally:
        for parameter, value in _DEFAULTS.items():
            library.mallopt(parameter, value)
        library.malloc_trim(0)


def free_bytes(device: torch.device, root: Path = Path("/")) -> int:
    """Bytes that can be allocated on `device`: the minimum over the device, the machine and this process's cgroups.

    Data for a GPU passes through the machine's memory, so its limits apply too.

    Args:
        device: The device.
        root: Folder that contains `proc` and `sys`.
    """
    found = [_machine_bytes(root), *_cgroup_bytes(root)]
    if device.type == "cuda":
        found.append(torch.cuda.mem_get_info(device)[0])
    return min(found)


def _machine_bytes(root: Path) -> int:
    try:
        for line in (root / "proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    except (OSError, ValueError, IndexError):
        pass
    # Without /proc/meminfo, assume that half of the memory is free.
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2


def _cgroup_bytes(root: Path) -> list[int]:
    """Bytes left in each memory-limited cgroup of this process, including ancestors."""
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:
        return []
    found = []
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers and "memory" not in controllers.split(","):
            continue
        names = ("memory.limit_in_bytes", "memory.usage_in_bytes") if controllers else ("memory.max", "memory.current")
        own = Path(path.strip("/"))
        for group in (own, *own.parents):
            folder = root / "sys/fs/cgroup" / ("memory" if controllers else "") / group
            try:
                limit, used = ((folder / name).read_text().strip() for name in names)
                found.append(int(limit) - int(used))
            except (OSError, ValueError):
                # In cgroup v2, "max" means no limit.
                continue
    return found
