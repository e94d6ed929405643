"""The benchmarks of the open corpora at toy size: from video files of a real face to a report beside the literature."""

from __future__ import annotations

import html
import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import skimage.data
from prepared import TINY
from video_files import write_video

from fer3d.corpora.sequences import SYNTHETIC_MARKER
from fer3d.evaluation.published import LEAKING
from fer3d.messages import messages_shown
from fer3d.paper.carry_out import carry_out
from fer3d.paper.plan import CREMA_D, RAVDESS, VIDEOS, Plan, benchmark, rehearsal_of_videos
from fer3d.training.results import read_result
from fer3d.twin.own_videos import OwnVideos

SMALL = (*TINY, "faces.crop.size=32", "clips.num_frames=10", "frames.stored=12", "frames.views=2")

# Settings of twins alone.
FEWER = ("data.num_repetitions", "data.num_subjects")


def write_face(path: Path, shift: int, person: int) -> None:
    """Writes a video of a real face that moves, unlike any other one."""
    photograph = cv2.cvtColor(skimage.data.astronaut(), cv2.COLOR_RGB2BGR)
    path.parent.mkdir(parents=True, exist_ok=True)
    frames = [
        np.ascontiguousarray(photograph[10 + 3 * person : 250 + 3 * person, left : left + 200])
        for left in range(90 + shift, 102 + shift)
    ]
    write_video(path, frames)


def write_ravdess(root: Path) -> Path:
    """A person in each fold and a take of each emotion; one has its file with sound, too, and one has only that."""
    for person, actor in enumerate(range(1, 25, 4)):
        for code in range(1, 9):
            name = f"01-{code:02d}-01-01-01-{actor:02d}.mp4"
            for modality in {1: ("01", "02"), 2: ("01",)}.get(code, ("02",)):
                write_face(
                    root / f"Video_Speech_Actor_{actor:02d}" / f"Actor_{actor:02d}" / f"{modality}-{name}", code, person
                )
    return root


def write_crema(root: Path) -> Path:
    for person, actor in enumerate(range(1001, 1091, 18)):
        for number, code in enumerate(("ANG", "DIS", "FEA", "HAP", "NEU", "SAD")):
            write_face(root / "VideoFlash" / f"{actor}_DFA_{code}_XX.flv", number, person)
    return root


@pytest.mark.filterwarnings("ignore:.*differs from the corpus as distributed")
@pytest.mark.slow
def test_ravdess_from_its_files_to_the_report(tmp_path: Path) -> None:
    """As if it were rendered: a twin may be of any size."""
    root = write_ravdess(tmp_path / "RAVDESS")
    (root / SYNTHETIC_MARKER).write_text(json.dumps({}))
    page = carried_out(RAVDESS, root, tmp_path / "outputs")
    (run,) = (tmp_path / "outputs").glob("ravdess6-*")
    folds = [read_result(run / f"fold_{number:03d}") for number in range(1, 7)]
    assert [fold.subjects for fold in folds] == [(f"{actor:02d}",) * 8 for actor in range(1, 25, 4)]
    assert {clip_id.partition("/")[2][3:] for clip_id in folds[0].clip_ids} == {
        f"01-{code:02d}-01-01-01-01" for code in range(1, 9)
    }
    assert "Accuracy beside the literature" in page
    assert "Accuracy beside the paper" not in page
    assert "MAE-DFER" in page
    assert LEAKING in page
    assert "SYNTHETIC" in page


@pytest.mark.filterwarnings("ignore:.*differs from the corpus as distributed")
@pytest.mark.slow
def test_crema_d_from_its_files_to_the_report(tmp_path: Path) -> None:
    """A few clips of the real corpus, which are no benchmark."""
    root = write_crema(tmp_path / "CREMA-D")
    page = carried_out(CREMA_D, root, tmp_path / "outputs")
    assert len(list((tmp_path / "outputs").glob("crema_d5-*/fold_*"))) == 5
    assert "it holds out 30 of the corpus's 7,442 clips" in page
    assert "MAE-DFER" not in page
    assert "SYNTHETIC" not in page


@pytest.mark.filterwarnings("ignore:.*data.emotions is not set", "ignore:.*differs from the corpus as distributed")
@pytest.mark.slow
def test_the_rehearsal_of_videos_on_other_twins(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """As if a real face were rendered; everything else is the plan's own, and a second time nothing is left to do."""
    roots = {RAVDESS: write_ravdess(tmp_path / "RAVDESS"), CREMA_D: write_crema(tmp_path / "CREMA-D")}
    for root in roots.values():
        (root / SYNTHETIC_MARKER).write_text(json.dumps({}))
    plan = tiny_rehearsal(tmp_path / "my runs", roots)
    page = html.unescape(carry_out(plan).read_text(encoding="utf-8"))
    capsys.readouterr()
    results = {path: json.loads(path.read_text()) for path in plan.outputs.glob("*/fold_*/result.json")}
    runs = [result["run"].rpartition("-")[0] for result in results.values()]
    assert {name: runs.count(name) for name in runs} == {
        "ravdess6": 6,
        "ravdess6_uniform": 6,
        "own_videos": 4,
        "crema_d5": 5,
    }
    assert all(result["synthetic"] and result["subject_independent"] for result in results.values())
    assert page.count("SYNTHETIC") >= 4
    assert (plan.outputs / "comparisons" / "ravdess6-ravdess6_uniform.json").is_file()
    before = {path: path.stat().st_mtime_ns for path in results}
    with messages_shown():
        carry_out(plan)
    assert capsys.readouterr().out.count("folds are done already") == 4
    assert {path: path.stat().st_mtime_ns for path in results} == before


def tiny_rehearsal(outputs: Path, roots: dict[str, Path]) -> Plan:
    plan = rehearsal_of_videos(outputs, Path("unused"))
    own = OwnVideos(roots[RAVDESS], outputs / "own_videos")
    steps = []
    for step in plan.steps:
        settings = [*step.overrides, *SMALL, "model.downsample=1"]
        if step.corpus != VIDEOS:
            kept = [each for each in settings if each.partition("=")[0] not in ("data", "data.root", *FEWER)]
            settings = [f"data={step.corpus}", f"data.root={roots[step.corpus]}", *kept]
        steps.append(replace(step, overrides=tuple(settings)))
    return replace(plan, steps=tuple(steps), own_videos=own)


def carried_out(corpus: str, root: Path, outputs: Path) -> str:
    """Carries a benchmark out in small and returns the report's page."""
    plan = benchmark(corpus, outputs)
    small = tuple(replace(step, overrides=(f"data.root={root}", *SMALL)) for step in plan.steps)
    report = carry_out(replace(plan, steps=small))
    assert report == outputs / f"report_{corpus}" / "report.html"
    return html.unescape(report.read_text(encoding="utf-8"))
