from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from fer3d.clips.detectors import Box, Detection, Image
from fer3d.prediction.face_stream import SeenFrame, face_stream
from fer3d.prediction.steps import Frame

WIDTH, HEIGHT, RATE = 320, 240, 30
COLOURS = [(40, 60, 200), (60, 200, 60), (220, 80, 40)]


class ColourDetector:
    """Finds squares of known colours: a detector whose answers a test knows."""

    def __init__(self, confidence: float = 0.99) -> None:
        self.looked_at = 0
        self._confidence = confidence

    def detect_all(self, frames: Sequence[Image]) -> list[list[Detection]]:
        self.looked_at += len(frames)
        return [self._found(frame) for frame in frames]

    def detect(self, frames: Sequence[Image]) -> list[Detection | None]:
        return [faces[0] if faces else None for faces in self.detect_all(frames)]

    def settings(self) -> dict[str, Any]:
        return {}

    def _found(self, frame: Image) -> list[Detection]:
        found = []
        for colour in COLOURS:
            rows, columns = np.nonzero((frame == colour).all(axis=2))
            if rows.size:
                box = (float(columns.min()), float(rows.min()), float(columns.max() + 1), float(rows.max() + 1))
                found.append(Detection(box, self._confidence))
        return found


def picture(*squares: tuple[int, int, int], background: int = 20) -> Image:
    """Squares of 40 pixels: the number of the colour, left and top."""
    pixels = np.full((HEIGHT, WIDTH, 3), background, dtype=np.uint8)
    for colour, left, top in squares:
        pixels[max(top, 0) : top + 40, max(left, 0) : left + 40] = COLOURS[colour]
    return pixels


def frames_of(pictures: Sequence[Image]) -> list[Frame]:
    return [Frame(number, number / RATE, pixels) for number, pixels in enumerate(pictures)]


def seen(pictures: Sequence[Image], detector: Any = None, **settings: Any) -> list[SeenFrame]:
    return list(face_stream(frames_of(pictures), detector or ColourDetector(), **settings))


def test_every_frame_comes_out_once_in_order() -> None:
    pictures = [picture((0, 10 + k, 20)) for k in range(13)]
    for every in (1, 2, 5, 100):
        out = seen(pictures, every=every)
        assert [one.frame.number for one in out] == list(range(13))
        assert all(one.frame.pixels is pixels for one, pixels in zip(out, pictures, strict=True))


def test_boxes_between_two_looks_lie_on_the_line_between_them() -> None:
    # 12 frames a step of 3 pixels: what moves evenly is interpolated exactly.
    out = seen([picture((0, 10 + 3 * k, 20 + k)) for k in range(12)], every=5)
    for k, one in enumerate(out):
        (face,) = one.faces
        assert face.box == pytest.approx((10 + 3 * k, 20 + k, 50 + 3 * k, 60 + k))
        assert face.confidence == (0.99 if k in (0, 5, 10, 11) else None)


def test_a_cut_ends_boxes_exactly_there() -> None:
    before, after = [picture((0, 10, 20))] * 7, [picture((1, 200, 150), background=200)] * 6
    out = seen([*before, *after], every=5)
    assert [one.is_cut for one in out] == [k == 7 for k in range(13)]
    boxes: list[Box] = [one.faces[0].box for one in out]
    assert boxes == [(10, 20, 50, 60)] * 7 + [(200, 150, 240, 190)] * 6
    assert [one.faces[0].face for one in out] == [1] * 7 + [2] * 6


def test_no_more_frames_are_held_than_lie_between_two_looks() -> None:
    taken = 0

    def counted() -> Any:
        nonlocal taken
        for frame in frames_of([picture((0, 10, 20))] * 60):
            taken += 1
            yield frame

    for number, _ in enumerate(face_stream(counted(), ColourDetector(), every=5)):
        assert taken - number <= 6


@pytest.mark.parametrize("wrong", [{"every": 0}, {"max_faces": 0}])
def test_wrong_numbers_are_refused_at_once(wrong: dict[str, int]) -> None:
    with pytest.raises(ValueError, match=f"{next(iter(wrong))} must be at least 1, got 0"):
        face_stream([], ColourDetector(), **wrong)
