"""Free memory of the machine, its cgroups and the GPU."""

from __future__ import annotations

import os
from pathlib import Path

import torch


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
