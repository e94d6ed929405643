from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
from hydra.utils import instantiate
from kornia.augmentation import AugmentationBase2D, RandomHorizontalFlip, RandomRotation
from omegaconf import DictConfig

from fer3d.clips.augment import AugmentationPlan, RandomLinearContrast, make_augmentation
from fer3d.clips.balance import BalancedAugmentation
from fer3d.corpora import ckplus
from fer3d.settings import checked

CKPLUS = {"anger": 45, "contempt": 18, "disgust": 59, "fear": 25, "happy": 69, "sadness": 28, "surprise": 83}


def operations() -> dict[str, AugmentationBase2D]:
    return {"flip": RandomHorizontalFlip(p=1.0), "rotation": RandomRotation(30.0), "contrast": RandomLinearContrast()}


def labels_of(counts: Sequence[int]) -> list[int]:
    return [label for label, count in enumerate(counts) for _ in range(count)]


def balanced_plan(counts: Sequence[int], **settings: Any) -> AugmentationPlan:
    settings = {"max_of_operation": {"flip": 1}, **settings}
    labels = labels_of(counts)
    emotions = [f"emotion {label}" for label in range(len(counts))]
    return BalancedAugmentation(operations(), **settings).plan(range(len(labels)), labels, emotions)


def rows_of(plan: AugmentationPlan, counts: Sequence[int]) -> list[int]:
    """The rows of each class."""
    return torch.bincount(torch.tensor(labels_of(counts))[plan.clip], minlength=len(counts)).tolist()


def test_on_ckplus_the_rule_comes_close_to_the_papers_table(compose_config: Callable[..., DictConfig]) -> None:
    labels = labels_of([CKPLUS[emotion] for emotion in ckplus.EMOTIONS])
    rule, table = (
        instantiate(compose_config("data=ckplus", f"augment={option}").augment) for option in ("balanced", "ckplus")
    )
    plans = [augmentation.plan(range(len(labels)), labels, ckplus.EMOTIONS) for augmentation in (rule, table)]
    assert [len(plan) for plan in plans] == [1785, 1722]
    ours, papers = (augmentation.numbers_of_copies(labels, ckplus.EMOTIONS) for augmentation in (rule, table))
    assert list(ours) == list(papers)
    more = {emotion: sum(ours[name][emotion] - papers[name][emotion] for name in ours) for emotion in CKPLUS}
    assert more == {**dict.fromkeys(CKPLUS, 0), "anger": 1, "contempt": 1}
    # The operations, too, are those of the table, wherever the number of copies is.
    different = {emotion for name in ours for emotion in CKPLUS if ours[name][emotion] != papers[name][emotion]}
    assert different == {"anger", "contempt"}


def test_oulu_casias_eight_copies_are_a_setting() -> None:
    plan = balanced_plan([80] * 6, copies_of_largest=8)
    assert len(plan) == 4320
    assert plan.names == ["flip", "rotation", "contrast"]
    assert torch.bincount(plan.operation + 1).tolist() == [480, 480, 4 * 480, 3 * 480]


def test_the_largest_class_gets_its_copies_and_no_other_is_further_from_it_than_half_a_copy() -> None:
    rng = random.Random(0)
    for _ in range(60):
        counts = [rng.choice([0, 1, 2, rng.randint(1, 400)]) for _ in range(rng.choice([2, 3, 8, 30]))]
        counts[0] = max(counts[0], 1)
        copies, most = rng.randint(0, 6), rng.choice([6, 30, 1000])
        plan = balanced_plan(counts, copies_of_largest=copies, max_copies=most)
        rows, largest = rows_of(plan, counts), max(counts)
        target = (1 + copies) * largest
        for count, number in zip(counts, rows, strict=True):
            # Each clip of a class has as many rows as the others of it.
            assert number == 0 if count == 0 else number % count == 0
            assert number <= count * (1 + most)
            assert 2 * abs(number - target) <= count or number == count * (1 + most) or count == 0
        assert {rows[place] for place, count in enumerate(counts) if count == largest} == {target}


def test_every_clip_stays_and_no_operation_exceeds_its_most() -> None:
    counts = [100, 1, 7, 0, 30]
    plan = balanced_plan(counts, copies_of_largest=3)
    assert plan.clip[plan.operation == -1].tolist() == list(range(sum(counts)))
    flips = Counter(plan.clip[plan.operation == plan.names.index("flip")].tolist())
    assert set(flips.values()) == {1}
    # The lone clip would need 399 copies.
    assert int((plan.clip == 100).sum()) == 31
    # Copies that no operation may make are not made.
    flip_only = BalancedAugmentation({"flip": RandomHorizontalFlip(p=1.0)}, 2, {"flip": 1})
    assert flip_only.numbers_of_copies([0, 0, 0, 1], ("anger", "fear")) == {"flip": {"anger": 1, "fear": 1}}


def test_the_configured_rule_is_checked_and_made(compose_config: Callable[..., DictConfig]) -> None:
    config = checked(compose_config("augment=balanced", "augment.copies_of_largest=1"))
    made = make_augmentation(config.augment)
    assert made.numbers_of_copies([0, 0, 1], ("a", "b"))["rotation"] == {"a": 0, "b": 1}


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({"copies_of_largest": -1}, r"augment\.copies_of_largest must be a whole number from 0 to"),
        ({"copies_of_largest": 31}, r"augment\.copies_of_largest must be at most augment\.max_copies, 30, got 31"),
        ({"max_copies": 1.5}, r"augment\.max_copies must be a whole number from 0 to .*, got 1\.5"),
        ({"max_of_operation": {"flip": -1}}, r"augment\.max_of_operation\.flip must be a whole number from 0 to"),
        ({"max_of_operation": {"blur": 1}}, r"augment\.max_of_operation\.blur: no such operation .*flip, rotation"),
        ({"operations": {}}, r"augment\.operations must name at least one"),
    ],
)
def test_impossible_settings_are_named(settings: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        BalancedAugmentation(**{"operations": operations(), **settings})
