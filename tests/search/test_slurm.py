"""Searches whose jobs run on a real Slurm, and what becomes of them when jobs, nodes and search processes die."""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path

import pytest
from prepared import NARROW, PreparedCKPlus
from processes import start as start_python
from processes import wait_until
from slurm_cluster import SlurmCluster, slurm_cluster, why_not

from fer3d.search.records import StudyRecord

pytestmark = pytest.mark.slow

Start = Callable[..., "subprocess.Popen[str]"]
NUM_TRIALS, NUM_FOLDS = 2, 2
# Both trials at once, the folds of each in one job; a fold takes seconds, so that each is seen.
SEARCH = [
    *("hydra.sweeper.study_name=shared", f"hydra.sweeper.n_trials={NUM_TRIALS}", "search.pruning.threshold=0.0"),
    *("model.dropout=interval(0,1)", *NARROW, "model/activation=relu,elu", "trainer.max_epochs=50"),
]


@pytest.fixture(scope="module")
def cluster() -> Iterator[SlurmCluster]:
    """One for all tests of this module."""
    reason = why_not()
    if reason is not None:
        pytest.skip(reason)
    with slurm_cluster() as started:
        yield started


@pytest.fixture
def watch(prepared: PreparedCKPlus) -> Iterator[FoldWatch]:
    """Sees each training of a fold begin and end."""
    with FoldWatch(prepared.outputs) as watching:
        yield watching


@pytest.fixture
def start(prepared: PreparedCKPlus, cluster: SlurmCluster) -> Iterator[Start]:
    """Starts the documented command, with settings that are tiny."""
    started: list[subprocess.Popen[str]] = []

    def run(*arguments: str) -> subprocess.Popen[str]:
        tiny = [*prepared.settings, f"outputs={prepared.outputs}", *SEARCH]
        environment = {**cluster.environment, "OMP_NUM_THREADS": "1"}
        command = [*documented_command()[1:], *tiny, *arguments]
        process = start_python(*command, env=environment, cwd=prepared.outputs)
        started.append(process)
        return process

    yield run
    for process in started:
        process.kill()
        process.communicate()
    cluster.ask("scancel", "--user=root", "--signal=KILL", "--full")
    cluster.ask("scancel", "--user=root")
    cluster.put_in_service()


def documented_command() -> list[str]:
    text = (Path(__file__).parents[2] / "docs/cluster.md").read_text(encoding="utf-8")
    (command,) = re.findall(r"^    (python -m fer3d.train -m .*hydra/launcher=submitit_slurm .*)$", text, re.MULTILINE)
    return shlex.split(command)


class FoldWatch:
    """A context manager that sees the trainings of folds by their work folders, and that finished folds stay.

    Attributes:
        begun: The work folders of each fold so far, by the folder that they were to become.
        finished: Each finished fold's folder, and what tells it from another of that name.
    """

    def __init__(self, outputs: Path) -> None:
        self._outputs = outputs
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self.begun: dict[Path, set[str]] = defaultdict(set)
        self.finished: dict[Path, set[tuple[int, int]]] = defaultdict(set)

    def __enter__(self) -> FoldWatch:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._over.set()
        self._thread.join()

    @property
    def num_begun(self) -> int:
        return sum(map(len, self.begun.values()))

    def check(self, num_interrupted: int, or_at_most: int = 0) -> None:
        """Each fold was trained to its end once, and nothing was trained besides but what was interrupted."""
        self.__exit__()
        self._look()
        assert len(self.finished) == NUM_TRIALS * NUM_FOLDS
        assert {len(states) for states in self.finished.values()} == {1}
        assert num_interrupted <= self.num_begun - len(self.finished) <= max(num_interrupted, or_at_most)
        # Neither a half-written fold nor a lock.
        assert list(self._outputs.glob("*/.fold_*")) == []

    def _watch(self) -> None:
        while not self._over.wait(0.02):
            self._look()

    def _look(self) -> None:
        for run in self._outputs.glob("*-*/"):
            for name in (path.name for path in run.iterdir()):
                match = re.fullmatch(r"\.(fold_\d+)\.partial-.*", name)
                if match:
                    self.begun[run / match[1]].add(name)
                elif re.fullmatch(r"fold_\d+", name):
                    state = (run / name / "result.json").stat()
                    self.finished[run / name].add((state.st_ino, state.st_mtime_ns))


