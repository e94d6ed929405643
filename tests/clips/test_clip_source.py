from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from fake_clips import write_clips
from torch import Tensor

from fer3d.clips.augment import Augmentation, RandomLinearContrast
from fer3d.clips.clip_source import ClipSource, ResidentClips, StreamedClips, clip_source, equalised_store
from fer3d.clips.data import FoldData
from fer3d.clips.folds import Fold
from fer3d.clips.frames import FrameSampling, SegmentFrames, UniformFrames, WindowFrames
from fer3d.clips.preprocess import load_clips
from fer3d.clips.store import ClipStore, StoreError

CPU = torch.device("cpu")
FOLD = Fold(1, train=tuple(range(8)), held_out=(8, 9, 10), inner_val=(11,))


@pytest.fixture
def store(tmp_path: Path) -> ClipStore:
    return write_clips(tmp_path / "store", num_clips=12, num_frames=6, size=16)


def batches(source: ClipSource, sampling: FrameSampling | None, num_frames: int | None, **more: Any) -> list[Tensor]:
    """Two epochs of training, each followed by what is predicted after it."""
    data = FoldData(
        clips=source,
        labels=torch.arange(12) % 2,
        emotions=("happy", "sad"),
        fold=FOLD,
        augmentation=Augmentation({"contrast": RandomLinearContrast()}, {"contrast": 1}),
        batch_size=3,
        normalise=True,
        shuffle_seed=1,
        augment_seed=2,
        sampling=sampling,
        num_frames=num_frames,
        **more,
    )
    found = []
    for _ in range(2):
        for loader in (data.train_dataloader(), *data.val_dataloader()):
            for rows in loader:
                found += data.transfer_batch_to_device(rows, CPU, 0)
    return found


@pytest.mark.parametrize("sampling", [None, UniformFrames(6), SegmentFrames(6, views=3), WindowFrames(1, 6, views=2)])
@pytest.mark.parametrize("clahe", [False, True])
def test_streamed_clips_are_those_on_the_device(store: ClipStore, sampling: FrameSampling | None, clahe: bool) -> None:
    num_frames = 4 if sampling else None
    resident = clip_source(store, clahe=clahe, memory=1.0, device=CPU)
    streamed = clip_source(store, clahe=clahe, memory=0.0, device=CPU)
    assert isinstance(resident, ResidentClips)
    assert isinstance(streamed, StreamedClips)
    pairs = list(zip(batches(resident, sampling, num_frames), batches(streamed, sampling, num_frames), strict=True))
    assert all(torch.equal(one, other) for one, other in pairs)


def test_what_is_free_decides_unless_the_user_does(store: ClipStore) -> None:
    assert isinstance(clip_source(store, clahe=False, memory=None, device=CPU), ResidentClips)
    exactly = store.clips.nbytes / 1e9
    assert isinstance(clip_source(store, clahe=False, memory=exactly, device=CPU), ResidentClips)
    streamed = clip_source(store, clahe=False, memory=0.99 * exactly, device=CPU)
    assert isinstance(streamed, StreamedClips)
    # They are not all read.
    assert isinstance(streamed._clips, np.memmap)


def test_equalised_clips_are_made_once_and_checked(store: ClipStore) -> None:
    made = equalised_store(store)
    written = (made.folder / "clips.npy").stat().st_mtime_ns
    assert equalised_store(store).digest == made.digest
    assert (made.folder / "clips.npy").stat().st_mtime_ns == written
    loaded = load_clips(store.clips, clahe=True)
    assert torch.equal(loaded, torch.from_numpy(np.moveaxis(np.array(made.clips), -1, 1)))
    content = bytearray((made.folder / "clips.npy").read_bytes())
    content[-1] ^= 1
    (made.folder / "clips.npy").write_bytes(content)
    with pytest.raises(StoreError, match="Delete it"):
        equalised_store(store)


def test_a_batch_that_cannot_be_fetched_is_an_error_where_it_is_asked_for(store: ClipStore) -> None:
    class Broken(StreamedClips):
        def fetch(self, indices: Tensor, frames: Tensor | None) -> Tensor:
            raise OSError("the disk is gone")

    with warnings.catch_warnings(), pytest.raises(OSError, match="the disk is gone"):
        batches(Broken(store.clips), None, None)
