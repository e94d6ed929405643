from __future__ import annotations

from functools import cache

import cv2
import numpy as np
import pytest
import skimage.data
from moving_faces import head_of

from fer3d.clips.detectors import Image
from fer3d.prediction.faces.appearance import Looks, People, describe, distance

FACE = (178.0, 60.0, 272.0, 178.0)


@cache
def photograph() -> Image:
    """The astronaut, BGR (512, 512, 3)."""
    return np.asarray(cv2.cvtColor(skimage.data.astronaut(), cv2.COLOR_RGB2BGR), np.uint8)


def looks_of(person: int, light: float = 1.0) -> Looks:
    head = np.clip(head_of(person) * light, 0, 255).astype(np.uint8)
    return describe(head, (6, 18, 54, 78))


def turned(image: Image) -> tuple[Image, tuple[float, float, float, float]]:
    return np.ascontiguousarray(image[:, ::-1]), (512 - FACE[2], FACE[1], 512 - FACE[0], FACE[3])


@pytest.mark.parametrize("share", [0.5, 1.0, 2.0])
def test_a_face_looks_the_same_at_any_size_and_place(share: float) -> None:
    shrunk = cv2.resize(photograph(), None, fx=share, fy=share, interpolation=cv2.INTER_AREA)
    moved = np.full((1200, 1200, 3), 90, np.uint8)
    moved[50 : 50 + shrunk.shape[0], 30 : 30 + shrunk.shape[1]] = shrunk
    x1, y1, x2, y2 = (share * side for side in FACE)
    there = describe(moved, (x1 + 30, y1 + 50, x2 + 30, y2 + 50))
    assert distance(describe(photograph(), FACE), there) < 0.02


def test_a_face_looks_much_the_same_in_the_mirror_and_in_other_light() -> None:
    face = describe(photograph(), FACE)
    assert distance(face, describe(*turned(photograph()))) < 0.01
    dim = (photograph() * np.linspace(0.4, 0.9, 512)[:, None]).astype(np.uint8)
    assert distance(face, describe(dim, FACE)) < 0.03
    grey = np.asarray(cv2.cvtColor(photograph(), cv2.COLOR_BGR2GRAY), np.uint8)
    assert describe(grey, FACE).colours is None
    assert distance(face, describe(grey, FACE)) < 0.01


def test_other_faces_look_different() -> None:
    people = [looks_of(person) for person in range(6)]
    nearest = min(distance(a, b) for i, a in enumerate(people) for b in people[:i])
    assert nearest > 0.1


def test_the_same_colours_make_faces_look_more_alike() -> None:
    # The same man a little later, and the same with a blue cast.
    later = np.roll(photograph(), 4, axis=1)
    blue = np.clip(later * (1.3, 1.0, 0.7), 0, 255).astype(np.uint8)
    face = describe(photograph(), FACE)
    assert distance(face, describe(later, FACE)) < distance(face, describe(blue, FACE))


@pytest.mark.parametrize("box", [(-10.0, -10.0, 30.0, 30.0), (0.0, 0.0, 9.0, 9.0), (500.0, 500.0, 512.0, 512.0)])
def test_boxes_at_the_border_can_be_described(box: tuple[float, float, float, float]) -> None:
    looks = describe(photograph(), box)
    assert np.linalg.norm(looks.edges) == pytest.approx(1, abs=1e-3)


def test_what_is_all_alike_looks_like_nobody() -> None:
    flat = describe(np.full((90, 90, 3), 77, np.uint8), (20, 20, 60, 70))
    assert distance(flat, flat) == 1


def test_people_are_numbered_and_recognised() -> None:
    people = People()
    assert [people.add(looks_of(person)) for person in (4, 2)] == [1, 2]
    found = people.recognise([looks_of(3), looks_of(2, 0.8), looks_of(4, 0.9)])
    assert found == {1: 2, 2: 1}
    assert people.recognise([looks_of(2)], but=[2]) == {}
    assert people.recognise([looks_of(2)], among=[1]) == {}
    # Nobody is two people at once.
    assert len(people.recognise([looks_of(2), looks_of(2, 0.9)])) == 1


def test_who_might_be_two_people_is_neither() -> None:
    people = People()
    people.add(looks_of(0))
    people.add(looks_of(0, 0.98))
    assert people.recognise([looks_of(0, 0.9)]) == {}


def test_the_ones_not_seen_for_longest_are_forgotten() -> None:
    people = People(max_people=2)
    for person in (0, 1):
        people.add(looks_of(person))
    people.remember(1, looks_of(0))
    assert people.add(looks_of(2)) == 3
    assert people.recognise([looks_of(person) for person in (0, 1, 2)]) == {0: 1, 2: 3}
    assert people.knows_others([1])
    assert not people.knows_others([1, 3])


def test_several_looks_of_a_person_are_remembered_but_not_without_end() -> None:
    people = People(max_looks=3)
    people.add(looks_of(0))
    for person in (1, 2):
        people.remember(1, looks_of(person))
    # Looks that are known already push none out.
    for _ in range(5):
        people.remember(1, looks_of(2, 0.95))
    assert [people.distance(1, looks_of(person)) < 0.01 for person in (0, 1, 2, 3)] == [True, True, True, False]
    people.remember(1, looks_of(3))
    assert [people.distance(1, looks_of(person)) < 0.01 for person in (0, 1, 2, 3)] == [False, True, True, True]
