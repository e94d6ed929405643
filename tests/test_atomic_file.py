from __future__ import annotations

from pathlib import Path

import pytest
from small_disk import SmallDisk

from fer3d.atomic_file import write_file
from fer3d.disk import DiskError


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize(
    ("content", "found"), [("Lézoray\n", "Lézoray\n".encode()), (b"\x00\xff", b"\x00\xff"), ("", b"")]
)
def test_writes_text_as_utf8_and_bytes_as_they_are(tmp_path: Path, content: str | bytes, found: bytes) -> None:
    write_file(tmp_path / "made" / "on the way" / "file", content)
    assert (tmp_path / "made" / "on the way" / "file").read_bytes() == found
    assert names(tmp_path / "made" / "on the way") == ["file"]


def test_an_older_file_is_replaced(tmp_path: Path) -> None:
    write_file(tmp_path / "file", "a longer older one")
    write_file(tmp_path / "file", "new")
    assert (tmp_path / "file").read_text() == "new"
    assert names(tmp_path) == ["file"]


def test_whoever_reads_the_older_file_goes_on_reading_it(tmp_path: Path) -> None:
    write_file(tmp_path / "file", "old")
    with (tmp_path / "file").open() as reader:
        write_file(tmp_path / "file", "new")
        assert reader.read() == "old"


@pytest.mark.parametrize("error", [OSError, KeyboardInterrupt])
@pytest.mark.parametrize("step", ["write_bytes", "replace"])
def test_a_failure_leaves_the_older_file_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str, error: type[BaseException]
) -> None:
    write_file(tmp_path / "file", "old")
    real = getattr(Path, step)

    def fail(path: Path, *arguments: object) -> None:
        if step == "write_bytes":
            real(path, b"ha")
        raise error("reason")

    monkeypatch.setattr(Path, step, fail)
    with pytest.raises(error, match="reason"):
        write_file(tmp_path / "file", "new")
    assert (tmp_path / "file").read_text() == "old"
    assert names(tmp_path) == ["file"]


def test_a_folder_in_the_way_is_refused_and_kept(tmp_path: Path) -> None:
    (tmp_path / "file" / "inner").mkdir(parents=True)
    with pytest.raises(OSError, match="file"):
        write_file(tmp_path / "file", "new")
    assert names(tmp_path) == ["file"]
    assert names(tmp_path / "file") == ["inner"]


def test_a_full_disk_is_named_and_the_older_file_stays(small_disk: SmallDisk) -> None:
    path = small_disk.folder / "report.html"
    write_file(path, "old")
    small_disk.fill()
    with pytest.raises(DiskError, match=rf"^{path} cannot be written: No space left on device; make room"):
        write_file(path, "new" * 5000)
    assert path.read_text() == "old"
    assert sorted(entry.name for entry in small_disk.folder.iterdir()) == ["filler", "report.html"]
