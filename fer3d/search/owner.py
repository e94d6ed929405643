"""Who a search process is, so that others can tell whether it is alive."""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

from fer3d.processes import is_running


@dataclass(frozen=True)
class Owner:
    """A process, so that others can tell whether it is alive.

    Attributes:
        machine: The machine since its start, and the container there.
        pid: The process's number there.
        started: When it started, which tells it from a later one of the same number.
        token: Tells searches of one process apart.
    """

    machine: str
    pid: int
    started: str
    token: str

    @classmethod
    def me(cls) -> Owner:
        """This process."""
        return cls(_machine(), os.getpid(), _started(os.getpid()), uuid4().hex[:8])

    @classmethod
    def parse(cls, text: str) -> Owner:
        """Reads what `str` writes."""
        machine, pid, started, token = text.split("|")
        return cls(machine, int(pid), started, token)

    def __str__(self) -> str:
        return f"{self.machine}|{self.pid}|{self.started}|{self.token}"

    @property
    def is_local(self) -> bool:
        """Whether it is or was a process of this machine."""
        return self.machine == _machine()

    @property
    def known_dead(self) -> bool:
        """Whether it was a process of this machine and is gone."""
        return self.is_local and _started(self.pid) != self.started


def _machine() -> str:
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{boot}/{Path('/proc/self/ns/pid').stat().st_ino}"
    except OSError:
        return socket.gethostname()


def _started(pid: int) -> str:
    """When a process of this machine started; empty where there is none."""
    try:
        # After the name, which may hold anything.
        state = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
        # A zombie is dead, however long its parent does not ask for it.
        return "" if state[0] in "ZX" else state[19]
    except OSError:
        return "running" if is_running(pid) else ""
