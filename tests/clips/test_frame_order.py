from __future__ import annotations

from collections import Counter
from typing import Any, get_args

import pytest
import torch
from kornia.augmentation import RandomHorizontalFlip
from torch import Tensor

from fer3d.clips.augment import Augmentation
from fer3d.clips.clip_source import StreamedClips
from fer3d.clips.data import FoldData
from fer3d.clips.folds import Fold
from fer3d.clips.frame_order import FrameOrder
from fer3d.clips.frames import (
    FrameSampling,
    LastFrames,
    SegmentFrames,
    UniformFrames,
    WindowFrames,
    make_sampling,
)
from fer3d.settings import FrameOrderName

ORDERS = get_args(FrameOrderName)
NUM_FRAMES, NUM_CLIPS = 4, 12
CLIP_IDS = [f"S{number:03d}/001" for number in range(NUM_CLIPS)]
FOLD = Fold(1, train=tuple(range(7)), held_out=(8, 9, 10), inner_val=(7, 11))
SAMPLINGS: list[FrameSampling] = [
    LastFrames(),
    UniformFrames(stored=9),
    SegmentFrames(stored=9, views=3),
    SegmentFrames(stored=4),
    WindowFrames(stride=2),
    WindowFrames(stride=1, stored=7, views=2),
]


def told_apart(num_stored: int) -> Tensor:
    """Clips whose pixels name the clip, by sixteens, and the frame."""
    named = 16 * torch.arange(NUM_CLIPS)[:, None] + torch.arange(num_stored)
    return named.to(torch.uint8)[:, None, :, None, None].expand(-1, 1, -1, 6, 6).contiguous()


def epochs(
    sampling: FrameSampling,
    order: FrameOrder,
    *,
    batch_size: int = 4,
    fold: Fold = FOLD,
    streamed: bool = False,
    **more: Any,
) -> list[list[list[int]]]:
    """What the network gets in two epochs: for each loader the clips, sorted, as names of their frames."""
    clips: Any = told_apart(sampling.num_stored(NUM_FRAMES))
    table = order.table(CLIP_IDS, NUM_FRAMES)
    data = FoldData(
        clips=StreamedClips(clips.movedim(1, -1).numpy()) if streamed else clips,
        labels=torch.arange(NUM_CLIPS) % 2,
        emotions=("happy", "sad"),
        fold=fold,
        augmentation=Augmentation({"flip": RandomHorizontalFlip(p=1.0)}, {"flip": 2}),
        batch_size=batch_size,
        normalise=False,
        shuffle_seed=1,
        augment_seed=2,
        sampling=sampling,
        num_frames=NUM_FRAMES,
        frame_order=None if table is None else torch.from_numpy(table),
        **more,
    )
    found = []
    for _ in range(2):
        # Sorted, since a batch sorts its rows by operation.
        for loader in (data.train_dataloader(), *data.val_dataloader()):
            batches = [data.transfer_batch_to_device(rows, torch.device("cpu"), 0).clips for rows in loader]
            found.append(sorted((torch.cat(batches)[:, 0, :, 0, 0] * 255).round().int().tolist()))
    return found


def ordered(order: FrameOrder, clip: list[int]) -> list[int]:
    positions = order.positions(NUM_FRAMES, CLIP_IDS[clip[0] // 16])
    return clip if positions is None else [clip[position] for position in positions]


@pytest.mark.parametrize("name", ORDERS)
@pytest.mark.parametrize("sampling", SAMPLINGS)
def test_every_clip_comes_in_its_order_in_every_epoch_copy_and_view(
    sampling: FrameSampling, name: FrameOrderName
) -> None:
    order, filmed = FrameOrder(name, 3), epochs(sampling, FrameOrder("as_filmed", 3))
    assert all(clip == sorted(clip) for clips in filmed for clip in clips)
    want = [sorted(ordered(order, clip) for clip in clips) for clips in filmed]
    assert len(want[0]) == 3 * len(FOLD.train)
    for settings in ({}, {"batch_size": 3}, {"batch_size": 50}, {"streamed": True}):
        assert epochs(sampling, order, **settings) == want


def test_a_clip_has_the_same_permutation_in_training_and_held_out() -> None:
    order = FrameOrder("shuffled", 3)
    swapped = Fold(2, train=(7, 8, 9, 10, 11), held_out=FOLD.train)
    trained, *_ = epochs(LastFrames(), order)
    _, held_out, *_ = epochs(LastFrames(), order, fold=swapped)
    assert {tuple(clip) for clip in trained} == {tuple(clip) for clip in held_out}


def test_the_class_sampler_changes_no_order() -> None:
    order = FrameOrder("shuffled", 3)
    for clips in epochs(LastFrames(), order, class_sampler=True):
        assert all(clip == ordered(order, sorted(clip)) for clip in clips)


def test_orders_are_what_they_are_called() -> None:
    found = {name: FrameOrder(name, 0).positions(5) for name in ORDERS if name != "shuffled"}
    assert found == {"as_filmed": None, "reversed": (4, 3, 2, 1, 0), "apex_repeated": (4, 4, 4, 4, 4)}


def test_permutations_depend_on_the_seed_and_the_clip_alone_and_are_alike_probable() -> None:
    order = FrameOrder("shuffled", 0)
    # In every version: a trained network needs the permutations that it was trained with.
    assert order.positions(10, "S005/001") == (9, 7, 8, 0, 6, 1, 5, 3, 4, 2)
    assert order.positions(10) != order.positions(10, "S005/001")
    assert FrameOrder("shuffled", 1).positions(10, "S005/001") != order.positions(10, "S005/001")
    clip_ids = [f"S{number:04d}/001" for number in range(2400)]
    table = order.table(clip_ids, 4)
    assert table is not None
    counts = Counter(map(tuple, table.tolist()))
    assert len(counts) == 24
    assert all(60 < count < 145 for count in counts.values())  # 100, plus or minus four standard deviations
    assert (order.table(clip_ids[:7:-1], 4) == table[:7:-1]).all()


def test_an_order_that_does_not_exist_is_refused() -> None:
    with pytest.raises(ValueError, match=r"frames\.order must be one of as_filmed, .*, got sorted"):
        FrameOrder.of({"frames": {"order": "sorted"}, "seed": 0})


class EverySecond(LastFrames):
    """A sampling of somebody's own, which knows nothing of orders."""

    def __init__(self, first: int = 0) -> None:
        self.first = first


def test_a_sampling_of_ones_own_is_told_its_arguments_and_no_order() -> None:
    made = make_sampling({"_target_": f"{__name__}.EverySecond", "first": 1, "order": "reversed"})
    assert isinstance(made, EverySecond)
    assert made.first == 1
    assert epochs(made, FrameOrder("reversed", 0))[1][0] == [131, 130, 129, 128]
