"""Whose fault an error of a job is, with the errors that launchers and libraries really raise."""

from __future__ import annotations

import errno
import os
import pickle
import signal
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from fake_launchers import opened_search, square, states
from joblib import Parallel, delayed
from submitit import AutoExecutor
from submitit.core.utils import CommandFunction, FailedJobError, FailedSubmissionError, UncompletedJobError

from fer3d.clips.detectors import DetectorError
from fer3d.clips.store import StoreError
from fer3d.corpora.sequences import CorpusError
from fer3d.search.faults import Blame, fault_of, lost_slurm_job
from fer3d.search.search import ERROR
from fer3d.search.storage import StudyError
from fer3d.training.checkpoint import CheckpointError
from fer3d.training.module import DivergedError
from fer3d.training.results import ResultError

FULL = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "/outputs/x")


def lost(state: str) -> UncompletedJobError:
    """What submitit raises of a job without a result."""
    return UncompletedJobError(
        f"Job 17_0 (task: 0) with path /outputs/.submitit/17_0/17_0_0_result.pkl\nhas not produced any output (state: "
        f"{state})\nError stream produced:\n{'-' * 40}\nslurmstepd: error"
    )


@pytest.mark.parametrize(
    ("error", "blame"),
    [
        (ValueError("batch_size must be positive"), Blame.SETTINGS),
        (DivergedError("loss became nan"), Blame.SETTINGS),
        (RuntimeError("mat1 and mat2 shapes cannot be multiplied (8x4 and 5x4)"), Blame.SETTINGS),
        (FULL, Blame.MACHINE),
        (OSError(errno.EIO, "Input/output error"), Blame.MACHINE),
        (PermissionError(errno.EACCES, "Permission denied", "/outputs"), Blame.MACHINE),
        (ResultError("fold_001 is damaged"), Blame.DAMAGE),
        (RuntimeError("CUDA error: all CUDA-capable devices are busy or unavailable"), Blame.MACHINE),
        (RuntimeError("No CUDA GPUs are available"), Blame.MACHINE),
        (torch.AcceleratorError("CUDA error: uncorrectable ECC error encountered"), Blame.MACHINE),
        (torch.AcceleratorError("CUDA error: device-side assert triggered"), Blame.UNCLEAR),
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"), Blame.UNCLEAR),
        (MemoryError(), Blame.UNCLEAR),
        (RuntimeError("[enforce fail at alloc_cpu.cpp:117] DefaultCPUAllocator: can't allocate memory"), Blame.UNCLEAR),
        (FailedSubmissionError("sbatch: error: Unable to contact slurm controller"), Blame.MACHINE),
        (lost("NODE_FAIL"), Blame.MACHINE),
        (lost("PREEMPTED"), Blame.MACHINE),
        (lost("CANCELLED by 1000"), Blame.MACHINE),
        (lost("PENDING"), Blame.MACHINE),
        (lost("TIMEOUT"), Blame.UNCLEAR),
        (lost("OUT_OF_MEMORY"), Blame.UNCLEAR),
        (lost("FAILED"), Blame.UNCLEAR),
        (UncompletedJobError("Job not requeued because: timed-out too many times."), Blame.UNCLEAR),
    ],
    ids=lambda value: str(value)[:40].replace("\n", " "),
)
def test_machine_and_settings_are_told_apart(error: Exception, blame: Blame) -> None:
    fault = fault_of(error)
    assert fault.blame is blame
    assert "\n" not in fault.sentence
    # As it comes back from a process.
    assert fault_of(pickle.loads(pickle.dumps(error))) == fault
    try:
        raise error
    except Exception:
        text = traceback.format_exc()
    told = fault_of(FailedJobError(f"Job (task=0) failed during processing with trace:\n-----\n{text}\n-----\nYou can"))
    if "has not produced" not in str(error):
        assert told == fault


def test_a_command_of_slurms_that_fails_is_no_fault_of_the_settings() -> None:
    with pytest.raises(FailedJobError) as raised:
        CommandFunction(["sh", "-c", "echo 'sbatch: error: Unable to contact slurm controller' >&2; exit 1"], False)()
    fault = fault_of(raised.value)
    assert (fault.blame, fault.sentence) == (Blame.MACHINE, "sbatch: error: Unable to contact slurm controller")


def test_the_number_of_a_lost_job_is_known() -> None:
    assert lost_slurm_job(lost("NODE_FAIL")) == "17_0"
    assert lost_slurm_job(FULL) is None


@pytest.mark.slow
def test_a_killed_process_of_joblibs_is_no_fault_of_settings_that_were_beside_it() -> None:
    with pytest.raises(Exception) as raised:  # noqa: PT011
        Parallel(n_jobs=2)(delayed(_kill_itself)() for _ in range(2))
    assert fault_of(raised.value, alone=True).blame is Blame.UNCLEAR
    assert fault_of(raised.value, alone=False).blame is Blame.MACHINE


