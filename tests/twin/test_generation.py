from __future__ import annotations

import csv
import hashlib
import json
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn

import av
import cv2
import numpy as np
import pytest
from trees import read_part

from fer3d.corpora import ravdess
from fer3d.corpora.ckplus import CKPlus
from fer3d.corpora.crema_d import CremaD
from fer3d.corpora.oulu_casia import OuluCASIA
from fer3d.corpora.sequences import SYNTHETIC_MARKER, Corpus, CorpusError, FrameSequence, LabelledSequence
from fer3d.twin import CKPLUS, CREMA_D, OULU, RAVDESS, TwinSettings, describe_twin, generate_twin
from fer3d.twin.cast import EMOTION_CODES, PlannedSequence
from fer3d.twin.head_model import HeadModel
from fer3d.twin.layouts import FACE_RIGHT, Layout

LAYOUTS = (CKPLUS, OULU, RAVDESS, CREMA_D)
# Three people of CK+ show all seven emotions.
NUM_SUBJECTS = {CKPLUS.name: 3, OULU.name: 2, RAVDESS.name: 2, CREMA_D.name: 2}
SMALL: dict[str, TwinSettings] = {
    CKPLUS.name: replace(CKPLUS.settings, width=160, height=122, mean_extra_frames=0.5),
    OULU.name: replace(OULU.settings, width=80, height=60, max_frames=9),
    RAVDESS.name: replace(RAVDESS.settings, width=80, height=46, max_frames=4, num_takes=1),
    CREMA_D.name: replace(CREMA_D.settings, width=80, height=60, max_frames=4),
}
READERS: dict[str, Callable[[Path], Corpus]] = {
    CKPLUS.name: CKPlus,
    OULU.name: OuluCASIA,
    RAVDESS.name: ravdess.RAVDESS,
    CREMA_D.name: CremaD,
}
# As (height, width[, 3]); RAVDESS's pictures are enlarged twofold.
SHAPES = {CKPLUS.name: (122, 160), OULU.name: (60, 80, 3), RAVDESS.name: (92, 160, 3), CREMA_D.name: (60, 80, 3)}

each_layout = pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: layout.name)
Twins = Callable[[Layout], Path]


def generate(
    root: Path, layout: Layout, seed: int = 0, num_subjects: int | None = None, num_workers: int = 0, **settings: Any
) -> Path:
    chosen, number = replace(SMALL[layout.name], **settings), num_subjects or NUM_SUBJECTS[layout.name]
    generate_twin(root, seed, chosen, number, num_workers, progress=False, layout=layout)
    return root


@pytest.fixture(scope="module")
def twins(tmp_path_factory: pytest.TempPathFactory) -> Twins:
    """Renders a layout's small twin the first time that it is asked for."""
    made: dict[str, Path] = {}

    def twin(layout: Layout) -> Path:
        if layout.name not in made:
            made[layout.name] = generate(tmp_path_factory.mktemp("twin") / layout.name, layout)
        return made[layout.name]

    return twin


