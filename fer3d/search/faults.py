"""Classifies job failures: caused by the trial's settings, or by the machine, which must not fail the trial."""

from __future__ import annotations

import builtins
import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum


class Blame(Enum):
    """The cause of a failed job, which decides what happens to its trial.

    Attributes:
        SETTINGS: Deterministic failure. The trial fails without a retry.
        UNCLEAR: The job is retried, then the trial fails: settings that need more memory or time than available must
            not block the search. If the machine was the cause, `hydra.sweeper.retry_failed` retries the trial.
        MACHINE: The job is retried, then the search stops. The trial continues once the machine is repaired.
        DAMAGE: The search stops at once: an input is damaged or missing, and a retry would read the same. The trial
            continues once the input is restored.
    """

    SETTINGS = "settings"
    UNCLEAR = "unclear"
    MACHINE = "machine"
    DAMAGE = "damage"


@dataclass(frozen=True)
class Fault:
    """Why a job failed.

    Attributes:
        blame: The cause.
        sentence: The error in one line.
    """

    blame: Blame
    sentence: str


# Class names instead of classes, so that optional packages need not be installed or imported.
_BY_CLASS = {
    # Full disk, unavailable file system, missing permission. All trials share the settings that name files.
    "builtins.OSError": Blame.MACHINE,
    "sqlalchemy.exc.OperationalError": Blame.MACHINE,
    "sqlalchemy.exc.InterfaceError": Blame.MACHINE,
    # Damaged or missing inputs.
    "fer3d.corpora.sequences.CorpusError": Blame.DAMAGE,
    "fer3d.clips.store.StoreError": Blame.DAMAGE,
    "fer3d.clips.detectors.DetectorError": Blame.DAMAGE,
    "fer3d.training.checkpoint.CheckpointError": Blame.DAMAGE,
    "fer3d.training.results.ResultError": Blame.DAMAGE,
    # The network is too large, or other processes use the memory.
    "builtins.MemoryError": Blame.UNCLEAR,
    "torch.OutOfMemoryError": Blame.UNCLEAR,
    # A GPU that is busy, lost, or has damaged memory.
    "torch.AcceleratorError": Blame.MACHINE,
    "submitit.core.utils.FailedSubmissionError": Blame.MACHINE,
    "joblib.externals.loky.process_executor.ShutdownExecutorError": Blame.MACHINE,
}
# Messages of errors whose class is too general; the first match wins.
_BY_MESSAGE = (
    # A kernel that fails with these settings, or a broken GPU.
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
# Final Slurm states that the settings may have caused: too slow, too large, crashed.
_UNCLEAR_STATES = frozenset({"FAILED", "TIMEOUT", "OUT_OF_MEMORY", "DEADLINE", "COMPLETED", "FINISHED", "INTERRUPTED"})
_LOST_JOB = re.compile(
    r"Job (\S+) \(task: \d+\) with path (\S.*?)\s+has not produced any output \(state: ([^)]*)\)", re.DOTALL
)


def fault_of(error: BaseException, *, alone: bool = True) -> Fault:
    """Classifies the error of a job.

    Args:
        error: The error raised by the job, or by the launcher when it lost the job.
        alone: Whether no other job was running. When a joblib worker dies, the jobs of all workers fail, and the
            culprit is unknown.
    """
    names = [f"{kind.__module__}.{kind.__qualname__}" for kind in type(error).__mro__]
    if _RAISED in names:
        return _of_traceback(str(error))
    if _NO_RESULT in names:
        return _of_lost_job(str(error))
    if _BROKEN_POOL in names:
        blame = Blame.UNCLEAR if alone else Blame.MACHINE
        return Fault(blame, "a worker process of the launcher died: killed, out of memory or crashed")
    return Fault(_blame(names, str(error)), _sentence(type(error).__name__, str(error)))


def lost_slurm_job(error: BaseException) -> str | None:
    """The number of the Slurm job that ended without a result; None for any other error."""
    match = _LOST_JOB.match(str(error))
    return match[1] if match else None


def _of_lost_job(message: str) -> Fault:
    match = _LOST_JOB.match(message)
    if match is None:
        # Raised inside the job when it ran out of time.
        return Fault(Blame.UNCLEAR, " ".join(message.split()))
    number, path, state = match.groups()
    blame = Blame.UNCLEAR if state.split(" ")[0].upper() in _UNCLEAR_STATES else Blame.MACHINE
    return Fault(blame, f"job {number} ended without a result, in state {state}; see {path.rpartition('/')[0]}")


def _of_traceback(message: str) -> Fault:
    """Classifies submitit's error, which carries the job's own error only as the text of a traceback."""
    lines = message.splitlines()
    frames = [place for place, line in enumerate(lines) if line.startswith("  File ")]
    if not frames:
        # A Slurm command failed, not the job; the controller may be temporarily unavailable.
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
    # Exact match: a library's subclass of RuntimeError is specific enough.
    if names[0] in _PLAIN_CLASSES:
        for pattern, blame in _BY_MESSAGE:
            if pattern.search(message):
                return blame
    return next((_BY_CLASS[name] for name in names if name in _BY_CLASS), Blame.SETTINGS)


def _sentence(name: str, message: str) -> str:
    said = " ".join(message.split())
    return f"{name}: {said}" if said else name
