"""Every 2D operation of Kornia keeps what `augment.operations` promises, or is refused by name."""

from __future__ import annotations

import inspect
from typing import Any

import kornia.augmentation
import pytest
import torch
from kornia.augmentation import AugmentationBase2D, IntensityAugmentationBase2D, MixAugmentationBaseV2, RandomContrast
from omegaconf import OmegaConf
from torch import Tensor

from fer3d.clips.augment import Augmentation, AugmentationPlan, make_augmentation

SIZE = 24
KINDS = ("AugmentationBase2D", "GeometricAugmentationBase2D", "IntensityAugmentationBase2D")
BASES = {*KINDS, "RigidAffineAugmentationBase2D", "MixAugmentationBaseV2"}
CENTRES = {"_target_": "torch.tensor", "data": [-0.3, 0.3]}

# Settings as they stand in a YAML file.
GREY_OR_RGB: dict[str, dict[str, Any]] = {
    "CenterCrop": {"size": [SIZE, SIZE]},
    "LongestMaxSize": {"max_size": SIZE},
    "PadTo": {"size": [SIZE, SIZE]},
    "RandomAffine": {"degrees": [-10, 10], "translate": [0.1, 0.1], "scale": [0.9, 1.1]},
    "RandomAutoContrast": {},
    "RandomBoxBlur": {"kernel_size": [3, 3]},
    "RandomBrightness": {"brightness": [0.5, 1.5]},
    "RandomChannelDropout": {},
    "RandomChannelShuffle": {},
    "RandomClahe": {"clip_limit": [1.0, 40.0], "grid_size": [2, 2]},
    "RandomContrast": {"contrast": [0.5, 1.5]},
    "RandomCrop": {"size": [SIZE, SIZE], "padding": 2},
    "RandomElasticTransform": {"kernel_size": [5, 5], "sigma": [2.0, 2.0]},
    "RandomEqualize": {},
    "RandomErasing": {},
    "RandomFisheye": {"center_x": CENTRES, "center_y": CENTRES, "gamma": {**CENTRES, "data": [0.9, 1.1]}},
    "RandomGamma": {"gamma": [0.7, 1.5]},
    "RandomGaussianBlur": {"kernel_size": [3, 3], "sigma": [0.5, 2.0]},
    "RandomGaussianIllumination": {},
    "RandomGaussianNoise": {"std": 0.1},
    "RandomGrayscale": {},
    "RandomHorizontalFlip": {},
    "RandomInvert": {},
    "RandomLinearCornerIllumination": {},
    "RandomLinearIllumination": {},
    "RandomMedianBlur": {"kernel_size": [3, 3]},
    "RandomMotionBlur": {"kernel_size": [3, 7], "angle": [-30.0, 30.0], "direction": [-1.0, 1.0]},
    "RandomPerspective": {},
    "RandomPlasmaBrightness": {},
    "RandomPlasmaContrast": {},
    "RandomPlasmaShadow": {},
    "RandomPosterize": {"bits": [2, 5]},
    "RandomRain": {"number_of_drops": [3, 6], "drop_height": [2, 5], "drop_width": [-3, 3]},
    "RandomResizedCrop": {"size": [SIZE, SIZE]},
    "RandomRotation": {"degrees": [-30.0, 30.0]},
    "RandomRotation90": {"times": [1, 3]},
    "RandomSaltAndPepperNoise": {},
    "RandomSharpness": {"sharpness": [0.5, 2.0]},
    "RandomShear": {"shear": [-10.0, 10.0]},
    "RandomSolarize": {"thresholds": [0.2, 0.6]},
    "RandomThinPlateSpline": {},
    "RandomTranslate": {"translate_x": [-0.2, 0.2]},
    "RandomVerticalFlip": {},
    "Resize": {"size": [SIZE, SIZE]},
    "SmallestMaxSize": {"max_size": SIZE},
}
RGB: dict[str, dict[str, Any]] = {
    "ColorJiggle": {"brightness": 0.3, "contrast": 0.3, "saturation": 0.3, "hue": 0.2},
    "ColorJitter": {"brightness": [0.7, 1.3], "contrast": 0.3, "saturation": 0.3, "hue": [-0.2, 0.2]},
    "RandomHue": {"hue": [-0.3, 0.3]},
    "RandomJPEG": {"jpeg_quality": [5.0, 60.0]},
    "RandomPlanckianJitter": {"select_from": [0, 5, 10, 20]},
    "RandomRGBShift": {},
    "RandomSaturation": {"saturation": [0.3, 1.7]},
    "RandomSnow": {"snow_coefficient": [0.2, 0.8]},
}
REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "Denormalize": ({"mean": 0.5, "std": 0.5}, r"leaves the range \[0, 1\]"),
    "Normalize": ({"mean": 0.5, "std": 0.5}, r"leaves the range \[0, 1\]"),
    "RandomDissolving": ({}, "diffusers"),
    "PatchMix": ({}, "mixes clips"),
    "RandomCutMixV2": ({"use_correct_lambda": True}, "mixes clips"),
    "RandomJigsaw": ({}, "mixes clips"),
    "RandomMixUpV2": ({}, "mixes clips"),
    "RandomMosaic": ({}, "mixes clips"),
    "RandomTransplantation": ({}, "mixes clips"),
}
CHANGE_NOTHING_OF_THIS_SIZE = {"CenterCrop", "LongestMaxSize", "PadTo", "Resize", "SmallestMaxSize"}
CHANGE_NOTHING_GREY = {"RandomChannelShuffle", "RandomGrayscale"}
# Without a draw, except whether a clip is changed at all.
DRAW_NOTHING = {
    "RandomAutoContrast", "RandomBoxBlur", "RandomEqualize", "RandomGrayscale", "RandomHorizontalFlip", "RandomInvert",
    "RandomMedianBlur", "RandomVerticalFlip",
}  # fmt: skip
WORKING = [(name, channels) for name in GREY_OR_RGB for channels in (1, 3)] + [(name, 3) for name in RGB]
CHANGING = [
    (name, channels)
    for name, channels in WORKING
    if name not in CHANGE_NOTHING_OF_THIS_SIZE and (channels == 3 or name not in CHANGE_NOTHING_GREY)
]
NUM_COPIES = 8


