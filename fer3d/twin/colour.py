"""Colour: a picture is three grey ones of the same scene, whose surfaces, backdrop and light have another tint.

A tint is a factor for each of blue, green and red, in OpenCV's order. What is tinted keeps its brightness: a coloured
picture made grey looks about like the one that the grey camera takes.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from fer3d.twin.filming import Take
from fer3d.twin.look import Look
from fer3d.twin.settings import Range

Tint = tuple[float, float, float]

# How bright a band looks, by ITU-R BT.601: OpenCV's grey.
_BLUE, _GREEN, _RED = 0.114, 0.587, 0.299


@dataclass(frozen=True, slots=True)
class Palette:
    """The tints of one person.

    Attributes:
        skin: Tint of the skin.
        lip: Tint of the lips.
        hair: Tint of hair and brows.
        iris: Tint of the irises.
        cloth: Tint of what the person wears.
    """

    skin: Tint
    lip: Tint
    hair: Tint
    iris: Tint
    cloth: Tint


def draw_palette(rng: np.random.Generator) -> Palette:
    """Draws reddish skin, redder lips, black to brown hair, brown to blue irises, and cloth of any colour."""
    return Palette(
        skin=_draw_tint((1.14, 1.21), (0.76, 0.88), rng),
        lip=_draw_tint((1.3, 1.5), (0.7, 0.85), rng),
        hair=_draw_tint((1.12, 1.25), (0.72, 0.9), rng),
        iris=_draw_tint((0.8, 1.3), (0.6, 1.5), rng),
        cloth=_draw_tint((0.5, 1.5), (0.5, 1.6), rng),
    )


def tint_look(look: Look, palette: Palette) -> tuple[Look, ...]:
    """Returns how the person's surface reflects blue, green and red light."""
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


def tint_take(take: Take, rng: np.random.Generator) -> tuple[Take, ...]:
    """Draws the colours of backdrop and light, and returns the take as seen in blue, green and red light."""
    backdrop = _draw_tint((0.88, 1.12), (0.85, 1.2), rng)
    light = _draw_tint((1.03, 1.07), (0.86, 0.94), rng)
    left, right = take.background
    return tuple(
        replace(take, background=(left * backdrop[band], right * backdrop[band]), gain=take.gain * light[band])
        for band in range(3)
    )


def _draw_tint(red: Range, blue: Range, rng: np.random.Generator) -> Tint:
    """Draws red and blue; green keeps the brightness."""
    r, b = rng.uniform(*red), rng.uniform(*blue)
    return b, (1 - _RED * r - _BLUE * b) / _GREEN, r
