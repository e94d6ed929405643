from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from kornia.augmentation import RandomHorizontalFlip, RandomRotation
from torch import Tensor, nn

from fer3d.clips.augment import Augmentation, RandomLinearContrast
from fer3d.clips.data import Batch, FoldData
from fer3d.clips.folds import Fold

EMOTIONS = ("happy", "sad", "calm")
NUM_CLIPS = 12
LABELS = torch.arange(NUM_CLIPS) % 3
FOLD = Fold(2, train=(0, 1, 3, 4, 6, 7, 9, 10, 11), held_out=(2, 5, 8))
CPU = torch.device("cpu")


def augmentation(redraw: bool = True) -> Augmentation:
    return Augmentation(
        {
            "flip": RandomHorizontalFlip(p=1.0),
            "rotation": RandomRotation(30.0, p=1.0),
            "contrast": RandomLinearContrast(),
        },
        {
            "flip": dict.fromkeys(EMOTIONS, 1),
            "rotation": {"happy": 2, "sad": 1, "calm": 0},
            "contrast": {"happy": 0, "sad": 1, "calm": 3},
        },
        redraw,
    )


def flips() -> Augmentation:
    """Two copies of each clip, which leave a clip of one grey level as it is."""
    return Augmentation({"flip": RandomHorizontalFlip(p=1.0)}, {"flip": dict.fromkeys(EMOTIONS, 2)})


def level_clips(num_channels: int = 1) -> Tensor:
    """Clips of one grey level each, which tells them apart: clip number i has the level 20 * i."""
    levels = (20 * torch.arange(NUM_CLIPS)).to(torch.uint8)
    return levels.view(-1, 1, 1, 1, 1).expand(-1, num_channels, 4, 6, 6).contiguous()