def configured(name: str, settings: dict[str, Any], copies: int = NUM_COPIES, **more: Any) -> Augmentation:
    return make_augmentation(
        OmegaConf.create(
            {
                "_target_": "fer3d.clips.augment.Augmentation",
                "operations": {"it": {"_target_": f"kornia.augmentation.{name}", **settings, **more}},
                "copies": {"it": copies},
                "redraw": True,
            }
        )
    )


def planned(augmentation: Augmentation, clips: Tensor, seed: int = 0) -> AugmentationPlan:
    plan = augmentation.plan(range(len(clips)), [0] * len(clips), ("happy",))
    plan.check(clips.shape[1:])
    plan.draw(seed, clips.shape[1:])
    return plan


def still_clip(num_channels: int) -> Tensor:
    """A clip whose frames are all the same."""
    frame = torch.rand(1, num_channels, 1, SIZE, SIZE, generator=torch.Generator().manual_seed(1)) ** 2
    return frame.repeat(1, 1, 3, 1, 1)


def copies_of(plan: AugmentationPlan, clips: Tensor, num_rows: int) -> Tensor:
    """The changed rows, made in batches of so many rows."""
    rows = torch.nonzero(plan.operation >= 0).flatten()
    return torch.cat([plan.apply(clips[plan.clip[batch]], batch) for batch in rows.split(num_rows)])


def test_these_are_all_operations() -> None:
    there = {
        name
        for name, kind in inspect.getmembers(kornia.augmentation, inspect.isclass)
        if issubclass(kind, AugmentationBase2D | MixAugmentationBaseV2) and not name.endswith("3D")
    }
    assert {*GREY_OR_RGB, *RGB, *REFUSED, *BASES} == there


