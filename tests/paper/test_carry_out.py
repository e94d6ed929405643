"""Plans at toy size on two tiny corpora of a real face: carried out, continued, killed and continued."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import skimage.data
from hypothesis import given
from hypothesis import strategies as st
from joblib.externals.loky import reusable_executor
from prepared import AWKWARD, TINY
from processes import wait_until

from fer3d.evaluation.effects import Change
from fer3d.messages import messages_shown
from fer3d.paper.carry_out import carry_out
from fer3d.paper.fold_jobs import FoldJobError, blocks, fold_jobs
from fer3d.paper.plan import CKPLUS, Plan, Step, reproduce_ckplus
from fer3d.processes import is_running
from fer3d.training.module import DivergedError
from fer3d.training.results import read_result

pytestmark = pytest.mark.filterwarnings("ignore:.*differs from the corpus as distributed")
SMALL_FACES = ("faces.crop.size=32",)


def write_oulu(root: Path, num_subjects: int = 2) -> Path:
    """Two emotions of a few people in Oulu-CASIA's layout; every frame shows the same real face at another place."""
    photograph = cv2.cvtColor(skimage.data.astronaut(), cv2.COLOR_RGB2BGR)
    for subject in range(1, num_subjects + 1):
        for number, emotion in enumerate(("Anger", "Fear")):
            folder = root / "OriginalImg/VL/Strong" / f"P{subject:03d}" / emotion
            folder.mkdir(parents=True)
            for frame in range(2):
                left = 100 + 8 * number + frame
                image = np.ascontiguousarray(photograph[19 + subject : 259 + subject, left : left + 200])
                (folder / f"{frame:03d}.jpeg").write_bytes(cv2.imencode(".jpeg", image)[1].tobytes())
    return root


@pytest.fixture
def plan(write_ckplus: Callable[..., Path], tmp_path: Path) -> Plan:
    """Two folds with c1, two with c2, and two that start from c2 trained on the other corpus."""
    ckplus, oulu = write_ckplus(tmp_path / "CK+"), write_oulu(tmp_path / "Oulu")
    tiny = (*TINY, *SMALL_FACES)

    def small(step: Step) -> Step:
        root = ckplus if step.corpus == CKPLUS else oulu
        folds = ("cv.num_folds=2",) if step.is_evaluated else ()
        return replace(step, overrides=(f"data.root={root}", *tiny, *folds))

    whole = reproduce_ckplus(tmp_path / AWKWARD)
    chosen = {"ckplus_kfold10", "ckplus_kfold10_c2", "oulu_all", "ckplus_kfold10_c3"}
    return replace(whole, steps=tuple(small(step) for step in whole.steps if step.experiment in chosen))


def times(outputs: Path) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in sorted(outputs.glob("*/fold_*/*"))}


@pytest.mark.slow
def test_a_plan_from_corpora_to_the_report(plan: Plan, capsys: pytest.CaptureFixture[str]) -> None:
    with messages_shown():
        report = carry_out(plan)
    out = capsys.readouterr().out
    runs = {path.name.rpartition("-")[0]: path for path in plan.outputs.glob("*-*") if path.is_dir()}
    assert set(runs) == {"ckplus_kfold10", "ckplus_kfold10_c2", "oulu_all", "ckplus_kfold10_c3"}
    for name, folder in runs.items():
        numbers = [1] if name == "oulu_all" else [1, 2]
        assert sorted(path.name for path in folder.glob("fold_*")) == [f"fold_{number:03d}" for number in numbers]
        assert (folder / "evaluation" / "evaluation.json").exists() == (name != "oulu_all")
    transferred = read_result(runs["ckplus_kfold10_c3"] / "fold_001").info["start_from"]
    source = read_result(runs["oulu_all"] / "fold_001").info
    assert (transferred["corpus"], transferred["digest"]) == ("oulu_casia", source["digest"])
    assert sorted(path.stem for path in (plan.outputs / "comparisons").iterdir()) == [
        "ckplus_kfold10-ckplus_kfold10_c2",
        "ckplus_kfold10-ckplus_kfold10_c3",
    ]
    compared = json.loads((plan.outputs / "comparisons/ckplus_kfold10-ckplus_kfold10_c2.json").read_text())
    assert compared["protocols"]["last_epoch"]["folds"]["num_folds"] == 2
    page = report.read_text(encoding="utf-8")
    assert report == plan.outputs / "report_ckplus" / "report.html"
    assert all(folder.name in page for name, folder in runs.items() if name != "oulu_all")
    assert "1/2 fold 1" in out

    before = times(plan.outputs)
    lost = runs["ckplus_kfold10"] / "fold_002"
    for path in lost.iterdir():
        path.unlink()
    lost.rmdir()
    with messages_shown():
        carry_out(plan)
    out = capsys.readouterr().out
    assert re.findall(r"^\d+/\d+ fold \d+", out, flags=re.MULTILINE) == ["1/1 fold 2"]
    assert re.findall(r"all (\d+) folds are done already", out) == ["2", "1", "2"]
    again = times(plan.outputs)
    assert again.keys() == before.keys()
    assert {path for path, written in again.items() if written != before[path]} == set(lost.iterdir())


@given(num_folds=st.integers(0, 200), num_at_once=st.integers(1, 1000))
def test_blocks_hold_each_fold_once_and_leave_no_worker_idle(num_folds: int, num_at_once: int) -> None:
    numbers = list(range(1, num_folds + 1))
    found = list(blocks(numbers, num_at_once))
    assert [number for block in found for number in block] == numbers
    sizes = list(map(len, found))
    assert sizes == sorted(sizes, reverse=True)
    assert len(found) >= min(num_folds, 2 * num_at_once)
    assert not sizes or sizes[-1] == 1


