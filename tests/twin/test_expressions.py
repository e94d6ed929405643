from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from fer3d.twin import CKPLUS, RAVDESS, TwinSettings, VideoSettings
from fer3d.twin.cast import EMOTIONS, RAVDESS_CODES
from fer3d.twin.expressions import PROTOTYPES, perform, perform_talking
from fer3d.twin.head_model import FloatArray, HeadModel
from fer3d.twin.people import Person, base_names, draw_person

STILL: dict[str, Any] = {
    "intensity": (1.0, 1.0),
    "contempt_intensity": (1.0, 1.0),
    **dict.fromkeys(["action_gain", "action_jitter", "action_dropout", "action_noise", "blend", "asymmetry"], 0.0),
    **dict.fromkeys(["resting_action", "gaze", "blink"], 0.0),
}
PLAIN, TALKING = replace(CKPLUS.settings, **STILL), replace(RAVDESS.settings, **STILL)
SILENT = replace(TALKING, speech=0.0)


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


def talk(head: HeadModel, person: Person, emotion: str, settings: VideoSettings, seed: int = 0) -> FloatArray:
    rng = np.random.default_rng(seed)
    return perform_talking(emotion, tuple(RAVDESS_CODES), 45, 30.0, person, head.action_names, settings, rng)


@pytest.mark.parametrize("emotion", RAVDESS_CODES)
def test_a_video_begins_and_ends_neutral(head: HeadModel, person: Person, emotion: str) -> None:
    for seed in range(5):
        strengths = talk(head, person, emotion, TALKING, seed)
        assert strengths.shape == (45, len(head.action_names))
        assert np.all(strengths[0] == 0)
        assert np.all(strengths[-1] < 1e-6)


@pytest.mark.parametrize("emotion", [emotion for emotion in RAVDESS_CODES if emotion != "neutral"])
def test_the_expression_is_there_in_the_middle(head: HeadModel, person: Person, emotion: str) -> None:
    strengths = talk(head, person, emotion, SILENT)
    assert np.all(strengths[20:25].min(axis=0) >= 0.9 * strengths.max(axis=0))


def test_calm_is_much_weaker_than_all_but_neutral(head: HeadModel, person: Person) -> None:
    total = {emotion: float(talk(head, person, emotion, SILENT)[22].sum()) for emotion in RAVDESS_CODES}
    assert total["neutral"] == 0
    assert 0 < total["calm"] < 0.5 * min(total[name] for name in RAVDESS_CODES if name not in ("calm", "neutral"))


def test_the_mouth_talks_in_syllables_and_nothing_else_does(head: HeadModel, person: Person) -> None:
    bases = base_names(head.action_names)
    for seed in range(5):
        strengths = talk(head, person, "neutral", TALKING, seed)
        speaks = np.array([name.startswith(("mouth", "jaw")) for name in bases])
        assert np.all(strengths[:, ~speaks] == 0)
        # Whatever the vowel, a syllable moves the mouth, and four to seven fit into a second.
        moved = strengths.sum(axis=1)
        assert np.all(moved[8:30] > 0.05)
        assert moved.std() > 0.1
        assert strengths[:, bases == "jawOpen"].max() > 0.1


def test_twice_the_rate_is_the_same_speech_in_twice_the_frames(head: HeadModel, person: Person) -> None:
    def jaw(num_frames: int, rate: float) -> np.ndarray:
        rng, names = np.random.default_rng(3), head.action_names
        strengths = perform_talking("neutral", tuple(RAVDESS_CODES), num_frames, rate, person, names, TALKING, rng)
        opened: np.ndarray = strengths[:, base_names(head.action_names) == "jawOpen"][:, 0]
        return opened

    assert np.abs(jaw(45, 30.0) - jaw(90, 60.0)[::2]).max() < 0.05
