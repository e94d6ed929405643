"""Data classes of a prediction: frames, tracked faces, predictions."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fer3d.clips.detectors import Box, Image


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """One frame of a source.

    Attributes:
        number: Its index, from 0.
        time: Its time in seconds; 0 for the first frame, strictly increasing.
        pixels: BGR (H, W, 3) or grey (H, W), uint8.
    """

    number: int
    time: float
    pixels: Image


@dataclass(frozen=True, slots=True)
class TrackedFace:
    """A face in one frame.

    Attributes:
        face: The identity in this video, from 1: the same wherever the person is recognised.
        box: x1, y1, x2, y2 in pixels, within the frame.
        confidence: The detector's confidence; None between detections.
    """

    face: int
    box: Box
    confidence: float | None


@dataclass(frozen=True, slots=True, eq=False)
class Prediction:
    """The prediction for one face and window, or the reason why there is none.

    Attributes:
        face: The identity; None if the frame shows no face.
        time_from: Time of the window's first frame, in seconds.
        time_to: Time of its last frame.
        frame: Number of its last frame.
        box: The face's box in the last frame; None without a face.
        confidence: The confidence of the latest detection; None without a face.
        probabilities: Probability of each emotion, `(num_classes,)`; None if no clip was predicted.
        smoothed: Smoothed probabilities; None likewise.
        entropy: Normalised entropy of `smoothed`, from 0 (certain) to 1 (uniform); None likewise.
        label: The most probable emotion by `smoothed`; empty if withheld.
        why: The reason for withholding the label; empty otherwise.
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
    """The complete result of one frame.

    Attributes:
        frame: The frame.
        faces: The faces in it.
        predictions: The predictions whose window ends with this frame: one per face, or one without a face; empty
            between strides.
    """

    frame: Frame
    faces: tuple[TrackedFace, ...]
    predictions: tuple[Prediction, ...]
