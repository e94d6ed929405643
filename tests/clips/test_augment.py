from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest
import torch
from hydra.utils import instantiate
from kornia.augmentation import AugmentationBase2D, RandomHorizontalFlip, RandomRotation
from omegaconf import DictConfig
from torch import Tensor

from fer3d.clips.augment import Augmentation, AugmentationPlan, RandomLinearContrast
from fer3d.clips.data import FoldData
from fer3d.clips.folds import Fold
from fer3d.corpora import ckplus, oulu_casia

EMOTIONS = ("happy", "sad")
COPIES = {"flip": {"happy": 1, "sad": 1}, "rotation": {"happy": 2, "sad": 0}, "contrast": {"happy": 1, "sad": 3}}
# Clips 0, 2, 3 and 5 train; 2 and 5 are happy.
TRAIN, TRAIN_LABELS, HELD_OUT = (0, 2, 3, 5), (1, 0, 1, 0), (1, 4)
SHAPE = torch.Size((1, 4, 12, 12))


def operations() -> dict[str, AugmentationBase2D]:
    """The paper's operations (section 3.2)."""
    return {
        "flip": RandomHorizontalFlip(p=1.0),
        "rotation": RandomRotation(30.0, p=1.0),
        "contrast": RandomLinearContrast(),
    }


def make_plan(copies: Mapping[str, Mapping[str, int]] = COPIES, seed: int = 0) -> AugmentationPlan:
    plan = Augmentation(operations(), copies).plan(TRAIN, TRAIN_LABELS, EMOTIONS)
    plan.draw(seed, SHAPE)
    return plan


def random_clips(num_clips: int, num_channels: int = 1) -> Tensor:
    shape = (num_clips, num_channels, *SHAPE[1:])
    return torch.rand(shape, generator=torch.Generator().manual_seed(1))


def apply_one_by_one(plan: AugmentationPlan, clips: Tensor) -> Tensor:
    """Applies each row of the plan to its clip, by itself."""
    rows = [torch.tensor([row]) for row in range(len(plan))]
    return torch.cat([plan.apply(clips[plan.clip[row]], row) for row in rows])


def rows_of(plan: AugmentationPlan, name: str) -> Tensor:
    return torch.nonzero(plan.operation == plan.names.index(name)).flatten()


def test_an_epoch_holds_each_clip_and_its_copies() -> None:
    plan = make_plan()
    originals = plan.clip[plan.operation == -1]
    assert originals.tolist() == list(TRAIN)
    for name, copies in COPIES.items():
        want = [clip for clip, label in zip(TRAIN, TRAIN_LABELS, strict=True) for _ in range(copies[EMOTIONS[label]])]
        assert plan.clip[rows_of(plan, name)].tolist() == want
    assert len(plan) == 4 + 4 + 4 + (2 * 1 + 2 * 3)
    assert not set(plan.clip.tolist()) & set(HELD_OUT)


def test_without_copies_an_epoch_holds_the_clips() -> None:
    plan = Augmentation().plan(TRAIN, TRAIN_LABELS, EMOTIONS)
    plan.draw(0, SHAPE)
    clips = random_clips(6)
    assert plan.clip.tolist() == list(TRAIN)
    assert torch.equal(apply_one_by_one(plan, clips), clips[list(TRAIN)])


def test_originals_stay_as_they_are() -> None:
    plan, clips = make_plan(), random_clips(6)
    kept = clips.clone()
    changed = apply_one_by_one(plan, clips)
    assert torch.equal(changed[plan.operation == -1], clips[list(TRAIN)])
    assert torch.equal(clips, kept)


def test_a_flip_is_an_exact_mirror() -> None:
    plan, clips = make_plan(), random_clips(6, num_channels=3)
    plan.draw(0, clips.shape[1:])
    rows = rows_of(plan, "flip")
    assert torch.equal(apply_one_by_one(plan, clips)[rows], clips[plan.clip[rows]].flip(-1))


def test_a_contrast_copy_follows_the_formula_with_one_factor_a_clip() -> None:
    plan, clips = make_plan(), random_clips(6, num_channels=3)
    plan.draw(0, clips.shape[1:])
    changed = apply_one_by_one(plan, clips)
    for row in rows_of(plan, "contrast"):
        before, after = clips[plan.clip[row]], changed[row]
        # Any pixel that was not clipped gives the factor away; all others must agree with it.
        free = torch.nonzero((after > 0.01) & (after < 0.99) & ((before - 127 / 255).abs() > 0.1))[0]
        factor = float((255 * after[tuple(free)] - 127) / (255 * before[tuple(free)] - 127))
        assert 0.22 <= factor <= 2.2
        expected = (127 + factor * (255 * before - 127)).clip(0, 255) / 255
        torch.testing.assert_close(after, expected, atol=1e-4, rtol=0)


