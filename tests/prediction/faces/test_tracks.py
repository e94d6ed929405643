from __future__ import annotations

from typing import Any

import pytest
from moving_faces import FACE, RATE, WIDTH, Film

from fer3d.prediction.faces.appearance import People
from fer3d.prediction.faces.tracks import Sighting, Tracker


class Watch:
    """Shows a tracker what happens, one look after the other."""

    def __init__(self, every: int = 1, **settings: Any) -> None:
        self.film, self.tracker, self.every = Film(), Tracker(**settings), every

    def look(self, *faces: tuple[int, float, float], **shown: Any) -> dict[int, Sighting]:
        """Returns who is seen, by their numbers."""
        for _ in range(self.every):
            self.film.add(*faces, **shown)
        frame = self.film.frames[-self.every]
        seen = self.tracker.look(frame.pixels, self.film.detect_all([frame.pixels])[0], frame.time)
        return {track.face: sighting for track, sighting in seen.items() if track.face is not None}


def left_sides(seen: dict[int, Sighting]) -> dict[int, int]:
    return {face: round(sighting.box[0]) for face, sighting in seen.items()}


def test_numbers_come_in_the_order_of_appearance_from_the_left() -> None:
    watch = Watch()
    assert left_sides(watch.look((3, 200, 50), (1, 30, 90))) == {1: 30, 2: 200}
    assert left_sides(watch.look((3, 200, 50), (0, 110, 90), (1, 30, 90))) == {1: 30, 2: 200, 3: 110}


@pytest.mark.parametrize("every", [1, 5])
def test_faces_are_followed_whatever_order_they_are_found_in(every: int) -> None:
    watch = Watch(every)
    for k in range(12):
        people = [(0, 10 + 4.0 * k, 30), (1, 250 - 4.0 * k, 120), (2, 120, 10 + 4.0 * k)]
        assert left_sides(watch.look(*people[k % 3 :], *people[: k % 3])) == {1: people[0][1], 2: 120, 3: people[1][1]}


@pytest.mark.parametrize("every", [1, 5])
def test_people_who_pass_in_front_of_each_other_keep_their_numbers(every: int) -> None:
    watch, last = Watch(every), {}
    for k in range(0, 60, every):
        left, right = 20 + 3.6 * k, 232 - 3.6 * k
        hidden = [0] if abs(left - right) < 30 else []
        last = watch.look((0, left, 60), (1, right, 66), missed=hidden)
        at = left_sides(last)
        assert at[2] == pytest.approx(right, abs=1)
        if not hidden and 1 in at:
            assert at[1] == pytest.approx(left, abs=1)
        assert set(at) <= {1, 2}
    assert set(last) == {1, 2}


def test_a_face_that_is_missed_stays_where_it_was_for_a_while() -> None:
    watch = Watch(keep=0.3)
    watch.look((0, 50, 50))
    held = [watch.look((0, 50, 50), missed=[0]) for _ in range(12)]
    # 0.3 seconds are nine frames.
    assert [len(seen) for seen in held] == [1] * 9 + [0] * 3
    assert held[0] == {1: Sighting((50, 50, 98, 110), None)}


def test_a_face_that_somebody_stands_before_is_not_believed_to_be_seen() -> None:
    watch = Watch()
    for k in range(6):
        watch.look((0, 50, 50), (1, 100 - 8 * k, 54), missed=[0] if k > 3 else [])
    assert left_sides(watch.look((0, 50, 50), (1, 54, 54), missed=[0])) == {2: 54}


def test_who_comes_back_gets_the_old_number_and_a_stranger_a_new_one() -> None:
    watch = Watch(keep=0.1)
    for _ in range(5):
        watch.look((0, 50, 50), (1, 200, 100))
    for _ in range(30):
        assert list(watch.look((1, 200, 100))) == [2]
    assert left_sides(watch.look((0, 100, 20), (1, 200, 100))) == {1: 100, 2: 200}
    for _ in range(30):
        watch.look((1, 200, 100))
    came = [watch.look((5, 100, 20), (1, 200, 100)) for _ in range(20)]
    # There is somebody to recognise, so that a new face goes unnamed for half a second.
    assert [3 in seen for seen in came] == [False] * 15 + [True] * 5


