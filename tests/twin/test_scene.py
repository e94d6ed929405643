from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from fer3d.corpora.sequences import SYNTHETIC_MARKER, CorpusError, FrameSequence
from fer3d.twin.scene import Scene, Shot, read_scene, write_scene

SIZE, RATE = (160, 120), 15


@pytest.fixture(scope="module")
def sequences(tmp_path_factory: pytest.TempPathFactory) -> list[FrameSequence]:
    """Four people of one colour each, with two sequences of three frames that get brighter towards the apex."""
    folder = tmp_path_factory.mktemp("people")
    found = []
    for person, colour in enumerate(((0, 0, 1), (0, 1, 0), (1, 0, 0), (0, 1, 1))):
        for take, emotion in enumerate(("happy", "fear")):
            frames = []
            for k in range(3):
                path = folder / f"{person}_{take}_{k}.png"
                cv2.imwrite(str(path), np.full((98, 128, 3), colour, np.uint8) * (150 + 40 * k))
                frames.append(path)
            found.append(FrameSequence(f"S{person}", f"{take}", emotion, tuple(frames)))
    return found


def decoded(path: Path) -> list[np.ndarray]:
    with av.open(str(path)) as container:
        return [frame.to_ndarray(format="bgr24") for frame in container.decode(video=0)]


def write(path: Path, sequences: list[FrameSequence], *shots: Shot, **settings: object) -> Scene:
    return write_scene(path, sequences, shots=shots or None, size=SIZE, rate=RATE, **settings)  # type: ignore[arg-type]


def test_the_truth_says_who_is_where_and_how_strongly(tmp_path: Path, sequences: list[FrameSequence]) -> None:
    scene = write(tmp_path / "scene.mp4", sequences, Shot((0, 1, 2), seconds=2), Shot((3, 0), seconds=1))
    frames = decoded(tmp_path / "scene.mp4")
    assert len(frames) == len(scene.frames) == 45
    assert scene.cuts == (30,)
    assert read_scene(tmp_path / "scene.mp4") == scene
    assert [{person.subject for person in scene.frames[k]} for k in (0, 29, 30)] == [{"S0", "S1", "S2"}] * 2 + [
        {"S0", "S3"}
    ]
    bands = {"S0": (2,), "S1": (1,), "S2": (0,), "S3": (1, 2)}
    for picture, visible in zip(frames, scene.frames, strict=True):
        assert picture.shape == (SIZE[1], SIZE[0], 3)
        for person in visible:
            x1, y1, x2, y2 = person.box
            assert 0 <= x1 < x2 <= SIZE[0]
            assert 0 <= y1 < y2 <= SIZE[1]
            middle = picture[(y1 + y2) // 2 - 3 :, (x1 + x2) // 2 - 3 :][:6, :6].reshape(-1, 3).mean(axis=0)
            strongest = max(bands[person.subject], key=lambda band: middle[band])
            # The middle shows this person's colour, as bright as the strength says.
            assert middle[strongest] == pytest.approx(150 + 80 * person.strength, abs=25)
            assert all(middle[band] < 60 for band in range(3) if band not in bands[person.subject])
    strengths = {person.strength for visible in scene.frames for person in visible}
    assert strengths == {0.0, 0.5, 1.0}


def test_the_same_arguments_write_the_same_video(tmp_path: Path, sequences: list[FrameSequence]) -> None:
    paths = [tmp_path / f"{name}.mp4" for name in "abc"]
    scenes = [
        write(path, sequences, Shot((0, 1), seconds=0.5), seed=seed)
        for path, seed in zip(paths, (1, 1, 2), strict=True)
    ]
    assert scenes[0] == scenes[1] != scenes[2]
    assert paths[0].read_bytes() == paths[1].read_bytes() != paths[2].read_bytes()
    # And nothing half-written is left.
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        f"{name}.{end}" for name in "abc" for end in ("json", "mp4")
    ]