def test_a_rotation_copy_is_turned_about_the_middle() -> None:
    clips = torch.zeros(6, 1, 4, 33, 33)
    clips[..., 16, :] = 1.0  # a horizontal line through the middle
    plan = make_plan({"rotation": {"happy": 30, "sad": 0}})
    plan.draw(0, clips.shape[1:])
    changed = apply_one_by_one(plan, clips)[rows_of(plan, "rotation")]
    assert (changed[..., 16, 16] > 0.5).all()
    y, x = torch.meshgrid(torch.arange(33.0) - 16, torch.arange(33.0) - 16, indexing="ij")
    # The direction of most of the line's brightness.
    angles = torch.rad2deg(
        0.5 * torch.atan2((2 * changed * x * y).sum((-1, -2)), (changed * (x**2 - y**2)).sum((-1, -2)))
    )
    assert angles.abs().max() < 31
    assert angles.max() > 20
    assert angles.min() < -20


@pytest.mark.parametrize("corpus", ["ckplus", "oulu_casia"])
def test_the_configured_ranges_are_the_papers(compose_config: Callable[..., DictConfig], corpus: str) -> None:
    configured = instantiate(compose_config(f"data={corpus}").augment).operations
    assert isinstance(configured["flip"], RandomHorizontalFlip)
    for name, key, low, high in (("rotation", "degrees", -30, 30), ("contrast", "factor", 0.22, 2.2)):
        drawn = configured[name].forward_parameters(torch.Size((2000, 1, 8, 8)))[key]
        assert low <= drawn.min() < low + 0.02 * (high - low)
        assert high >= drawn.max() > high - 0.02 * (high - low)
        assert float(drawn.mean()) == pytest.approx((low + high) / 2, abs=0.05 * (high - low))
    assert all(operation.p == 1.0 for operation in configured.values())


def test_a_shuffled_batch_keeps_rows_and_clips_together() -> None:
    plan, clips = make_plan(), random_clips(6)
    alone = apply_one_by_one(plan, clips)
    shuffled = torch.randperm(len(plan), generator=torch.Generator().manual_seed(2))
    for batch in shuffled.split(7):
        rows = plan.order(batch)
        assert sorted(rows.tolist()) == sorted(batch.tolist())
        # One call an operation.
        assert plan.operation[rows].diff().min() >= 0
        torch.testing.assert_close(plan.apply(clips[plan.clip[rows]], rows), alone[rows])


@pytest.mark.parametrize(
    ("num_channels", "expected"),
    [
        (1, [-7.8007, -0.2324, -0.562, 2.7016, -7.6636, -0.2171, -0.7268, 2.5694, 0.5225, 0.4554,
             1.72, 1.1002, -8.8088, -2.6447, -10.9987, 0.3365, -1.9546, -3.1233, -0.8625, 4.1123]),
        (3, [0.0592, 17.2725, -7.4312, 4.1945, 0.092, 17.3123, -7.5515, 4.0421, 13.6784, 14.6849,
             3.4592, 4.6568, 0.3852, 0.0201, 0.9084, 24.1603, -8.821, -9.0557, -8.1154, 5.9918]),
    ],
)  # fmt: skip
def test_a_seed_keeps_its_draws_in_every_version(num_channels: int, expected: list[float]) -> None:
    """The numbers of earlier runs depend on it: each row's clip, weighed by the places of its values."""
    plan, clips = make_plan(), random_clips(6, num_channels)
    plan.draw(3, clips.shape[1:])
    rows = plan.order(torch.arange(len(plan)))
    changed = plan.apply(clips[plan.clip[rows]], rows).double().flatten(1)
    weighed = changed @ torch.linspace(-1, 1, changed.shape[1], dtype=torch.float64)
    torch.testing.assert_close(weighed, torch.tensor(expected, dtype=torch.float64), atol=2e-4, rtol=0)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_drawing_leaves_the_gpus_generator_alone() -> None:
    plan = make_plan()
    before = torch.cuda.get_rng_state()
    plan.draw(1, SHAPE)
    assert torch.equal(torch.cuda.get_rng_state(), before)


