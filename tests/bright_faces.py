"""Faces that are found in no time: bright squares before a dark background, whose pattern shows the emotion."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from prepared import TINY
from torch import Tensor, nn
from trained_networks import EMOTIONS, make_checkpoint
from video_files import write_video

from fer3d.clips.detectors import Detection, Image
from fer3d.training.checkpoint import Checkpoint

# The detector comes from a package of one's own, which a checkpoint names.
TRUST = ("bright_faces",)
# A network that trains in no time, and whose logits depend on each frame.
FLAT = ["model=own", "model._target_=bright_faces.Flat"]
# Settings that find these faces.
FACES = ["~faces.detector", "+faces.detector._target_=bright_faces.BrightDetector", "faces.crop.size=32"]
HEIGHT, WIDTH, SIDE = 48, 64, 20


class BrightDetector:
    """Finds the box of each group of bright pixels, the leftmost first."""

    def detect_all(self, frames: Sequence[Image]) -> list[list[Detection]]:
        """Returns all faces of each frame."""
        return [self._faces(frame) for frame in frames]

    def detect(self, frames: Sequence[Image]) -> list[Detection | None]:
        """Returns the leftmost face of each frame."""
        return [faces[0] if faces else None for faces in self.detect_all(frames)]

    def settings(self) -> dict[str, Any]:
        """Returns its name."""
        return {"name": "bright"}

    def _faces(self, frame: Image) -> list[Detection]:
        grey = frame if frame.ndim == 2 else frame.max(axis=2)
        _, _, stats, _ = cv2.connectedComponentsWithStats((grey > 100).astype(np.uint8))
        boxes = sorted((float(x), float(y), float(x + w), float(y + h)) for x, y, w, h, area in stats[1:] if area > 25)
        return [Detection(box, 0.9) for box in boxes]


class Flat(nn.Module):
    """One linear layer over all frames, made small; from the start it tells the emotions apart, as good as it goes."""

    def __init__(self, num_classes: int, num_frames: int, num_channels: int) -> None:
        super().__init__()
        self.pool = nn.AdaptiveAvgPool3d((num_frames, 8, 8))
        self.classifier = nn.Linear(num_channels * num_frames * 64, num_classes)
        weight = torch.randn(num_classes, num_channels, num_frames, 8, 8, generator=torch.Generator().manual_seed(0))
        weight *= 0.02
        for emotion in range(num_classes):
            # Each frame matters in another way.
            weight[emotion, :, :, 2 * emotion + 1 : 2 * emotion + 3] += torch.linspace(0, 0.4, num_frames)[
                :, None, None
            ]
        self.classifier.weight.data = weight.flatten(1) / num_channels

    def forward(self, clips: Tensor) -> Tensor:
        """Returns logits."""
        logits: Tensor = self.classifier(self.pool(clips).flatten(1))
        return logits


def picture(*faces: tuple[int, int, int, int], level: int = 20, height: int = HEIGHT, width: int = WIDTH) -> Image:
    """Returns a frame, BGR: of each face left and top, its emotion's number, and how strong it is, from 0 to 100."""
    pixels = np.full((height, width, 3), level, np.uint8)
    for left, top, emotion, strength in faces:
        square = pixels[top : top + SIDE, left : left + SIDE]
        square[:] = 130
        square[5 * emotion + 2 : 5 * emotion + 7, 3:-3] += np.uint8(strength)
    return pixels


def sequence(emotion: int, num_frames: int, seed: int = 0) -> list[Image]:
    """Returns frames of one face that moves and shows an emotion more and more."""
    generator = np.random.default_rng(seed)
    x, y = generator.uniform(5, 15, 2)
    dx, dy = generator.uniform(-0.3, 0.9, 2)
    return [
        picture((int(x + dx * k / 2), int(y + dy * k / 3), emotion, 100 * (k + 1) // num_frames))
        for k in range(num_frames)
    ]


def write_network(path: Path, *, data: Mapping[str, Any] | None = None, **fields: Any) -> Path:
    """Writes a checkpoint of a network that finds these faces and knows their emotions.

    `data` is the section of its configuration, by default that of another corpus of videos.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    checkpoint = _checkpoint()
    config = {**checkpoint.config, **({} if data is None else {"data": dict(data)})}
    replace(checkpoint, **{"config": config, **fields}).write(path)
    return path


@cache
def _checkpoint() -> Checkpoint:
    small = [setting for setting in TINY if not setting.startswith("model.")]
    return make_checkpoint([*FLAT, *FACES, "data=videos", "frames=last"], small=small, subjects=(), synthetic=False)


def write_corpus(
    root: Path, lengths: Sequence[int], *, suffix: str = "", rate: int = 30, emotions: Sequence[str] = EMOTIONS
) -> Path:
    """Writes a table of clips and the clips: a subject each of `lengths`, with a clip of each emotion.

    `lengths` are the frames of each subject's first clip; the others have one more each. Without a suffix such as
    `.mp4`, clips are folders of images.
    """
    rows = ["path,emotion,subject"]
    for number, num_frames in enumerate(lengths):
        for label, emotion in enumerate(emotions):
            path = root / f"P{number}" / f"{emotion}{suffix}"
            path.parent.mkdir(parents=True, exist_ok=True)
            frames = sequence(label, num_frames + label, seed=10 * number + label)
            if suffix:
                write_video(path, frames, rate=rate)
            else:
                path.mkdir()
                for k, frame in enumerate(frames):
                    cv2.imwrite(str(path / f"{k:03d}.png"), frame)
            rows.append(f"{path.relative_to(root)},{emotion},P{number}")
    (root / "clips.csv").write_text("\n".join(rows) + "\n")
    return root
