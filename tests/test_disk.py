from __future__ import annotations

import errno
import pickle
from pathlib import Path

import pytest

from fer3d.disk import DiskError, writing


def fail(path: Path, error: OSError) -> None:
    with writing(path):
        raise error


@pytest.mark.parametrize(
    ("number", "message"),
    [
        (errno.ENOSPC, "No space left on device; make room"),
        (errno.EACCES, "Permission denied; .*set outputs"),
        (errno.EROFS, "Read-only file system; .*set outputs"),
        (errno.EEXIST, "File exists; move what is in the way"),
        (errno.ENAMETOOLONG, "File name too long; .* shorter name"),
    ],
)
def test_the_path_and_a_remedy_are_named(tmp_path: Path, number: int, message: str) -> None:
    path = tmp_path / "outputs" / "file"
    for error in (OSError(number, "anything"), OSError(number, "anything", str(path.parent / ".work" / "part"))):
        with pytest.raises(DiskError, match=rf"^{path} cannot be written: {message}") as caught:
            fail(path, error)
        assert caught.value.errno == number
        assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)


def test_what_is_read_elsewhere_keeps_its_error(tmp_path: Path) -> None:
    with pytest.raises(PermissionError):
        fail(tmp_path / "outputs" / "store", PermissionError(errno.EACCES, "no", "/data/images/1.png"))
    with pytest.raises(ConnectionResetError):
        fail(tmp_path / "outputs" / "store", ConnectionResetError(errno.ECONNRESET, "gone"))


def test_the_innermost_path_is_told(tmp_path: Path) -> None:
    with pytest.raises(DiskError, match=f"^{tmp_path / 'inner'} cannot"), writing(tmp_path / "outer"):
        fail(tmp_path / "inner", OSError(errno.ENOSPC, "full"))
