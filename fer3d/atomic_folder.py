"""Folders that exist whole or not at all."""

from __future__ import annotations

import os
import re
import shutil
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

from fer3d.processes import is_running


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
        OSError: The work folder could not take its name.
    """
    if folder.is_file() or _holds_something(folder):
        raise FileExistsError(f"{folder} exists already")
    folder.parent.mkdir(parents=True, exist_ok=True)
    remove_leftovers(folder)
    work = folder.with_name(f".{folder.name}.partial-{_host()}-{os.getpid()}-{uuid4().hex[:6]}")
    work.mkdir()
    try:
        yield work
        try:
            work.rename(folder)
        except OSError:
            if not _holds_something(folder):
                raise
    finally:
        shutil.rmtree(work, ignore_errors=True)


def remove_leftovers(folder: Path) -> None:
    """Removes the work folders that dead processes of this machine left for `folder`."""
    pattern = re.compile(re.escape(f".{folder.name}.partial-{_host()}-") + r"(\d+)-\w+")
    for left in folder.parent.iterdir():
        match = pattern.fullmatch(left.name)
        if match and not is_running(int(match[1])):
            shutil.rmtree(left, ignore_errors=True)


def _holds_something(folder: Path) -> bool:
    return folder.is_dir() and any(folder.iterdir())


def _host() -> str:
    return re.sub(r"\W", "_", socket.gethostname())
