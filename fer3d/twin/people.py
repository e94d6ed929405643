"""A virtual person: face shape, reflectance, colours, and how strongly the person uses each facial action.

A colour image is three grey ones of the same scene with differently tinted surfaces, backdrop and light. A tint is a
factor for each of blue, green and red, in OpenCV's order; it keeps the brightness, so that the image converted to grey
looks about like that of a grey camera.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from fer3d.twin.head_model import (
    ANCESTRIES,
    BUILDS,
    COMPLEXIONS,
    EYE,
    MUSCLES,
    SHAPE_AXES,
    WEIGHTS,
    FloatArray,
    HeadModel,
)
from fer3d.twin.settings import Range, TwinSettings

Tint = tuple[float, float, float]

# Luma weights of ITU-R BT.601, which OpenCV uses for grey.
_BLUE, _GREEN, _RED = 0.114, 0.587, 0.299

# About the shares among CK+'s subjects: 13% African, few Asian, most of European descent.
_ANCESTRY_SHARES = {"african": 0.15, "asian": 0.12, "caucasian": 0.73}
_SKIN = {"african": (0.16, 0.34), "asian": (0.42, 0.58), "caucasian": (0.46, 0.68)}
_HAIR = {"african": (0.02, 0.06), "asian": (0.02, 0.07), "caucasian": (0.04, 0.34)}
_FEMALE_SHARE = 0.6
_REST_ACTIONS = ("browDown", "browInnerUp", "browOuterUp", "eyeSquint", "mouthFrown", "mouthSmile", "mouthPress")


@dataclass(frozen=True, slots=True)
class Look:
    """Reflectance of a person's surface. Albedos are 0 to 1 in linear light, lengths decimetres on the template.

    Attributes:
        skin: Albedo of the skin.
        lip: Albedo of the lips.
        brow: Albedo of the brows.
        brow_height: How far the brows sit above their usual place.
        brow_thickness: Half their thickness.
        brow_arch: How far their middle rises above their ends.
        hair: Albedo of the hair.
        hairline: How far the hairline sits above its usual place.
        iris: Albedo of the irises.
        stubble: Darkening of the skin by a beard, 0 to 1.
        lash: Darkening of the edge of the lids by lashes, 0 to 1.
        mottling: Strength of the skin's unevenness.
        cloth: Albedo of the clothes.
        noise_shift: Offset into the tile of noise, in decimetres.
    """

    skin: float
    lip: float
    brow: float
    brow_height: float
    brow_thickness: float
    brow_arch: float
    hair: float
    hairline: float
    iris: float
    stubble: float
    lash: float
    mottling: float
    cloth: float
    noise_shift: float


@dataclass(frozen=True, slots=True)
class Palette:
    """The tints of one person.

    Attributes:
        skin: Tint of the skin.
        lip: Tint of the lips.
        hair: Tint of hair and brows.
        iris: Tint of the irises.
        cloth: Tint of the clothes.
    """

    skin: Tint
    lip: Tint
    hair: Tint
    iris: Tint
    cloth: Tint


@dataclass(frozen=True, slots=True)
class Person:
    """A person with a neutral face and an unturned head.

    Attributes:
        vertices: (V, 3) neutral face in decimetres; the origin is the middle of the face.
        face_height: From the chin to the hairline, in decimetres.
        look: Reflectance of the surface.
        gains: (A,) factor on each facial action, symmetric.
        resting: (A,) strength of each action in this person's neutral face.
    """

    vertices: FloatArray
    face_height: float
    look: Look
    gains: FloatArray
    resting: FloatArray


def draw_person(
    head: HeadModel, settings: TwinSettings, rng: np.random.Generator, female: bool | None = None
) -> Person:
    """Draws an adult: sex, age, build, ancestry, face shape, skin, hair, and manner of moving the face.

    The other draws do not depend on whether `female` is given.
    """
    drawn = rng.random() < _FEMALE_SHARE
    sex = int(drawn if female is None else female)
    ancestry = str(rng.choice(list(_ANCESTRY_SHARES), p=list(_ANCESTRY_SHARES.values())))
    vertices = head.template + _draw_offsets(head, sex, ancestry, settings, rng)
    look = _draw_look(sex, ancestry, rng)
    chin, hairline = _find_extremes(head, vertices)
    vertices = _grow_hair(head, vertices, look, rng.uniform(0.02, 0.22))
    eyes = vertices[np.unique(head.triangles[head.materials == EYE])].mean(axis=0)
    middle = np.array([eyes[0], (chin + hairline) / 2, eyes[2] - 0.5])
    return Person(
        vertices=(vertices - middle).astype(np.float32),
        face_height=float(hairline - chin),
        look=look,
        gains=_draw_gains(head.action_names, settings.action_gain, rng),
        resting=_draw_resting(head.action_names, settings.resting_action, rng),
    )


def draw_palette(rng: np.random.Generator) -> Palette:
    """Draws reddish skin, redder lips, black to brown hair, brown to blue irises, and cloth of any colour."""
    return Palette(
        skin=draw_tint((1.14, 1.21), (0.76, 0.88), rng),
        lip=draw_tint((1.3, 1.5), (0.7, 0.85), rng),
        hair=draw_tint((1.12, 1.25), (0.72, 0.9), rng),
        iris=draw_tint((0.8, 1.3), (0.6, 1.5), rng),
        cloth=draw_tint((0.5, 1.5), (0.5, 1.6), rng),
    )


def tint_look(look: Look, palette: Palette) -> tuple[Look, ...]:
    """Returns the reflectance for blue, green and red light."""
    return tuple(
        replace(
            look,
            skin=look.skin * palette.skin[band],
            lip=look.lip * palette.lip[band],
            brow=look.brow * palette.hair[band],
            hair=look.hair * palette.hair[band],
            iris=look.iris * palette.iris[band],
            cloth=look.cloth * palette.cloth[band],
        )
        for band in range(3)
    )


def draw_tint(red: Range, blue: Range, rng: np.random.Generator) -> Tint:
    """Draws the factors of red and blue; that of green preserves the brightness."""
    r, b = rng.uniform(*red), rng.uniform(*blue)
    return b, (1 - _RED * r - _BLUE * b) / _GREEN, r


def base_names(action_names: np.ndarray) -> np.ndarray:
    """Returns the action names without their `Left` or `Right`."""
    return np.array([str(name).removesuffix("Left").removesuffix("Right") for name in action_names])


def _draw_offsets(
    head: HeadModel, sex: int, ancestry: str, settings: TwinSettings, rng: np.random.Generator
) -> np.ndarray:
    """Blends MakeHuman's targets as its sliders do: products of the shares of sex, age, muscle and weight."""
    # MakeHuman's targets of one sex are extremes; real faces lie between.
    femininity = rng.uniform(0.7, 1.0) if sex else rng.uniform(0.0, 0.3)
    age = rng.beta(1.2, 2.5)
    shares = {"male": 1 - femininity, "female": femininity, "young": 1 - age, "old": age}
    shares |= dict(zip(MUSCLES, _three_way(rng.uniform(0.2, 0.8)), strict=True))
    shares |= dict(zip(WEIGHTS, _three_way(rng.beta(2.5, 2.5)), strict=True))
    mixture = rng.dirichlet([0.25] * len(ANCESTRIES)) * 0.3
    shares |= dict(zip(ANCESTRIES, mixture, strict=True))
    shares[ancestry] += 0.7
    builds = [np.prod([shares[part] for part in name.split("-")[1:]]) for name in BUILDS]
    complexions = [np.prod([shares[part] for part in name.split("-")]) for name in COMPLEXIONS]
    local = np.clip(rng.normal(0, settings.shape_spread, len(SHAPE_AXES)), -0.9, 0.9)
    offsets: np.ndarray = np.einsum("b,bvi->vi", builds, head.builds) + np.einsum(
        "b,bvi->vi", complexions, head.complexions
    )
    offsets += np.einsum("s,svi->vi", np.maximum(-local, 0), head.shapes[0])
    offsets += np.einsum("s,svi->vi", np.maximum(local, 0), head.shapes[1])
    return offsets


