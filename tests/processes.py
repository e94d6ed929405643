"""Processes that tests start, and what they wait for."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any


def start(*command: str, **settings: Any) -> subprocess.Popen[str]:
    """Starts Python, with pipes for its output and its errors."""
    pipe = subprocess.PIPE
    return subprocess.Popen([sys.executable, *command], stdout=pipe, stderr=pipe, text=True, **settings)


def wait_until(
    condition: Callable[[], Any],
    process: subprocess.Popen[Any] | None = None,
    describe: Callable[[], str] = str,
    seconds: float = 300,
) -> None:
    """Waits until a condition holds, no longer than a process lives; says what `describe` returns if it never does."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert process is None or process.poll() is None, process.communicate()
        assert time.monotonic() < deadline, describe()
        time.sleep(0.01)
