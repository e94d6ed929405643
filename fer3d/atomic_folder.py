"""Atomic folders: a folder is complete or absent."""

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

# Number of open work folders in this process.
num_under_way = 0


@contextmanager
def atomic_folder(folder: Path) -> Iterator[Path]:
    """Yields an empty work folder beside `folder` and renames it to `folder` when the block succeeds.

    If the block raises, the work folder is removed. The next process on the same machine removes what a killed process
    left behind. If another process creates `folder` first, its result is kept and the work folder is dropped, since
    both were made for the same name.

    Args:
        folder: The folder to create; it must be absent or empty.

    Raises:
        FileExistsError: `folder` is a file or a folder that is not empty.
        DiskError: The disk is full or not writable.
        OSError: The work folder could not be renamed.
    """
    if folder.is_file() or _holds_something(folder):
        raise FileExistsError(f"{folder} already exists")
    with work_folder(folder) as work:
        yield work
        try:
            work.rename(folder)
        except OSError:
            if not _holds_something(folder):
                raise


@contextmanager
def work_folder(folder: Path) -> Iterator[Path]:
    """Yields an empty folder beside `folder` and removes it after the block.

    If the process is killed, the next process that calls this for `folder` removes it.

    Raises:
        DiskError: The disk is full or not writable.
    """
    with writing(folder):
        folder.parent.mkdir(parents=True, exist_ok=True)
        remove_leftovers(folder)
        global num_under_way
        num_under_way += 1
        work, lock = folder, None
        # The block starts before mkdir, because a signal may arrive at any moment.
        try:
            while lock is None:
                name = f".{folder.name}.partial-{_host()}-{_machine()}-{os.getpid()}-{uuid4().hex[:6]}"
                work = folder.with_name(name)
                work.mkdir()
                # Until we lock it, other processes take it for a leftover and may remove it; then we try again.
                lock = FolderLock.take(work)
            yield work
        finally:
            if work != folder:
                shutil.rmtree(work, ignore_errors=True)
            if lock is not None:
                lock.release()
            num_under_way -= 1


def remove_leftovers(folder: Path) -> None:
    """Removes work folders that dead processes on this machine left for `folder`."""
    pattern = re.compile(re.escape(f".{folder.name}.partial-") + r"(\w+)-(?:(\w+)-)?(\d+)-\w+")
    for left in folder.parent.iterdir():
        if match := pattern.fullmatch(left.name):
            _remove_if_dead(left, *match.groups())


def _remove_if_dead(left: Path, host: str, where: str | None, pid: str) -> None:
    here = where == _machine()
    if host != _host() and not here:
        return  # made on another machine, where its process may still run
    lock = FolderLock.take(left)
    if lock is None:
        return
    # Without locks, we cannot tell a process in another container from a dead one. Names without a machine carry only
    # the process id, so any running process with this id counts as the owner.
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