def _three_way(value: float) -> tuple[float, float, float]:
    """Returns the shares of the low, middle and high end of a slider at `value` in [0, 1]."""
    return max(0.0, 1 - 2 * value), 1 - abs(2 * value - 1), max(0.0, 2 * value - 1)


def _draw_look(sex: int, ancestry: str, rng: np.random.Generator) -> Look:
    skin = rng.uniform(*_SKIN[ancestry])
    hair = rng.uniform(*_HAIR[ancestry])
    return Look(
        skin=skin,
        lip=skin * rng.uniform(0.45, 0.72),
        brow=min(0.75 * hair, 0.35 * skin),
        brow_height=rng.uniform(-0.015, 0.015),
        brow_thickness=rng.uniform(0.016, 0.028) if sex else rng.uniform(0.022, 0.036),
        brow_arch=rng.uniform(0.02, 0.05) if sex else rng.uniform(0.005, 0.035),
        hair=hair,
        hairline=rng.uniform(-0.3, -0.05) if sex else rng.uniform(-0.2, 0.1),
        iris=rng.uniform(0.03, 0.2) if ancestry == "caucasian" else rng.uniform(0.02, 0.06),
        stubble=0.0 if sex else max(0.0, rng.uniform(-0.3, 0.45)),
        lash=rng.uniform(0.6, 0.9) if sex else rng.uniform(0.3, 0.7),
        mottling=rng.uniform(0.04, 0.16),
        cloth=rng.uniform(0.03, 0.9) * skin,
        noise_shift=rng.uniform(0, 8),
    )


