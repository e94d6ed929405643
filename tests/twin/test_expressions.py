from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from fer3d.twin import TwinSettings
from fer3d.twin.cast import EMOTIONS
from fer3d.twin.expressions import PROTOTYPES, perform
from fer3d.twin.head_model import FloatArray, HeadModel, read_head_model
from fer3d.twin.people import Person, base_names, draw_person

PLAIN = replace(
    TwinSettings(),
    intensity=(1.0, 1.0),
    contempt_intensity=(1.0, 1.0),
    action_gain=0.0,
    action_jitter=0.0,
    action_dropout=0.0,
    action_noise=0.0,
    blend=0.0,
    asymmetry=0.0,
    resting_action=0.0,
    gaze=0.0,
    blink=0.0,
)


@pytest.fixture(scope="module")
def head() -> HeadModel:
    return read_head_model()


@pytest.fixture(scope="module")
def person(head: HeadModel) -> Person:
    return draw_person(head, PLAIN, np.random.default_rng(0))


def act(head: HeadModel, person: Person, emotion: str, settings: TwinSettings = PLAIN, seed: int = 0) -> FloatArray:
    return perform(emotion, 12, person, head.action_names, settings, np.random.default_rng(seed))


def test_every_prototype_names_actions_that_exist(head: HeadModel) -> None:
    known = set(base_names(head.action_names))
    assert set(PROTOTYPES) == {*EMOTIONS, "neutral", "calm"}
    for prototype in PROTOTYPES.values():
        assert set(prototype) <= known


@pytest.mark.parametrize("emotion", EMOTIONS)
def test_a_sequence_goes_from_neutral_to_the_apex(head: HeadModel, person: Person, emotion: str) -> None:
    strengths = act(head, person, emotion)
    assert strengths.shape == (12, len(head.action_names))
    assert np.all(strengths[0] == 0)
    # The tremor of a few percent is all that keeps it from growing in every step.
    assert np.all(strengths[-1] >= 0.9 * strengths.max(axis=0))
    assert strengths[-1].max() > 0.8


def test_only_contempt_is_one_sided(head: HeadModel, person: Person) -> None:
    left = np.array([str(name).endswith("Left") for name in head.action_names])
    right = np.array([str(name).endswith("Right") for name in head.action_names])
    for emotion in EMOTIONS:
        apex = act(head, person, emotion)[-1]
        sides = sorted([apex[left].sum(), apex[right].sum()])
        assert (sides[0] < 0.3 * sides[1]) == (emotion == "contempt")


def test_a_blink_never_hides_the_apex(head: HeadModel, person: Person) -> None:
    lids = base_names(head.action_names) == "eyeBlink"
    blinking = [act(head, person, "happy", replace(PLAIN, blink=1.0), seed)[:, lids] for seed in range(10)]
    assert all(strengths.max() > 0.5 for strengths in blinking)
    assert all(strengths[-1].max() == 0 for strengths in blinking)


def test_people_differ_in_shape_paint_and_manner(head: HeadModel) -> None:
    one, other = (draw_person(head, TwinSettings(), np.random.default_rng(seed)) for seed in (1, 2))
    assert np.abs(one.vertices - other.vertices).max() > 0.05
    assert one.look != other.look
    assert not np.allclose(one.gains, other.gains)


def test_both_sides_of_a_person_have_the_same_gain(head: HeadModel) -> None:
    person = draw_person(head, TwinSettings(), np.random.default_rng(0))
    gains = dict(zip(head.action_names, person.gains, strict=True))
    assert gains["mouthSmileLeft"] == gains["mouthSmileRight"]
