"""A small campaign: each kind of attack that needs no process of its own, and what a campaign promises itself."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Self

import numpy as np
import pytest

from torture.answers import equal
from torture.attack import Case
from torture.attacks import ATTACKS
from torture.campaign import CASES_NAME, Campaign, table
from torture.commands import Done
from torture.verdicts import Judgement, Verdict, judge_end
from torture.world import World

ROOT = Path(__file__).resolve().parents[2]


def torture(*arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "torture", "--outputs", str(folder), *arguments]
    return subprocess.run(command, capture_output=True, text=True, cwd=folder, env=environment, timeout=1200)


@pytest.mark.slow
def test_nothing_is_lost_silently_hangs_or_shows_a_traceback(tmp_path: Path) -> None:
    done = torture("--seed", "0", "--only", "corpora,videos,settings,damages", "--cases", "10", folder=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "| all | 40 |" in done.stdout


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["kills", "together", "disk"])
def test_processes_come_to_the_end_of_those_that_nothing_disturbs(kind: str, tmp_path: Path) -> None:
    done = torture("--seed", "0", "--only", kind, "--cases", "4", folder=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_case_is_repeated_by_its_seed_and_number(tmp_path: Path) -> None:
    def drawn(seed: int, kind: str, number: int) -> list[float]:
        rng = Case.of(seed, kind, number, tmp_path).rng
        return [rng.random() for _ in range(3)]

    assert drawn(1, "corpora", 2) == drawn(1, "corpora", 2)
    others = [drawn(2, "corpora", 2), drawn(1, "settings", 2), drawn(1, "corpora", 3)]
    assert drawn(1, "corpora", 2) not in others


class Scripted:
    """An attack of known verdicts."""

    name = "scripted"
    num_cases = 5

    @classmethod
    def on(cls, world: World) -> Self:
        return cls()

    def attack(self, case: Case) -> Judgement:
        return Judgement("nothing", Verdict.SILENT if case.number == 3 else Verdict.FINE, f"{case.rng.random()}")


@pytest.fixture
def campaign(tmp_path: Path) -> Campaign:
    (tmp_path / "world").mkdir()
    (tmp_path / "world" / "made").touch()
    return Campaign(7, tmp_path, {"scripted": Scripted})


def test_a_killed_campaign_goes_on_where_it_stopped(campaign: Campaign) -> None:
    whole = {line.number: line.message for line in campaign.run(["scripted"], num_jobs=1)}
    path = campaign.folder / CASES_NAME
    lines = path.read_text().splitlines(keepends=True)
    assert len(lines) == 5
    path.write_text("".join(lines[:2]) + lines[2][:20])
    again = {line.number: line.message for line in campaign.run(["scripted"], num_jobs=1)}
    assert len(again) == 3
    assert {line.number: line.message for line in campaign.lines()} == whole
    assert list(campaign.run(["scripted"], num_jobs=1)) == []


def test_the_table_counts_verdicts(campaign: Campaign) -> None:
    list(campaign.run(["scripted"], num_jobs=1))
    row = next(line for line in table(campaign.lines()).splitlines() if line.startswith("| scripted"))
    assert row == "| scripted | 5 | 4 | 0 | 0 | 1 | 0 | 0 | 0 |"


@pytest.mark.parametrize(
    ("done", "verdict"),
    [
        (Done(0, "", "", False, 1), None),
        (Done(1, "", "fer3d: no such thing", False, 1), Verdict.SENTENCE),
        (Done(1, "", "", False, 1), Verdict.SILENT),
        (Done(1, "", "Traceback (most recent call last):\nKeyError: 'a'", False, 1), Verdict.TRACEBACK),
        (Done(-11, "", "", False, 1), Verdict.TRACEBACK),
        (Done(1, "", "a\n" * 100, False, 1), Verdict.TRACEBACK),
        (Done(-9, "", "", True, 60), Verdict.HANG),
    ],
)
def test_a_command_is_judged_by_its_end(done: Done, verdict: Verdict | None) -> None:
    judged = judge_end("", done)
    assert (judged and judged.verdict) == verdict


def test_answers_are_compared_to_the_last_bit() -> None:
    ones = np.ones(3, dtype=np.float32)
    assert equal({"a": [ones, "x"]}, {"a": [ones.copy(), "x"]})
    assert not equal({"a": ones}, {"a": np.nextafter(ones, 2, dtype=np.float32)})
    assert not equal({"a": ones}, {"b": ones})


def test_the_documented_kinds_are_those_that_there_are() -> None:
    text = (ROOT / "docs" / "reliability.md").read_text(encoding="utf-8")
    for name, kind in ATTACKS.items():
        assert f"| {name} | {kind.num_cases} |" in text