@pytest.mark.parametrize(("name", "num_channels"), WORKING)
def test_frames_share_a_draw_and_each_copy_has_its_own_whatever_the_batch(name: str, num_channels: int) -> None:
    settings = {**GREY_OR_RGB, **RGB}[name]
    always: dict[str, Any] = (
        {} if "p" not in inspect.signature(getattr(kornia.augmentation, name)).parameters else {"p": 1.0}
    )
    clips = still_clip(num_channels)
    state = torch.get_rng_state()
    plan = planned(configured(name, settings, **always), clips)
    together = copies_of(plan, clips, NUM_COPIES)
    alone = copies_of(plan, clips, 1)
    plan.draw(1, clips.shape[1:])
    other_seed = copies_of(plan, clips, 3)
    plan.draw(0, clips.shape[1:])
    again = copies_of(plan, clips, 3)
    assert torch.equal(torch.get_rng_state(), state)
    assert together.shape == (NUM_COPIES, *clips.shape[1:])
    assert together.min() >= 0
    assert together.max() <= 1 + 1e-6
    for found in (alone, again, together[:, :, :1].expand_as(together)):
        torch.testing.assert_close(found, together, atol=1e-5, rtol=0)
    draws = (name, num_channels) in CHANGING and name not in DRAW_NOTHING
    if num_channels == 1:
        draws &= name != "RandomChannelDropout"
    assert (len(torch.unique(together, dim=0)) > 1) == draws
    assert torch.equal(other_seed, together) != draws


@pytest.mark.parametrize(("name", "num_channels"), CHANGING)
def test_each_clip_is_changed_with_the_probability_p(name: str, num_channels: int) -> None:
    clips = still_clip(num_channels)
    found = copies_of(planned(configured(name, {**GREY_OR_RGB, **RGB}[name], p=0.5), clips), clips, NUM_COPIES)
    changed = (found - clips).abs().amax((1, 2, 3, 4)) > 1e-3
    assert 0 < changed.sum() < NUM_COPIES


@pytest.mark.parametrize(("name", "num_channels"), WORKING)
def test_black_frames_stay_finite(name: str, num_channels: int) -> None:
    clips = torch.zeros_like(still_clip(num_channels))
    plan = planned(configured(name, {**GREY_OR_RGB, **RGB}[name], copies=1), clips)
    assert copies_of(plan, clips, 1).isfinite().all()


@pytest.mark.parametrize("name", RGB)
def test_operations_on_colours_refuse_grey_clips(name: str) -> None:
    augmentation = configured(name, RGB[name])
    with pytest.raises(ValueError, match=rf"\.it: {name} cannot change clips of .* with 1 channel: "):
        planned(augmentation, still_clip(1))


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_keep_the_promise_is_refused(name: str) -> None:
    settings, reason = REFUSED[name]
    with pytest.raises(ValueError, match=rf"augment\.operations\.it.*{reason}"):
        configured(name, settings)


@pytest.mark.parametrize(
    ("name", "settings", "reason"),
    [
        ("RandomCrop", {"size": [8, 8]}, "cannot change clips of 3 frames of 24x24 with 3 channels: .*24x24.*8x8"),
        ("AugmentationSequential", {}, "not one of Kornia's 2D operations"),
        ("RandomRotation", {}, "cannot be created: .*degrees"),
        ("RandomRotation", {"degrees": 10.0, "same_on_batch": True}, "same_on_batch must be false"),
        ("RandomHorizontalFlip", {"p": 2.0}, r"\.p must be a probability from 0 to 1, got 2"),
        ("RandomNothing", {}, "cannot be created: .*RandomNothing"),
    ],
)
def test_other_settings_that_cannot_be_used_are_refused(name: str, settings: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValueError, match=rf"augment\.operations\.it.*{reason}") as caught:
        planned(configured(name, settings), still_clip(3))
    assert "\n" not in str(caught.value)


class Grain(IntensityAugmentationBase2D):
    """It draws while it changes an image, so that no two frames are alike."""

    def apply_transform(self, input: Tensor, *_: Any, **__: Any) -> Tensor:
        return input + 0.1 * torch.rand_like(input)


class Flicker(RandomContrast):  # type: ignore[misc]
    """It draws once more for all images, while it changes them."""

    def apply_transform(self, input: Tensor, *more: Any, **rest: Any) -> Tensor:
        changed: Tensor = super().apply_transform(input, *more, **rest)
        return changed * float(torch.rand(()))


@pytest.mark.parametrize("operation", [Grain(), Flicker((0.5, 1.5))])
def test_an_operation_that_draws_while_it_changes_is_refused(operation: AugmentationBase2D) -> None:
    with pytest.raises(ValueError, match=r"augment\.operations\.own: .* draws "):
        planned(Augmentation({"own": operation}, {"own": 1}), still_clip(1))


def test_an_operation_without_copies_is_not_tried() -> None:
    planned(configured("ColorJitter", RGB["ColorJitter"], copies=0), still_clip(1))
