from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from fer3d.clips.preprocess import equalise, load_clips, normalise, to_unit_range

# The paper's. In the tiles of much smaller frames OpenCV rounds all low clip limits to the same number.
SIZE = 112


def dim_clips(num_channels: int, num_clips: int = 2, num_frames: int = 3, size: int = SIZE) -> np.ndarray:
    """Smooth, dim clips of little contrast, each frame with another pattern and each channel with another level."""
    y, x = np.mgrid[:size, :size]
    clips = np.empty((num_clips, num_frames, size, size, num_channels), np.uint8)
    for clip, frame, channel in np.ndindex(num_clips, num_frames, num_channels):
        wave = np.sin(x / (5 + frame)) * np.cos(y / (7 + clip))
        clips[clip, frame, ..., channel] = 60 + 12 * channel + 20 * wave
    return clips


def to_hsv(clips: np.ndarray) -> np.ndarray:
    """Returns hue (degrees) and saturation (0 to 1) of every pixel."""
    rows = clips.reshape(-1, clips.shape[-2], 3).astype(np.float32) / 255
    return cv2.cvtColor(rows, cv2.COLOR_RGB2HSV)


def to_lab(clips: np.ndarray) -> np.ndarray:
    """Returns luminance and the two axes of colour of every pixel, in eight bits."""
    return cv2.cvtColor(clips.reshape(-1, clips.shape[-2], 3), cv2.COLOR_RGB2LAB).astype(int)


@pytest.mark.parametrize("num_channels", [1, 3])
def test_clips_are_stored_channels_first_with_the_same_values(num_channels: int) -> None:
    stored = dim_clips(num_channels)
    loaded = load_clips(stored, clahe=False)
    assert loaded.dtype == torch.uint8
    assert loaded.shape == (2, num_channels, 3, SIZE, SIZE)
    assert loaded.is_contiguous()
    assert np.array_equal(loaded.numpy().transpose(0, 2, 3, 4, 1), stored)


def test_clahe_of_grey_clips_is_that_of_opencv_frame_by_frame() -> None:
    stored = dim_clips(1)
    loaded = load_clips(stored, clahe=True)
    assert loaded.dtype == torch.uint8
    for clip, frame in np.ndindex(stored.shape[:2]):
        # The paper's section 3.3.
        want = cv2.createCLAHE(clipLimit=2.0, tileGridSize=(8, 8)).apply(stored[clip, frame, ..., 0])
        assert np.array_equal(loaded[clip, 0, frame].numpy(), want)
        assert want.std() > 1.2 * stored[clip, frame].std()


def test_clahe_of_rgb_clips_changes_their_luminance_and_not_their_hue() -> None:
    stored = dim_clips(3)
    equalised = equalise(stored)
    assert equalised.shape == stored.shape
    before, after = to_lab(stored), to_lab(equalised)
    assert after[..., 0].std() > 1.2 * before[..., 0].std()
    assert np.abs(after - before)[..., 1:].max() <= 2
    turn = np.abs(to_hsv(equalised) - to_hsv(stored))[..., 0]
    # Eight bits of Lab round the hue of such dim pixels by some degrees.
    assert np.median(np.minimum(turn, 360 - turn)) < 5


def test_clahe_leaves_a_colourless_rgb_clip_colourless() -> None:
    equalised = equalise(np.repeat(dim_clips(1), 3, axis=-1)).astype(int)
    # Eight bits of Lab give up to one level in each channel away.
    assert np.ptp(equalised, axis=-1).max() <= 2


def test_a_stored_array_stays_as_it_is(tmp_path: Path) -> None:
    stored = dim_clips(1)
    np.save(tmp_path / "clips.npy", stored)
    mapped = np.load(tmp_path / "clips.npy", mmap_mode="r")
    for clahe in (False, True):
        load_clips(mapped, clahe=clahe).zero_()
        in_memory = stored.copy()
        load_clips(in_memory, clahe=clahe).zero_()
        assert np.array_equal(in_memory, stored)
    assert np.array_equal(np.load(tmp_path / "clips.npy"), stored)


def test_values_from_0_to_255_become_0_to_1() -> None:
    clips = torch.arange(256, dtype=torch.uint8).view(1, 1, 1, 16, 16)
    unit = to_unit_range(clips)
    assert unit.dtype == torch.float32
    assert unit.shape == clips.shape
    assert torch.equal(unit.flatten(), torch.arange(256) / 255)
    assert clips.flatten()[255] == 255
    assert normalise(unit[0, 0, 0, 0, [0, -1]]).tolist() == [-1.0, pytest.approx(2 * 15 / 255 - 1)]
    assert torch.equal(unit.flatten(), torch.arange(256) / 255)
