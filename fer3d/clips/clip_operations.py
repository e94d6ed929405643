"""Kornia's 2D operations applied to clips: all frames of a clip share one draw, and each clip has its own.

An operation that treats all planes alike, as geometric ones do, sees a clip `(C, T, H, W)` as one image of `C * T`
planes: many clips are one call, and a rotation computes one grid per clip instead of one per frame. Any other operation
may need three channels or draw once per batch, so it runs clip by clip on the frames as a batch `(T, C, H, W)` with one
draw.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from copy import copy
from typing import Any

import torch
from hydra.utils import instantiate
from kornia.augmentation import AugmentationBase2D, Denormalize, GeometricAugmentationBase2D, Normalize
from kornia.augmentation.base import _BasicAugmentationBase
from torch import Tensor

from fer3d.messages import first_line

Parameters = dict[str, Tensor]

# Rounding may differ from frame to frame; a separate draw differs far more.
_ROUNDING = 1e-3
# Keys that must stay lists: Hydra's positional arguments, and RandomPlanckianJitter's index, where a tuple would index
# several axes.
_LISTS = {"_args_", "select_from"}


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Seeds the CPU generator inside the block and restores it afterwards."""
    with torch.random.fork_rng(devices=[]):
        # `torch.manual_seed` would also seed the GPU, which draws the dropout masks.
        torch.default_generator.manual_seed(seed)
        yield


def make_operation(name: str, settings: Any) -> AugmentationBase2D:
    """Builds an operation from its configuration.

    Raises:
        ValueError: The operation does not accept these settings, or `same_on_batch` is set.
    """
    key = f"augment.operations.{name}"
    if isinstance(settings, Mapping) and settings.get("same_on_batch"):
        raise ValueError(f"{key}.same_on_batch must be false: each copy of a clip has its own draw")
    try:
        made: AugmentationBase2D = instantiate(_with_tuples(settings), _convert_="all")
    except Exception as error:
        raise ValueError(f"{key} cannot be created: {first_line(error.__cause__ or error)}") from error
    return made


def check_operation(name: str, operation: Any) -> None:
    """Checks that an operation changes single images and keeps values in [0, 1].

    Raises:
        ValueError: It does not.
    """
    key, kind = f"augment.operations.{name}", type(operation).__name__
    if not isinstance(operation, AugmentationBase2D):
        mixes = isinstance(operation, _BasicAugmentationBase) and "mix" in type(operation).__module__
        reason = "mixes clips of different labels" if mixes else "is not one of Kornia's 2D operations"
        raise ValueError(f"{key}: {kind} {reason}; use one that changes a single image, such as RandomRotation")
    if isinstance(operation, Normalize | Denormalize):
        raise ValueError(f"{key}: {kind} leaves the range [0, 1]; to scale all clips, set clips.normalise=true")
    if not 0 <= operation.p * operation.p_batch <= 1:
        raise ValueError(f"{key}.p must be a probability from 0 to 1, got {operation.p * operation.p_batch}")