def noise_clips() -> Tensor:
    return torch.randint(0, 256, (NUM_CLIPS, 1, 4, 6, 6), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def make_data(**changes: Any) -> FoldData:
    settings: dict[str, Any] = {
        "clips": level_clips(),
        "labels": LABELS,
        "emotions": EMOTIONS,
        "fold": FOLD,
        "augmentation": flips(),
        "batch_size": 4,
        "normalise": False,
        "shuffle_seed": 1,
        "augment_seed": 2,
    }
    return FoldData(**{**settings, **changes})


def training_epoch(data: FoldData) -> list[Batch]:
    return [data.transfer_batch_to_device(rows, CPU, 0) for rows in data.train_dataloader()]


def held_out_epoch(data: FoldData) -> list[Batch]:
    (held_out,) = data.val_dataloader()
    return [data.transfer_batch_to_device(rows, CPU, 0) for rows in held_out]


def joined(batches: list[Batch]) -> Batch:
    return Batch(torch.cat([batch.clips for batch in batches]), torch.cat([batch.labels for batch in batches]))


def clip_numbers(batch: Batch) -> list[int]:
    """Which clip each of a batch's is, for `level_clips` that nothing has changed."""
    return (batch.clips[:, 0, 0, 0, 0] * 255 / 20).round().int().tolist()


def test_batches_augmented_in_a_block_are_those_augmented_one_by_one() -> None:
    for settings in ({}, {"normalise": True}):
        alone, block = (make_data(clips=noise_clips(), augmentation=augmentation(), **settings) for _ in range(2))
        expected = training_epoch(alone)
        rows = list(block.train_dataloader())
        for batches in (rows, [row if row.clips is not None else block.fetch(row) for row in rows]):
            for one, other in zip(block.training_batches(batches), expected, strict=True):
                torch.testing.assert_close(one.clips, other.clips)
                assert torch.equal(one.labels, other.labels)


def test_each_epoch_holds_every_row_once_and_only_training_clips() -> None:
    data = make_data()
    orders = []
    for _ in range(3):
        batches = training_epoch(data)
        assert [len(batch.labels) for batch in batches] == [4] * 6 + [3]
        orders.append(clip_numbers(joined(batches)))
        assert sorted(orders[-1]) == sorted(FOLD.train * 3)
    assert orders[0] != orders[1] != orders[2]
    assert orders[0] != sorted(orders[0])


def test_a_training_batch_is_float_in_the_unit_range_with_the_clips_labels() -> None:
    for num_channels in (1, 3):
        for batch in training_epoch(make_data(clips=level_clips(num_channels))):
            assert batch.clips.dtype == torch.float32
            assert batch.clips.shape[1:] == (num_channels, 4, 6, 6)
            assert batch.labels.tolist() == [number % 3 for number in clip_numbers(batch)]


def test_labels_match_clips_under_every_operation() -> None:
    # A square whose middle says which class a clip is of, whatever its contrast, its angle and its mirror image.
    clips = torch.zeros(NUM_CLIPS, 1, 2, 32, 32, dtype=torch.uint8)
    for clip, label in zip(clips, LABELS.tolist(), strict=True):
        clip[:, :, 12:20, 12:20] = 200
        clip[:, :, 15:17, 15:17] = (0, 200, 100)[label]
    data = make_data(clips=clips, augmentation=augmentation(), batch_size=7)
    for batch in training_epoch(data):
        middle = batch.clips[:, 0, 0, 15:17, 15:17].mean((1, 2))
        around = batch.clips[:, 0, 0, 13:19, 13:19].amax((1, 2))
        told = torch.where(middle > 0.95 * around, 1, torch.where(middle < 0.2 * around, 0, 2))
        assert told.tolist() == batch.labels.tolist()


@pytest.mark.parametrize("augment", [Augmentation(), augmentation(), augmentation(redraw=False)])
def test_held_out_clips_stay_as_they_are_whatever_the_augmentation(augment: Augmentation) -> None:
    clips = noise_clips()
    data = make_data(clips=clips, augmentation=augment)
    for _ in range(2):
        training_epoch(data)
        held_out = joined(held_out_epoch(data))
        assert torch.equal(held_out.clips, clips[list(FOLD.held_out)] / 255)
        assert torch.equal(held_out.labels, LABELS[list(FOLD.held_out)])
    assert torch.equal(data.source.clips, noise_clips())


def test_normalised_clips_lie_between_minus_1_and_1() -> None:
    clips = noise_clips()
    plain, normalised = (make_data(clips=clips, normalise=on, augmentation=augmentation()) for on in (False, True))
    for epoch in (training_epoch, held_out_epoch):
        before, after = joined(epoch(plain)).clips, joined(epoch(normalised)).clips
        torch.testing.assert_close(after, 2 * before - 1)
        assert before.min() >= 0
        assert before.max() <= 1
        assert after.min() < -0.9
        assert after.max() > 0.9


def test_rotated_corners_are_black_in_normalised_clips_too() -> None:
    rotation = Augmentation({"rotation": RandomRotation((30.0, 30.0), p=1.0)}, {"rotation": dict.fromkeys(EMOTIONS, 1)})
    white = torch.full((NUM_CLIPS, 1, 4, 16, 16), 255, dtype=torch.uint8)
    batch = joined(training_epoch(make_data(clips=white, augmentation=rotation, normalise=True)))
    assert sorted(batch.clips[:, 0, 0, 0, 0].tolist()) == [-1.0] * 9 + [1.0] * 9


def test_the_same_seeds_give_the_same_epochs_whatever_else_is_drawn() -> None:
    one = make_data(clips=noise_clips(), augmentation=augmentation())
    epochs = [joined(training_epoch(one)) for _ in range(2)]
    other = make_data(clips=noise_clips(), augmentation=augmentation())
    for want in epochs:
        torch.rand(5)
        got = joined(training_epoch(other))
        assert torch.equal(got.clips, want.clips)
        assert torch.equal(got.labels, want.labels)


def test_the_shuffle_seed_changes_the_order_and_not_the_clips() -> None:
    one, other = (make_data(clips=noise_clips(), augmentation=augmentation(), shuffle_seed=seed) for seed in (1, 9))
    first, second = joined(training_epoch(one)).clips.flatten(1), joined(training_epoch(other)).clips.flatten(1)
    assert not torch.allclose(first, second)
    # A clip's own values name it, since copies of noise clips all differ.
    torch.testing.assert_close(first.sum(1).sort().values, second.sum(1).sort().values)


def test_the_augment_seed_changes_the_clips_and_not_the_order() -> None:
    one, other = (make_data(clips=noise_clips(), augmentation=augmentation(), augment_seed=seed) for seed in (2, 9))
    first, second = joined(training_epoch(one)), joined(training_epoch(other))
    assert torch.equal(first.labels, second.labels)
    same = (first.clips - second.clips).abs().amax((1, 2, 3, 4)) == 0
    # The nine originals and their nine mirror images.
    assert int(same.sum()) == 18


def test_rows_per_emotion_count_the_copies() -> None:
    # Of the training clips 4 are happy, 4 sad and 1 calm.
    assert make_data(augmentation=Augmentation()).num_rows_per_emotion.tolist() == [4, 4, 1]
    assert make_data(augmentation=augmentation()).num_rows_per_emotion.tolist() == [4 * 4, 4 * 4, 1 * 5]
    assert make_data(fold=Fold(1, train=(0, 1, 3), held_out=(2, 5))).num_rows_per_emotion.tolist() == [6, 3, 0]


def test_clips_kept_back_are_predicted_after_the_held_out_ones_and_train_nothing() -> None:
    train, kept = FOLD.train[:-2], FOLD.train[-2:]
    data = make_data(fold=replace(FOLD, train=train, inner_val=kept))
    held_out, inner_val = data.val_dataloader()
    assert [number for rows in held_out for number in rows.numbers.tolist()] == list(FOLD.held_out)
    assert [number for rows in inner_val for number in rows.numbers.tolist()] == list(kept)
    assert not any(rows.training for rows in inner_val)
    assert set(data.plan.clip.tolist()) == set(train)


def test_nothing_held_out_is_nothing_to_predict() -> None:
    data = make_data(fold=Fold(1, tuple(range(len(LABELS))), ()))
    assert data.val_dataloader() == []


@pytest.mark.parametrize(
    ("num_clips", "batch_size", "sizes"),
    [(9, 4, [4, 5]), (8, 4, [4, 4]), (10, 4, [4, 4, 2]), (1, 4, [1]), (5, 4, [5]), (3, 1, [1, 1, 1])],
)
def test_no_batch_of_a_single_row_is_left_over(num_clips: int, batch_size: int, sizes: list[int]) -> None:
    """Batch norm cannot learn from one clip whose features have shrunk to a point."""
    fold = Fold(1, tuple(range(num_clips)), ())
    loader = make_data(fold=fold, augmentation=Augmentation(), batch_size=batch_size).train_dataloader()
    for _ in range(2):
        batches = [rows.numbers.tolist() for rows in loader]
        assert [len(batch) for batch in batches] == sizes
        assert sorted(number for batch in batches for number in batch) == list(range(num_clips))
    assert len(loader) == len(sizes)


@pytest.mark.parametrize("batch_size", [0, -2])
def test_a_batch_needs_a_clip(batch_size: int) -> None:
    with pytest.raises(ValueError, match=f"batch_size must be at least 1, got {batch_size}"):
        make_data(batch_size=batch_size)


class Recorder(pl.LightningModule):
    """Keeps what the network would see."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(1, 1)
        self.seen: list[Batch] = []

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        self.seen.append(batch)
        return self.layer(batch.clips.mean().view(1)).sum()

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        self.seen.append(batch)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.0)


# Lightning's own, under PyTorch 2.13; the other is no fault for batches that are handfuls of integers.
@pytest.mark.filterwarnings("ignore:.*isinstance.treespec, LeafSpec:FutureWarning")
@pytest.mark.filterwarnings("ignore:.*does not have many workers")
def test_lightning_sees_the_same_epochs(tmp_path: Path) -> None:
    make = {"clips": noise_clips(), "augmentation": augmentation(), "normalise": True}
    module = Recorder()
    quiet = dict.fromkeys(("logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary"), False)
    trainer = pl.Trainer(max_epochs=2, accelerator="cpu", default_root_dir=tmp_path, num_sanity_val_steps=0, **quiet)
    trainer.fit(module, datamodule=make_data(**make))
    alone = make_data(**make)
    epochs = [batch for _ in range(2) for epoch in (training_epoch, held_out_epoch) for batch in epoch(alone)]
    for got, want in zip(module.seen, epochs, strict=True):
        assert torch.equal(got.clips, want.clips)
        assert torch.equal(got.labels, want.labels)


def lopsided(augmentation: Augmentation, num_epochs: int, **changes: Any) -> tuple[FoldData, list[list[int]]]:
    """Twelve clips of the first class, three of the second and none of the third; the rows of some epochs."""
    labels = torch.tensor([0] * 12 + [1] * 3 + [2] * 2)
    clips = torch.zeros(17, 1, 4, 6, 6, dtype=torch.uint8)
    data = make_data(
        clips=clips, labels=labels, fold=Fold(1, tuple(range(15)), (15, 16)), augmentation=augmentation, **changes
    )
    epochs = [[row for rows in data.train_dataloader() for row in rows.numbers.tolist()] for _ in range(num_epochs)]
    return data, epochs


def test_the_class_sampler_draws_every_class_alike_and_absent_ones_never() -> None:
    data, epochs = lopsided(augmentation(), 40, class_sampler=True)
    assert {len(epoch) for epoch in epochs} == {len(data.plan)}
    drawn = torch.tensor([row for epoch in epochs for row in epoch])
    shares = torch.bincount(data.labels[data.plan.clip[drawn]], minlength=3) / len(drawn)
    assert shares.tolist() == pytest.approx([0.5, 0.5, 0.0], abs=0.05)
    # Within a class, each row as often as another.
    times = torch.bincount(drawn, minlength=len(data.plan)).double()
    for label in (0, 1):
        mine = times[data.labels[data.plan.clip] == label]
        assert mine.min() > 0.4 * mine.mean()
        assert mine.max() < 1.8 * mine.mean()


def test_the_class_sampler_draws_from_the_shuffle_seed_alone() -> None:
    (_, first), (_, other) = (lopsided(augmentation(), 2, class_sampler=True, shuffle_seed=seed) for seed in (1, 2))
    torch.rand(3)
    _, again = lopsided(augmentation(), 2, class_sampler=True, shuffle_seed=1)
    assert first == again
    assert first != other
    assert first[0] != first[1]


def test_without_the_class_sampler_a_seed_keeps_its_order_in_every_version() -> None:
    _, (first, second) = lopsided(Augmentation(), 2)
    assert first == [10, 4, 5, 11, 7, 8, 2, 12, 6, 9, 13, 1, 0, 14, 3]
    assert second == [13, 0, 7, 12, 6, 11, 3, 4, 2, 1, 9, 5, 10, 8, 14]
