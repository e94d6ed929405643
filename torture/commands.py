"""Runs fer3d's commands, either forked from a process with all imports, or as real processes."""

from __future__ import annotations

import os
import resource
import runpy
import select
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

# Imported once, which saves each forked command seconds. Importing them starts no threads.
MODULES = (
    *("fer3d.training.run", "fer3d.search.sweep", "fer3d.search.nested", "fer3d.evaluation.evaluation_files"),
    *("fer3d.evaluation.evaluation_tables", "fer3d.evaluation.comparison_tables", "fer3d.reporting.report"),
    *("fer3d.reporting.study_report", "fer3d.models.cnn3d", "fer3d.training.tracking", "fer3d.search.from_study"),
    *("fer3d.corpora.ckplus", "fer3d.corpora.oulu_casia", "fer3d.corpora.own_videos.videos", "fer3d.clips.videos"),
    *("kornia.augmentation", "sklearn.model_selection"),
    *(
        "optuna.storages",
        "pytorch_lightning",
        "hydra._internal.instantiate._instantiate2",
        "scipy.stats",
        "skimage.data",
    ),
)
# Limit of a command's virtual memory, since a random setting may ask for more than the machine has.
MAX_BYTES = 24 << 30
MAX_TEXT = 40_000


@dataclass(frozen=True)
class Done:
    """A finished command.

    Attributes:
        status: Exit status; negative for the signal that killed it.
        out: Its standard output.
        err: Its standard error.
        hung: Whether it was killed after its time limit.
        seconds: Its duration.
    """

    status: int
    out: str
    err: str
    hung: bool
    seconds: float

    @property
    def text(self) -> str:
        """Its whole output."""
        return f"{self.out}\n{self.err}"


def import_everything() -> None:
    """Imports what the commands need, limited to one thread each."""
    # Background jobs of a shell ignore SIGINT, and children inherit that.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.environ["OMP_NUM_THREADS"] = "1"
    os.environ |= {"WANDB_MODE": "offline", "CUDA_VISIBLE_DEVICES": ""}
    os.environ.pop("WANDB_API_KEY", None)
    import torch

    torch.set_num_threads(1)
    for name in MODULES:
        __import__(name)


def fork(command: str, arguments: Sequence[str], *, folder: Path, limit: float = 60) -> Done:
    """Runs `python -m fer3d.<command>` in a child forked from this process, in a folder.

    Args:
        command: Such as `train`.
        arguments: Its command-line arguments.
        folder: Its working directory, where its output is stored.
        limit: Seconds after which it counts as hung.
    """
    folder.mkdir(parents=True, exist_ok=True)
    out, err = folder / ".out", folder / ".err"
    started = time.monotonic()
    pid = os.fork()
    if pid == 0:
        _become(command, arguments, folder, out, err)
    hung = not _ended(pid, limit)
    if hung:
        os.killpg(pid, signal.SIGKILL)
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    return Done(status, _read(out), _read(err), hung, time.monotonic() - started)


def start(
    command: str, arguments: Sequence[str], *, folder: Path, environment: Mapping[str, str] | None = None
) -> subprocess.Popen[str]:
    """Starts `python -m fer3d.<command>` as a real process in a new session."""
    folder.mkdir(parents=True, exist_ok=True)
    return subprocess.Popen(
        [sys.executable, "-m", f"fer3d.{command}", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        cwd=folder,
        start_new_session=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[1]), **(environment or {})},
    )


def finish(process: subprocess.Popen[str], limit: float = 180) -> Done:
    """Waits for a real process, and kills its whole session after `limit` seconds."""
    started, hung = time.monotonic(), False
    try:
        out, err = process.communicate(timeout=limit)
    except subprocess.TimeoutExpired:
        hung = True
        os.killpg(process.pid, signal.SIGKILL)
        out, err = process.communicate()
    return Done(process.returncode, out, err, hung, time.monotonic() - started)


def _ended(pid: int, limit: float) -> bool:
    descriptor = os.pidfd_open(pid)
    try:
        return bool(select.select([descriptor], [], [], limit)[0])
    finally:
        os.close(descriptor)


def _become(command: str, arguments: Sequence[str], folder: Path, out: Path, err: Path) -> NoReturn:
    """Runs in the child and exits as `python -m` would."""
    status = 70
    try:
        os.setsid()
        resource.setrlimit(resource.RLIMIT_AS, (MAX_BYTES, MAX_BYTES))
        for path, stream in ((out, 1), (err, 2)):
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
            os.dup2(descriptor, stream)
        sys.stdout, sys.stderr = (open(stream, "w", encoding="utf-8", closefd=False) for stream in (1, 2))  # noqa: SIM115
        os.chdir(folder)
        sys.argv = [f"fer3d.{command}", *arguments]
        sys.modules.pop(f"fer3d.{command}", None)
        runpy.run_module(f"fer3d.{command}", run_name="__main__", alter_sys=True)
        status = 0
    except SystemExit as end:
        status = _exit_status(end.code)
    except BaseException:
        traceback.print_exc()
        status = 1
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def _exit_status(code: Any) -> int:
    if isinstance(code, int | None):
        return code or 0
    print(code, file=sys.stderr)
    return 1


def _read(path: Path) -> str:
    text = path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""
    path.unlink(missing_ok=True)
    return text[-MAX_TEXT:]