def digest(root: Path) -> dict[str, str]:
    files = sorted(path for path in root.rglob("*") if path.is_file())
    return {str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def planned(layout: Layout) -> list[tuple[str, PlannedSequence]]:
    roles = layout.plan_cast(0, SMALL[layout.name], NUM_SUBJECTS[layout.name])
    return [(role.subject, sequence) for role in roles for sequence in role.sequences]


def files_of(layout: Layout, subject: str, sequence: PlannedSequence) -> Iterator[str]:
    name, stem = sequence.name, f"{subject}_{sequence.name}"
    if layout is CKPLUS:
        for number in range(1, sequence.num_frames + 1):
            yield f"cohn-kanade-images/{subject}/{name}/{stem}_{number:08d}.png"
        yield f"Emotion/{subject}/{name}/{stem}_{sequence.num_frames:08d}_emotion.txt"
    elif layout is OULU:
        for number in range(sequence.num_frames):
            yield f"OriginalImg/VL/Strong/{subject}/{name}/{number:03d}.jpeg"
    else:
        yield f"Actor_{subject}/{name}.mp4" if layout is RAVDESS else f"VideoFlash/{name}.flv"


def read(layout: Layout, root: Path) -> list[LabelledSequence]:
    return read_part(READERS[layout.name](root))


def pictures_of(sequence: LabelledSequence) -> np.ndarray:
    if isinstance(sequence, FrameSequence):
        return np.stack([cv2.imread(str(path), cv2.IMREAD_UNCHANGED) for path in sequence.frames]).astype(int)
    with av.open(str(sequence.video)) as container:
        return np.stack([frame.to_ndarray(format="bgr24") for frame in container.decode(video=0)]).astype(int)


@pytest.mark.parametrize(
    ("layout", "example"),
    [
        (CKPLUS, None),
        (OULU, "OriginalImg/VL/Strong/P002/Happiness/008.jpeg"),
        (RAVDESS, "Actor_06/02-01-08-01-01-01-06.mp4"),
        (CREMA_D, "VideoFlash/1001_IEO_HAP_HI.flv"),
    ],
    ids=[layout.name for layout in LAYOUTS],
)
def test_the_files_are_those_of_the_corpus(layout: Layout, example: str | None, twins: Twins) -> None:
    wanted = {file for subject, sequence in planned(layout) for file in files_of(layout, subject, sequence)}
    tables = {"processedResults/summaryTable.csv"} if layout is CREMA_D else set()
    assert set(digest(twins(layout))) == {*wanted, *tables, SYNTHETIC_MARKER}
    assert example is None or example in wanted


@each_layout
def test_the_reader_of_the_corpus_reads_it_as_synthetic(layout: Layout, twins: Twins) -> None:
    corpus = READERS[layout.name](twins(layout))
    # The corpora's words for an emotion, such as `anger` and `angry`, begin as the twin's do.
    found = {(sequence.subject, sequence.sequence): sequence.emotion[:3] for sequence in read_part(corpus)}
    assert corpus.synthetic is True
    assert found == {(subject, sequence.name): sequence.emotion[:3] for subject, sequence in planned(layout)}


@each_layout
def test_the_marker_says_how_the_twin_was_made(layout: Layout, twins: Twins) -> None:
    marker = json.loads((twins(layout) / SYNTHETIC_MARKER).read_text())
    assert re.match(r"\d+\.\d+", marker.pop("anny"))
    assert marker == describe_twin(0, SMALL[layout.name], NUM_SUBJECTS[layout.name], layout)
    # Markers of CK+'s twins have never named their layout.
    assert marker.get("layout") == (None if layout is CKPLUS else layout.name)


def test_a_description_changes_with_everything_that_decides_the_images() -> None:
    small = SMALL[CKPLUS.name]
    one = describe_twin(0, small, 3)
    assert (one["seed"], one["num_subjects"], one["settings"]["width"]) == (0, 3, 160)
    others = [
        describe_twin(1, small, 3),
        describe_twin(0, replace(small, gaze=0.0), 3),
        describe_twin(0, small, 4),
        describe_twin(0, small, 3, OULU),
    ]
    assert one not in others


@pytest.mark.parametrize(
    ("layout", "num_subjects", "size"),
    [(CKPLUS, 118, (640, 490)), (OULU, 80, (320, 240)), (RAVDESS, 24, (1280, 720)), (CREMA_D, 91, (480, 360))],
)
def test_a_full_twin_has_the_corpus_s_people_and_picture_size(
    layout: Layout, num_subjects: int, size: tuple[int, int]
) -> None:
    assert describe_twin(0, layout=layout) == describe_twin(0, layout.settings, num_subjects, layout)
    zoom = layout.recorder.zoom if layout in (RAVDESS, CREMA_D) else 1
    assert (zoom * layout.settings.width, zoom * layout.settings.height) == size


@each_layout
def test_a_sequence_shows_a_face_that_moves(layout: Layout, twins: Twins) -> None:
    shape = SHAPES[layout.name]
    middle = slice(shape[0] // 2 - 5, shape[0] // 2 + 5), slice(shape[1] // 2 - 5, shape[1] // 2 + 5)
    for sequence in read(layout, twins(layout)):
        pictures = pictures_of(sequence)
        assert pictures.shape[1:] == shape
        assert pictures.std() > 10
        # Images end at the apex; videos are back at neutral by then.
        apex = -1 if isinstance(sequence, FrameSequence) else len(pictures) // 2
        assert np.abs(pictures[apex] - pictures[0]).max() > 20
        if layout.in_colour:
            # The middle of the picture is face.
            blue, green, red = pictures[(slice(None), *middle)].mean(axis=(0, 1, 2))
            assert red > blue > 0
            assert red > green > 0


@each_layout
def test_two_people_differ(layout: Layout, twins: Twins) -> None:
    apexes = {sequence.subject: pictures_of(sequence)[-1] for sequence in read(layout, twins(layout))}
    one, other, *_ = apexes.values()
    assert np.abs(one - other).mean() > 5


@pytest.mark.slow
@pytest.mark.parametrize("layout", [CKPLUS, OULU, RAVDESS], ids=lambda layout: layout.name)
def test_the_same_seed_gives_the_same_bytes_whoever_renders(layout: Layout, twins: Twins, tmp_path: Path) -> None:
    assert digest(generate(tmp_path / "again", layout, num_workers=2)) == digest(twins(layout))


@pytest.mark.slow
def test_fewer_people_and_repetitions_are_the_same_videos(twins: Twins, tmp_path: Path) -> None:
    more = digest(generate(tmp_path / "more", RAVDESS, num_subjects=1, num_takes=2))
    videos = {name: value for name, value in digest(twins(RAVDESS)).items() if name.startswith("Actor_01/")}
    assert len(videos) == 8
    assert videos.items() <= more.items()
    # And the second repetition is another take.
    assert len({value for name, value in more.items() if name.endswith(".mp4")}) == 16


def test_another_seed_gives_other_images(twins: Twins, tmp_path: Path) -> None:
    other = generate(tmp_path / "other", CKPLUS, seed=1, num_subjects=1)
    images = {value for name, value in digest(twins(CKPLUS)).items() if name.endswith(".png")}
    assert not images & set(digest(other).values())


def test_nobody_is_in_two_twins(head: HeadModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class EnoughError(Exception): ...

    drawn = []

    def draw_person(_: HeadModel, __: TwinSettings, rng: np.random.Generator, ___: bool | None) -> NoReturn:
        drawn.append(rng.random())
        raise EnoughError

    monkeypatch.setattr("fer3d.twin.generation.draw_person", draw_person)
    monkeypatch.setattr("fer3d.twin.generation.read_head_model", lambda: head)
    for layout in LAYOUTS:
        with pytest.raises(EnoughError):
            generate(tmp_path / layout.name, layout)
    assert len(set(drawn)) == len(LAYOUTS)


def test_each_emotion_moves_its_own_part_of_the_face(tmp_path: Path) -> None:
    still = {
        **dict.fromkeys(["action_noise", "blend", "head_drift", "gaze", "blink", "action_dropout"], 0.0),
        **dict.fromkeys(["head_yaw", "head_pitch", "head_roll"], 0.0),
        **dict.fromkeys(["intensity", "contempt_intensity"], (1.0, 1.0)),
        "noise": (0.0, 0.0),
    }
    moved, height = {}, SHAPES[CKPLUS.name][0]
    for sequence in read(CKPLUS, generate(tmp_path / "still", CKPLUS, **still)):
        pictures = pictures_of(sequence)
        change = np.abs(pictures[-1] - pictures[0])
        # The face is centred: brows and eyes lie above the middle of the picture, the mouth below.
        top, bottom = change[: height // 2].sum(), change[height // 2 : height * 4 // 5].sum()
        assert change.max() > 20, sequence.emotion
        moved[sequence.emotion] = bottom / (top + bottom)
    assert set(moved) == set(EMOTION_CODES)
    assert min(moved["happy"], moved["surprise"]) > moved["anger"]


@pytest.mark.slow
@pytest.mark.parametrize("layout", ["CKPLUS", "RAVDESS"])
def test_a_killed_run_leaves_no_root_and_the_next_one_tidies_up(layout: str, tmp_path: Path) -> None:
    root = tmp_path / "killed"
    code = f"""
from dataclasses import replace
from pathlib import Path
from fer3d.twin import {layout} as layout, generate_twin
generate_twin(Path({str(root)!r}), 0, replace(layout.settings, width=160, height=122), 20, 0, False, layout)
"""
    process = subprocess.Popen([sys.executable, "-c", code])
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and not [*tmp_path.rglob("*_00000003.png"), *tmp_path.rglob("*.mp4")]:
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    (partial,) = tmp_path.iterdir()
    assert partial.name.startswith(".killed.partial-")
    assert not (partial / SYNTHETIC_MARKER).exists()

    generate(root, CKPLUS, num_subjects=1)
    assert [path.name for path in tmp_path.iterdir()] == ["killed"]
    assert len(list(root.rglob("*_emotion.txt"))) == 3


def test_a_folder_in_use_is_refused(tmp_path: Path) -> None:
    (tmp_path / "thesis.pdf").touch()
    with pytest.raises(CorpusError, match="not empty"):
        generate(tmp_path, CKPLUS)


@pytest.mark.parametrize("missing", ["anny", "warp"])
def test_without_the_extra_the_error_says_what_to_install(
    missing: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(CorpusError, match=re.escape("pip install fer3d[synthetic]")):
        generate(tmp_path / "root", CKPLUS)
    assert not (tmp_path / "root").exists()


def test_settings_of_image_twins_are_refused_for_videos() -> None:
    with pytest.raises(TypeError, match="VideoSettings"):
        RAVDESS.plan_cast(0, OULU.settings, 1)


def test_the_raters_are_right_as_often_as_those_of_crema_d(tmp_path: Path) -> None:
    roles = CREMA_D.plan_cast(0, replace(CREMA_D.settings, num_takes=12), 91)
    CREMA_D.write_tables(tmp_path, roles, 0)
    with (tmp_path / "processedResults/summaryTable.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    for emotion, share in FACE_RIGHT.items():
        code = CREMA_D.codes[emotion]
        votes = [row["FaceVote"] for row in rows if row["FileName"].split("_")[2] == code]
        assert len(votes) == 91 * 12
        assert np.mean([vote == code[0] for vote in votes]) == pytest.approx(share, abs=0.05)
    assert any(":" in row["FaceVote"] for row in rows)