def output(process: subprocess.Popen[str]) -> str:
    out, err = process.communicate(timeout=300)
    assert process.returncode == 0, out + err
    return out


def check_complete(outputs: Path) -> None:
    """All trials are there once, with all their folds."""
    record = StudyRecord.read(str(outputs / "search" / "shared"), None)
    record.close()
    states = [(trial.number, trial.state) for trial in record.trials]
    assert states == [(number, "complete") for number in range(NUM_TRIALS)]
    assert [sorted(outcome.fold for outcome in trial.outcomes) for trial in record.trials] == [[1, 2]] * NUM_TRIALS


def hold(outputs: Path, num_jobs: int) -> dict[str, int]:
    """Stops the processes of so many jobs, each within a fold, and returns them by their jobs."""
    held: dict[str, int] = {}

    def stop() -> bool:
        for work in outputs.glob("*/.fold_*.partial-*"):
            process = int(work.name.split("-")[-2])
            with suppress(OSError):
                job = slurm_job(process)
                if job in held:
                    continue
                os.kill(process, signal.SIGSTOP)
                if work.exists():
                    held[job] = process
                else:
                    os.kill(process, signal.SIGCONT)
        return len(held) == num_jobs

    wait_until(stop)
    return held


def keep_stopped(*processes: int) -> None:
    """Stops processes as often as Slurm, which ends a job, wakes them, until it has killed them.

    Awake, they may come to their end in the seconds that it leaves them.
    """

    def ended() -> bool:
        for process in processes:
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGSTOP)
        return not any(map(alive, processes))

    wait_until(ended)


def has_steps(job: str) -> bool:
    """Whether a node still has to do with a job."""
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if (process / "cmdline").read_bytes().startswith(f"slurmstepd: [{job}.".encode()):
                return True
    return False


def alive(process: int) -> bool:
    with suppress(FileNotFoundError):
        return "State:\tZ" not in Path(f"/proc/{process}/status").read_text()
    return False


def slurm_job(process: int) -> str:
    (job,) = re.findall(rb"(?:^|\0)SLURM_JOB_ID=(\d+)", Path(f"/proc/{process}/environ").read_bytes())
    return str(job.decode())


def test_the_documented_command(
    start: Start, watch: FoldWatch, cluster: SlurmCluster, prepared: PreparedCKPlus
) -> None:
    process = start()
    wait_until(lambda: set(cluster.running().values()) == {"n1", "n2"})
    out = output(process)
    watch.check(num_interrupted=0)
    check_complete(prepared.outputs)
    assert "; retry " not in out


def test_jobs_that_are_cancelled_and_killed(
    start: Start, watch: FoldWatch, cluster: SlurmCluster, prepared: PreparedCKPlus
) -> None:
    process = start()
    held = hold(prepared.outputs, 2)
    cancelled, killed = held
    cluster.ask("scancel", cancelled)
    os.kill(held[killed], signal.SIGKILL)
    keep_stopped(held[cancelled])
    out = output(process)
    assert dict(retried(out)) == {cancelled: "CANCELLED by 0", killed: "FAILED"}
    watch.check(num_interrupted=2)
    check_complete(prepared.outputs)


