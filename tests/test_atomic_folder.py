from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from small_disk import SmallDisk

from fer3d.atomic_folder import atomic_folder, remove_leftovers, work_folder
from fer3d.disk import DiskError

# Starts to fill a folder, says so, and waits.
FILL_AND_WAIT = """
import sys, time
from pathlib import Path
from fer3d.atomic_folder import atomic_folder
with atomic_folder(Path(sys.argv[1])) as work:
    (work / "half").write_text("half")
    print("started", flush=True)
    time.sleep(60)
"""


def start_filling(folder: Path) -> subprocess.Popen[str]:
    """Starts a process that holds a work folder for `folder`, and waits until it does."""
    command = [sys.executable, "-c", FILL_AND_WAIT, str(folder)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "started\n"
    return process


def kill(process: subprocess.Popen[str]) -> None:
    process.send_signal(signal.SIGKILL)
    process.communicate()


def make(folder: Path, content: str = "new") -> None:
    with atomic_folder(folder) as work:
        (work / "file").write_text(content)


def fail(folder: Path, error: BaseException) -> None:
    with atomic_folder(folder) as work:
        (work / "file").write_text("half")
        raise error


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_the_folder_takes_its_name_only_when_the_block_has_ended(tmp_path: Path) -> None:
    folder = tmp_path / "made" / "on the way" / "folder"
    with atomic_folder(folder) as work:
        assert list(work.iterdir()) == []
        (work / "inner").mkdir()
        (work / "inner" / "file").write_text("content")
        assert not folder.exists()
        # A rename can only be atomic within one file system.
        assert work.parent == folder.parent
    assert (folder / "inner" / "file").read_text() == "content"
    assert names(folder.parent) == ["folder"]


def test_an_empty_folder_is_as_good_as_none(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    make(folder)
    assert (folder / "file").read_text() == "new"


@pytest.mark.parametrize("error", [ValueError, OSError, KeyboardInterrupt, SystemExit])
def test_an_exception_passes_through_and_leaves_nothing(tmp_path: Path, error: type[BaseException]) -> None:
    with pytest.raises(error, match="reason"):
        fail(tmp_path / "folder", error("reason"))
    assert names(tmp_path) == []


def test_a_folder_that_holds_something_is_refused_and_kept(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    make(folder, "old")
    with pytest.raises(FileExistsError, match=str(folder)):
        make(folder)
    assert (folder / "file").read_text() == "old"
    with pytest.raises(FileExistsError, match="file"):
        make(folder / "file")
    assert (folder / "file").read_text() == "old"
    assert names(tmp_path) == ["folder"]


def test_a_folder_that_came_meanwhile_stays_as_it_is(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    with atomic_folder(folder) as work:
        (work / "file").write_text("ours")
        make(folder, "theirs")
    assert (folder / "file").read_text() == "theirs"
    assert names(tmp_path) == ["folder"]


def test_a_file_that_came_meanwhile_is_an_error(tmp_path: Path) -> None:
    with (
        pytest.raises(DiskError, match="folder cannot be written: Not a directory"),
        atomic_folder(tmp_path / "folder"),
    ):
        (tmp_path / "folder").write_text("theirs")
    assert names(tmp_path) == ["folder"]


def test_work_that_cannot_be_renamed_is_not_dropped_without_a_word(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    # A folder cannot be renamed onto a link, nor onto the mount point of another disk.
    (tmp_path / "folder").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(DiskError, match="folder cannot be written: Not a directory"):
        make(tmp_path / "folder")
    assert names(tmp_path) == ["elsewhere", "folder"]


@pytest.mark.parametrize("name", ["folder", "model.filters=[8]*(2)"])
def test_a_killed_process_leaves_no_folder_and_the_next_one_tidies_up(tmp_path: Path, name: str) -> None:
    folder = tmp_path / name
    process = start_filling(folder)
    kill(process)
    assert not folder.exists()
    (left,) = tmp_path.iterdir()
    assert names(left) == ["half"]
    make(folder)
    assert names(tmp_path) == [name]
    assert names(folder) == ["file"]


def test_the_work_of_a_living_process_is_kept(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    process = start_filling(folder)
    try:
        (work,) = tmp_path.iterdir()
        make(folder)
        assert names(work) == ["half"]
    finally:
        kill(process)
    remove_leftovers(folder)
    assert names(tmp_path) == ["folder"]


@pytest.mark.parametrize("other", ["folder2", "older"])
def test_the_leftovers_of_other_folders_are_kept(tmp_path: Path, other: str) -> None:
    kill(start_filling(tmp_path / other))
    (left,) = tmp_path.iterdir()
    make(tmp_path / "folder")
    assert left.is_dir()


def named_otherwise(left: Path, process: subprocess.Popen[str], *, host: str | None, where: str | None) -> Path:
    """Renames a leftover to one of another host, or of another machine or container; empty for a name without."""
    own_host, own_where = left.name.removeprefix(".folder.partial-").partition(f"-{process.pid}-")[0].split("-")
    told = [part for part in (host or own_host, own_where if where is None else where) if part]
    return left.rename(left.with_name(left.name.replace(f"{own_host}-{own_where}", "-".join(told))))


@pytest.mark.parametrize(
    ("host", "where", "kept"),
    [
        ("another", "0123abcd", True),  # another machine, where its process may well be alive
        (None, "0123abcd", False),  # another container of this machine, or this machine before it started anew
        ("another", None, False),  # another name of this machine
        (None, "", False),  # as earlier versions named them
        ("another", "", True),
    ],
)
def test_only_leftovers_of_this_machine_are_removed(
    tmp_path: Path, host: str | None, where: str | None, kept: bool
) -> None:
    process = start_filling(tmp_path / "folder")
    kill(process)
    (left,) = tmp_path.iterdir()
    left = named_otherwise(left, process, host=host, where=where)
    make(tmp_path / "folder")
    assert left.is_dir() == kept


@pytest.mark.parametrize("where", [None, "", "0123abcd"])
def test_a_locked_work_folder_is_kept_whatever_its_name_says(tmp_path: Path, where: str | None) -> None:
    process = start_filling(tmp_path / "folder")
    (left,) = tmp_path.iterdir()
    left = named_otherwise(left, process, host=None, where=where)
    dead = left.rename(left.with_name(left.name.replace(f"-{process.pid}-", f"-{2**22 + 1}-")))
    try:
        make(tmp_path / "folder")
        assert names(dead) == ["half"]
    finally:
        kill(process)
    remove_leftovers(tmp_path / "folder")
    assert names(tmp_path) == ["folder"]


def test_a_process_in_another_container_of_this_host_keeps_its_work_folder(tmp_path: Path) -> None:
    """There, the numbers of this process's neighbours belong to nobody."""
    folder = tmp_path / "folder"
    apart = ["unshare", "--pid", "--fork"]
    if shutil.which("unshare") is None or subprocess.run([*apart, "true"], capture_output=True).returncode:
        pytest.skip("a process may not have a PID namespace of its own here")
    process = start_filling(folder)
    try:
        (work,) = tmp_path.iterdir()
        code = "import sys; from pathlib import Path; from fer3d.atomic_folder import remove_leftovers as remove; "
        look = [*apart, "--mount-proc", sys.executable, "-c", f"{code}remove(Path(sys.argv[1]))", str(folder)]
        subprocess.run(look, check=True)
        assert names(work) == ["half"]
    finally:
        kill(process)
    subprocess.run(look, check=True)
    assert names(tmp_path) == []


def test_work_folders_survive_others_that_tidy_up_all_the_time(tmp_path: Path) -> None:
    """A folder that was made and is not locked yet looks like a leftover."""
    folder = tmp_path / "folder"
    done = threading.Event()

    def tidy_up() -> None:
        while not done.is_set():
            remove_leftovers(folder)

    threads = [threading.Thread(target=tidy_up) for _ in range(3)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(100):
            with work_folder(folder) as work:
                (work / "file").write_text("content")
                assert (work / "file").read_text() == "content"
    finally:
        done.set()
        for thread in threads:
            thread.join()
    assert names(tmp_path) == []


def test_a_full_disk_is_named_and_nothing_is_left(small_disk: SmallDisk) -> None:
    folder = small_disk.folder / "store"
    with pytest.raises(DiskError, match=rf"^{folder} cannot be written: No space left on device; make room"):
        make(folder, "x" * 2_000_000)
    assert names(small_disk.folder) == []
    small_disk.make_read_only()
    with pytest.raises(DiskError, match=rf"^{folder} cannot be written: Read-only file system; .*set outputs"):
        make(folder)
