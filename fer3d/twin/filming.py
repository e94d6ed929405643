"""One take: the pose of the head over time, camera, light, and the camera's sensor."""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from fer3d.twin.head_model import FloatArray, HeadModel
from fer3d.twin.people import Person, draw_tint
from fer3d.twin.settings import TwinSettings

# The settings give lengths in pixels for this image height.
_REFERENCE_HEIGHT = 490
_DISTANCE = 12.0
# Pivot of the head on the neck, relative to the middle of the face.
_PIVOT = np.array([0.0, -0.9, -0.6], np.float32)


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
        key: Strength of that directional light.
        ambient: Strength of the ambient light.
    """

    focal: float
    distance: float
    center_x: float
    center_y: float
    light_x: float
    light_y: float
    key: float
    ambient: float


@dataclass(frozen=True, slots=True)
class Take:
    """Everything about a sequence except the face.

    Attributes:
        shot: Camera and light.
        angles: (num_frames, 3) yaw, pitch and roll of the head in radians.
        background: Grey level of the background at the left and at the right edge, linear light.
        gain: Factor on the light.
        gamma: Exponent from light to grey level.
        blur: Standard deviation of the lens's blur in pixels.
        noise: Standard deviation of the noise in grey levels.
    """

    shot: Shot
    angles: FloatArray
    background: tuple[float, float]
    gain: float
    gamma: float
    blur: float
    noise: float


def draw_take(person: Person, num_frames: int, settings: TwinSettings, rng: np.random.Generator) -> Take:
    """Draws pose, camera and light of one sequence."""
    scale = settings.height / _REFERENCE_HEIGHT
    around = np.deg2rad(rng.uniform(-settings.light_yaw, settings.light_yaw))
    above = np.deg2rad(rng.uniform(5, 45))
    key, ambient = rng.uniform(*settings.key_light), rng.uniform(*settings.ambient)
    shot = Shot(
        focal=scale * rng.uniform(*settings.face_pixels) / person.face_height * _DISTANCE,
        distance=_DISTANCE,
        center_x=settings.width / 2 + scale * rng.uniform(-45, 45),
        center_y=settings.height / 2 + scale * rng.uniform(-20, 20),
        light_x=float(np.sin(around) * np.cos(above)),
        light_y=float(np.sin(above)),
        key=key,
        ambient=ambient,
    )
    background = rng.uniform(*settings.background)
    # Exposure compensates for a dark face in part.
    exposure = (0.5 / (person.look.skin * (ambient + 0.6 * key))) ** 0.5
    return Take(
        shot=shot,
        angles=_draw_angles(num_frames, settings, rng),
        background=(background * rng.uniform(0.8, 1.2), background * rng.uniform(0.8, 1.2)),
        gain=exposure * rng.uniform(*settings.gain),
        gamma=rng.uniform(*settings.gamma),
        blur=scale * rng.uniform(*settings.blur),
        noise=rng.uniform(*settings.noise),
    )


def tint_take(take: Take, rng: np.random.Generator) -> tuple[Take, ...]:
    """Draws tints of backdrop and light; returns the take for blue, green and red light."""
    backdrop = draw_tint((0.88, 1.12), (0.85, 1.2), rng)
    light = draw_tint((1.03, 1.07), (0.86, 0.94), rng)
    left, right = take.background
    return tuple(
        replace(take, background=(left * backdrop[band], right * backdrop[band]), gain=take.gain * light[band])
        for band in range(3)
    )


def pose_head(head: HeadModel, vertices: FloatArray, angles: FloatArray) -> FloatArray:
    """Turns the head on the neck by yaw, pitch and roll in radians; the shoulders do not move."""
    yaw, pitch, roll = (float(angle) for angle in angles)
    about_y = np.array([[np.cos(yaw), 0, np.sin(yaw)], [0, 1, 0], [-np.sin(yaw), 0, np.cos(yaw)]])
    about_x = np.array([[1, 0, 0], [0, np.cos(pitch), -np.sin(pitch)], [0, np.sin(pitch), np.cos(pitch)]])
    about_z = np.array([[np.cos(roll), -np.sin(roll), 0], [np.sin(roll), np.cos(roll), 0], [0, 0, 1]])
    share = np.clip((head.template[:, 1:2] - 5.3) / 0.9, 0, 1)
    share = share * share * (3 - 2 * share)
    turned = np.einsum("ij,vj->vi", about_z @ about_y @ about_x, vertices - _PIVOT) + _PIVOT
    posed: FloatArray = (vertices + share * (turned - vertices)).astype(np.float32)
    return posed


def expose(light: FloatArray, take: Take, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Returns the (height, width) grey image that a camera takes of the rendered light."""
    backdrop = np.linspace(*take.background, light.shape[1], dtype=np.float32)
    scene = np.where(light < 0, backdrop, light * np.float32(take.gain))
    blurred = cv2.GaussianBlur(scene, (0, 0), take.blur)
    grey = 255 * np.power(np.clip(blurred, 0, 1), np.float32(take.gamma))
    grey += np.float32(take.noise) * rng.standard_normal(grey.shape, dtype=np.float32)
    image: NDArray[np.uint8] = np.clip(np.rint(grey), 0, 255).astype(np.uint8)
    return image


def _draw_angles(num_frames: int, settings: TwinSettings, rng: np.random.Generator) -> FloatArray:
    largest = np.array([settings.head_yaw, settings.head_pitch, settings.head_roll])
    drift = settings.head_drift * rng.uniform(-1, 1, 3)
    start = (largest - np.minimum(np.abs(drift), largest)) * rng.uniform(-1, 1, 3)
    time = np.linspace(0, 1, num_frames)[:, None]
    wave = 0.3 * np.sin(2 * np.pi * (time * rng.uniform(0.3, 1.0, 3) + rng.random(3)))
    degrees = start + drift * (time * time * (3 - 2 * time) - 0.5) + wave
    angles: FloatArray = np.deg2rad(degrees).astype(np.float32)
    return angles
