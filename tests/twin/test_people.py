from __future__ import annotations

from dataclasses import astuple

import numpy as np
import pytest

from fer3d.twin import OULU, TwinSettings
from fer3d.twin.filming import Take, draw_take, tint_take
from fer3d.twin.head_model import HeadModel
from fer3d.twin.people import Look, Palette, Person, draw_palette, draw_person, tint_look

# OpenCV's grey of blue, green and red.
GREY = np.array([0.114, 0.587, 0.299])
TINTED = ("skin", "lip", "brow", "hair", "iris", "cloth")


@pytest.fixture(scope="module")
def person(head: HeadModel) -> Person:
    return draw_person(head, OULU.settings, np.random.default_rng(0))


@pytest.fixture
def take(person: Person) -> Take:
    return draw_take(person, 3, OULU.settings, np.random.default_rng(0))


def draw_palettes() -> list[Palette]:
    return [draw_palette(np.random.default_rng(seed)) for seed in range(50)]


def test_a_tint_is_positive_and_keeps_the_brightness() -> None:
    tints = np.array([astuple(palette) for palette in draw_palettes()])
    assert tints.min() > 0
    np.testing.assert_allclose(tints @ GREY, 1)


def test_skin_and_lips_are_reddish_and_people_differ() -> None:
    palettes = draw_palettes()
    for palette in palettes:
        for blue, green, red in (palette.skin, palette.lip):
            assert red > max(green, blue)
    assert len({palette.skin for palette in palettes}) == len(palettes)


def test_a_look_has_its_colours_and_nothing_else_changed(person: Person) -> None:
    bands = tint_look(person.look, draw_palette(np.random.default_rng(0)))
    assert len(bands) == 3
    for name in Look.__slots__:
        values = [getattr(band, name) for band in bands]
        if name in TINTED:
            assert len(set(values)) == 3
            assert float(values @ GREY) == pytest.approx(getattr(person.look, name))
        else:
            assert set(values) == {getattr(person.look, name)}


def test_a_take_has_a_tint_of_its_own(take: Take) -> None:
    one, other = (tint_take(take, np.random.default_rng(seed)) for seed in (0, 1))
    assert len({band.background for band in one}) == len({band.gain for band in one}) == 3
    assert [band.background for band in one] != [band.background for band in other]
    assert all(band.shot is take.shot and band.angles is take.angles for band in one)
    assert float(np.array([band.gain for band in one]) @ GREY) == pytest.approx(take.gain)


def test_people_differ_in_shape_paint_and_manner(head: HeadModel) -> None:
    one, other = (draw_person(head, TwinSettings(), np.random.default_rng(seed)) for seed in (1, 2))
    assert np.abs(one.vertices - other.vertices).max() > 0.05
    assert one.look != other.look
    assert not np.allclose(one.gains, other.gains)


def test_both_sides_of_a_person_have_the_same_gain(head: HeadModel) -> None:
    person = draw_person(head, TwinSettings(), np.random.default_rng(0))
    gains = dict(zip(head.action_names, person.gains, strict=True))
    assert gains["mouthSmileLeft"] == gains["mouthSmileRight"]
