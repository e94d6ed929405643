"""Who a search process is, so that others can tell whether it is alive."""

from __future__ import annotations

import os
from dataclasses import dataclass
from uuid import uuid4

from fer3d.processes import machine, started


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
        return cls(machine(), os.getpid(), started(os.getpid()), uuid4().hex[:8])

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
        return self.machine == machine()

    @property
    def known_dead(self) -> bool:
        """Whether it was a process of this machine and is gone."""
        return self.is_local and started(self.pid) != self.started
