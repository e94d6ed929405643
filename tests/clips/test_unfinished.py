from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from fer3d.clips.unfinished import MadeClip, UnfinishedClips

SHAPE = (2, 4, 4, 1)
CLIP = MadeClip(
    frames=("1.png", "2.png"),
    boxes=((0, 0, 4, 4), (0, 0, 4, 4)),
    confidences=(0.9, None),
    sources=("detected", "repeated"),
    images=(("PNG", "ab"),),
    damage="damaged after 1 s",
)


def pixels(number: int) -> NDArray[np.uint8]:
    return np.random.default_rng(number).integers(0, 256, SHAPE, dtype=np.uint8)


def filled(folder: Path, num_clips: int = 3) -> None:
    with UnfinishedClips(folder, SHAPE) as clips:
        for number in range(num_clips):
            assert clips.add(f"key {number}", CLIP, pixels(number)) == number


def check_clips(folder: Path, num_clips: int) -> None:
    with UnfinishedClips(folder, SHAPE) as clips:
        assert len(clips) == num_clips
        for number in range(num_clips):
            assert clips.find(f"key {number}") == number
            assert clips.clip(number) == CLIP
            np.testing.assert_array_equal(clips.pixels(number), pixels(number))
        assert clips.find(f"key {num_clips}") is None


@pytest.mark.parametrize("name", ["clips.npy", "clips.jsonl"])
def test_cut_anywhere_all_whole_clips_are_kept_and_more_can_be_added(tmp_path: Path, name: str) -> None:
    filled(tmp_path / "whole")
    content = (tmp_path / "whole" / name).read_bytes()
    for cut in range(0, len(content), 13):
        filled(tmp_path / "clips")
        (tmp_path / "clips" / name).write_bytes(content[:cut])
        with UnfinishedClips(tmp_path / "clips", SHAPE) as clips:
            num_left = len(clips)
            for number in range(num_left, 3):
                clips.add(f"key {number}", CLIP, pixels(number))
        check_clips(tmp_path / "clips", 3)
        assert [(tmp_path / "clips" / each).read_bytes() for each in ("clips.npy", "clips.jsonl")] == [
            (tmp_path / "whole" / each).read_bytes() for each in ("clips.npy", "clips.jsonl")
        ]
        (tmp_path / "clips" / "clips.jsonl").unlink()


@pytest.mark.parametrize(("name", "share"), [("clips.npy", 0.99), ("clips.npy", 0.6), ("clips.jsonl", 0.5)])
def test_a_changed_byte_costs_its_clip_and_those_after_it(tmp_path: Path, name: str, share: float) -> None:
    filled(tmp_path)
    content = bytearray((tmp_path / name).read_bytes())
    content[int(share * len(content))] ^= 64
    (tmp_path / name).write_bytes(content)
    with UnfinishedClips(tmp_path, SHAPE) as clips:
        assert len(clips) < 3
        for row in range(len(clips)):
            np.testing.assert_array_equal(clips.pixels(row), pixels(row))


def test_clips_of_another_shape_are_dropped(tmp_path: Path) -> None:
    filled(tmp_path)
    with UnfinishedClips(tmp_path, (3, 4, 4, 1)) as clips:
        assert len(clips) == 0
    assert not tmp_path.exists()


def test_nothing_is_left_of_no_clips(tmp_path: Path) -> None:
    filled(tmp_path / "clips", num_clips=0)
    assert list(tmp_path.iterdir()) == []


def test_a_clip_of_another_shape_is_refused(tmp_path: Path) -> None:
    with UnfinishedClips(tmp_path, SHAPE) as clips, pytest.raises(ValueError, match="instead of uint8"):
        clips.add("key", CLIP, pixels(0)[:1])
