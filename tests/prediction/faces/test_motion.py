from __future__ import annotations

import pytest

from fer3d.clips.detectors import Box
from fer3d.prediction.faces.tracks import Motion


def moving(time: float, scale: float = 1.0) -> Box:
    """A face that moves to the right and down, and grows."""
    x, y, width, height = 10 + 60 * time, 20 + 30 * time, 40 + 8 * time, 50 + 10 * time
    return scale * (x - width / 2), scale * (y - height / 2), scale * (x + width / 2), scale * (y + height / 2)


def followed(rate: float, scale: float = 1.0) -> Motion:
    motion = Motion(moving(0, scale), 0)
    for k in range(1, round(rate) + 1):
        motion.update(moving(k / rate, scale), k / rate)
    return motion


def test_expects_what_moves_evenly_where_it_will_be() -> None:
    assert followed(30).predict(1.2) == pytest.approx(moving(1.2), abs=1.0)
    assert Motion(moving(0), 0).predict(5) == pytest.approx(moving(0))


@pytest.mark.parametrize("rate", [5, 60])
def test_any_frame_rate_and_size_of_picture_gives_the_same(rate: float) -> None:
    assert followed(rate).predict(1.2) == pytest.approx(moving(1.2), abs=2.0)
    large = followed(rate, 3.0).predict(1.2)
    assert large == pytest.approx([3 * side for side in followed(rate).predict(1.2)])


def test_a_box_that_trembles_moves_the_expectation_less() -> None:
    motion = Motion((0, 0, 40, 50), 0)
    for k in range(1, 30):
        motion.update((0, 0, 40, 50), k / 30)
    motion.update((4, 0, 44, 50), 1)
    assert 0 < motion.predict(1)[0] < 3


def test_a_face_never_has_a_side_of_nothing() -> None:
    motion = Motion((0, 0, 40, 50), 0)
    motion.update((10, 10, 20, 22), 0.1)
    x1, y1, x2, y2 = motion.predict(3)
    assert x2 - x1 >= 1
    assert y2 - y1 >= 1
