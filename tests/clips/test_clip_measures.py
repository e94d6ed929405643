from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest
from pictures import astronaut

from fer3d.clips.detectors import Image
from fer3d.clips.measures import QUANTILES, frame_measures, store_measures
from fer3d.clips.store import ClipRecord, ClipStore, StoreHeader, StoreWriter


def crop(level: float, spread: float = 0.0, size: int = 28) -> Image:
    """A grey crop whose left half is darker than the right one."""
    halves = np.where(np.arange(size) < size // 2, level - spread, level + spread)
    return np.broadcast_to(halves, (size, size)).astype(np.uint8)[..., None]


def test_brightness_and_contrast_are_mean_and_standard_deviation() -> None:
    found = frame_measures(crop(100, 30))
    assert (found["brightness"], found["contrast"]) == pytest.approx((100, 30))


def test_symmetry_is_the_correlation_with_the_mirror_image() -> None:
    assert frame_measures(crop(100, 30))["symmetry"] == pytest.approx(-1)
    face = cv2.resize(astronaut(), (112, 112))
    mirrored = np.concatenate([face[:, :56], face[:, 55::-1]], axis=1)
    assert frame_measures(mirrored)["symmetry"] == pytest.approx(1)
    # Light from one side lowers it.
    shaded = (face * np.linspace(0.2, 1, 112)[:, None]).astype(np.uint8)
    assert frame_measures(shaded)["symmetry"] < frame_measures(face)["symmetry"]


def test_a_crop_of_one_level_has_a_symmetry() -> None:
    assert frame_measures(crop(7)) == {"brightness": 7, "contrast": 0, "symmetry": 1}


def test_colour_counts_as_its_grey() -> None:
    face = cv2.resize(astronaut(), (112, 112))
    grey = cv2.cvtColor(face, cv2.COLOR_RGB2GRAY)[..., None]
    assert frame_measures(face) == frame_measures(grey)
    assert frame_measures(grey.repeat(3, axis=2)) == pytest.approx(frame_measures(grey), abs=1e-6)


def test_the_size_of_a_crop_does_not_matter() -> None:
    assert frame_measures(crop(100, 30, 112)) == pytest.approx(frame_measures(crop(100, 30)))


def store_of(folder: Path, levels: Sequence[int], frames: Sequence[tuple[str, ...]]) -> ClipStore:
    """Clips of three frames, of which the middle one has a level of its own."""
    folder.mkdir()
    header = StoreHeader("test", True, ("anger",), 1, 3, 8, "k" * 64, {}, {})
    with StoreWriter(folder, header) as writer:
        for number, (level, names) in enumerate(zip(levels, frames, strict=True)):
            record = ClipRecord(
                f"S{number}/1", f"S{number}", "anger", names, ((0, 0, 8, 8),) * 3, (0.9,) * 3, ("detected",) * 3
            )
            writer.add(record, np.stack([crop(at, 0, 8) for at in (0, level, 255)]))
        return writer.seal()


def test_clips_are_measured_in_their_middle_frames(tmp_path: Path) -> None:
    levels = [10, 20, 30, 40, 200]
    store = store_of(tmp_path / "store", levels, [("1.png", "2.png", "3.png")] * 5)
    found = store_measures(store, [0, 1, 2, 3])
    assert found["brightness"] == pytest.approx(np.quantile(levels[:4], QUANTILES))
    # Nobody knows how far apart image files are in time.
    assert "seconds" not in found


def test_seconds_are_those_from_the_first_frame_to_the_last_one(tmp_path: Path) -> None:
    names = [(f"{first} s", "2.500 s", f"{last} s") for first, last in ((0.5, 4.0), (1.0, 3.0), (2.25, 3.5))]
    store = store_of(tmp_path / "store", [9, 9, 9, 9], [*names, ("0.000 s",) * 3])
    assert store_measures(store, [0, 1, 2])["seconds"] == pytest.approx(np.quantile([3.5, 2.0, 1.25], QUANTILES))
    # A clip of a single frame has no length.
    assert store_measures(store, [0, 3])["seconds"] == [3.5] * 3


def test_many_clips_are_measured_by_evenly_chosen_ones(tmp_path: Path) -> None:
    store = store_of(tmp_path / "store", [k * 255 // 500 for k in range(501)], [("1.png", "2.png", "3.png")] * 501)
    assert store_measures(store, range(501))["brightness"] == pytest.approx([0.01 * 255, 127, 0.99 * 255], abs=1.5)
