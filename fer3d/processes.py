"""Processes: who one is, whether it runs, and child processes that do not outlive their parent."""

from __future__ import annotations

import os
import signal
import socket
import threading
import time
from functools import cache
from multiprocessing import connection, parent_process
from pathlib import Path


def machine() -> str:
    """This machine since its start, and the container there: where a process number means one process."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{boot}/{Path('/proc/self/ns/pid').stat().st_ino}"
    except OSError:
        return socket.gethostname()


def started(pid: int) -> str:
    """When a process of this machine started, which tells it from a later one of its number; empty for none."""
    try:
        state = _state(pid)
    except OSError:
        return "running" if is_running(pid) else ""
    # A zombie is dead, however long its parent does not ask for it.
    return "" if state[0] in "ZX" else state[19]


def is_stopped(pid: int) -> bool:
    """Whether a process of this machine is stopped, and so neither works nor ends."""
    try:
        return _state(pid)[0] in "Tt"
    except OSError:
        return False


def _state(pid: int) -> list[str]:
    # After the name, which may hold anything.
    return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()


def is_running(pid: int) -> bool:
    """Whether a process of this machine has that number; true where it cannot be told."""
    if os.name != "posix":
        return True  # asking would end the process there
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


@cache
def leave_with_parent() -> None:
    """Ends this process when its parent ends, be it killed; otherwise it would wait for work for ever.

    Ctrl-C reaches every process of a terminal: it is the parent's to heed.
    """
    if parent_process() is not None and threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_wait_and_leave, daemon=True).start()


def _wait_and_leave() -> None:
    parent = parent_process()
    if parent is None:
        return
    if parent.sentinel is not None:
        connection.wait([parent.sentinel])
    else:
        # joblib's processes know their parent's number alone.
        while os.getppid() == parent.pid:
            time.sleep(1)
    os._exit(1)
