from __future__ import annotations

import csv
import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest
from trees import read_part

from fer3d.corpora import crema_d as real_crema_d
from fer3d.corpora import ravdess as real_ravdess
from fer3d.corpora.sequences import SYNTHETIC_MARKER, Corpus
from fer3d.twin import CREMA_D, OULU, RAVDESS, describe_twin, generate_twin
from fer3d.twin.actors import plan_crema_d_cast, plan_ravdess_cast
from fer3d.twin.layouts import Layout
from fer3d.twin.settings import VideoSettings
from fer3d.twin.video_layouts import FACE_RIGHT

SMALL = {
    RAVDESS.name: replace(RAVDESS.settings, width=80, height=46, max_frames=8, num_takes=1),
    CREMA_D.name: replace(CREMA_D.settings, width=80, height=60, max_frames=8),
}


def generate(root: Path, layout: Layout, num_subjects: int = 2, num_workers: int = 0, **settings: object) -> Path:
    chosen = replace(SMALL[layout.name], **settings)  # type: ignore[arg-type]
    generate_twin(root, 0, chosen, num_subjects, num_workers, progress=False, layout=layout)
    return root


@pytest.fixture(scope="module")
def ravdess(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return generate(tmp_path_factory.mktemp("twin") / "ravdess", RAVDESS)


@pytest.fixture(scope="module")
def crema_d(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return generate(tmp_path_factory.mktemp("twin") / "crema_d", CREMA_D)


def digest(root: Path) -> dict[str, str]:
    files = sorted(path for path in root.rglob("*") if path.is_file())
    return {str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def decode(path: Path) -> np.ndarray:
    with av.open(str(path)) as container:
        return np.stack([frame.to_ndarray(format="bgr24") for frame in container.decode(video=0)]).astype(int)


def test_the_layout_is_that_of_ravdess(ravdess: Path) -> None:
    roles = plan_ravdess_cast(0, SMALL[RAVDESS.name], 2)
    videos = {f"Actor_{role.subject}/{sequence.name}.mp4" for role in roles for sequence in role.sequences}
    assert "Actor_06/02-01-08-01-01-01-06.mp4" in videos
    assert set(digest(ravdess)) == {*videos, SYNTHETIC_MARKER}


def test_the_layout_is_that_of_crema_d(crema_d: Path) -> None:
    roles = plan_crema_d_cast(0, SMALL[CREMA_D.name], 2)
    videos = {f"VideoFlash/{sequence.name}.flv" for role in roles for sequence in role.sequences}
    assert "VideoFlash/1001_IEO_HAP_HI.flv" in videos
    assert set(digest(crema_d)) == {*videos, "processedResults/summaryTable.csv", SYNTHETIC_MARKER}


@pytest.mark.parametrize(
    ("reader", "layout", "roles"),
    [
        (real_ravdess.RAVDESS, RAVDESS, plan_ravdess_cast(0, SMALL[RAVDESS.name], 2)),
        (real_crema_d.CremaD, CREMA_D, plan_crema_d_cast(0, SMALL[CREMA_D.name], 2)),
    ],
)
def test_the_reader_of_the_corpus_reads_it_as_synthetic(
    reader: Callable[[Path], Corpus],
    layout: Layout,
    roles: list,  # type: ignore[type-arg]
    request: pytest.FixtureRequest,
) -> None:
    corpus = reader(request.getfixturevalue(layout.name))
    sequences = read_part(corpus)
    assert corpus.synthetic is True
    planned = {(role.subject, sequence.name): sequence.emotion for role in roles for sequence in role.sequences}
    assert {(sequence.subject, sequence.sequence) for sequence in sequences} == set(planned)
    for sequence in sequences:
        # `anger` and `angry`, `sadness` and `sad`: the corpora's words begin as the twin's do.
        assert sequence.emotion[:3] == planned[sequence.subject, sequence.sequence][:3]


@pytest.mark.parametrize("layout", [RAVDESS, CREMA_D])
def test_the_marker_says_which_layout_and_how_it_was_made(layout: Layout, request: pytest.FixtureRequest) -> None:
    marker = json.loads((request.getfixturevalue(layout.name) / SYNTHETIC_MARKER).read_text())
    assert marker.pop("anny")
    assert marker == describe_twin(0, SMALL[layout.name], 2, layout)
    assert marker["layout"] == layout.name
    assert marker["settings"]["num_takes"] == 1


@pytest.mark.parametrize(("layout", "shape"), [(RAVDESS, (92, 160, 3)), (CREMA_D, (60, 80, 3))])
def test_a_video_shows_a_coloured_face_that_moves(
    layout: Layout, shape: tuple[int, ...], request: pytest.FixtureRequest
) -> None:
    root = request.getfixturevalue(layout.name)
    for path in [*root.rglob("*.mp4"), *root.rglob("*.flv")]:
        frames = decode(path)
        assert 6 <= len(frames) <= 8
        assert frames.shape[1:] == shape
        rows, columns = slice(shape[0] // 2 - 5, shape[0] // 2 + 5), slice(shape[1] // 2 - 5, shape[1] // 2 + 5)
        blue, _, red = frames[:, rows, columns].mean(axis=(0, 1, 2))
        assert red > blue
        assert np.abs(frames[len(frames) // 2] - frames[0]).max() > 20


def test_full_twins_have_the_corpora_s_pictures_and_numbers() -> None:
    assert (2 * RAVDESS.settings.width, 2 * RAVDESS.settings.height, RAVDESS.recorder.zoom) == (1280, 720, 2)
    assert (CREMA_D.settings.width, CREMA_D.settings.height, CREMA_D.recorder.zoom) == (480, 360, 1)
    assert float(RAVDESS.recorder.rate) == pytest.approx(29.97, abs=0.001)
    assert describe_twin(0, layout=RAVDESS) == describe_twin(0, RAVDESS.settings, 24, RAVDESS)
    assert RAVDESS.settings.num_takes == 2


@pytest.mark.slow
def test_the_same_seed_gives_the_same_bytes_whoever_films(ravdess: Path, tmp_path: Path) -> None:
    assert digest(generate(tmp_path / "again", RAVDESS, num_workers=2)) == digest(ravdess)


@pytest.mark.slow
def test_fewer_people_and_repetitions_are_the_same_videos(ravdess: Path, tmp_path: Path) -> None:
    more = digest(generate(tmp_path / "more", RAVDESS, num_subjects=1, num_takes=2))
    videos = {name: value for name, value in digest(ravdess).items() if name.startswith("Actor_01/")}
    assert len(videos) == 8
    assert videos.items() <= more.items()
    # And the second repetition is another take.
    assert len({value for name, value in more.items() if name.endswith(".mp4")}) == 16


def test_the_votes_are_a_table_that_the_reader_of_crema_d_understands(crema_d: Path) -> None:
    intended, _ = real_crema_d.read_tree(crema_d)
    for labels in ("face", "multimodal"):
        voted, synthetic = real_crema_d.read_tree(crema_d, labels)
        assert synthetic is True
        assert {sequence.sequence for sequence in voted} <= {sequence.sequence for sequence in intended}
        assert len(voted) >= 8


def test_the_raters_are_right_as_often_as_those_of_crema_d(tmp_path: Path) -> None:
    roles = plan_crema_d_cast(0, replace(CREMA_D.settings, num_takes=12))
    CREMA_D.write_tables(tmp_path, roles, 0)
    with (tmp_path / "processedResults/summaryTable.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    for emotion, share in FACE_RIGHT.items():
        code = CREMA_D.codes[emotion]
        votes = [row["FaceVote"] for row in rows if row["FileName"].split("_")[2] == code]
        assert len(votes) == 91 * 12
        assert np.mean([vote == code[0] for vote in votes]) == pytest.approx(share, abs=0.05)
    assert any(":" in row["FaceVote"] for row in rows)


def test_a_killed_run_leaves_no_root(tmp_path: Path) -> None:
    code = f"""
from pathlib import Path
from fer3d.twin import RAVDESS, generate_twin
generate_twin(Path({str(tmp_path / "killed")!r}), 0, RAVDESS.settings, 1, 0, False, RAVDESS)
"""
    process = subprocess.Popen([sys.executable, "-c", code])
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and not list(tmp_path.rglob("*.mp4")):
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    (partial,) = tmp_path.iterdir()
    assert partial.name.startswith(".killed.partial-")
    assert not (partial / SYNTHETIC_MARKER).exists()


def test_settings_of_image_twins_are_refused() -> None:
    with pytest.raises(TypeError, match="VideoSettings"):
        RAVDESS.plan_cast(0, OULU.settings, 1)
    assert isinstance(RAVDESS.settings, VideoSettings)
