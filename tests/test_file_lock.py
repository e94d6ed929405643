from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from small_disk import SmallDisk

from fer3d import file_lock as file_locks
from fer3d.disk import DiskError
from fer3d.file_lock import file_lock, release, remove_unheld, try_lock

pytestmark = pytest.mark.usefixtures("shown_messages")

# Says so as soon as it has the lock, and keeps it until its input ends.
HOLDER = """
import sys
from pathlib import Path
from fer3d.file_lock import file_lock
with file_lock(Path(sys.argv[1])):
    print("has it", flush=True)
    sys.stdin.read()
"""


def start(path: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", HOLDER, str(path)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def said(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline()


def end(process: subprocess.Popen[str]) -> None:
    process.communicate(timeout=30)
    assert process.returncode == 0


def test_a_process_waits_for_another(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "a.lock"
    first = start(path)
    assert said(first) == "has it\n"
    second = start(path)
    heard: list[str] = []
    listener = threading.Thread(target=lambda: heard.append(said(second)))
    listener.start()
    listener.join(0.5)
    assert heard == []
    end(first)
    listener.join(30)
    assert heard == ["has it\n"]
    end(second)
    assert list(path.parent.iterdir()) == []


def test_a_lock_ends_with_its_process_be_it_killed(tmp_path: Path) -> None:
    path = tmp_path / "a.lock"
    holder = start(path)
    assert said(holder) == "has it\n"
    assert try_lock(path) is None
    holder.kill()
    holder.communicate(timeout=30)
    with file_lock(path):
        assert path.exists()
    assert not path.exists()


def test_threads_of_a_process_wait_for_each_other(tmp_path: Path) -> None:
    path = tmp_path / "a.lock"
    count = 0

    def add() -> None:
        nonlocal count
        for _ in range(50):
            with file_lock(path):
                before = count
                path.stat()  # lets another thread run
                count = before + 1

    threads = [threading.Thread(target=add) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert count == 200
    assert not path.exists()


def test_a_lock_that_is_tried_is_kept_until_it_is_given_back(tmp_path: Path) -> None:
    path = tmp_path / "a.lock"
    held = try_lock(path)
    assert held is not None
    assert try_lock(path) is None
    release(held, path)
    again = try_lock(path)
    assert again is not None
    release(again, path)


def test_whoever_waited_for_a_file_that_is_removed_locks_the_new_one(tmp_path: Path) -> None:
    path = tmp_path / "a.lock"
    held = try_lock(path)
    assert held is not None
    waiting = start(path)
    # Removed while somebody waits for it, as its holder does before it lets go.
    path.unlink()
    other = try_lock(path)
    assert other is not None
    held.close()
    release(other, path)
    assert said(waiting) == "has it\n"
    assert try_lock(path) is None
    end(waiting)


def test_who_waits_says_for_what_and_whom_once_in_a_while(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(file_locks, "FIRST_WORD_SECONDS", 0.2)
    path = tmp_path / "a.lock"
    holder = start(path)
    assert said(holder) == "has it\n"
    os.kill(holder.pid, signal.SIGSTOP)

    def wait() -> None:
        with file_lock(path, "fold 3 is being trained"):
            pass

    waiting = threading.Thread(target=wait)
    waiting.start()
    time.sleep(0.8)
    os.kill(holder.pid, signal.SIGCONT)
    end(holder)
    waiting.join(30)
    who = f"process {holder.pid} on {socket.gethostname()} (which is stopped)"
    assert capsys.readouterr().err == f"fer3d: fold 3 is being trained by {who}; waiting for it\n"


def test_the_file_that_a_killed_process_left_can_be_removed(tmp_path: Path) -> None:
    path = tmp_path / "a.lock"
    holder = start(path)
    assert said(holder) == "has it\n"
    remove_unheld(path)
    assert path.exists()
    holder.kill()
    holder.communicate(timeout=30)
    remove_unheld(path)
    assert not path.exists()
    remove_unheld(path)
    assert not path.exists()


def test_a_lock_that_cannot_be_made_is_a_sentence(small_disk: SmallDisk) -> None:
    small_disk.make_read_only()
    path = small_disk.folder / "a.lock"
    with (
        pytest.raises(DiskError, match=rf"{path} cannot be written: Read-only file system; .*outputs"),
        file_lock(path),
    ):
        pass
