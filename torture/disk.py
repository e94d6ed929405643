"""A disk that is full at any moment: it is said where, and with more room the same command goes on."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from torture.attack import Attack, Case
from torture.commands import finish
from torture.processes import WORKS, Undisturbed
from torture.verdicts import Judgement, Verdict, judge_end
from torture.world import World


@dataclass(frozen=True)
class DiskAttack(Attack):
    """Outputs on a file system that is too small, where one may be mounted.

    Attributes:
        undisturbed: What the commands have to come to.
    """

    undisturbed: Undisturbed

    name = "disk"
    num_cases = 9
    works = ("train from nothing", "prepare", "search")

    @classmethod
    def on(cls, world: World) -> Self:
        """Runs the works to their end."""
        return cls(Undisturbed.on(world, cls.works))

    def attack(self, case: Case) -> Judgement:
        """Fills the disk at a random moment, and makes room after."""
        name = self.works[case.number % len(self.works)]
        outputs = case.folder / "outputs"
        outputs.mkdir()
        kilobytes = 4 * case.rng.randrange(5, 150)
        what = f"{name} on a disk of {kilobytes} kB"
        if not _mount(outputs, f"size={kilobytes}k"):
            return Judgement(what, Verdict.SKIPPED, "no right to mount")
        try:
            return self._fill(what, name, outputs)
        finally:
            subprocess.run(["umount", "--lazy", str(outputs)], check=False)

    def _fill(self, what: str, name: str, outputs: Path) -> Judgement:
        if WORKS[name].has_store:
            try:
                shutil.copytree(self.undisturbed.world.outputs / "clips", outputs / "clips")
            except OSError:
                shutil.rmtree(outputs / "clips", ignore_errors=True)
        done = finish(self.undisturbed.start(name, outputs))
        ended = judge_end(what, done)
        if ended and ended.verdict is not Verdict.SENTENCE:
            return ended
        half = [path.name for path in outputs.rglob(".*.partial-*")]
        if half:
            return Judgement(what, Verdict.SILENT, f"left half-written: {', '.join(half)}")
        if ended and str(outputs) not in ended.message:
            return Judgement(what, Verdict.SENTENCE, ended.message, vague=True)
        _mount(outputs, "remount,size=64m")
        judged = self.undisturbed.judge(what, name, outputs, finish(self.undisturbed.start(name, outputs)))
        return ended if ended and judged.verdict is Verdict.FINE else judged


def _mount(folder: Path, options: str) -> bool:
    command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
    try:
        return subprocess.run(command, capture_output=True, check=False).returncode == 0
    except OSError:
        return False
