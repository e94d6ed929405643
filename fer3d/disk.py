"""What a disk refuses, as a sentence that names the path: a full one, a read-only one, a missing permission."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

# What only writing meets, wherever the error comes from and whether or not it knows a path.
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_DENIED = (errno.EROFS, errno.EACCES, errno.EPERM)


class DiskError(OSError):
    """A file or folder that could not be written: which, why, and what to do."""

    def __str__(self) -> str:
        return str(self.args[-1])


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Names a path in the errors of a disk that is full or may not be written to, which often name none.

    Args:
        path: What the block writes, or the folder in which it does.

    Raises:
        DiskError: The disk is full, or the path may not be written to.
    """
    try:
        yield
    except DiskError:
        raise
    except OSError as error:
        if error.errno in _FULL:
            way_out = "make room, or set outputs to another disk, and run the same command again"
        elif error.errno in _DENIED and _is_below(error.filename, path):
            way_out = "allow it, or set outputs to a folder of your own"
        else:
            raise
        raise DiskError(error.errno, f"{path} cannot be written: {os.strerror(error.errno)}; {way_out}") from error


def _is_below(filename: object, path: Path) -> bool:
    """Whether an error is about the path, and not about something that the block reads elsewhere."""
    return not isinstance(filename, str) or Path(filename).is_relative_to(path.parent)
