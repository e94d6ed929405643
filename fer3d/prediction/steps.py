"""What flows through a prediction: frames, the faces in them, and what the networks say of those."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fer3d.clips.detectors import Box, Image


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """One frame of a video, of a folder of images, or of a camera.

    Attributes:
        number: Its place, from 0.
        time: The second that it is seen at; 0 for the first one, and rising.
        pixels: BGR (H, W, 3) or grey (H, W), uint8.
    """

    number: int
    time: float
    pixels: Image


@dataclass(frozen=True, slots=True)
class TrackedFace:
    """A face in one frame.

    Attributes:
        face: The person's number in this video, from 1: the same in every frame that this person is recognised in.
        box: x1, y1, x2, y2 in pixels of the frame, within it.
        confidence: The detector's; None in a frame that was not looked at.
    """

    face: int
    box: Box
    confidence: float | None


@dataclass(frozen=True, slots=True, eq=False)
class Prediction:
    """What the networks say of one face over a stretch of time, or why they say nothing.

    Attributes:
        face: The person's number; None where no face is seen.
        time_from: Second of the first frame that the networks saw.
        time_to: Second of the last one.
        frame: Number of the last one.
        box: The face's box in that frame; None where there is no face.
        confidence: The detector's, of the last frame that it was asked about; None where there is no face.
        probabilities: Of each emotion, `(num_classes,)`, adding up to 1; None where the networks were not asked.
        smoothed: The same, averaged over the time before; None likewise.
        entropy: Of `smoothed`, as a share of the largest possible one: 0 for certain, 1 for no idea at all; None
            likewise.
        label: The likeliest emotion by `smoothed`; empty where there is a reason not to say.
        why: That reason; empty where there is a label.
    """

    face: int | None
    time_from: float
    time_to: float
    frame: int
    box: Box | None
    confidence: float | None
    probabilities: NDArray[np.float64] | None
    smoothed: NDArray[np.float64] | None
    entropy: float | None
    label: str
    why: str


@dataclass(frozen=True, slots=True, eq=False)
class Step:
    """Everything about one frame, once it is known.

    Attributes:
        frame: The frame.
        faces: The faces in it.
        predictions: What ends with this frame: one of each face, or one without a face, every few frames.
    """

    frame: Frame
    faces: tuple[TrackedFace, ...]
    predictions: tuple[Prediction, ...]
