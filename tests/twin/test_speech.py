from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from fer3d.twin import RAVDESS, VideoSettings
from fer3d.twin.actors import RAVDESS_CODES
from fer3d.twin.head_model import FloatArray, HeadModel, read_head_model
from fer3d.twin.people import Person, base_names, draw_person
from fer3d.twin.speech import perform_talking

EMOTIONS = tuple(RAVDESS_CODES)
PLAIN = replace(
    RAVDESS.settings,
    intensity=(1.0, 1.0),
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
SILENT = replace(PLAIN, speech=0.0)


@pytest.fixture(scope="module")
def head() -> HeadModel:
    return read_head_model()


@pytest.fixture(scope="module")
def person(head: HeadModel) -> Person:
    return draw_person(head, PLAIN, np.random.default_rng(0))


def act(head: HeadModel, person: Person, emotion: str, settings: VideoSettings, seed: int = 0) -> FloatArray:
    rng = np.random.default_rng(seed)
    return perform_talking(emotion, EMOTIONS, 45, 30.0, person, head.action_names, settings, rng)


@pytest.mark.parametrize("emotion", EMOTIONS)
def test_a_video_begins_and_ends_neutral(head: HeadModel, person: Person, emotion: str) -> None:
    for seed in range(5):
        strengths = act(head, person, emotion, PLAIN, seed)
        assert strengths.shape == (45, len(head.action_names))
        assert np.all(strengths[0] == 0)
        assert np.all(strengths[-1] < 1e-6)


@pytest.mark.parametrize("emotion", [emotion for emotion in EMOTIONS if emotion != "neutral"])
def test_the_expression_is_there_in_the_middle(head: HeadModel, person: Person, emotion: str) -> None:
    strengths = act(head, person, emotion, SILENT)
    assert np.all(strengths[20:25].min(axis=0) >= 0.9 * strengths.max(axis=0))


def test_calm_is_much_weaker_than_all_but_neutral(head: HeadModel, person: Person) -> None:
    total = {emotion: float(act(head, person, emotion, SILENT)[22].sum()) for emotion in EMOTIONS}
    assert total["neutral"] == 0
    assert 0 < total["calm"] < 0.5 * min(total[name] for name in EMOTIONS if name not in ("calm", "neutral"))


def test_the_mouth_talks_in_syllables_and_nothing_else_does(head: HeadModel, person: Person) -> None:
    bases = base_names(head.action_names)
    for seed in range(5):
        strengths = act(head, person, "neutral", PLAIN, seed)
        speaks = np.array([name.startswith(("mouth", "jaw")) for name in bases])
        assert np.all(strengths[:, ~speaks] == 0)
        # Whatever the vowel, a syllable moves the mouth, and four to seven fit into a second.
        moved = strengths.sum(axis=1)
        assert np.all(moved[8:30] > 0.05)
        assert moved.std() > 0.1
        assert strengths[:, bases == "jawOpen"].max() > 0.1


def test_twice_the_rate_is_the_same_speech_in_twice_the_frames(head: HeadModel, person: Person) -> None:
    def jaw(num_frames: int, rate: float) -> np.ndarray:
        strengths = perform_talking(
            "neutral", EMOTIONS, num_frames, rate, person, head.action_names, PLAIN, np.random.default_rng(3)
        )
        opened: np.ndarray = strengths[:, base_names(head.action_names) == "jawOpen"][:, 0]
        return opened

    assert np.abs(jaw(45, 30.0) - jaw(90, 60.0)[::2]).max() < 0.05
