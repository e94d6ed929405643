"""Locks between processes, which end with the process that holds them, be it killed."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]


@contextmanager
def file_lock(path: Path) -> Iterator[None]:
    """Holds the lock of a name, and waits for it where another process or thread has it.

    Where the file system knows no locks, nobody waits: then two may do the same work, whose result is written whole or
    not at all.

    Args:
        path: The file that stands for the lock. It is there as long as somebody holds it or waits for it.
    """
    file = _acquire(path, wait=True)
    try:
        yield
    finally:
        if file is not None:
            release(file, path)


def try_lock(path: Path) -> IO[str] | None:
    """Takes the lock of a name if nobody has it.

    Returns:
        What holds the lock until it is closed, or the process ends; None where somebody else has it.
    """
    return _acquire(path, wait=False)


def release(file: IO[str], path: Path) -> None:
    """Gives a lock back and removes its file."""
    path.unlink(missing_ok=True)
    file.close()


def _acquire(path: Path, *, wait: bool) -> IO[str] | None:
    if fcntl is None:
        return None
    path.parent.mkdir(parents=True, exist_ok=True)
    while True:
        file = path.open("a", encoding="utf-8")
        try:
            fcntl.flock(file, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            file.close()
            return None
        if _is_at(file, path):
            return file
        # Whoever had it has removed the file meanwhile, so that somebody else may hold another of the same name.
        file.close()


def _is_at(file: IO[str], path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False