class ClipOperation:
    """An operation together with its draws for an epoch's copies.

    Args:
        name: Its name in `augment.operations`.
        operation: Changes images `(B, C, H, W)` in [0, 1]. It sees a clip as one image if it is geometric or has
            `treats_planes_alike = True`. Its `same_on_batch` is ignored.
    """

    def __init__(self, name: str, operation: AugmentationBase2D) -> None:
        self.name, self._operation = name, copy(operation)
        alike = isinstance(operation, GeometricAugmentationBase2D) or getattr(operation, "treats_planes_alike", False)
        # `p_batch` is drawn once per call, so each clip needs its own call; Kornia's crops turn their `p` into it.
        self._whole = alike and operation.p_batch == 1
        # Otherwise a batch holds the frames of a single clip.
        self._operation.same_on_batch = not self._whole
        self._parameters: Parameters = {}
        self._seeds = torch.zeros(0, dtype=torch.long)

    def draw(self, num_copies: int, shape: torch.Size) -> None:
        """Draws for each copy of an epoch, from the global generator.

        Args:
            num_copies: Number of copies.
            shape: Shape of one clip, `(C, T, H, W)`.
        """
        if self._whole:
            channels, frames, height, width = shape
            planes = torch.Size((num_copies, channels * frames, height, width))
            self._parameters = self._operation.forward_parameters(planes) if num_copies else {}
        else:
            # Store a seed per copy instead of its parameters, which may be as large as a frame.
            self._seeds = torch.randint(2**63 - 1, (num_copies,))

    def apply(self, clips: Tensor, copies: Tensor) -> Tensor:
        """Changes clips `(B, C, T, H, W)` in [0, 1], using the draws of the given copies `(B,)`."""
        if self._whole:
            planes = clips.flatten(1, 2)
            return self._change(planes, self._select(copies, planes)).view_as(clips)
        seeds = self._seeds[copies].tolist()
        return torch.stack([self._change_frames(clip, seed) for clip, seed in zip(clips, seeds, strict=True)])

    def check(self, shape: torch.Size) -> None:
        """Tries the operation on a clip `(C, T, H, W)` whose frames are all equal.

        Raises:
            ValueError: It fails, changes the frame size, or changes the frames of a clip differently.
        """
        trial = copy(self)
        trial._operation = copy(self._operation)
        trial._operation.p = trial._operation.p_batch = 1.0
        with seeded(0):
            clips = torch.rand(1, shape[0], 1, *shape[2:]).repeat(1, 1, shape[1], 1, 1)
            try:
                trial.draw(2, shape)
                changed = trial.apply(clips, torch.tensor([1]))
                draws_late = trial._draws_late(clips)
            except Exception as error:
                raise self._refusal(shape, first_line(error)) from error
        if draws_late or bool((changed - changed[:, :, :1]).abs().max() > _ROUNDING):
            raise self._refusal(shape, "it must make all draws beforehand and change all frames of a clip alike")

    def _draws_late(self, clips: Tensor) -> bool:
        images = clips.flatten(1, 2) if self._whole else clips[0].transpose(0, 1)
        parameters = self._operation.forward_parameters(images.shape)
        before = torch.get_rng_state()
        self._operation(images, params=parameters)
        return not torch.equal(torch.get_rng_state(), before)

    def _change_frames(self, clip: Tensor, seed: int) -> Tensor:
        frames = clip.transpose(0, 1).contiguous()
        with seeded(seed):
            changed = self._change(frames, self._operation.forward_parameters(frames.shape))
        # Noise may leave [0, 1].
        return changed.clamp(0.0, 1.0).transpose(0, 1)

    def _change(self, images: Tensor, parameters: Parameters) -> Tensor:
        changed: Tensor = self._operation(images, params=parameters)
        if changed.shape != images.shape:
            before, after = ("x".join(map(str, shape[-2:])) for shape in (images.shape, changed.shape))
            raise ValueError(f"it turns {before} into {after}, but all clips must have one size")
        return changed

    def _select(self, copies: Tensor, planes: Tensor) -> Parameters:
        drawn = {key: value for key, value in self._parameters.items() if key != "forward_input_shape"}
        selected = {key: value[copies].to(planes.device) for key, value in drawn.items()}
        return {**selected, "forward_input_shape": torch.tensor(planes.shape)}

    def _refusal(self, shape: torch.Size, reason: str) -> ValueError:
        channels, frames, height, width = shape
        return ValueError(
            f"augment.operations.{self.name}: {type(self._operation).__name__} cannot change clips of {frames} frames "
            f"of {height}x{width} with {channels} channel{'s' * (channels > 1)}: {reason}"
        )


def _with_tuples(settings: Any) -> Any:
    """Turns the lists of a configuration into tuples, which some of Kornia's operations require."""
    if isinstance(settings, Mapping):
        return {
            key: list(map(_with_tuples, value)) if key in _LISTS else _with_tuples(value)
            for key, value in settings.items()
        }
    if isinstance(settings, list):
        return {"_target_": "builtins.tuple", "_args_": [list(map(_with_tuples, settings))]}
    return settings
