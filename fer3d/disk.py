"""What a disk refuses, as a sentence that names the path: it is full or read-only, or something is in the way."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

# What only writing meets, wherever the error comes from and whether or not it knows a path.
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_WAYS_OUT = {
    **dict.fromkeys(_FULL, "make room, or set outputs to another disk, and run the same command again"),
    **dict.fromkeys((errno.EROFS, errno.EACCES, errno.EPERM), "allow it, or set outputs to a folder of your own"),
    **dict.fromkeys((errno.ENOTDIR, errno.EEXIST), "move what is in the way, or set outputs to another folder"),
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


def _is_below(filename: object, path: Path) -> bool:
    """Whether an error is about the path, and not about something that the block reads elsewhere."""
    return not isinstance(filename, str) or Path(filename).is_relative_to(path.parent)
