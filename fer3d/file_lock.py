"""Advisory file locks, released when the holder exits or is killed."""

from __future__ import annotations

import logging
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from fer3d.disk import writing
from fer3d.processes import is_stopped, machine

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

_logger = logging.getLogger(__name__)
_POLL_SECONDS = 0.1
# A waiting process prints a message after the first interval, then once per second interval.
FIRST_WORD_SECONDS, NEXT_WORD_SECONDS = 5.0, 300.0


@contextmanager
def file_lock(path: Path, work: str | None = None) -> Iterator[None]:
    """Holds a lock, waiting while another process or thread has it.

    On a file system without locks this does not wait: two processes may do the same work, so results must be written
    atomically.

    Args:
        path: The lock file. It exists while the lock is held or awaited.
        work: What the holder does, such as `fold 3 is being trained`. Processes that wait for more than a few seconds
            print it with the holder's process id. None: wait silently.

    Raises:
        DiskError: The lock file cannot be created.
    """
    file = _wait(path, work)
    try:
        yield
    finally:
        if file is not None:
            release(file, path)


def try_lock(path: Path) -> IO[str] | None:
    """Takes a lock without waiting.

    Returns:
        The open lock file, which holds the lock until it is closed or the process ends; None if the lock is taken or
        the file system does not support locks.

    Raises:
        DiskError: The lock file cannot be created.
    """
    return _acquire(path)[0]


def release(file: IO[str], path: Path) -> None:
    """Releases a lock and removes its file."""
    path.unlink(missing_ok=True)
    file.close()


def remove_unheld(path: Path) -> None:
    """Removes a lock file that a killed process left behind."""
    if path.exists():
        with suppress(OSError):
            if (file := try_lock(path)) is not None:
                release(file, path)


@dataclass(frozen=True)
class FolderLock:
    """A lock on a folder itself, visible across containers and released when the process is killed.

    Attributes:
        descriptor: The folder's file descriptor; None where the platform cannot lock folders.
        is_held: Whether the lock excludes others; False on file systems without locks.
    """

    descriptor: int | None
    is_held: bool

    @classmethod
    def take(cls, folder: Path) -> FolderLock | None:
        """Locks a folder; returns None if another process holds the lock or the folder is gone."""
        if fcntl is None:
            return cls(None, is_held=False)
        try:
            descriptor = os.open(folder, os.O_RDONLY)
        except FileNotFoundError:
            return None
        held = _flock(descriptor)
        if held is not False and _is_at(descriptor, folder):
            return cls(descriptor, bool(held))
        os.close(descriptor)
        return None

    def release(self) -> None:
        """Releases the lock."""
        if self.descriptor is not None:
            os.close(self.descriptor)


def _wait(path: Path, work: str | None) -> IO[str] | None:
    next_word = time.monotonic() + FIRST_WORD_SECONDS
    while True:
        file, is_busy = _acquire(path)
        if not is_busy:
            return file
        if work is not None and time.monotonic() > next_word:
            _logger.warning("%s by %s; waiting for it", work, _holder(path))
            next_word = time.monotonic() + NEXT_WORD_SECONDS
        time.sleep(_POLL_SECONDS)


def _acquire(path: Path) -> tuple[IO[str] | None, bool]:
    """Returns the lock file if this process now holds it, and whether another process holds it."""
    if fcntl is None:
        return None, False
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.open("a", encoding="utf-8")
    held = _flock(file.fileno())
    if held and _is_at(file.fileno(), path):
        # Informational only, so a full disk does not matter.
        with suppress(OSError):
            os.ftruncate(file.fileno(), 0)
            os.write(file.fileno(), f"{os.getpid()} {socket.gethostname()} {machine()}\n".encode())
        return file, False
    file.close()
    # The previous holder may have removed the file after we opened it, and a third process may hold a new one.
    return None, held is not None


def _flock(descriptor: int) -> bool | None:
    """Whether the lock was taken; None if the file system does not support locks."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return None
    return True


def _holder(path: Path) -> str:
    """Describes the holder named in a lock file."""
    try:
        pid, host, where = path.read_text(encoding="utf-8").split()
        stopped = " (which is stopped)" if where == machine() and is_stopped(int(pid)) else ""
    except (OSError, ValueError):
        return "another process"
    return f"process {pid} on {host}{stopped}"


def _is_at(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False