@pytest.mark.parametrize("redraw", [True, False])
def test_epochs_draw_anew_or_see_the_first_draws_again(redraw: bool) -> None:
    data = FoldData(
        clips=(255 * random_clips(6)).to(torch.uint8),
        labels=torch.tensor([1, 0, 0, 1, 1, 0]),
        emotions=EMOTIONS,
        fold=Fold(1, TRAIN, HELD_OUT),
        augmentation=Augmentation(operations(), COPIES, redraw),
        batch_size=5,
        normalise=False,
        shuffle_seed=0,
        augment_seed=0,
    )

    def epoch() -> Tensor:
        """Goes through an epoch and returns its clips in the plan's order."""
        clips = {}
        for batch in data.train_dataloader():
            rows = data.plan.order(batch.numbers)
            clips |= dict(zip(rows.tolist(), data.training_batch(batch.numbers).clips, strict=True))
        return torch.stack([clips[row] for row in range(len(data.plan))])

    first, second, third = epoch(), epoch(), epoch()
    drawn = torch.cat([rows_of(data.plan, name) for name in ("rotation", "contrast")])
    for one, other in ((first, second), (second, third), (first, third)):
        if redraw:
            assert (one[drawn] - other[drawn]).abs().amax((1, 2, 3, 4)).min() > 0.001
        else:
            torch.testing.assert_close(one, other)


def full_plan(config: DictConfig, per_emotion: Mapping[str, int], emotions: Sequence[str]) -> AugmentationPlan:
    labels = [label for label, emotion in enumerate(emotions) for _ in range(per_emotion[emotion])]
    plan: AugmentationPlan = instantiate(config.augment).plan(range(len(labels)), labels, emotions)
    return plan


@pytest.mark.parametrize("data", ["ckplus", "synthetic"])
def test_ckplus_becomes_1722_clips(compose_config: Callable[..., DictConfig], data: str) -> None:
    counts = {"anger": 45, "contempt": 18, "disgust": 59, "fear": 25, "happy": 69, "sadness": 28, "surprise": 83}
    plan = full_plan(compose_config(f"data={data}"), counts, ckplus.EMOTIONS)
    assert len(plan) == 1722
    edges = torch.tensor([counts[emotion] for emotion in ckplus.EMOTIONS]).cumsum(0)
    labels = torch.bucketize(plan.clip.contiguous(), edges, right=True)
    per_emotion = dict(zip(ckplus.EMOTIONS, torch.bincount(labels).tolist(), strict=True))
    papers = {"anger": 225, "contempt": 234, "disgust": 236, "fear": 250, "happy": 276, "sadness": 252, "surprise": 249}
    assert per_emotion == papers


def test_oulu_casia_becomes_4320_clips(compose_config: Callable[..., DictConfig]) -> None:
    emotions = oulu_casia.OuluCASIA.emotions
    plan = full_plan(compose_config("data=oulu_casia"), dict.fromkeys(emotions, 80), emotions)
    assert len(plan) == 4320
    assert set(torch.bincount(plan.clip).tolist()) == {9}


@pytest.mark.parametrize(
    ("copies", "complaint"),
    [
        ({"flip": {"happy": 1, "sad": -1}}, r"flip\.sad must be a whole number from 0 to .*, got -1"),
        ({"flip": {"happy": 1, "sad": 1.5}}, r"flip\.sad must be a whole number from 0 to .*, got 1\.5"),
        ({"flip": -1}, r"flip must be a whole number from 0 to .*, got -1"),
        ({"blur": {"happy": 1, "sad": 1}}, "blur: no such operation .*: flip, rotation, contrast"),
    ],
)
def test_impossible_copies_are_refused(copies: Any, complaint: str) -> None:
    with pytest.raises(ValueError, match=rf"augment\.copies\.{complaint}"):
        Augmentation(operations(), copies)


@pytest.mark.parametrize(
    ("copies", "complaint"),
    [
        ({"happy": 1}, "missing: sad; unknown: none"),
        ({"happy": 1, "sad": 1, "smug": 1}, "missing: none; unknown: smug"),
        ({"happy": 1, "Sad": 1}, "missing: sad; unknown: Sad"),
    ],
)
def test_copies_must_name_exactly_the_corpuss_emotions(copies: dict[str, int], complaint: str) -> None:
    augmentation = Augmentation(operations(), {"flip": COPIES["flip"], "rotation": copies})
    with pytest.raises(ValueError, match=r"augment\.copies\.rotation must have a number for each") as caught:
        augmentation.plan(TRAIN, TRAIN_LABELS, EMOTIONS)
    assert complaint in str(caught.value)


def test_one_number_is_for_every_emotion() -> None:
    flip = RandomHorizontalFlip(p=1.0)
    one = Augmentation({"flip": flip}, {"flip": 2}).plan([0, 1], [0, 1], ("anger", "fear"))
    each = Augmentation({"flip": flip}, {"flip": {"anger": 2, "fear": 2}}).plan([0, 1], [0, 1], ("anger", "fear"))
    assert one.clip.tolist() == each.clip.tolist()
    assert one.operation.tolist() == each.operation.tolist()
