from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import skimage.data
from moving_faces import Film

from fer3d.clips.detectors import Detection, Image, Res10Detector
from fer3d.prediction.faces.face_stream import SeenFrame, face_stream
from fer3d.prediction.steps import Frame


class Nobody:
    """Finds no face, and knows no `detect_all`."""

    def detect(self, frames: Sequence[Image]) -> list[Detection | None]:
        return [None] * len(frames)

    def settings(self) -> dict[str, Any]:
        return {}


def seen(film: Film, **settings: Any) -> list[SeenFrame]:
    return list(face_stream(film.frames, film, **settings))


def numbers(out: Sequence[SeenFrame]) -> list[list[int]]:
    return [[face.face for face in one.faces] for one in out]


def walk(num_frames: int) -> Film:
    film = Film()
    for k in range(num_frames):
        film.add((0, 10 + 3 * k, 20 + k), (1, 250 - 2 * k, 120))
    return film


@pytest.mark.parametrize("every", [1, 2, 5, 100])
def test_every_frame_comes_out_once_in_order(every: int) -> None:
    film = walk(13)
    out = seen(film, every=every)
    assert [one.frame for one in out] == film.frames
    assert numbers(out) == [[1, 2]] * 13


def test_looks_at_every_nth_frame_and_the_last_one() -> None:
    film = walk(13)
    seen(film, every=5)
    assert film.looked_at == [0, 5, 10, 12]


def test_with_every_frame_looked_at_each_box_is_the_detectors() -> None:
    film = walk(13)
    for one, detections in zip(seen(film, every=1), film.detect_all([f.pixels for f in film.frames]), strict=True):
        assert [(face.box, face.confidence) for face in one.faces] == [(at.box, at.confidence) for at in detections]


def test_boxes_between_two_looks_lie_on_the_line_between_them() -> None:
    for k, one in enumerate(seen(walk(12), every=5)):
        assert one.faces[0].box == pytest.approx((10 + 3 * k, 20 + k, 58 + 3 * k, 80 + k))
        assert one.faces[1].box == pytest.approx((250 - 2 * k, 120, 298 - 2 * k, 180))
        assert {face.confidence for face in one.faces} == {0.99 if k in (0, 5, 10, 11) else None}


def test_boxes_follow_the_time_where_the_rate_varies() -> None:
    film = walk(6)
    seconds = [0.0, 0.1, 0.1001, 0.1002, 0.1003, 0.2]
    frames = [dataclasses.replace(frame, time=time) for frame, time in zip(film.frames, seconds, strict=True)]
    out = list(face_stream(frames, film, every=5))
    assert out[1].faces[0].box[0] == pytest.approx(10 + 15 / 2)


def test_frames_that_were_dropped_do_not_keep_the_detector_away() -> None:
    film = walk(40)
    list(face_stream(film.frames[::3], film, every=5))
    # 0, 3, 6, ...: the first one in each stretch of five.
    assert film.looked_at == [0, 6, 12, 15, 21, 27, 30, 36, 39]


def test_a_cut_ends_boxes_exactly_there_and_people_keep_their_numbers() -> None:
    film = Film()
    for k in range(7):
        film.add((0, 10 + k, 20), (1, 200, 100))
    for _ in range(6):
        film.add((2, 30, 120), (0, 220, 40), scene=1)
    out = seen(film, every=5)
    assert [one.is_cut for one in out] == [k == 7 for k in range(13)]
    assert film.looked_at == [0, 5, 6, 7, 10, 12]
    boxes = [{face.face: face.box for face in one.faces} for one in out]
    for k in range(7):
        assert boxes[k] == {1: pytest.approx((10 + k, 20, 58 + k, 80)), 2: (200, 100, 248, 160)}
    assert boxes[7:] == [{1: (220, 40, 268, 100), 3: (30, 120, 78, 180)}] * 6


def test_a_frame_of_another_size_begins_a_new_shot() -> None:
    film = walk(8)
    frames = [*film.frames[:4], *(dataclasses.replace(one, pixels=one.pixels[:200]) for one in film.frames[4:])]
    out = list(face_stream(frames, Nobody(), every=3))
    assert [one.is_cut for one in out] == [k == 4 for k in range(8)]


def test_a_missed_detection_does_not_interrupt_a_face() -> None:
    film = Film()
    for k in range(16):
        film.add((0, 10, 20), missed=[0] if k == 5 else [])
    out = seen(film, every=5)
    assert numbers(out) == [[1]] * 16
    assert [one.faces[0].confidence is None for one in out] == [k not in (0, 10, 15) for k in range(16)]