def test_half_a_face_at_the_border_is_not_taken_for_a_stranger() -> None:
    watch = Watch(keep=0.1)
    for k in range(60):
        watch.look((0, 50 - 4 * k, 50), (1, 200, 100))
    seen = [watch.look((0, WIDTH - 6 * k, 50), (1, 140, 140)) for k in range(1, 20)]
    assert {face for one in seen for face in one} == {1, 2}
    whole = [WIDTH - 6 * k + FACE[0] < WIDTH - 5 for k in range(1, 20)]
    assert all(1 in one for one, is_whole in zip(seen, whole, strict=True) if is_whole)


def test_a_doubtful_face_has_to_last() -> None:
    watch = Watch(believe=0.09, sure=0.8)
    assert watch.look((0, 50, 50), confidence=0.7) == {}
    assert watch.look((0, 50, 50), missed=[0]) == {}
    looks = [len(watch.look((0, 50, 50), confidence=0.7)) for _ in range(6)]
    assert looks == [0, 0, 0, 1, 1, 1]
    # One that is sure once need not.
    assert len(watch.look((0, 50, 50), (1, 200, 100), confidence=0.8)) == 2


def test_new_faces_beyond_the_limit_are_left_out() -> None:
    film, tracker = Film(), Tracker()
    film.add((0, 50, 50))
    film.add((1, 200, 100), (0, 50, 50))
    film.add((1, 200, 100))
    film.add((1, 200, 100))
    faces = []
    for frame in film.frames:
        seen = tracker.look(frame.pixels, film.detect_all([frame.pixels])[0], frame.time, max_faces=1)
        faces.append([round(sighting.box[0]) for track, sighting in seen.items()])
    # The place is free again a moment after the first one left.
    assert faces[:2] == [[50], [50]]
    assert all(len(lefts) <= 1 for lefts in faces)


def test_no_more_people_are_remembered_than_asked_for() -> None:
    watch = Watch(people=People(max_people=2))
    for person in range(4):
        watch.look((person, 50, 50), scene=person)
        watch.tracker.end_shot()
    assert list(watch.look((3, 50, 50))) == [4]
    watch.tracker.end_shot()
    assert list(watch.look((0, 50, 50))) == [5]


def test_a_face_that_jumps_is_the_same_person_by_the_looks() -> None:
    watch = Watch()
    for _ in range(3):
        watch.look((0, 20, 20), (1, 240, 20))
    assert left_sides(watch.look((0, 130, 140), (1, 240, 20))) == {1: 130, 2: 240}
    assert watch.film.frames[-1].time == pytest.approx(3 / RATE)


def test_where_faces_overlap_the_looks_decide_and_not_the_place_alone() -> None:
    watch = Watch()
    for _ in range(3):
        watch.look((0, 100, 60), (1, 130, 60))
    # The right one leans before the left one, where that one's face was.
    assert left_sides(watch.look((0, 100, 60), (1, 112, 60), missed=[0])) == {2: 112}


def test_a_person_is_at_one_place_at_a_time() -> None:
    watch = Watch()
    watch.look((0, 20, 20), (1, 240, 20))
    # Somebody comes in who shows the first one's face only later, while that is believed to be where it was.
    for _ in range(3):
        assert left_sides(watch.look((0, 20, 20), (5, 130, 140), (1, 240, 20), missed=[0])) == {1: 20, 2: 240}
    seen = watch.look((0, 20, 20), (0, 130, 140), (1, 240, 20), missed=[0])
    assert left_sides(seen) == {1: 130, 2: 240}


def test_who_has_changed_is_recognised_by_the_new_looks() -> None:
    watch = Watch(keep=0.1)
    for k in range(40):
        watch.look((0 if k < 5 else 6, 50, 50), (1, 200, 100))
    for _ in range(10):
        watch.look((1, 200, 100))
    assert left_sides(watch.look((6, 100, 20), (1, 200, 100))) == {1: 100, 2: 200}
