"""Child processes that do not outlive their parent."""

from __future__ import annotations

import os
import threading
import time
from functools import cache
from multiprocessing import connection, parent_process


@cache
def leave_with_parent() -> None:
    """Ends this process when its parent ends, be it killed; otherwise it would wait for work for ever."""
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
