"""Search jobs: each is one call of the task function, run by the configured Hydra launcher."""

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
        trial: The number of its trial.
        overrides: Its settings, as on the command line.
    """

    trial: int
    overrides: tuple[str, ...]


@dataclass(frozen=True)
class JobResult:
    """How a job ended.

    Attributes:
        job: The job.
        returned: The task function's return value; None if it raised.
        error: The exception that it raised; None if it returned.
    """

    job: Job
    returned: Any = None
    error: BaseException | None = None


class Jobs(Protocol):
    """Runs jobs."""

    def submit(self, job: Job) -> None:
        """Starts a job."""

    def wait(self) -> JobResult:
        """Waits for any submitted job to end."""

    def cancel(self) -> None:
        """Cancels the running jobs where the launcher allows it."""


def make_jobs(launcher: Launcher, num_at_once: int) -> Jobs:
    """Runs jobs sequentially in the main thread, or concurrently if the launcher has worker processes."""
    if num_at_once == 1 or isinstance(launcher, BasicLauncher):
        return JobsInTurn(launcher)
    if getattr(launcher, "_EXECUTOR", None) == "local":
        # submitit's local executor starts a process per job; none knows of the others.
        share_cores(num_at_once)
    return JobsSideBySide(launcher)


class JobsInTurn:
    """Runs jobs one after the other in the main thread, in the order of submission.

    Launchers that run jobs in this process keep process-wide state, and Ctrl-C reaches only the main thread.
    """

    def __init__(self, launcher: Launcher) -> None:
        self._launcher = launcher
        self._waiting: deque[Job] = deque()

    def submit(self, job: Job) -> None:
        """Appends a job to the queue."""
        self._waiting.append(job)

    def wait(self) -> JobResult:
        """Runs the first job of the queue."""
        return _launch(self._launcher, self._waiting.popleft())

    def cancel(self) -> None:
        """Clears the queue."""
        self._waiting.clear()
        _end_joblib()


class JobsSideBySide:
    """Launches each job from its own thread, since a launcher blocks until its jobs are done."""

    def __init__(self, launcher: Launcher) -> None:
        self._launcher = launcher
        self._done: SimpleQueue[JobResult] = SimpleQueue()

    def submit(self, job: Job) -> None:
        """Launches a job."""
        # Daemon threads, so that Ctrl-C does not wait for jobs on a cluster.
        threading.Thread(target=lambda: self._done.put(_launch(self._launcher, job)), daemon=True).start()

    def wait(self) -> JobResult:
        """Waits for the next job to end."""
        return self._done.get()

    def cancel(self) -> None:
        """Ends joblib's workers. Cluster jobs continue, and the next start uses their folds."""
        _end_joblib()


def _launch(launcher: Launcher, job: Job) -> JobResult:
    try:
        returns: Sequence[JobReturn] = launcher.launch([job.overrides], initial_job_idx=job.trial)
    except Exception as error:
        _cancel_lost(launcher, error)
        return JobResult(job, error=error)
    # Hydra's `return_value` prints and raises the task's error; the search handles it instead.
    ended = returns[0]
    if ended.status == JobStatus.COMPLETED:
        return JobResult(job, returned=ended._return_value)
    return JobResult(job, error=ended._return_value)


def _cancel_lost(launcher: Launcher, error: Exception) -> None:
    """Cancels a lost Slurm job: Slurm may requeue it, and it would run beside its retry."""
    number = lost_slurm_job(error)
    # The job ids of submitit's local executor are process ids, which may collide with Slurm's job ids.
    if number is not None and getattr(launcher, "_EXECUTOR", None) == "slurm" and shutil.which("scancel"):
        subprocess.run(["scancel", number], capture_output=True, check=False)


def _end_joblib() -> None:
    with suppress(ImportError):
        from joblib.externals.loky import reusable_executor

        executor = getattr(reusable_executor, "_executor", None)
        if executor is not None:
            # Wait: this process may end before the workers do.
            executor.shutdown(wait=True, kill_workers=True)
