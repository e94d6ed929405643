"""Steps of a made-up prediction: faces that come and go over a moving square, labels, and reasons for none."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray
from video_files import scenes

from fer3d.clips.detectors import Box, Image
from fer3d.prediction.steps import Frame, Prediction, Step, TrackedFace

EMOTIONS = ("anger", "contempt", "disgust", "fear", "happiness", "sadness", "surprise")
CAUTION = "SYNTHETIC: trained on rendered faces"
SOURCE = {
    "checkpoint": "sha256:3f9a",
    "corpus": "synthetic_ckplus",
    "versions": {"fer3d": "0.1.0", "onnxruntime": "1.22"},
    "warnings": ["trained on rendered faces", "evil </script><script>alert(1)</script>"],
}


def made_steps(
    num_frames: int = 60,
    num_faces: int = 2,
    height: int = 480,
    width: int = 640,
    rate: float = 30.0,
    stride: int = 5,
    emotions: Sequence[str] = EMOTIONS,
    seed: int = 0,
    times: Sequence[float] | None = None,
) -> Iterator[Step]:
    """Yields steps: face 1 is there all the time, the others for a part of it; some predictions have no label."""
    shown = scenes(min(num_frames, 60), height, width)
    generator = np.random.default_rng(seed)
    phases = generator.uniform(0, 6.28, (max(num_faces, 1), len(emotions)))
    smoothed: dict[int, NDArray[np.float64]] = {}
    for k in range(num_frames):
        time = k / rate if times is None else times[k]
        pixels: Image = shown[k % len(shown)]
        here = [face for face in range(1, num_faces + 1) if is_there(face, k, num_frames)]
        faces = tuple(TrackedFace(face, box_of(face, k, num_faces, height, width), 0.9) for face in here)
        predictions: list[Prediction] = []
        if k % stride == stride - 1:
            for face in faces:
                logits = 2.2 * np.sin(phases[face.face - 1] + time * (0.4 + 0.1 * np.arange(len(emotions))))
                raw = np.exp(logits + generator.normal(0, 0.4, len(emotions)))
                raw /= raw.sum()
                mean = 0.7 * smoothed.get(face.face, raw) + 0.3 * raw
                smoothed[face.face] = mean
                why = "too few frames" if k < 2 * stride else ("undecided" if mean.max() < 0.4 else "")
                start = max(0.0, time - 0.5)
                if why == "too few frames":
                    predictions.append(
                        Prediction(face.face, start, time, k, face.box, 0.9, None, None, None, label="", why=why)
                    )
                    continue
                entropy = float(-(raw * np.log(raw)).sum() / np.log(len(emotions)))
                label = "" if why else emotions[int(mean.argmax())]
                predictions.append(
                    Prediction(face.face, start, time, k, face.box, 0.9, raw, mean.copy(), entropy, label, why)
                )
            if not faces:
                predictions.append(
                    Prediction(None, time, time, k, None, None, None, None, None, label="", why="no face")
                )
        yield Step(Frame(k, time, pixels), faces, tuple(predictions))


def is_there(face: int, frame: int, num_frames: int) -> bool:
    """Whether a person is in a frame: the second one comes late, leaves and comes back, others come one by one."""
    part = frame / max(num_frames, 1)
    return face == 1 or (0.2 <= part < 0.5 or part >= 0.65 if face == 2 else part >= 0.05 * face)


def box_of(face: int, frame: int, num_faces: int, height: int, width: int) -> Box:
    """A person's box: side by side, swaying."""
    rows = 1 if num_faces <= 3 else 2
    columns = -(-num_faces // rows)
    cell = width / max(columns, 1)
    side = min(0.55 * cell, 0.45 * height / rows)
    x = (face - 1) % columns * cell + 0.06 * cell + 0.05 * cell * np.sin(frame / 20)
    y = (face - 1) // columns * height / rows + 0.25 * height / rows + 0.02 * height * np.cos(frame / 15)
    return (float(x), float(y), float(x + side), float(y + 1.25 * side))
