"""Process identity and liveness, and child processes that end with their parent."""

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
    """Identifies the current boot and PID namespace, within which a process id is unique at any time."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{boot}/{Path('/proc/self/ns/pid').stat().st_ino}"
    except OSError:
        return socket.gethostname()


def started(pid: int) -> str:
    """Start time of a process, which distinguishes it from a later one with the same id; empty if it does not run."""
    try:
        state = _state(pid)
    except OSError:
        return "running" if is_running(pid) else ""
    # A zombie is dead, even if its parent has not reaped it.
    return "" if state[0] in "ZX" else state[19]


def is_stopped(pid: int) -> bool:
    """Whether a process is stopped (SIGSTOP, Ctrl-Z), so that it neither works nor exits."""
    try:
        return _state(pid)[0] in "Tt"
    except OSError:
        return False


def _state(pid: int) -> list[str]:
    # The process name comes first, in parentheses, and may contain any character.
    return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()


def is_running(pid: int) -> bool:
    """Whether a process with this id exists; True if the platform cannot tell."""
    if os.name != "posix":
        return True  # os.kill(pid, 0) would terminate the process on Windows
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


@cache
def leave_with_parent() -> None:
    """Ends this process when its parent exits or is killed; otherwise it would wait for work indefinitely.

    Ctrl-C reaches every process in a terminal; the child ignores it and leaves it to the parent.
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
        # joblib's workers know only their parent's process id.
        while os.getppid() == parent.pid:
            time.sleep(1)
    os._exit(1)


def exit_behind(error: BaseException) -> SystemExit | None:
    """The `SystemExit` that an error replaced; None if there is none.

    The handler of a signal may raise it anywhere, such as in OmegaConf's `__setitem__`, whose clean-up then fails.
    """
    seen: set[int] = set()
    waiting: list[BaseException | None] = [error]
    while waiting:
        one = waiting.pop()
        if isinstance(one, SystemExit):
            return one
        if one is not None and id(one) not in seen:
            seen.add(id(one))
            waiting += [one.__cause__, one.__context__]
    return None