def test_a_face_that_is_gone_is_not_reported_between_the_looks() -> None:
    film = Film()
    for k in range(16):
        film.add((0, 10, 20), *([(1, 200, 100)] if k < 8 else []))
    assert numbers(seen(film, every=5)) == [[1, 2]] * 6 + [[1]] * 10


def test_a_doubtful_face_is_reported_from_its_first_frame_once_it_is_believed() -> None:
    film = Film()
    for _ in range(21):
        film.add((0, 10, 20), confidence=0.6)
    assert numbers(seen(film, every=5)) == [[1]] * 21


def test_what_is_taken_for_a_face_in_one_frame_is_nobody() -> None:
    film = Film()
    for k in range(21):
        film.add((0, 10, 20), missed=[] if k == 10 else [0], confidence=0.7)
    assert numbers(seen(film, every=5)) == [[]] * 21


def test_no_more_frames_are_held_than_lie_between_two_looks() -> None:
    film, taken = walk(30), 0

    def counted() -> Iterator[Frame]:
        nonlocal taken
        for frame in film.frames:
            taken += 1
            yield frame

    for number, _ in enumerate(face_stream(counted(), film, every=5)):
        assert taken - number <= 6
    assert taken == 30


def test_no_frames_and_no_faces() -> None:
    film = Film()
    assert seen(film) == []
    for _ in range(3):
        film.add()
    assert numbers(seen(film)) == [[]] * 3


@pytest.mark.parametrize("wrong", [{"every": 0}, {"max_faces": 0}])
def test_wrong_numbers_are_refused_at_once(wrong: dict[str, int]) -> None:
    with pytest.raises(ValueError, match=f"{next(iter(wrong))} must be at least 1, got 0"):
        face_stream([], Film(), **wrong)


def test_follows_a_real_face_that_res10_finds() -> None:
    photograph = cv2.cvtColor(skimage.data.astronaut(), cv2.COLOR_RGB2BGR)[:256, 96:352]
    frames = []
    for k in range(11):
        pixels: Image = np.full((300, 400, 3), 90, np.uint8)
        pixels[20:276, 6 * k : 6 * k + 256] = photograph
        # Half of them are grey.
        frames.append(Frame(k, k / 30, pixels if k % 2 else cv2.cvtColor(pixels, cv2.COLOR_BGR2GRAY)))
    detector = Res10Detector()
    out = list(face_stream(frames, detector, every=5))
    assert numbers(out) == [[1]] * 11
    for k in (2, 8):
        (found,) = detector.detect([frames[k].pixels])
        assert found is not None
        assert out[k].faces[0].box == pytest.approx(found.box, abs=6)


@pytest.mark.slow
def test_people_of_the_twin_keep_their_numbers(tmp_path: Path) -> None:
    import av

    from fer3d.twin import generate_twin
    from fer3d.twin.scene import Shot, write_scene

    generate_twin(tmp_path / "twin", num_subjects=4, num_workers=0, progress=False)
    trio = (0, 1, 2)
    shots = [Shot(trio, "leaving", 5), Shot(trio, "crossing", 5), Shot((3, 0, 2), seconds=2)]
    scene = write_scene(tmp_path / "scene.mp4", tmp_path / "twin", shots=shots)
    with av.open(str(tmp_path / "scene.mp4")) as video:
        frames = [Frame(k, k / 30, one.to_ndarray(format="bgr24")) for k, one in enumerate(video.decode(video=0))]
    out = list(face_stream(frames, Res10Detector(), every=5))
    assert tuple(one.frame.number for one in out if one.is_cut) == scene.cuts
    owners: dict[int, dict[str, int]] = {}
    missed = in_sight = 0
    for one, visible in zip(out, scene.frames, strict=True):
        whole = {person.subject: person.box for person in visible if person.share > 0.95}
        at = {subject: [] for subject in whole}
        for face in one.faces:
            middle = (face.box[0] + face.box[2]) / 2
            for subject, box in whole.items():
                if abs(middle - (box[0] + box[2]) / 2) < 40:
                    at[subject].append(face.face)
                    owners.setdefault(face.face, {}).setdefault(subject, 0)
                    owners[face.face][subject] += 1
        in_sight += len(whole)
        missed += sum(not found for found in at.values())
    assert missed < 0.01 * in_sight
    # Nobody's number is ever another one's, but in the few frames in which two are at the same place.
    assert all(max(counts.values()) >= 0.97 * sum(counts.values()) for counts in owners.values())
    # In each shot the light is another one, so that some people get a second or third number, but never within a shot.
    assert len(owners) <= 3 + 3 + 3
