"""How a face moves: the strength of each facial action in each frame, for an expression and for a person who talks.

The prototypes are EMFACS's (Ekman and Friesen) in ARKit's actions: AU1 browInnerUp, AU2 browOuterUp, AU4 browDown, AU5
eyeWide, AU6 cheekSquint, AU7 eyeSquint, AU9 noseSneer, AU10 mouthUpperUp, AU12 mouthSmile, AU14 mouthDimple, AU15
mouthFrown, AU16 mouthLowerDown, AU17 mouthShrugLower, AU20 mouthStretch, AU23 mouthPress and mouthRoll, AU26 jawOpen.
A name without a side stands for both.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from fer3d.twin.cast import EMOTIONS
from fer3d.twin.head_model import FloatArray
from fer3d.twin.people import Person, base_names
from fer3d.twin.settings import TwinSettings, VideoSettings

# The strongest action comes first; it never drops out.
PROTOTYPES: Mapping[str, Mapping[str, float]] = {
    "anger": {
        "browDown": 1.4,
        "eyeSquint": 0.7,
        "mouthPress": 0.9,
        "mouthRollLower": 0.5,
        "mouthRollUpper": 0.35,
        "eyeWide": 0.35,
        "noseSneer": 0.3,
        "mouthShrugLower": 0.3,
    },
    "contempt": {"mouthDimple": 1.2, "mouthSmile": 0.45, "mouthPress": 0.3},
    "disgust": {
        "noseSneer": 1.4,
        "mouthUpperUp": 0.9,
        "mouthFrown": 0.4,
        "mouthLowerDown": 0.4,
        "browDown": 0.5,
        "eyeSquint": 0.6,
        "cheekSquint": 0.5,
    },
    "fear": {
        "mouthStretch": 1.2,
        "browInnerUp": 1.2,
        "browOuterUp": 0.5,
        "browDown": 0.4,
        "eyeWide": 1.0,
        "eyeSquint": 0.15,
        "jawOpen": 0.22,
        "mouthLowerDown": 0.6,
    },
    "happy": {
        "mouthSmile": 1.2,
        "cheekSquint": 0.9,
        "eyeSquint": 0.4,
        "mouthUpperUp": 0.5,
        "mouthLowerDown": 0.6,
        "mouthStretch": 0.2,
        "jawOpen": 0.1,
    },
    "sadness": {
        "mouthFrown": 1.3,
        "browInnerUp": 1.4,
        "browDown": 0.4,
        "mouthShrugLower": 0.7,
        "eyeSquint": 0.25,
    },
    "surprise": {"jawOpen": 0.65, "browInnerUp": 1.0, "browOuterUp": 1.2, "eyeWide": 0.9, "mouthFunnel": 0.15},
    # Only the actors of RAVDESS and CREMA-D show these two. Calm is hard to tell from neutral.
    "neutral": {},
    "calm": {"mouthSmile": 0.4, "browDown": 0.3, "eyeSquint": 0.3},
}
_UNRELATED = (
    "browDown",
    "browInnerUp",
    "browOuterUp",
    "cheekPuff",
    "cheekSquint",
    "eyeSquint",
    "eyeWide",
    "jawForward",
    "jawLeft",
    "jawOpen",
    "jawRight",
    "mouthDimple",
    "mouthFrown",
    "mouthFunnel",
    "mouthLeft",
    "mouthPress",
    "mouthPucker",
    "mouthRight",
    "mouthRollLower",
    "mouthShrugLower",
    "mouthShrugUpper",
    "mouthSmile",
    "mouthStretch",
    "mouthUpperUp",
    "noseSneer",
)
# Beyond this strength a blend shape folds the skin into itself.
_STRONGEST = 1.6
_TREMOR = 0.012
# Mouth shapes of open, wide, round and narrow vowels, and of closed lips between two syllables.
_VOWELS: Sequence[Mapping[str, float]] = (
    {"jawOpen": 0.32, "mouthLowerDown": 0.3, "mouthUpperUp": 0.1},
    {"jawOpen": 0.18, "mouthStretch": 0.3, "mouthLowerDown": 0.35},
    {"jawOpen": 0.22, "mouthFunnel": 0.45},
    {"jawOpen": 0.08, "mouthPucker": 0.5},
)
_CLOSED: Mapping[str, float] = {"mouthPress": 0.35, "mouthRollLower": 0.25, "mouthRollUpper": 0.15}
_CLOSED_SHARE = 0.4


def perform(
    emotion: str,
    num_frames: int,
    person: Person,
    action_names: np.ndarray,
    settings: TwinSettings,
    rng: np.random.Generator,
) -> FloatArray:
    """Returns the (num_frames, A) strengths of the facial actions, from neutral in the first frame to the apex."""
    apex = _draw_apex(emotion, EMOTIONS, action_names, settings, rng) * person.gains
    unrelated = _draw_unrelated(action_names, settings, rng)
    strengths = person.resting + _curve(num_frames, settings, rng)[:, None] * apex
    strengths += _curve(num_frames, settings, rng)[:, None] * unrelated
    strengths += _look_around(num_frames, action_names, settings, rng)
    return _finish(strengths, action_names, settings, rng)


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
        emotion: The emotion that the person shows.
        emotions: All emotions of the twin.
        num_frames: Length of the video.
        rate: Frames per second.
        person: The person.
        action_names: (A,) names of the facial actions.
        settings: The twin's settings.
        rng: Source of all random draws.
    """
    apex = _draw_apex(emotion, emotions, action_names, settings, rng) * person.gains
    unrelated = _draw_unrelated(action_names, settings, rng)
    strengths = person.resting + _come_and_go(num_frames, settings, rng)[:, None] * apex
    strengths += _come_and_go(num_frames, settings, rng)[:, None] * unrelated
    strengths += _look_around(num_frames, action_names, settings, rng)
    strengths += _talk(num_frames, rate, action_names, settings, rng) * person.gains
    return _finish(strengths, action_names, settings, rng)