@pytest.mark.slow
def test_folds_are_the_same_side_by_side(plan: Plan, tmp_path: Path) -> None:
    logits = []
    for num_jobs in (1, 2):
        settings = [*plan.steps[0].settings, f"outputs={tmp_path / str(num_jobs)}"]
        with fold_jobs(settings, num_jobs) as jobs:
            results = {result.fold: result for result in jobs.train(settings, [1, 2])}
        assert sorted(results) == [1, 2]
        logits.append([results[number].logits for number in (1, 2)])
    np.testing.assert_allclose(logits[0], logits[1], rtol=1e-4, atol=1e-5)
    assert not workers()


@pytest.mark.slow
def test_an_error_in_a_worker_ends_the_others(plan: Plan, tmp_path: Path) -> None:
    settings = [*plan.steps[0].settings, f"outputs={tmp_path / 'o'}", "optimizer.lr=1e30"]
    with pytest.raises(DivergedError), fold_jobs(settings, 2) as jobs:
        list(jobs.train(settings, [1, 2]))
    assert not list((tmp_path / "o").glob("*/fold_*"))
    assert not workers()


@pytest.mark.slow
def test_a_killed_worker_is_one_sentence(plan: Plan, tmp_path: Path) -> None:
    # The folds never end by themselves, so the workers are at work whenever the kill comes.
    settings = [*plan.steps[0].settings, f"outputs={tmp_path / 'o'}", "trainer.max_epochs=1000000"]

    def kill() -> None:
        wait_until(lambda: len(workers()) == 2, seconds=60)
        for process in workers():
            os.kill(process, signal.SIGKILL)

    with ThreadPoolExecutor() as beside, fold_jobs(settings, 2) as jobs:
        killed = beside.submit(kill)
        with pytest.raises(FoldJobError, match="same command continues"):
            list(jobs.train(settings, [1, 2]))
        killed.result()


@pytest.mark.slow
def test_a_ranking_and_effects_put_the_seeds_of_a_network_together(plan: Plan) -> None:
    networks = {"one": "model.temporal_kernel=1", "three": "model.temporal_kernel=3", "five": "model.temporal_kernel=5"}
    steps = tuple(
        replace(plan.steps[0], named=name, seed=seed, overrides=(*plan.steps[0].overrides, setting))
        for seed in (0, 1)
        for name, setting in networks.items()
    )
    changes = {"kernels": (Change("one", "one", "three"), Change("five", "five", "three"))}
    page = carry_out(replace(plan, steps=steps, comparisons=(), of_paper=False, is_ranking=True, changes=changes))
    told = json.loads((plan.outputs / "comparisons/ranking.json").read_text())
    assert {entry["label"]: entry["seeds"] for entry in told["entries"]} == {name: [0, 1] for name in networks}
    assert len(told["protocols"]["last_epoch"]["pairs"]) == 3
    (effects,) = json.loads((plan.outputs / "comparisons/effects.json").read_text())
    assert [effect["change"]["label"] for effect in effects["effects"]] == ["one", "five"]
    assert "What each change does" in page.read_text()


@pytest.mark.slow
def test_a_plan_on_another_launcher(plan: Plan) -> None:
    first = replace(plan, steps=plan.steps[:1], comparisons=())
    carry_out(first, overrides=["hydra/launcher=submitit_local", "hydra.launcher.timeout_min=5"])
    (run,) = plan.outputs.glob("ckplus_kfold10-*")
    assert len(list(run.glob("fold_*/result.json"))) == 2
    assert len(list(plan.outputs.glob(".submitit/*/*_submitted.pkl"))) == 2


def workers() -> list[int]:
    """Process ids of this process's joblib workers."""
    executor = getattr(reusable_executor, "_executor", None)
    return [pid for pid in getattr(executor, "_processes", None) or {} if is_running(pid)]


@pytest.mark.slow
def test_killed_halfway_and_started_again(write_ckplus: Callable[..., Path], tmp_path: Path) -> None:
    """The real command in its own processes, which must not go on without the first one."""
    root = write_ckplus(tmp_path / "CK+", num_subjects=10)
    environment = {**os.environ, "CKPLUS_ROOT": str(root), "OULU_ROOT": "", "PYTHONWARNINGS": "ignore"}
    command = [sys.executable, "-m", "fer3d.reproduce", "ckplus", "--jobs", "2", *TINY, *SMALL_FACES]
    outputs = tmp_path / "outputs"
    with (tmp_path / "log").open("w") as log:
        first = subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=log, stderr=log)
        wait_until(lambda: len(list(outputs.glob("*/fold_*"))) >= 12, first, seconds=600)
        first.send_signal(signal.SIGKILL)
        first.wait()
    time.sleep(1.0)
    before = times(outputs)
    time.sleep(1.5)
    assert times(outputs) == before

    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.fullmatch(r"fer3d: CK\+ in .* differs from the corpus as distributed: .*\n", done.stderr)
    assert "without oulu_casia, since OULU_ROOT is not set: no transfer runs" in done.stdout
    after = times(outputs)
    assert {path: after[path] for path in before} == before
    assert len(list(outputs.glob("*/fold_*"))) == 40
    assert not list(outputs.glob("*/.fold_*"))
    assert (outputs / "report_ckplus" / "report.html").is_file()
