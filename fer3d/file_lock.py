"""Locks between processes, which end with the process that holds them, be it killed."""

from __future__ import annotations

import os
import socket
import sys
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

_POLL_SECONDS = 0.1
# Who waits says so after the first time, and again after each of the second.
FIRST_WORD_SECONDS, NEXT_WORD_SECONDS = 5.0, 300.0


@contextmanager
def file_lock(path: Path, work: str | None = None) -> Iterator[None]:
    """Holds the lock of a name, and waits for it where another process or thread has it.

    Where the file system knows no locks, nobody waits: then two may do the same work, whose result is written whole or
    not at all.

    Args:
        path: The file that stands for the lock. It is there as long as somebody holds it or waits for it.
        work: What whoever holds it does, such as `fold 3 is being trained`: told to who waits for more than a few
            seconds, with who does it. None waits without a word.

    Raises:
        DiskError: The file cannot be made.
    """
    file = _wait(path, work)
    try:
        yield
    finally:
        if file is not None:
            release(file, path)


def try_lock(path: Path) -> IO[str] | None:
    """Takes the lock of a name if nobody has it.

    Returns:
        What holds the lock until it is closed, or the process ends; None where somebody else has it, or the file
        system knows no locks.

    Raises:
        DiskError: The file cannot be made.
    """
    return _acquire(path)[0]


def release(file: IO[str], path: Path) -> None:
    """Gives a lock back and removes its file."""
    path.unlink(missing_ok=True)
    file.close()


def remove_unheld(path: Path) -> None:
    """Removes the file of a lock that a killed process has left."""
    if path.exists():
        with suppress(OSError):
            if (file := try_lock(path)) is not None:
                release(file, path)


@dataclass(frozen=True)
class FolderLock:
    """A lock on a folder itself, which a killed process loses, in whatever container it ran.

    Attributes:
        descriptor: The folder's file descriptor; None where folders cannot be opened.
        is_held: Whether it keeps others out; not where the file system knows no locks.
    """

    descriptor: int | None
    is_held: bool

    @classmethod
    def take(cls, folder: Path) -> FolderLock | None:
        """Locks a folder; None where somebody else has locked it, or it is gone."""
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
        """Gives the lock back."""
        if self.descriptor is not None:
            os.close(self.descriptor)


def _wait(path: Path, work: str | None) -> IO[str] | None:
    next_word = time.monotonic() + FIRST_WORD_SECONDS
    while True:
        file, is_busy = _acquire(path)
        if not is_busy:
            return file
        if work is not None and time.monotonic() > next_word:
            print(f"{work} by {_holder(path)}; waiting for it", file=sys.stderr, flush=True)
            next_word = time.monotonic() + NEXT_WORD_SECONDS
        time.sleep(_POLL_SECONDS)


def _acquire(path: Path) -> tuple[IO[str] | None, bool]:
    """The lock's file, if this process has it now; and whether somebody else has it."""
    if fcntl is None:
        return None, False
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.open("a", encoding="utf-8")
    held = _flock(file.fileno())
    if held and _is_at(file.fileno(), path):
        # Only for others to read, so that a full disk does not matter.
        with suppress(OSError):
            os.ftruncate(file.fileno(), 0)
            os.write(file.fileno(), f"{os.getpid()} {socket.gethostname()} {machine()}\n".encode())
        return file, False
    file.close()
    # Whoever had it may have removed the file meanwhile, so that somebody else may hold another of the same name.
    return None, held is not None


def _flock(descriptor: int) -> bool | None:
    """Whether the lock could be taken; None where the file system knows none."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return None
    return True


def _holder(path: Path) -> str:
    """Who holds a lock, as its file says."""
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
