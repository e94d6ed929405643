"""What a disk refuses, as a sentence that names the path: it is full or read-only, or something is in the way."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

# What only writing meets, wherever the error comes from and whether or not it knows a path.
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_WAYS_OUT = {
    **dict.fromkeys(_FULL, "make room, or set outputs or --out to another disk, and run the same command again"),
    **dict.fromkeys(
        (errno.EROFS, errno.EACCES, errno.EPERM), "allow it, or set outputs or --out to a folder of your own"
    ),
    **dict.fromkeys(
        (errno.ENOTDIR, errno.EISDIR, errno.EEXIST),
        "move what is in the way, or set outputs or --out to another folder",
    ),
    errno.ENAMETOOLONG: "set a shorter name",
}


class DiskError(OSError):
    """A file or folder that could not be written: which, why, and what to do."""

    def __str__(self) -> str:
        return str(self.args[-1])


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Names a path in the errors of a disk that is full or cannot be written to, which often name none.

    Args:
        path: What the block writes, or the folder in which it does.

    Raises:
        DiskError: The disk is full, or the path cannot be written to.
    """
    try:
        yield
    except DiskError:
        raise
    except OSError as error:
        number = error.errno or 0
        if number not in _WAYS_OUT or not (number in _FULL or _is_below(error.filename, path)):
            raise
        sentence = f"{path} cannot be written: {os.strerror(number)}; {_WAYS_OUT[number]}"
        raise DiskError(number, sentence) from error


def check_writable(folder: Path) -> None:
    """Finds out beforehand whether a folder can come into being, or be written to.

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
    """Finds out beforehand whether a disk has the space for what is going to be written.

    Args:
        folder: Where it is going to be; need not exist yet.
        num_bytes: How much it takes.
        what: What it is, for the message.

    Raises:
        DiskError: The disk is too small.
    """
    place = folder.absolute()
    while not place.exists():
        place = place.parent
    free = shutil.disk_usage(place).free
    if free < num_bytes:
        raise DiskError(
            errno.ENOSPC,
            f"{what} take about {num_bytes / 1e6:,.0f} MB in {folder}, and its disk has {free / 1e6:,.0f} MB left; "
            f"{_WAYS_OUT[errno.ENOSPC]}",
        )


def _is_below(filename: object, path: Path) -> bool:
    """Whether an error is about the path, and not about something that the block reads elsewhere."""
    return not isinstance(filename, str) or Path(filename).is_relative_to(path.parent)
