"""Disk errors with a message that names the path, the reason and a remedy."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

# Errors that only writing can raise, so they need no path to be recognised.
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_WAYS_OUT = {
    **dict.fromkeys(_FULL, "make room, or set outputs or --out to another disk, and run the same command again"),
    **dict.fromkeys(
        (errno.EROFS, errno.EACCES, errno.EPERM),
        "change its permissions, or set outputs or --out to a folder that you can write to",
    ),
    **dict.fromkeys(
        (errno.ENOTDIR, errno.EISDIR, errno.EEXIST),
        "move what is in the way, or set outputs or --out to another folder",
    ),
    errno.ENAMETOOLONG: "choose a shorter name",
}


class DiskError(OSError):
    """A file or folder could not be written; the message says which, why, and what to do."""

    def __str__(self) -> str:
        return str(self.args[-1])


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turns write errors inside the block into `DiskError`s that name `path`; the original ones often name no path.

    Args:
        path: The file or folder that the block writes.

    Raises:
        DiskError: The disk is full or the path is not writable.
    """
    try:
        yield
    except DiskError:
        raise
    except OSError as error:
        number = error.errno or 0
        if number not in _WAYS_OUT or not (number in _FULL or _is_below(error.filename, path)):
            raise
        message = f"{path} cannot be written: {os.strerror(number)}; {_WAYS_OUT[number]}"
        raise DiskError(number, message) from error


def check_writable(folder: Path) -> None:
    """Checks in advance that a folder can be created or written to.

    Raises:
        DiskError: It cannot.
    """
    place = folder.absolute()
    while not os.path.lexists(place):
        place = place.parent
    number = None
    if not place.is_dir():
        number = errno.ENOTDIR
    elif place != folder.absolute() and not os.access(place, os.W_OK | os.X_OK):
        number = errno.EACCES
    if number is not None:
        raise DiskError(number, f"{folder} cannot be written: {place}: {os.strerror(number)}; {_WAYS_OUT[number]}")


def check_space(folder: Path, num_bytes: int, what: str) -> None:
    """Checks in advance that a disk has enough free space.

    Args:
        folder: Destination; need not exist yet.
        num_bytes: Space needed.
        what: What will be written, for the message.

    Raises:
        DiskError: The disk has too little space.
    """
    place = folder.absolute()
    while not place.exists():
        place = place.parent
    free = shutil.disk_usage(place).free
    if free < num_bytes:
        raise DiskError(
            errno.ENOSPC,
            f"{what} need about {num_bytes / 1e6:,.0f} MB in {folder}, but its disk has {free / 1e6:,.0f} MB left; "
            f"{_WAYS_OUT[errno.ENOSPC]}",
        )


def _is_below(filename: object, path: Path) -> bool:
    """Whether an error concerns `path`, rather than a file that the block reads elsewhere."""
    return not isinstance(filename, str) or Path(filename).is_relative_to(path.parent)
