"""Trains the folds of a run as jobs of Hydra's launcher: in this process, in joblib's workers, or on a cluster."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from hydra import compose, initialize_config_dir
from hydra._internal.callbacks import Callbacks
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.plugins import Plugins
from hydra.types import HydraContext
from omegaconf import DictConfig, OmegaConf

from fer3d.configuration import config_folder, hydra_set_aside
from fer3d.cores import count_cores
from fer3d.corpora.sequences import CorpusWarning
from fer3d.messages import messages_shown
from fer3d.overrides import override
from fer3d.processes import leave_with_parent
from fer3d.search.faults import fault_of
from fer3d.search.jobs import Job, Jobs, make_jobs
from fer3d.training.prepare import prepare
from fer3d.training.results import FoldResult
from fer3d.training.run import Run

# Progress is shown per block, and larger blocks gain little.
_MAX_BLOCK = 8
# Number of jobs at once on a cluster, whose scheduler queues them.
_UNLIMITED = 1_000_000


class FoldJobError(RuntimeError):
    """A job was lost: its process was killed, or the cluster dropped it."""


class FoldJobs:
    """Trains folds in blocks, each of which is one job.

    Args:
        jobs: Runs the jobs.
        num_at_once: Number of jobs to have submitted at once.
    """

    def __init__(self, jobs: Jobs, num_at_once: int) -> None:
        self._jobs = jobs
        self._num_at_once = num_at_once

    def train(self, overrides: Sequence[str], numbers: Sequence[int]) -> Iterator[FoldResult]:
        """Trains folds of one run and yields each result as soon as its job is done.

        Args:
            overrides: The run's settings, as on the command line.
            numbers: The numbers of the folds.

        Raises:
            FoldJobError: A job was lost.
            Exception: The error that a fold's training raised, such as a `DivergedError`.
        """
        jobs = [
            Job(number, (*overrides, override("+fold", list(block))))
            for number, block in enumerate(blocks(numbers, self._num_at_once))
        ]
        for job in jobs[: self._num_at_once]:
            self._jobs.submit(job)
        waiting = jobs[self._num_at_once :]
        for _ in jobs:
            result = self._jobs.wait()
            if result.error is not None:
                raise _explained(result.error) from result.error
            if waiting:
                self._jobs.submit(waiting.pop(0))
            yield from result.returned


@contextmanager
def fold_jobs(overrides: Sequence[str], num_jobs: int | None = None) -> Iterator[FoldJobs]:
    """Creates the launcher that the settings choose. On exit, local workers end; cluster jobs continue.

    Args:
        overrides: Settings as on the command line, Hydra's among them, such as `hydra/launcher=submitit_slurm`.
        num_jobs: Number of jobs at once. More than one chooses joblib where `overrides` choose no launcher. None leaves
            it to the launcher: joblib runs as many as it has workers; a cluster gets all jobs of a run at once.

    Raises:
        HydraException: A setting does not exist, or the launcher is not installed.
    """
    launchers = [setting.partition("=")[2] for setting in overrides if setting.startswith("hydra/launcher=")]
    if not launchers and num_jobs is not None and num_jobs > 1:
        launchers = ["joblib"]
        overrides = [*overrides, "hydra/launcher=joblib"]
    if launchers == ["joblib"] and num_jobs is not None:
        overrides = [*overrides, f"hydra.launcher.n_jobs={num_jobs}"]
    with hydra_set_aside(), initialize_config_dir(config_folder(), version_base="1.3"):
        config = compose("train", overrides=list(overrides), return_hydra_config=True)
        # Launchers resolve `${hydra:...}` from it.
        HydraConfig.instance().set_config(config)
        context = HydraContext(GlobalHydra.instance().config_loader(), Callbacks(config))
        launcher = Plugins.instance().instantiate_launcher(
            hydra_context=context, task_function=train_block, config=config
        )
        num_at_once = _num_at_once(config, num_jobs)
        jobs = make_jobs(launcher, num_at_once)
        try:
            yield FoldJobs(jobs, num_at_once)
        finally:
            jobs.cancel()
            _kept.clear()


def _num_at_once(config: DictConfig, num_jobs: int | None) -> int:
    kind = str(config.hydra.launcher._target_).rpartition(".")[2]
    if kind == "BasicLauncher":
        return 1
    if kind == "JoblibLauncher":
        num_workers = int(config.hydra.launcher.n_jobs)
        return num_workers if num_workers > 0 else count_cores()
    return num_jobs or (_UNLIMITED if kind == "SlurmLauncher" else count_cores())


def blocks(numbers: Sequence[int], num_at_once: int) -> Iterator[Sequence[int]]:
    """Splits folds into blocks that get smaller towards the end, so that all workers finish at about the same time."""
    start = 0
    while start < len(numbers):
        size = min(_MAX_BLOCK, max(1, (len(numbers) - start) // (2 * num_at_once)))
        yield numbers[start : start + size]
        start += size


def train_block(config: DictConfig) -> list[FoldResult]:
    """Trains the folds that `+fold` names and returns their results: the task function of a job."""
    leave_with_parent()
    with messages_shown():
        run = _run(config)
        return [run.fold_result(number) for number in config.fold]


# The run of this process's last job by its settings: the next job reuses its clips.
_kept: dict[str, Run] = {}


def _run(config: DictConfig) -> Run:
    settings = OmegaConf.to_yaml(
        OmegaConf.masked_copy(config, [str(key) for key in config if key != "fold"]), resolve=True
    )
    if settings not in _kept:
        # Clear first, so that the clips of two runs are never in memory together.
        _kept.clear()
        with warnings.catch_warnings():
            # The main process has already shown them.
            warnings.simplefilter("ignore", CorpusWarning)
            _kept[settings] = Run.of(config, prepare(config).store)
    return _kept[settings]


def _explained(error: BaseException) -> BaseException:
    """The error to raise for a failed job: the job's own error if it is known."""
    if type(error).__module__.partition(".")[0] not in ("concurrent", "joblib", "submitit"):
        return error
    return FoldJobError(f"{fault_of(error).sentence}. The same command continues; if memory ran out, use fewer --jobs")