def test_a_job_that_is_sent_a_signal_and_a_node_that_goes_down_and_up(
    start: Start, watch: FoldWatch, cluster: SlurmCluster, prepared: PreparedCKPlus
) -> None:
    process = start()
    held = hold(prepared.outputs, 2)
    nodes = cluster.running()
    killed, other = held
    cluster.ask("scontrol", "update", f"nodename={nodes[other]}", "state=down", "reason=test")
    cluster.ask("scancel", "--signal=KILL", killed)
    keep_stopped(*held.values())
    # A node that still ends a job, and is given it again, is drained for that.
    wait_until(lambda: other not in cluster.running() and not has_steps(other))
    cluster.ask("scontrol", "update", f"nodename={nodes[other]}", "state=resume")
    out = output(process)
    again = dict(retried(out))
    # Slurm itself queues again what ran on the node, and either that is seen first or the failed node; what Slurm has
    # started anew by then is cancelled, be it within a fold.
    seen = again.pop(other, None)
    assert seen in (None, "NODE_FAIL")
    assert nodes[killed] == nodes[other] or again == {killed: "CANCELLED by 0"}
    watch.check(num_interrupted=2, or_at_most=2 if seen is None else 3)
    check_complete(prepared.outputs)


def test_jobs_that_are_out_of_time_and_preempted(
    start: Start, watch: FoldWatch, cluster: SlurmCluster, prepared: PreparedCKPlus
) -> None:
    process = start()
    held = hold(prepared.outputs, 2)
    preempted, late = held
    # As Slurm does it, which leaves a job some time between the two.
    cluster.ask("scancel", "--signal=TERM", preempted)
    cluster.ask("scancel", "--signal=USR2", preempted)
    # Less than Slurm warns beforehand.
    cluster.ask("scontrol", "update", f"jobid={late}", "timelimit=2")
    for job in (preempted, late):
        wait_until(partial(was_sent, held[job], signal.SIGUSR2))
        with suppress(ProcessLookupError):
            os.kill(held[job], signal.SIGCONT)
    wait_until(lambda: late not in cluster.running())
    cluster.ask("scontrol", "update", f"jobid={late}", "timelimit=240")
    out = output(process)
    assert "; retry " not in out
    for job in held:
        ask = ("sacct", "--duplicates", "--allocations", "--noheader", "--format=State", f"--jobs={job}")
        # The accounting may be a while behind.
        wait_until(lambda ask=ask: "RUNNING" not in cluster.ask(*ask).split())
        assert cluster.ask(*ask).split() == ["REQUEUED", "COMPLETED"]
    watch.check(num_interrupted=2)
    check_complete(prepared.outputs)


def was_sent(process: int, number: signal.Signals) -> bool:
    """Whether a signal waits for a process that is stopped, or has ended it."""
    try:
        status = Path(f"/proc/{process}/status").read_text()
    except FileNotFoundError:
        return True
    return any(int(pending, 16) >> (number - 1) & 1 for pending in re.findall(r"Pnd:\s*(\w+)", status))


def test_search_processes_that_die(
    start: Start, watch: FoldWatch, cluster: SlurmCluster, prepared: PreparedCKPlus
) -> None:
    held: dict[str, int] = {}
    ends = {signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGKILL: -signal.SIGKILL}
    for start_number, (number, status) in enumerate(ends.items(), start=1):
        process = start()
        wait_until(partial(is_submitted, prepared.outputs, start_number * NUM_TRIALS))
        # None may end before the last search process begins.
        held = held or hold(prepared.outputs, NUM_TRIALS)
        process.send_signal(number)
        assert process.wait(timeout=60) == status
    # Those that still wait would only look, too.
    cluster.ask("scancel", "--user=root", "--state=PENDING")
    process = start()
    wait_until(partial(is_submitted, prepared.outputs, 4 * NUM_TRIALS))
    for trained in held.values():
        os.kill(trained, signal.SIGCONT)
    output(process)
    watch.check(num_interrupted=0)
    check_complete(prepared.outputs)


def is_submitted(outputs: Path, num_jobs: int) -> bool:
    return len(list(outputs.glob(".submitit/*/*_submitted.pkl"))) == num_jobs


def retried(out: str) -> list[tuple[str, str]]:
    """The jobs that a search says to have submitted again, and how they ended."""
    return re.findall(r"job (\d+) ended without a result, in state ([^;]*);.*; retry \d+ of", out)
