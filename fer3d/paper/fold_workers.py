"""Trains the folds of a run side by side, in processes that stay for the next run."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from functools import lru_cache
from multiprocessing import active_children, get_context
from pathlib import Path
from types import TracebackType

from fer3d.clips.store import ClipStore
from fer3d.configuration import compose_train
from fer3d.cores import share_cores
from fer3d.processes import leave_with_parent
from fer3d.training.results import FoldResult
from fer3d.training.run import Run


class WorkerError(RuntimeError):
    """A process that trained folds is gone."""


class FoldWorkers:
    """A context manager that trains folds, each in one of some processes.

    Args:
        num_jobs: Number of processes; 1 trains in this one. They share this machine's cores evenly.
    """

    def __init__(self, num_jobs: int) -> None:
        self.num_jobs = num_jobs
        self._pool: ProcessPoolExecutor | None = None

    def __enter__(self) -> FoldWorkers:
        if self.num_jobs > 1:
            # A forked process would inherit the locks of PyTorch's threads.
            self._pool = ProcessPoolExecutor(
                self.num_jobs, mp_context=get_context("spawn"), initializer=_start, initargs=(self.num_jobs,)
            )
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        if self._pool is None:
            return
        if error is not None:
            # Folds that are under way would take minutes; what they leave is cleared away by the next run. Lightning
            # catches the milder SIGTERM, after which a process would wait for work for ever.
            for process in active_children():
                process.kill()
        self._pool.shutdown(cancel_futures=True)

    def train(self, overrides: Sequence[str], store: Path, numbers: Sequence[int]) -> Iterator[FoldResult]:
        """Trains the given folds of the run that the overrides configure, and yields each as it is done.

        Args:
            overrides: Settings as on the command line.
            store: The folder of the run's clip store.
            numbers: The folds.

        Raises:
            DivergedError: A fold's training loss is no longer finite.
            WorkerError: A process was killed, such as for lack of memory.
        """
        if self._pool is None:
            for number in numbers:
                yield _train(tuple(overrides), store, number)
            return
        try:
            futures = [self._pool.submit(_train, tuple(overrides), store, number) for number in numbers]
            for future in as_completed(futures):
                yield future.result()
        except BrokenProcessPool as error:
            raise WorkerError(
                "a process that trained folds was killed, perhaps for lack of memory; the same command continues, and "
                f"fewer --jobs than {self.num_jobs} take less"
            ) from error


def _start(num_processes: int) -> None:
    leave_with_parent()
    share_cores(num_processes)


def _train(overrides: tuple[str, ...], store: Path, number: int) -> FoldResult:
    return _run(overrides, store).fold_result(number)


@lru_cache(maxsize=1)
def _run(overrides: tuple[str, ...], store: Path) -> Run:
    return Run.of(compose_train(overrides), ClipStore.open(store))
