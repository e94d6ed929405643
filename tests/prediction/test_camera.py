from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from cameras import PatientCamera
from numpy.typing import NDArray
from video_files import scenes, write_video

from fer3d.prediction.camera import Camera
from fer3d.prediction.steps import Frame
from fer3d.prediction.trained import PredictionError


class Capture:
    """What `cv2.VideoCapture` gives of a camera: numbered frames at a driver's stamps."""

    def __init__(self, stamps: Sequence[float], pace: float = 0.0, hangs: float = 0.0) -> None:
        self._stamps, self._pace, self._hangs = list(stamps), pace, hangs
        self._given = 0
        self.is_released = threading.Event()

    def isOpened(self) -> bool:  # noqa: N802  (OpenCV's name)
        return True

    def read(self) -> tuple[bool, NDArray[np.uint8] | None]:
        time.sleep(self._pace)
        if self._given == len(self._stamps):
            time.sleep(self._hangs)
            return False, None
        self._given += 1
        return True, np.full((4, 4), self._given - 1, np.uint8)

    def get(self, what: int) -> float:
        assert what == cv2.CAP_PROP_POS_MSEC
        return self._stamps[self._given - 1]

    def release(self) -> None:
        self.is_released.set()


def without_drops(capture: Any) -> tuple[Camera, list[Frame]]:
    camera = PatientCamera(capture)
    return camera, list(camera.frames())


def test_a_camera_that_gives_a_files_frames_gives_its_times_too(tmp_path: Path) -> None:
    pictures = scenes(8)
    path = write_video(
        tmp_path / "a.mkv", pictures, codec="ffv1", pix_fmt="bgr0", times=[0, 0.04, 0.1, 0.5, 0.52, 2, 2.033, 3]
    )
    camera, frames = without_drops(cv2.VideoCapture(str(path)))
    assert [frame.number for frame in frames] == list(range(8))
    # A leap of more than a second within no time is no stamp of a camera's, which this file has after frame 4.
    assert [frame.time for frame in frames[:5]] == pytest.approx([0, 0.04, 0.1, 0.5, 0.52], abs=0.0011)
    for frame, picture in zip(frames, pictures, strict=True):
        np.testing.assert_array_equal(frame.pixels, picture)
    assert camera.num_dropped == 0


@pytest.mark.parametrize(
    "stamps",
    [[0.0] * 6, [-1.0] * 6, [0.0, *(5e9 + k for k in range(5))], [40.0, 30.0, 20.0, 10.0, 5.0, 1.0]],
    ids=["zero", "unknown", "the first unknown", "falling"],
)
def test_where_stamps_are_none_the_clock_counts(stamps: list[float]) -> None:
    began = time.monotonic()
    _, frames = without_drops(Capture(stamps, pace=0.005))
    elapsed = time.monotonic() - began
    times = [frame.time for frame in frames]
    assert times[0] == 0
    assert all(later > earlier for earlier, later in pairwise(times))
    assert times[-1] <= elapsed


def test_stamps_count_from_the_first_frame() -> None:
    _, frames = without_drops(Capture([7000.0, 7033.0, 7100.0]))
    assert [frame.time for frame in frames] == pytest.approx([0, 0.033, 0.1])


def test_who_is_slow_gets_the_newest_frame_and_the_rest_is_counted() -> None:
    camera = Camera(0, capture=Capture([10.0 * k for k in range(24)], pace=0.005))
    numbers = []
    for frame in camera.frames():
        assert frame.pixels[0, 0] == frame.number
        assert frame.time == pytest.approx(0.01 * (frame.number - (numbers or [frame.number])[0]))
        numbers.append(frame.number)
        time.sleep(0.03)
    assert numbers == sorted(set(numbers))
    assert numbers[-1] == 23
    assert camera.num_dropped == 24 - len(numbers) > 8


def test_it_looks_for_so_many_seconds() -> None:
    capture = Capture([100.0 * k for k in range(1000)], pace=0.005)
    frames = list(Camera(0, 0.5, capture).frames())
    assert frames
    assert all(frame.time < 0.5 for frame in frames)
    assert capture.is_released.is_set()


def test_a_camera_that_hangs_ends_in_time() -> None:
    began = time.monotonic()
    camera = Camera(0, 0.1, Capture([0.0, 33.0], hangs=0.3))
    assert [frame.number for frame in camera.frames()][-1] == 1
    assert time.monotonic() - began < 3


def test_it_can_be_switched_off_and_is_released() -> None:
    capture = Capture([33.0 * k for k in range(10_000)], pace=0.001)
    camera = Camera(0, capture=capture)
    numbers = []
    for frame in camera.frames():
        numbers.append(frame.number)
        if len(numbers) == 3:
            camera.stop()
    assert len(numbers) == 3
    assert capture.is_released.is_set()
    assert camera.damage is None
    assert not [thread for thread in threading.enumerate() if thread.name == "camera"]


def test_no_camera_and_a_blind_one_are_named(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(PredictionError, match="camera 97 cannot be opened"):
        next(Camera(97).frames())
    with pytest.raises(PredictionError, match=r"camera 0 .* no frames"):
        next(Camera(0, capture=Capture([])).frames())
    assert capfd.readouterr() == ("", "")
