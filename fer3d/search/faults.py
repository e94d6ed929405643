"""Whose fault it is that a job failed: that of its trial's settings, or that of the machine, which fails no trial."""

from __future__ import annotations

import builtins
import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum


class Blame(Enum):
    """What becomes of a trial whose job failed.

    Attributes:
        SETTINGS: The trial fails: tried again, it would fail again.
        UNCLEAR: Tried again; then the trial fails, since otherwise settings that need more memory or time than there is
            would hold the search up for ever. `hydra.sweeper.retry_failed` brings it back if it was the machine.
        MACHINE: Tried again; then the search stops, and the trial waits for the machine to be mended.
        DAMAGE: The search stops at once, and the trial waits: what is read is damaged or missing, and stays so however
            often it is read.
    """

    SETTINGS = "settings"
    UNCLEAR = "unclear"
    MACHINE = "machine"
    DAMAGE = "damage"


@dataclass(frozen=True)
class Fault:
    """Why a job failed.

    Attributes:
        blame: Whose fault it is.
        sentence: The error in one line.
    """

    blame: Blame
    sentence: str


# By the names of classes, since most of their packages need not be installed, nor imported to run without them.
_BY_CLASS = {
    # Files: a full disk, a file system that is away, no permission. Settings that name files are shared by all trials.
    "builtins.OSError": Blame.MACHINE,
    "sqlalchemy.exc.OperationalError": Blame.MACHINE,
    "sqlalchemy.exc.InterfaceError": Blame.MACHINE,
    # What jobs read, and find damaged or missing.
    "fer3d.corpora.sequences.CorpusError": Blame.DAMAGE,
    "fer3d.clips.store.StoreError": Blame.DAMAGE,
    "fer3d.clips.detectors.DetectorError": Blame.DAMAGE,
    "fer3d.training.checkpoint.CheckpointError": Blame.DAMAGE,
    "fer3d.training.results.ResultError": Blame.DAMAGE,
    # Memory: a large network needs too much of it, or others fill it.
    "builtins.MemoryError": Blame.UNCLEAR,
    "torch.OutOfMemoryError": Blame.UNCLEAR,
    # A GPU that is busy, lost, or whose memory is damaged.
    "torch.AcceleratorError": Blame.MACHINE,
    "submitit.core.utils.FailedSubmissionError": Blame.MACHINE,
    "joblib.externals.loky.process_executor.ShutdownExecutorError": Blame.MACHINE,
}
# What libraries say with a class that tells nothing; the first that fits counts.
_BY_MESSAGE = (
    # A kernel that fails on these settings' numbers, or a broken GPU.
    (re.compile(r"device-side assert|illegal memory access|illegal instruction|misaligned address"), Blame.UNCLEAR),
    (
        re.compile(r"out of memory|can't allocate memory|ALLOC_FAILED|DataLoader worker .*(killed|exited)"),
        Blame.UNCLEAR,
    ),
    (
        re.compile(
            r"CUDA error|CUDA driver|No CUDA GPUs|NVIDIA driver|No supported gpu backend|NVML|cuDNN error|CUBLAS_STATUS"
            r"|HIP error|\bECC\b|No space left on device|Disk quota exceeded|Input/output error|Stale file handle"
            r"|PytorchStreamWriter"
        ),
        Blame.MACHINE,
    ),
)
_PLAIN_CLASSES = frozenset(
    {
        "builtins.RuntimeError",
        "torch.AcceleratorError",
        "lightning_fabric.utilities.exceptions.MisconfigurationException",
    }
)
_BROKEN_POOL = "concurrent.futures._base.BrokenExecutor"
_NO_RESULT, _RAISED = "submitit.core.utils.UncompletedJobError", "submitit.core.utils.FailedJobError"
# States of a job without a result in which its settings may have a part: too slow, too large, crashed.
_UNCLEAR_STATES = frozenset({"FAILED", "TIMEOUT", "OUT_OF_MEMORY", "DEADLINE", "COMPLETED", "FINISHED", "INTERRUPTED"})
_LOST_JOB = re.compile(
    r"Job (\S+) \(task: \d+\) with path (\S.*?)\s+has not produced any output \(state: ([^)]*)\)", re.DOTALL
)


def fault_of(error: BaseException, *, alone: bool = True) -> Fault:
    """Says whose fault an error of a job is.

    Args:
        error: What the job raised, or what was raised since it is gone.
        alone: Whether no other job was under way. Where a process of joblib's dies, all jobs of all its processes
            fail, and nobody knows whose it was.
    """
    names = [f"{kind.__module__}.{kind.__qualname__}" for kind in type(error).__mro__]
    if _RAISED in names:
        return _of_traceback(str(error))
    if _NO_RESULT in names:
        return _of_lost_job(str(error))
    if _BROKEN_POOL in names:
        blame = Blame.UNCLEAR if alone else Blame.MACHINE
        return Fault(blame, "a process of the launcher died, killed or out of memory or crashed")
    return Fault(_blame(names, str(error)), _sentence(type(error).__name__, str(error)))


def lost_slurm_job(error: BaseException) -> str | None:
    """The number of the Slurm job that ended without a result; None where an error is another."""
    match = _LOST_JOB.match(str(error))
    return match[1] if match else None


def _of_lost_job(message: str) -> Fault:
    match = _LOST_JOB.match(message)
    if match is None:
        # Raised within the job, as it ran out of time.
        return Fault(Blame.UNCLEAR, " ".join(message.split()))
    number, path, state = match.groups()
    blame = Blame.UNCLEAR if state.split(" ")[0].upper() in _UNCLEAR_STATES else Blame.MACHINE
    return Fault(blame, f"its job {number} ended without a result, in state {state}; see {path.rpartition('/')[0]}")


def _of_traceback(message: str) -> Fault:
    """Of submitit's error, which has of the job's own one the traceback's text alone."""
    lines = message.splitlines()
    frames = [place for place, line in enumerate(lines) if line.startswith("  File ")]
    if not frames:
        # Not of a job but of a command of Slurm's: its controller may be away for a moment.
        return Fault(Blame.MACHINE, " ".join(message.split()))
    after = lines[frames[-1] + 1 :]
    raised = next((line for line in after if line and not line.startswith(" ")), after[-1] if after else "")
    name, _, said = raised.partition(": ")
    kind = getattr(builtins, name, None)
    if name == _NO_RESULT:
        return _of_lost_job(said)
    names = [name] if not isinstance(kind, type) else [f"{one.__module__}.{one.__qualname__}" for one in kind.__mro__]
    return Fault(_blame(names, said), _sentence(name.rpartition(".")[2], said))


def _blame(names: Sequence[str], message: str) -> Blame:
    # A class of a library's own that is a RuntimeError, too, is none of the plain ones.
    if names[0] in _PLAIN_CLASSES:
        for pattern, blame in _BY_MESSAGE:
            if pattern.search(message):
                return blame
    return next((_BY_CLASS[name] for name in names if name in _BY_CLASS), Blame.SETTINGS)


def _sentence(name: str, message: str) -> str:
    said = " ".join(message.split())
    return f"{name}: {said}" if said else name
