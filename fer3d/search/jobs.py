"""Jobs of a search: one call of the task function each, given to whatever Hydra launcher is configured."""

from __future__ import annotations

import shutil
import subprocess
import threading
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from queue import SimpleQueue
from typing import Any, Protocol

from hydra._internal.core_plugins.basic_launcher import BasicLauncher
from hydra.core.utils import JobReturn, JobStatus
from hydra.plugins.launcher import Launcher

from fer3d.cores import share_cores
from fer3d.search.faults import lost_slurm_job


@dataclass(frozen=True)
class Job:
    """One call of the task function.

    Attributes:
        trial: The number of the trial that it belongs to.
        overrides: Its settings as on the command line.
    """

    trial: int
    overrides: tuple[str, ...]


@dataclass(frozen=True)
class JobResult:
    """How a job ended.

    Attributes:
        job: The job.
        returned: What the task function returned; None where it raised.
        error: What it raised; None where it returned.
    """

    job: Job
    returned: Any = None
    error: BaseException | None = None


class Jobs(Protocol):
    """Jobs that are under way."""

    def submit(self, job: Job) -> None:
        """Starts a job."""

    def wait(self) -> JobResult:
        """Waits for a job that was submitted and returns its result."""

    def cancel(self) -> None:
        """Ends what can be ended of the jobs under way."""


def make_jobs(launcher: Launcher, num_at_once: int) -> Jobs:
    """Chooses how jobs run: in this process one after the other, or side by side where the launcher has processes."""
    if num_at_once == 1 or isinstance(launcher, BasicLauncher):
        return JobsInTurn(launcher)
    if getattr(launcher, "_EXECUTOR", None) == "local":
        # submitit starts a process for each job, and tells none of the others.
        share_cores(num_at_once)
    return JobsSideBySide(launcher)


class JobsInTurn:
    """Jobs that run in the main thread, one after the other, in the order of their submission.

    A launcher that runs them in this process has state that is the process's own, and so has Ctrl-C.
    """

    def __init__(self, launcher: Launcher) -> None:
        self._launcher = launcher
        self._waiting: deque[Job] = deque()

    def submit(self, job: Job) -> None:
        """Puts a job at the end of the queue."""
        self._waiting.append(job)

    def wait(self) -> JobResult:
        """Runs the first job of the queue."""
        return _launch(self._launcher, self._waiting.popleft())

    def cancel(self) -> None:
        """Forgets the queue."""
        self._waiting.clear()
        _end_joblib()


class JobsSideBySide:
    """Jobs that are launched from threads, since a launcher returns only when its jobs are done."""

    def __init__(self, launcher: Launcher) -> None:
        self._launcher = launcher
        self._done: SimpleQueue[JobResult] = SimpleQueue()

    def submit(self, job: Job) -> None:
        """Launches a job."""
        # Daemons: nobody should wait for a job on a cluster to press Ctrl-C.
        threading.Thread(target=lambda: self._done.put(_launch(self._launcher, job)), daemon=True).start()

    def wait(self) -> JobResult:
        """Waits for the next job to end."""
        return self._done.get()

    def cancel(self) -> None:
        """Ends joblib's processes; jobs of a cluster go on, and leave their folds to the next start."""
        _end_joblib()


def _launch(launcher: Launcher, job: Job) -> JobResult:
    try:
        returns: Sequence[JobReturn] = launcher.launch([job.overrides], initial_job_idx=job.trial)
    except Exception as error:
        _cancel_lost(launcher, error)
        return JobResult(job, error=error)
    # Hydra's property prints and raises where the task function raised; what to say of it is for the search to know.
    ended = returns[0]
    if ended.status == JobStatus.COMPLETED:
        return JobResult(job, returned=ended._return_value)
    return JobResult(job, error=ended._return_value)


def _cancel_lost(launcher: Launcher, error: Exception) -> None:
    """Ends a job of Slurm's that counts as lost: Slurm may start it anew by itself, beside the one submitted next."""
    number = lost_slurm_job(error)
    # Jobs of submitit's on this machine have numbers of processes, which may be numbers of jobs, too.
    if number is not None and getattr(launcher, "_EXECUTOR", None) == "slurm" and shutil.which("scancel"):
        subprocess.run(["scancel", number], capture_output=True, check=False)


def _end_joblib() -> None:
    with suppress(ImportError):
        from joblib.externals.loky import reusable_executor

        executor = getattr(reusable_executor, "_executor", None)
        if executor is not None:
            # Until they are gone, since whatever ends this process may leave no time for it.
            executor.shutdown(wait=True, kill_workers=True)