def test_who_leaves_is_gone_and_comes_back(tmp_path: Path, sequences: list[FrameSequence]) -> None:
    scene = write(tmp_path / "scene.mp4", sequences, Shot((0, 1, 2), "leaving", seconds=4))
    for subject, leaves in (("S0", True), ("S1", False), ("S2", True)):
        there = [any(person.subject == subject for person in visible) for visible in scene.frames]
        assert there[0]
        assert there[-1]
        # One absence at most, of at least half a second.
        changes = sum(a != b for a, b in itertools.pairwise(there))
        assert changes == (2 if leaves else 0)
        assert (there.count(False) > RATE / 2) == leaves


def test_who_cross_swap_places_and_one_hides_the_other(tmp_path: Path, sequences: list[FrameSequence]) -> None:
    scene = write(tmp_path / "scene.mp4", sequences, Shot((0, 1), "crossing", seconds=3))

    def lefts(frame: int) -> dict[str, int]:
        return {person.subject: person.box[0] for person in scene.frames[frame]}

    assert lefts(0)["S0"] < lefts(0)["S1"]
    assert lefts(-1)["S1"] < lefts(-1)["S0"]
    assert min(person.share for visible in scene.frames for person in visible if person.subject == "S0") < 0.5
    assert all(person.share > 0.9 for visible in scene.frames for person in visible if person.subject == "S1")


def test_every_frame_says_synthetic(tmp_path: Path, sequences: list[FrameSequence]) -> None:
    write_scene(tmp_path / "scene.mp4", sequences, num_people=2, seconds=1.5, size=(320, 240), rate=10)
    frames = np.stack(decoded(tmp_path / "scene.mp4"))
    # White letters with black edges at the lower left of every frame.
    corner = frames[:, 215:, :80].reshape(len(frames), -1)
    assert (corner.max(axis=1) > 180).all()
    assert (corner.min(axis=1) < 40).all()


def test_a_folder_of_a_real_corpus_is_refused(tmp_path: Path, write_ckplus: Callable[..., Path]) -> None:
    root = write_ckplus(tmp_path / "CK+", num_subjects=1, num_sequences=1)
    with pytest.raises(CorpusError, match=SYNTHETIC_MARKER):
        write_scene(tmp_path / "scene.mp4", root)


def test_a_twin_is_read_from_its_folder(tmp_path: Path, write_ckplus: Callable[..., Path]) -> None:
    root = write_ckplus(tmp_path / "twin", num_subjects=3, num_sequences=1)
    (root / SYNTHETIC_MARKER).write_text("{}")
    scene = write_scene(
        tmp_path / "scene.mp4", root, subjects=["S007", "S005"], num_people=2, seconds=0.6, size=SIZE, rate=5
    )
    assert {person.subject for visible in scene.frames for person in visible} == {"S005", "S007"}
    with pytest.raises(CorpusError, match=r"no sequence of S999; .*S005, S006, S007"):
        write_scene(tmp_path / "scene.mp4", root, subjects=["S999"])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"size": (161, 120)}, r"even sides .* got \(161, 120\)"),
        ({"rate": 0}, "1 frame per second, got .*, 0"),
        ({"shots": []}, "at least one shot"),
        ({"shots": [Shot((0, 0))]}, "distinct people"),
        ({"shots": [Shot((9,))]}, "from 0 to 3"),
        ({"shots": [Shot((0,), "dancing")]}, "together, crossing, leaving, got dancing"),  # type: ignore[arg-type]
        ({"shots": [Shot((0,), seconds=float("nan"))]}, "positive duration"),
    ],
)
def test_wrong_settings_write_nothing(
    tmp_path: Path, sequences: list[FrameSequence], settings: dict[str, object], message: str
) -> None:
    with pytest.raises(CorpusError, match=message):
        write_scene(tmp_path / "scene.mp4", sequences, **settings)  # type: ignore[arg-type]
    with pytest.raises(CorpusError, match=r"\.mp4"):
        write_scene(tmp_path / "scene.avi", sequences)
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_picture_is_named_and_leaves_nothing(tmp_path: Path, sequences: list[FrameSequence]) -> None:
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"no picture")
    with pytest.raises(CorpusError, match=r"broken\.png cannot be read"):
        write(tmp_path / "out" / "scene.mp4", [FrameSequence("S0", "0", "happy", (broken,))], Shot((0,), seconds=1))
    assert list((tmp_path / "out").iterdir()) == []
