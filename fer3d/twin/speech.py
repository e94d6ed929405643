"""How a talking face moves: an expression that comes and goes, and a mouth that forms syllables meanwhile."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from fer3d.twin.expressions import draw_apex, draw_unrelated, finish, look_around
from fer3d.twin.head_model import FloatArray
from fer3d.twin.people import Person, base_names
from fer3d.twin.settings import VideoSettings

# Mouth shapes of open, wide, round and narrow vowels, and of lips that close between two syllables.
_VOWELS: Sequence[Mapping[str, float]] = (
    {"jawOpen": 0.32, "mouthLowerDown": 0.3, "mouthUpperUp": 0.1},
    {"jawOpen": 0.18, "mouthStretch": 0.3, "mouthLowerDown": 0.35},
    {"jawOpen": 0.22, "mouthFunnel": 0.45},
    {"jawOpen": 0.08, "mouthPucker": 0.5},
)
_CLOSED: Mapping[str, float] = {"mouthPress": 0.35, "mouthRollLower": 0.25, "mouthRollUpper": 0.15}
_CLOSED_SHARE = 0.4


def perform_talking(
    emotion: str,
    emotions: Sequence[str],
    num_frames: int,
    rate: float,
    person: Person,
    action_names: np.ndarray,
    settings: VideoSettings,
    rng: np.random.Generator,
) -> FloatArray:
    """Returns the (num_frames, A) strengths of the facial actions: neutral, then expression and speech, then neutral.

    Args:
        emotion: What the person shows.
        emotions: Everything that people of this twin show.
        num_frames: Length of the video.
        rate: Frames a second.
        person: Who is seen.
        action_names: (A,) the facial actions.
        settings: The twin's settings.
        rng: Where everything is drawn from.
    """
    apex = draw_apex(emotion, emotions, action_names, settings, rng) * person.gains
    unrelated = draw_unrelated(action_names, settings, rng)
    strengths = person.resting + _come_and_go(num_frames, settings, rng)[:, None] * apex
    strengths += _come_and_go(num_frames, settings, rng)[:, None] * unrelated
    strengths += look_around(num_frames, action_names, settings, rng)
    strengths += _talk(num_frames, rate, action_names, settings, rng) * person.gains
    return finish(strengths, action_names, settings, rng)


def _come_and_go(num_frames: int, settings: VideoSettings, rng: np.random.Generator) -> np.ndarray:
    """Returns (num_frames,) values: 0 in the first and in the last frame, 1 in between."""
    onset, apex, release, rest = (
        rng.uniform(*when) for when in (settings.onset, settings.apex, settings.release, settings.rest)
    )
    time = np.linspace(0, 1, num_frames)
    shown: np.ndarray = _rise(time, onset, apex) * _rise(-time, -rest, -release)
    return shown


def _talk(
    num_frames: int, rate: float, action_names: np.ndarray, settings: VideoSettings, rng: np.random.Generator
) -> np.ndarray:
    """Returns the (num_frames, A) strengths of speech: one syllable after another through the middle of the video."""
    bases = base_names(action_names)
    strengths = np.zeros((num_frames, len(bases)))
    now, end = num_frames * rng.uniform(0.02, 0.1), num_frames * rng.uniform(0.9, 0.98)
    # A syllable's mouth shape starts to form half a syllable before and is gone half a syllable after.
    while now + 2 * (length := rate / rng.uniform(*settings.syllables)) <= end:
        vowel, effort = _VOWELS[int(rng.integers(len(_VOWELS)))], settings.speech * rng.uniform(0.6, 1.2)
        _add_shape(strengths, bases, vowel, now + length, length, effort)
        if rng.random() < _CLOSED_SHARE:
            _add_shape(strengths, bases, _CLOSED, now + length / 2, length / 2, settings.speech)
        now += length
    return strengths


def _add_shape(
    strengths: np.ndarray, bases: np.ndarray, shape: Mapping[str, float], middle: float, length: float, effort: float
) -> None:
    """Adds a mouth shape that comes and goes over `length` frames each way around `middle`."""
    near = np.clip(np.abs(np.arange(len(strengths)) - middle) / length, 0, 1)
    bump = effort * (0.5 + 0.5 * np.cos(np.pi * near))
    for name, strength in shape.items():
        strengths[:, bases == name] += strength * bump[:, None]


def _rise(time: np.ndarray, start: float, end: float) -> np.ndarray:
    share = np.clip((time - start) / (end - start), 0, 1)
    smooth: np.ndarray = share * share * (3 - 2 * share)
    return smooth
