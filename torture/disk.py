"""A disk that fills up at any moment: fer3d must say where, and the same command must continue with more space."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

from torture.attack import Attack, Case
from torture.commands import finish
from torture.processes import WORKS, Undisturbed
from torture.verdicts import Judgement, Verdict, judge_end
from torture.world import World


@dataclass(frozen=True)
class DiskAttack(Attack):
    """Outputs on a file system that is too small; needs permission to mount one.

    Attributes:
        undisturbed: The expected results.
    """

    undisturbed: Undisturbed

    name = "disk"
    num_cases = 9
    works = ("train from nothing", "prepare", "search")

    @classmethod
    def on(cls, world: World) -> Self:
        """Runs the works without disturbance."""
        return cls(Undisturbed.on(world, cls.works))

    def attack(self, case: Case) -> Judgement:
        """Uses a disk that is too small, or fills it at a random moment, and frees space afterwards."""
        name = self.works[case.number % len(self.works)]
        outputs = case.folder / "outputs"
        outputs.mkdir()
        kilobytes = 4 * case.rng.randrange(5, 150)
        moment = case.rng.uniform(0, self.undisturbed.seconds[name]) if case.rng.random() < 0.6 else None
        what = f"{name} on a disk of {kilobytes} kB" if moment is None else f"{name}, disk full after {moment:.1f} s"
        if not _mount(outputs, f"size={kilobytes if moment is None else 8192}k"):
            return Judgement(what, Verdict.SKIPPED, "no right to mount")
        try:
            return self._fill(what, name, outputs, moment)
        finally:
            subprocess.run(["umount", "--lazy", str(outputs)], check=False)

    def _fill(self, what: str, name: str, outputs: Path, moment: float | None) -> Judgement:
        if WORKS[name].has_store:
            try:
                shutil.copytree(self.undisturbed.world.outputs / "clips", outputs / "clips")
            except OSError:
                shutil.rmtree(outputs / "clips", ignore_errors=True)
        process = self.undisturbed.start(name, outputs)
        if moment is not None:
            time.sleep(moment)
            _fill_up(outputs / "ballast")
        done = finish(process)
        ended = judge_end(what, done)
        if ended and ended.verdict is not Verdict.SENTENCE:
            return ended
        half = [path.name for path in outputs.rglob(".*.partial-*")]
        if half:
            return Judgement(what, Verdict.SILENT, f"left half-written: {', '.join(half)}")
        (outputs / "ballast").unlink(missing_ok=True)
        _mount(outputs, "remount,size=64m")
        judged = self.undisturbed.judge(what, name, outputs, finish(self.undisturbed.start(name, outputs)))
        if ended and judged.verdict is Verdict.FINE:
            return replace(ended, vague=str(outputs) not in done.err)
        return judged


def _fill_up(path: Path) -> None:
    with contextlib.suppress(OSError), path.open("wb", buffering=0) as file:
        while file.write(bytes(4096)):
            pass


def _mount(folder: Path, options: str) -> bool:
    command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
    try:
        return subprocess.run(command, capture_output=True, check=False).returncode == 0
    except OSError:
        return False
