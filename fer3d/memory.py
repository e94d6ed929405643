"""How much memory is free: the machine's, a control group's and a GPU's."""

from __future__ import annotations

import os
from pathlib import Path

import torch


def free_bytes(device: torch.device, root: Path = Path("/")) -> int:
    """Bytes that can be taken on a device and, on the way there, of the machine's memory: the least of them.

    Args:
        device: The device.
        root: Where `proc` and `sys` are.
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
    # Not Linux: half of all there is.
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2


def _cgroup_bytes(root: Path) -> list[int]:
    """What the control groups that this process is in, and those above them, leave; nothing where none has a limit."""
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
                # No limit is "max" in version 2.
                continue
    return found