def _finish(
    strengths: np.ndarray, action_names: np.ndarray, settings: TwinSettings, rng: np.random.Generator
) -> FloatArray:
    """Adds tremor and possibly a blink to the (num_frames, A) strengths, and clips them."""
    strengths = strengths * (1 + rng.normal(0, _TREMOR, strengths.shape))
    if rng.random() < settings.blink:
        _add_blink(strengths, action_names, rng)
    moved: FloatArray = np.clip(strengths, 0, _STRONGEST).astype(np.float32)
    return moved


def _draw_apex(
    emotion: str, emotions: Sequence[str], action_names: np.ndarray, settings: TwinSettings, rng: np.random.Generator
) -> np.ndarray:
    """Returns the (A,) strengths of an expression, with a little of another of `emotions` mixed in."""
    intensity = rng.uniform(*(settings.contempt_intensity if emotion == "contempt" else settings.intensity))
    other = str(rng.choice([name for name in emotions if name != emotion]))
    leak = rng.uniform(0, settings.blend)
    own = _draw_prototype(emotion, action_names, settings, rng)
    return intensity * ((1 - leak) * own + leak * _draw_prototype(other, action_names, settings, rng))


def _draw_prototype(
    emotion: str, action_names: np.ndarray, settings: TwinSettings, rng: np.random.Generator
) -> np.ndarray:
    bases = base_names(action_names)
    strengths = np.zeros(len(bases))
    for i, (name, strength) in enumerate(PROTOTYPES[emotion].items()):
        stays_away = rng.random() < settings.action_dropout and i > 0
        varied = strength * np.exp(rng.normal(0, settings.action_jitter))
        strengths[bases == name] = 0.0 if stays_away else varied
    side = rng.choice(["Left", "Right"])
    weaker = np.array([str(name).endswith(side) for name in action_names])
    if emotion == "contempt":
        return strengths * np.where(weaker, rng.uniform(0, 0.15), 1.0)
    return strengths * np.where(weaker, 1 - rng.uniform(0, settings.asymmetry), 1.0)


