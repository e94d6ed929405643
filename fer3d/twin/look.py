"""What the renderer is told besides the geometry: how a surface reflects light, and camera and light of a shot."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Look:
    """How a person's surface reflects light. Albedos are 0 to 1 in linear light, lengths decimetres on the template.

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
        stubble: How much the beard darkens the skin, 0 to 1.
        lash: How much the lashes darken the edge of the lids, 0 to 1.
        mottling: Strength of the skin's unevenness.
        cloth: Albedo of what the person wears.
        noise_shift: Where in its tile of noise this person's unevenness starts, in decimetres.
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
class Shot:
    """Camera and light of one sequence.

    The camera stands on the z axis and looks along -z.

    Attributes:
        focal: Focal length in pixels.
        distance: z of the camera, in decimetres.
        center_x: Column of the picture's centre.
        center_y: Row of the picture's centre.
        light_x: x of the direction towards the light, which has length 1; z is positive.
        light_y: y of that direction.
        key: Strength of that light.
        ambient: Strength of the light from everywhere.
    """

    focal: float
    distance: float
    center_x: float
    center_y: float
    light_x: float
    light_y: float
    key: float
    ambient: float