@pytest.mark.slow
def test_a_killed_and_a_failed_process_of_submitits(tmp_path: Path) -> None:
    # Within the function, so that they are pickled whole: this module is not on the jobs' path.
    def kill_itself() -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    def find_disk_full() -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "/outputs/x")

    executor = AutoExecutor(tmp_path, cluster="local")
    killed, full = executor.submit(kill_itself), executor.submit(find_disk_full)
    with pytest.raises(UncompletedJobError) as raised:
        full.results()
    fault = fault_of(raised.value)
    assert (fault.blame, fault.sentence) == (Blame.MACHINE, f"OSError: {FULL}")
    with pytest.raises(UncompletedJobError) as raised:
        killed.results()
    assert fault_of(raised.value).blame is Blame.UNCLEAR
    assert str(tmp_path) in fault_of(raised.value).sentence


def _kill_itself() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


Fails = Callable[..., Any]


def failing(trial: int, error: Exception, times: int) -> Fails:
    """A function that fails in one trial so many times."""
    left = [times]

    def function(number: int, settings: Any) -> float:
        if number == trial and left[0]:
            left[0] -= 1
            raise error
        return square(number, settings)

    return function


@pytest.mark.parametrize("error", [lost("NODE_FAIL"), lost("TIMEOUT"), FULL, torch.OutOfMemoryError("CUDA out of")])
def test_a_lost_job_is_submitted_again_and_told(error: Exception, tmp_path: Path, said: list[str]) -> None:
    with opened_search(failing(1, error, 2), folder=tmp_path, num_trials=3, say=said.append, retry_pause=0.0) as search:
        search.run()
        assert states(search.study.trials) == ["complete"] * 3
    again = [sentence for sentence in said if "; retry " in sentence]
    assert len(again) == 2
    assert "trial 1: " in again[0]
    assert again[1].endswith("retry 2 of 3")


def test_a_fault_of_the_machine_that_stays_stops_the_search_and_fails_no_trial(tmp_path: Path) -> None:
    with (
        pytest.raises(
            StudyError, match=r"trial 1 cannot continue, tried 3 times: OSError: .*'/outputs/x'; .*same command"
        ),
        opened_search(
            failing(1, FULL, 99), folder=tmp_path, num_trials=3, max_job_retries=2, retry_pause=0.0
        ) as search,
    ):
        search.run()
    with opened_search(square, folder=tmp_path, num_trials=3) as search:
        assert states(search.study.trials) == ["complete", "running"]
        settings = search.study.trials[1].params
        search.run()
        assert states(search.study.trials) == ["complete"] * 3
        assert search.study.trials[1].params == settings


@pytest.mark.parametrize("kind", [ResultError, StoreError, CorpusError, CheckpointError, DetectorError])
def test_damage_stops_the_search_at_once_and_leaves_its_trial_unfinished(
    kind: type[Exception], tmp_path: Path, said: list[str], capfd: pytest.CaptureFixture[str]
) -> None:
    damage = failing(1, kind("it is damaged; delete it"), 1)
    with (
        pytest.raises(StudyError, match=rf"trial 1 cannot continue: {kind.__name__}: it is damaged; .*command"),
        opened_search(damage, folder=tmp_path, num_trials=3, say=said.append) as search,
    ):
        search.run()
    assert not any("retry" in sentence for sentence in said)
    # Hydra has a say of its own about a job that failed.
    assert capfd.readouterr().err == ""
    with opened_search(square, folder=tmp_path, num_trials=3) as search:
        assert states(search.study.trials) == ["complete", "running"]
        search.run()
        assert states(search.study.trials) == ["complete"] * 3


def test_where_the_settings_may_have_a_part_their_trial_fails_in_the_end(tmp_path: Path) -> None:
    error = torch.OutOfMemoryError("CUDA out of memory")
    with opened_search(
        failing(1, error, 99), folder=tmp_path, num_trials=4, max_failure_rate=0.5, max_job_retries=1, retry_pause=0.0
    ) as search:
        search.run()
        trials = search.study.trials
    assert states(trials) == ["complete", "fail", "complete", "complete"]
    assert trials[1].user_attrs[ERROR] == "OutOfMemoryError: CUDA out of memory (tried 2 times)"


@pytest.mark.parametrize("num_starts", [1, 2])
def test_failed_trials_are_tried_again_once_and_count_no_more(num_starts: int, tmp_path: Path) -> None:
    def second_and_third_fail(number: int, settings: Any) -> float:
        if number in (1, 2):
            raise ValueError("no")
        return square(number, settings)

    with opened_search(second_and_third_fail, folder=tmp_path, num_trials=4, max_failure_rate=1) as search:
        search.run()
        failed = [trial.params for trial in search.study.trials[1:3]]
    refused = r"2 trials .* failed.*hydra\.sweeper\.retry_failed=true"
    with opened_search(square, folder=tmp_path, num_trials=4) as search, pytest.raises(StudyError, match=refused):
        search.run()
    for _ in range(num_starts):
        with opened_search(square, folder=tmp_path, num_trials=4, retry_failed=True) as search:
            search.run()
            trials = search.study.trials
    assert states(trials) == ["complete", "fail", "fail", "complete", "complete", "complete"]
    assert [trial.params for trial in trials[4:]] == failed
