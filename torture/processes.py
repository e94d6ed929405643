"""Real processes that are killed, interrupted or run concurrently: the result must be that of an undisturbed run."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Self

from torture.answers import difference, equal, read_clips, read_logits, read_study
from torture.attack import Attack, Case
from torture.commands import Done, finish, start
from torture.verdicts import Judgement, Verdict, judge_end, last_words
from torture.world import TINY, World

SEARCH = (
    *("-m", "hydra/sweeper=optuna", "hydra.sweeper.n_trials=3", "hydra.sweeper.study_name=s"),
    *("search.pruning.threshold=0.0", "name=s"),
)
BESIDE = ("hydra/launcher=joblib", "hydra.launcher.n_jobs=2", "hydra.sweeper.n_jobs=2")
# Seconds that a process may take to exit after a signal.
LEAVING = 30.0
# Earlier, the interpreter may not have installed its signal handlers.
LISTENING = 1.0
PARTIAL = re.compile(r"\.(.+)\.partial-.+")


@dataclass(frozen=True)
class Work:
    """A long-running command.

    Attributes:
        command: Makes its name and arguments.
        answer: Reads its result.
        has_store: Whether the clip store exists at the start.
    """

    command: Callable[[World, Path], list[str]]
    answer: Callable[[Path], Any]
    has_store: bool = True


def _all_logits(outputs: Path) -> Any:
    return {run.name: read_logits(run) for run in outputs.glob("*-*") if (run / "fold_001").exists()}


def _trials(outputs: Path) -> Any:
    return {"trials": read_study(outputs / "search/s"), "logits": _all_logits(outputs)}


def _reproduced(outputs: Path) -> Any:
    compared = {path.name: json.loads(path.read_text("utf-8")) for path in (outputs / "comparisons").glob("*.json")}
    return {"logits": _all_logits(outputs), "compared": compared, "reports": len(list(outputs.rglob("report.html")))}


def _evaluated(outputs: Path) -> Any:
    (path,) = outputs.glob("a-*/evaluation/evaluation.json")
    return json.loads(path.read_text(encoding="utf-8"))


def _training(world: World, outputs: Path) -> list[str]:
    return ["train", *world.ckplus.settings(outputs), "name=a", "trainer.max_epochs=9"]


def _searching(*more: str) -> Callable[[World, Path], list[str]]:
    return lambda world, outputs: ["train", *SEARCH, *more, *world.ckplus.settings(outputs)]


def _reproducing(world: World, outputs: Path) -> list[str]:
    return ["reproduce", "ckplus", f"--out={outputs}", *(one for one in TINY if "num_folds" not in one)]


WORKS: Mapping[str, Work] = {
    "train": Work(_training, _all_logits),
    "search": Work(_searching(), _trials),
    "prepare": Work(
        lambda world, outputs: ["prepare", *world.ckplus.settings(outputs)],
        lambda outputs: read_clips(outputs, "ckplus"),
        has_store=False,
    ),
    "train from nothing": Work(_training, _all_logits, has_store=False),
    "search side by side": Work(_searching(*BESIDE), lambda outputs: len(_trials(outputs)["trials"])),
    "reproduce": Work(_reproducing, _reproduced, has_store=False),
}


@dataclass(frozen=True)
class Undisturbed:
    """Results and durations of the undisturbed works.

    Attributes:
        world: The corpora.
        answers: Results by work.
        seconds: Durations by work.
    """

    world: World
    answers: dict[str, Any] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)

    @classmethod
    def on(cls, world: World, names: tuple[str, ...]) -> Self:
        """Runs the works as real processes.

        Raises:
            RuntimeError: A work fails.
        """
        made = cls(world)
        for name in names:
            made.answers[name], made.seconds[name] = _left_alone(world, name)
        return made

    def start(self, name: str, outputs: Path) -> subprocess.Popen[str]:
        """Starts a work in an output folder; a new folder gets a clip store if the work needs one."""
        work = WORKS[name]
        if work.has_store and not outputs.exists():
            shutil.copytree(self.world.outputs / "clips", outputs / "clips")
        outputs.mkdir(parents=True, exist_ok=True)
        command, *arguments = work.command(self.world, outputs)
        environment = {"CKPLUS_ROOT": str(self.world.ten_people), "OULU_ROOT": ""}
        return start(command, arguments, folder=outputs.with_name("here"), environment=environment)

    def judge(self, what: str, name: str, outputs: Path, done: Done) -> Judgement:
        """Judges the last run of a work, whose result must equal the undisturbed one."""
        ended = judge_end(what, done)
        if ended:
            fault = ended.verdict if ended.verdict.is_fault else Verdict.SILENT
            return Judgement(what, fault, f"does not continue: {ended.message}")
        answer = WORKS[name].answer(outputs)
        if not equal(answer, self.answers[name]):
            return Judgement(what, Verdict.SILENT, f"another result: {difference(answer, self.answers[name])}")
        left = leftovers(outputs)
        if left:
            return Judgement(what, Verdict.SILENT, f"left behind: {', '.join(left)}")
        return Judgement(what, Verdict.FINE, "same result as undisturbed")


@cache
def _left_alone(world: World, name: str) -> tuple[Any, float]:
    """Result of a work, and its duration in seconds."""
    outputs = world.folder / "undisturbed" / name
    shutil.rmtree(outputs, ignore_errors=True)
    done = finish(Undisturbed(world).start(name, outputs))
    if done.status != 0:
        raise RuntimeError(f"{name} failed without a disturbance: {done.text}")
    answer = WORKS[name].answer(outputs)
    shutil.rmtree(outputs)
    return answer, done.seconds


def leftovers(outputs: Path) -> list[str]:
    """Work folders and locks."""
    return sorted(path.name for path in outputs.rglob(".*") if ".partial-" in path.name or path.suffix == ".lock")


def finished_folds(outputs: Path) -> dict[str, int]:
    """Modification time of each file of each finished fold."""
    return {str(path): path.stat().st_mtime_ns for path in outputs.glob("*/fold_*/*")}


@dataclass(frozen=True)
class KillsAttack(Attack):
    """SIGKILL at any moment, three times; then the same command must finish.

    Attributes:
        undisturbed: The expected results.
    """

    undisturbed: Undisturbed

    name = "kills"
    num_cases = 17
    num_kills = 3

    @classmethod
    def on(cls, world: World) -> Self:
        """Runs every work to its end."""
        return cls(Undisturbed.on(world, tuple(WORKS)))

    def attack(self, case: Case) -> Judgement:
        """Kills the command, with or without its children."""
        name = list(WORKS)[case.number % len(WORKS)]
        outputs, told = case.folder / "outputs", []
        for _ in range(self.num_kills):
            before = finished_folds(outputs)
            process = self.undisturbed.start(name, outputs)
            seconds = case.rng.uniform(0, self.undisturbed.seconds[name])
            whole = case.rng.random() < 0.5
            told.append(f"{seconds:.1f} s{' with its children' if whole else ''}")
            time.sleep(seconds)
            (os.killpg if whole else os.kill)(process.pid, signal.SIGKILL)
            # Remaining children hold the pipes; they must exit by themselves.
            finish(process, LEAVING)
            after = finished_folds(outputs)
            if not after.items() >= before.items():
                return Judgement(f"{name} killed after {told}", Verdict.SILENT, "a finished fold has changed")
        before = finished_folds(outputs)
        judged = self.undisturbed.judge(
            f"{name} killed after {', '.join(told)}", name, outputs, finish(self.undisturbed.start(name, outputs))
        )
        if not finished_folds(outputs).items() >= before.items():
            return Judgement(judged.what, Verdict.SILENT, "a finished fold was written again")
        return judged


@dataclass(frozen=True)
class SignalsAttack(Attack):
    """Ctrl-C or SIGTERM at any moment, including start-up.

    Attributes:
        undisturbed: The expected results of the same command afterwards.
    """

    undisturbed: Undisturbed

    name = "signals"
    num_cases = 20

    @classmethod
    def on(cls, world: World) -> Self:
        """Runs every work to its end."""
        return cls(Undisturbed.on(world, tuple(WORKS)))

    def attack(self, case: Case) -> Judgement:
        """Sends the signal to the command, like `kill`, or to its whole session, like Ctrl-C on a terminal."""
        name = list(WORKS)[case.number % len(WORKS)]
        number = signal.SIGINT if case.number // len(WORKS) % 2 else signal.SIGTERM
        outputs = case.folder / "outputs"
        seconds = case.rng.uniform(0, 0.9 * self.undisturbed.seconds[name])
        process = self.undisturbed.start(name, outputs)
        time.sleep(seconds)
        whole = number == signal.SIGINT and case.rng.random() < 0.7
        what = f"{name}: {number.name} after {seconds:.1f} s{' to all' if whole else ''}"
        if process.poll() is None:
            (os.killpg if whole else os.kill)(process.pid, number)
        done = finish(process, LEAVING)
        fault = self._fault(what, done, number, seconds, outputs, process.pid)
        if fault:
            return fault
        judged = self.undisturbed.judge(what, name, outputs, finish(self.undisturbed.start(name, outputs)))
        if judged.verdict is Verdict.FINE and done.status:
            return Judgement(what, Verdict.SENTENCE, last_words(done) or "before it could listen")
        return judged

    def _fault(
        self, what: str, done: Done, number: signal.Signals, seconds: float, outputs: Path, session: int
    ) -> Judgement | None:
        words = last_words(done)
        if done.hung:
            return Judgement(what, Verdict.HANG, f"still there {LEAVING:.0f} s later; {words}")
        if "Traceback (most recent call last)" in done.text or len(done.err.splitlines()) > 4:
            return Judgement(what, Verdict.TRACEBACK, f"status {done.status}; {words}")
        left = members(session)
        if left:
            for pid in left:
                os.kill(pid, signal.SIGKILL)
            return Judgement(what, Verdict.SILENT, f"status {done.status}, and {len(left)} processes continue")
        if done.status == 0:
            return None  # finished before the signal; if not, its answer differs
        early = seconds < LISTENING and done.status in (-number, 128 + number)
        if not early and done.status != 128 + number:
            return Judgement(what, Verdict.SILENT, f"status {done.status} instead of {128 + number}; {words}")
        if not early and "fer3d:" not in words:
            return Judgement(what, Verdict.SILENT, f"status {done.status} without a word; {words}")
        half = [name for name in leftovers(outputs) if not name.endswith(".lock")]
        if half:
            return Judgement(what, Verdict.SILENT, f"left half-written: {', '.join(half)}")
        return None


def members(session: int, patience: float = 5) -> list[int]:
    """The processes of a session that still run after a while."""
    deadline = time.monotonic() + patience
    while True:
        pids = [int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit() and _session(path) == session]
        if not pids or time.monotonic() > deadline:
            return pids
        time.sleep(0.1)


def _session(process: Path) -> int | None:
    try:
        fields = (process / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] == "Z" else int(fields[3])


@dataclass(frozen=True)
class TogetherAttack(Attack):
    """Two or four concurrent processes of one command.

    Attributes:
        undisturbed: The expected results.
    """

    undisturbed: Undisturbed

    name = "together"
    num_cases = 6
    works = ("train", "search", "train from nothing")

    @classmethod
    def on(cls, world: World) -> Self:
        """Runs the works to their end."""
        return cls(Undisturbed.on(world, cls.works))

    def attack(self, case: Case) -> Judgement:
        """Starts them within half a second, and counts how often each fold is started."""
        name = self.works[case.number % len(self.works)]
        count = 2 if case.number // len(self.works) % 2 else 4
        outputs, what = case.folder / "outputs", f"{count} times {name}"
        processes = []
        for _ in range(count):
            processes.append(self.undisturbed.start(name, outputs))
            time.sleep(case.rng.uniform(0, 0.5))
        begun: set[str] = set()
        deadline = time.monotonic() + 300
        while any(process.poll() is None for process in processes) and time.monotonic() < deadline:
            begun |= {f"{path.parent.name}/{path.name}" for path in outputs.glob("*/.fold_*.partial-*")}
            time.sleep(0.005)
        ends = [finish(process, 1) for process in processes]
        for done in ends:
            ended = judge_end(what, done)
            if ended:
                return ended
        twice = len(begun) - len({PARTIAL.sub(r"\1", place) for place in begun})
        if twice:
            return Judgement(
                what, Verdict.SILENT, f"{twice} folds or stores were started more than once: {sorted(begun)}"
            )
        if name == "search":
            return self._judge_search(what, name, outputs)
        return self.undisturbed.judge(what, name, outputs, ends[-1])

    def _judge_search(self, what: str, name: str, outputs: Path) -> Judgement:
        """Concurrent trials know less of each other and may differ, but their number must be the same."""
        trials = WORKS[name].answer(outputs)["trials"]
        states = [state for state, _, _ in trials]
        if states != ["complete"] * 3:
            return Judgement(what, Verdict.SILENT, f"trials that are {', '.join(states)}")
        return Judgement(what, Verdict.FINE, "three trials, each fold once")
