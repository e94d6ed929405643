"""Processes: whether one runs, and child processes that do not outlive their parent."""

from __future__ import annotations

import os
import signal
import threading
import time
from functools import cache
from multiprocessing import connection, parent_process


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
