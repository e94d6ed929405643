"""Folders that exist whole or not at all."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

from fer3d.disk import writing
from fer3d.file_lock import FolderLock
from fer3d.processes import is_running, machine

# How many work folders this process has.
num_under_way = 0


@contextmanager
def atomic_folder(folder: Path) -> Iterator[Path]:
    """Yields an empty work folder beside `folder`, which takes its name when the block ends without an error.

    A block that raises leaves nothing. What a killed process left is removed by the next one on the same machine. If
    `folder` has come into being meanwhile, it stays as it is and the work folder is dropped: both were made for the
    same name.

    Args:
        folder: The folder to make; it may not exist, or only as an empty folder.

    Raises:
        FileExistsError: The folder holds something already, or is a file.
        DiskError: The disk is full, or may not be written to.
        OSError: The work folder could not take its name.
    """
    if folder.is_file() or _holds_something(folder):
        raise FileExistsError(f"{folder} exists already")
    with work_folder(folder) as work:
        yield work
        try:
            work.rename(folder)
        except OSError:
            if not _holds_something(folder):
                raise


@contextmanager
def work_folder(folder: Path) -> Iterator[Path]:
    """Yields an empty folder beside `folder`, which is removed after the block, or after its process was killed.

    Raises:
        DiskError: The disk is full, or may not be written to.
    """
    with writing(folder):
        folder.parent.mkdir(parents=True, exist_ok=True)
        remove_leftovers(folder)
        global num_under_way
        num_under_way += 1
        work, lock = folder, None
        # From before it is there: a signal may come at any moment.
        try:
            while lock is None:
                name = f".{folder.name}.partial-{_host()}-{_machine()}-{os.getpid()}-{uuid4().hex[:6]}"
                work = folder.with_name(name)
                work.mkdir()
                # Until it is locked, it looks like a leftover to others.
                lock = FolderLock.take(work)
            yield work
        finally:
            if work != folder:
                shutil.rmtree(work, ignore_errors=True)
            if lock is not None:
                lock.release()
            num_under_way -= 1


def remove_leftovers(folder: Path) -> None:
    """Removes the work folders that dead processes of this machine left for `folder`."""
    pattern = re.compile(re.escape(f".{folder.name}.partial-") + r"(\w+)-(?:(\w+)-)?(\d+)-\w+")
    for left in folder.parent.iterdir():
        if match := pattern.fullmatch(left.name):
            _remove_if_dead(left, *match.groups())


def _remove_if_dead(left: Path, host: str, where: str | None, pid: str) -> None:
    here = where == _machine()
    if host != _host() and not here:
        return  # another machine, where its process may well be alive
    lock = FolderLock.take(left)
    if lock is None:
        return
    # Without locks, a process of another container cannot be told from a dead one; nor one whose folder names no
    # machine from one of this number.
    if is_running(int(pid)) if where is None else not lock.is_held and (not here or is_running(int(pid))):
        lock.release()
        return
    shutil.rmtree(left, ignore_errors=True)
    lock.release()


def _holds_something(folder: Path) -> bool:
    return folder.is_dir() and any(folder.iterdir())


def _host() -> str:
    return re.sub(r"\W", "_", socket.gethostname())


def _machine() -> str:
    return hashlib.sha256(machine().encode()).hexdigest()[:8]
