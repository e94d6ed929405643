"""Little films of faces whose places are known, and the detector that knows them."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np

from fer3d.clips.detectors import Detection, Image
from fer3d.prediction.steps import Frame

WIDTH, HEIGHT, RATE = 320, 240, 30
FACE = (48, 60)
# What of a head is beyond the face's box at the sides and above.
_AROUND = (6, 18)


@functools.cache
def head_of(person: int) -> Image:
    """What somebody looks like: BGR (78, 60, 3), nobody like another."""
    rng = np.random.default_rng([7, person])
    coarse = rng.uniform(40, 220, (9, 7, 1)) * rng.uniform(0.5, 1, (1, 1, 3))
    size = (FACE[0] + 2 * _AROUND[0], FACE[1] + _AROUND[1])
    large = cv2.resize(coarse.astype(np.float32), size, interpolation=cv2.INTER_CUBIC)
    return np.clip(large, 0, 255).astype(np.uint8)


@functools.cache
def backdrop(number: int) -> Image:
    rng = np.random.default_rng([8, number])
    coarse = rng.uniform(20, 140, (4, 5, 3)).astype(np.float32)
    return np.clip(cv2.resize(coarse, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC), 0, 255).astype(np.uint8)


@dataclass
class Film:
    """Frames, and a detector that finds what was said to be found in each."""

    frames: list[Frame] = field(default_factory=list)
    looked_at: list[int] = field(default_factory=list)  # the numbers of the frames that the detector was shown
    _found: dict[int, list[Detection]] = field(default_factory=dict)

    def add(
        self, *faces: tuple[int, float, float], missed: Sequence[int] = (), confidence: float = 0.99, scene: int = 0
    ) -> None:
        """Adds a frame with people at a left and top, the last one in front; `missed` are places among them."""
        pixels, found = backdrop(scene).copy(), []
        for place, (person, left, top) in enumerate(faces):
            x, y = round(left), round(top)
            _paste(pixels, head_of(person), x - _AROUND[0], y - _AROUND[1])
            box = (float(max(x, 0)), float(max(y, 0)), float(min(x + FACE[0], WIDTH)), float(min(y + FACE[1], HEIGHT)))
            if place not in missed and box[0] < box[2] and box[1] < box[3]:
                found.append(Detection(box, confidence))
        self._found[id(pixels)] = found
        self.frames.append(Frame(len(self.frames), len(self.frames) / RATE, pixels))

    def detect_all(self, frames: Sequence[Image]) -> list[list[Detection]]:
        by_pixels = {id(frame.pixels): frame.number for frame in self.frames}
        self.looked_at += [by_pixels[id(frame)] for frame in frames]
        return [self._found[id(frame)] for frame in frames]

    def detect(self, frames: Sequence[Image]) -> list[Detection | None]:
        return [faces[0] if faces else None for faces in self.detect_all(frames)]

    def settings(self) -> dict[str, Any]:
        return {}


def _paste(pixels: Image, image: Image, x: int, y: int) -> None:
    x1, y1 = max(x, 0), max(y, 0)
    x2, y2 = min(x + image.shape[1], pixels.shape[1]), min(y + image.shape[0], pixels.shape[0])
    if x1 < x2 and y1 < y2:
        pixels[y1:y2, x1:x2] = image[y1 - y : y2 - y, x1 - x : x2 - x]