def _draw_unrelated(action_names: np.ndarray, settings: TwinSettings, rng: np.random.Generator) -> np.ndarray:
    """Returns the (A,) strengths of a few actions unrelated to the emotion."""
    bases = base_names(action_names)
    strengths = np.zeros(len(bases))
    for name in rng.choice(_UNRELATED, size=settings.num_noise_actions, replace=False):
        # An open jaw is by far the largest movement.
        largest = settings.action_noise * (0.3 if name == "jawOpen" else 1.0)
        strengths[bases == name] = rng.uniform(0, largest)
    return strengths


def _curve(num_frames: int, settings: TwinSettings, rng: np.random.Generator) -> np.ndarray:
    """Returns (num_frames,) values from 0 in the first frame to 1 in the last."""
    onset, apex = rng.uniform(*settings.onset), rng.uniform(*settings.apex)
    time = np.clip((np.linspace(0, 1, num_frames) - onset) / (apex - onset), 0, 1)
    swift = time ** rng.uniform(0.8, 1.4)
    return swift * swift * (3 - 2 * swift)


def _look_around(
    num_frames: int, action_names: np.ndarray, settings: TwinSettings, rng: np.random.Generator
) -> np.ndarray:
    """Returns the (num_frames, A) strengths of a gaze that moves from one point to another."""
    wander = np.linspace(rng.uniform(-1, 1, 2), rng.uniform(-1, 1, 2), num_frames) * settings.gaze
    strengths = np.zeros((num_frames, len(action_names)))
    sideways = {"eyeLookOutLeft": 1, "eyeLookInRight": 1, "eyeLookInLeft": -1, "eyeLookOutRight": -1}
    upwards = {"eyeLookUpLeft": 1, "eyeLookUpRight": 1, "eyeLookDownLeft": -1, "eyeLookDownRight": -1}
    for axis, signs in enumerate((sideways, upwards)):
        for i, name in enumerate(action_names):
            strengths[:, i] += np.maximum(signs.get(str(name), 0) * wander[:, axis], 0)
    return strengths


def _add_blink(strengths: np.ndarray, action_names: np.ndarray, rng: np.random.Generator) -> None:
    """Closes the eyes for about three frames, never at the apex."""
    num_frames = len(strengths)
    distance = np.abs(np.arange(num_frames) - rng.uniform(0, num_frames - 3))
    closed = np.clip(1.3 - 0.6 * distance, 0, 1)
    lids = base_names(action_names) == "eyeBlink"
    strengths[:, lids] = np.maximum(strengths[:, lids], closed[:, None])


def _come_and_go(num_frames: int, settings: VideoSettings, rng: np.random.Generator) -> np.ndarray:
    """Returns (num_frames,) values that rise from 0 to 1 and fall back to 0 before the last frame."""
    onset, apex, release, rest = (
        rng.uniform(*when) for when in (settings.onset, settings.apex, settings.release, settings.rest)
    )
    time = np.linspace(0, 1, num_frames)
    shown: np.ndarray = _rise(time, onset, apex) * _rise(-time, -rest, -release)
    return shown


def _talk(
    num_frames: int, rate: float, action_names: np.ndarray, settings: VideoSettings, rng: np.random.Generator
) -> np.ndarray:
    """Returns the (num_frames, A) strengths of speech: syllables from near the start to near the end of the video."""
    bases = base_names(action_names)
    strengths = np.zeros((num_frames, len(bases)))
    now, end = num_frames * rng.uniform(0.02, 0.1), num_frames * rng.uniform(0.9, 0.98)
    # A syllable's mouth shape starts to form half a syllable early and ends half a syllable late.
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
    """Adds a mouth shape that rises and falls within `length` frames on each side of `middle`."""
    near = np.clip(np.abs(np.arange(len(strengths)) - middle) / length, 0, 1)
    bump = effort * (0.5 + 0.5 * np.cos(np.pi * near))
    for name, strength in shape.items():
        strengths[:, bases == name] += strength * bump[:, None]


def _rise(time: np.ndarray, start: float, end: float) -> np.ndarray:
    share = np.clip((time - start) / (end - start), 0, 1)
    smooth: np.ndarray = share * share * (3 - 2 * share)
    return smooth