def _find_extremes(head: HeadModel, vertices: np.ndarray) -> tuple[float, float]:
    """Returns the height of the chin and of the usual hairline."""
    middle = np.abs(head.template[:, 0]) < 0.1
    front = middle & (head.template[:, 2] > 1.0)
    chin = vertices[front & (np.abs(head.template[:, 1] - 6.2) < 0.1)][:, 1].mean()
    hairline = vertices[front & (np.abs(head.template[:, 1] - 7.95) < 0.12)][:, 1].mean()
    return float(chin), float(hairline)


def _grow_hair(head: HeadModel, vertices: np.ndarray, look: Look, volume: float) -> np.ndarray:
    rest = head.template
    above = rest[:, 1] - (7.98 + look.hairline + 0.85 * (rest[:, 2] - 1.25)) - 0.25 * np.abs(rest[:, 0])
    share = np.clip(above / 0.35, 0, 1) * (1 - np.clip(head.paint[:, 2] / 0.3, 0, 1))
    outwards = rest - np.array([0.0, 7.3, 0.4], np.float32)
    outwards /= np.linalg.norm(outwards, axis=1, keepdims=True)
    grown: np.ndarray = vertices + volume * share[:, None] * outwards
    return grown


def _draw_gains(action_names: np.ndarray, spread: float, rng: np.random.Generator) -> FloatArray:
    bases, position = np.unique(base_names(action_names), return_inverse=True)
    gains: FloatArray = np.exp(rng.normal(0, spread, len(bases)))[position].astype(np.float32)
    return gains


def _draw_resting(action_names: np.ndarray, largest: float, rng: np.random.Generator) -> FloatArray:
    bases = base_names(action_names)
    resting = np.zeros(len(bases), np.float32)
    for name in _REST_ACTIONS:
        resting[bases == name] = max(0.0, rng.uniform(-largest, largest))
    return resting
