"""Preprocessing of stored clips on loading: CLAHE and scaling to the network's input range."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np
from numpy.typing import NDArray

# Prediction with ONNX Runtime equalises frames too, without PyTorch.
if TYPE_CHECKING:
    from torch import Tensor


def load_clips(clips: NDArray[np.uint8], *, clahe: bool) -> Tensor:
    """Loads stored clips for the data module: uint8 `(N, C, T, H, W)`.

    Args:
        clips: Stored clips `(N, T, H, W, C)`, grey (`C` = 1) or RGB (`C` = 3).
        clahe: Whether to apply CLAHE to each frame (paper, section 3.3: clipLimit 2, tileGridSize 8x8), in RGB to the
            luminance.
    """
    import torch

    num_clips, num_frames, height, width, num_channels = clips.shape
    loaded = np.empty((num_clips, num_channels, num_frames, height, width), np.uint8)
    # One by one, because a second copy of a large store may not fit into memory.
    for number, clip in enumerate(clips):
        loaded[number] = np.moveaxis(equalise(clip[None])[0] if clahe else clip, -1, 0)
    return torch.from_numpy(loaded)


def equalise(clips: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Applies CLAHE to each frame of clips `(N, T, H, W, C)`, in RGB to the luminance only.

    OpenCV rounds `clipLimit` to whole pixels per grey level and tile: on 112x112 frames, whose tiles have 196 pixels,
    every limit up to about 2.6 means 1.
    """
    clahe = cv2.createCLAHE(clipLimit=2.0, tileGridSize=(8, 8))
    result = np.empty(clips.shape, np.uint8)
    for index in np.ndindex(clips.shape[:2]):
        frame = np.ascontiguousarray(clips[index])
        if frame.shape[-1] == 1:
            result[index] = clahe.apply(frame[..., 0])[..., None]
        else:
            lab = cv2.cvtColor(frame, cv2.COLOR_RGB2LAB)
            lab[..., 0] = clahe.apply(np.ascontiguousarray(lab[..., 0]))
            result[index] = cv2.cvtColor(lab, cv2.COLOR_LAB2RGB)
    return result


def to_unit_range(clips: Tensor) -> Tensor:
    """Converts uint8 clips to float32 in [0, 1]."""
    return clips.float().div_(255.0)


def normalise(clips: Tensor) -> Tensor:
    """Maps clips from [0, 1] to [-1, 1] (paper, section 3.3)."""
    return clips * 2.0 - 1.0
