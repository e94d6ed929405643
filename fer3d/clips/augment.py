"""Augmentation of training clips on the device (paper, sections 3.2 and 4.1)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from hydra.utils import instantiate
from kornia.augmentation import AugmentationBase2D, IntensityAugmentationBase2D
from kornia.augmentation import random_generator as rg
from omegaconf import DictConfig, OmegaConf
from torch import Tensor

from fer3d.clips.clip_operations import ClipOperation, Parameters, check_operation, make_operation, seeded


class RandomLinearContrast(IntensityAugmentationBase2D):
    """Scales the distance of each value to 127: `127 + a * (v - 127)` on the 0..255 scale (paper, section 3.2).

    Args:
        factor: Range `(low, high)` of `a`, drawn uniformly.
        same_on_batch: Whether all images share one draw.
        p: Probability of changing an image.
        keepdim: Whether a `(C, H, W)` input gives a `(C, H, W)` output.

    Shape:
        - Input: `(C, H, W)` or `(B, C, H, W)` in [0, 1]
        - Output: `(B, C, H, W)` in [0, 1]
    """

    CENTRE = 127.0 / 255.0
    treats_planes_alike = True

    def __init__(
        self, factor: Sequence[float] = (0.22, 2.2), same_on_batch: bool = False, p: float = 1.0, keepdim: bool = False
    ) -> None:
        low, high = factor
        if not 0 <= low <= high:
            raise ValueError(f"factor must be a range [low, high] with 0 <= low <= high, got {list(factor)}")
        super().__init__(p=p, same_on_batch=same_on_batch, keepdim=keepdim)
        self._param_generator = rg.PlainUniformGenerator((torch.tensor([low, high]), "factor", None, None))

    def apply_transform(
        self, input: Tensor, params: Parameters, flags: dict[str, Any], transform: Tensor | None = None
    ) -> Tensor:
        """Applies the drawn factors."""
        factor = params["factor"].to(input).view(-1, 1, 1, 1)
        return (input - self.CENTRE).mul_(factor).add_(self.CENTRE).clamp_(0.0, 1.0)


# Copies of one clip by one operation: the paper has at most 7, and an epoch's rows are kept in memory.
MAX_COPIES = 10_000


class Augmentation:
    """Extra copies of training clips, each changed by one operation.

    An epoch holds every training clip unchanged, plus the number of changed copies that its emotion asks for.

    Args:
        operations: Kornia 2D operations by name. All frames of a clip share one draw and each copy has its own; with
            `p` below 1 each copy is changed with that probability.
        copies: For each operation, the number of copies per clip: one number for all emotions, or one per emotion.
        redraw: Whether to draw anew each epoch. Otherwise all epochs reuse the first draws, as with a data set
            augmented on disk.

    Raises:
        ValueError: `copies` names an unknown operation or has a number out of range, or an operation does not change
            single images.
    """

    def __init__(
        self,
        operations: Mapping[str, AugmentationBase2D] | None = None,
        copies: Mapping[str, Mapping[str, int] | int] | None = None,
        redraw: bool = True,
    ) -> None:
        self.operations = dict(operations or {})
        self.copies = {
            name: dict(numbers) if isinstance(numbers, Mapping) else numbers for name, numbers in (copies or {}).items()
        }
        self.redraw = redraw
        for name, operation in self.operations.items():
            check_operation(name, operation)
        for name, numbers in self.copies.items():
            if name not in self.operations:
                known = ", ".join(self.operations) or "none"
                raise ValueError(f"augment.copies.{name}: no such operation in augment.operations, which has: {known}")
            named = numbers.items() if isinstance(numbers, dict) else [("", numbers)]
            for emotion, number in named:
                if not isinstance(number, int) or not 0 <= number <= MAX_COPIES:
                    key = ".".join(filter(None, ["augment.copies", name, emotion]))
                    raise ValueError(f"{key} must be a whole number from 0 to {MAX_COPIES}, got {number}")

    def plan(self, indices: Sequence[int], labels: Sequence[int], emotions: Sequence[str]) -> AugmentationPlan:
        """Lays out the rows of an epoch.

        Args:
            indices: The training clips.
            labels: The label of each of them.
            emotions: The corpus's emotions; a label is an index into them.

        Raises:
            ValueError: `copies` has no number for an emotion of the corpus, or names another emotion.
        """
        rows = [(index, -1) for index in indices]
        copies = self.numbers_of_copies(labels, emotions)
        for number, numbers in enumerate(copies.values()):
            for index, label in zip(indices, labels, strict=True):
                rows += [(index, number)] * numbers[emotions[label]]
        return AugmentationPlan({name: self.operations[name] for name in copies}, rows)

    def numbers_of_copies(self, labels: Sequence[int], emotions: Sequence[str]) -> dict[str, dict[str, int]]:
        """Number of copies per clip for each operation and emotion; operations draw in this order.

        Args:
            labels: The label of each training clip.
            emotions: The corpus's emotions.

        Raises:
            ValueError: As `plan`.
        """
        found = {}
        for name, numbers in self.copies.items():
            copies = numbers if isinstance(numbers, dict) else dict.fromkeys(emotions, numbers)
            missing = [emotion for emotion in emotions if emotion not in copies]
            unknown = [emotion for emotion in copies if emotion not in emotions]
            if missing or unknown:
                raise ValueError(
                    f"augment.copies.{name} must have a number for each emotion of the corpus ({', '.join(emotions)}); "
                    f"missing: {', '.join(missing) or 'none'}; unknown: {', '.join(unknown) or 'none'}"
                )
            found[name] = copies
        return found


class AugmentationPlan:
    """The rows of an epoch: each is one clip, unchanged or changed by one operation.

    Args:
        operations: The operations by name; rows refer to them by position.
        rows: For each row, the clip's index and the operation's position, or -1 for an unchanged clip.

    Attributes:
        names: The operations' names.
        clip: The clip of each row, `(num_rows,)`.
        operation: The operation of each row, `(num_rows,)`.
    """

    def __init__(self, operations: Mapping[str, AugmentationBase2D], rows: Sequence[tuple[int, int]]) -> None:
        self.names = list(operations)
        self.operations = [ClipOperation(name, operation) for name, operation in operations.items()]
        table = torch.tensor(rows, dtype=torch.long).view(-1, 2)
        self.clip, self.operation = table[:, 0], table[:, 1]
        self._rank = torch.zeros(len(table), dtype=torch.long)
        for number in range(len(self.operations)):
            mine = self.operation == number
            self._rank[mine] = torch.arange(int(mine.sum()))

    def __len__(self) -> int:
        return len(self.clip)

    def check(self, shape: torch.Size) -> None:
        """Tries every operation in use, so that a bad one fails before training.

        Args:
            shape: Shape of one clip, `(C, T, H, W)`.

        Raises:
            ValueError: An operation cannot change such clips, or draws differently for frames of one clip.
        """
        for number, operation in enumerate(self.operations):
            if (self.operation == number).any():
                operation.check(shape)

    def draw(self, seed: int, shape: torch.Size) -> None:
        """Draws the parameters of every changed row.

        Args:
            seed: Determines all draws, independently of the global generators.
            shape: Shape of one clip, `(C, T, H, W)`.
        """
        with seeded(seed):
            for number, operation in enumerate(self.operations):
                operation.draw(int((self.operation == number).sum()), shape)

    def order(self, rows: Tensor) -> Tensor:
        """Sorts rows by operation, as `apply` expects."""
        return rows[torch.argsort(self.operation[rows], stable=True)]

    def apply(self, clips: Tensor, rows: Tensor) -> Tensor:
        """Augments clips `(B, C, T, H, W)` in [0, 1] in place; `rows` describes them, on the CPU, sorted by `order`."""
        operations, counts = torch.unique_consecutive(self.operation[rows], return_counts=True)
        sizes = counts.tolist()
        chunks = zip(operations.tolist(), torch.split(clips, sizes), torch.split(rows, sizes), strict=True)
        for number, part, chosen in chunks:
            if number >= 0:
                # `torch.cat` would copy all of them, with a single thread.
                part.copy_(self.operations[number].apply(part, self._rank[chosen]))
        return clips


def make_augmentation(config: DictConfig) -> Augmentation:
    """Builds the augmentation configured under `augment`.

    Raises:
        ValueError: An operation or a number of copies cannot be used.
    """
    plain: Any = OmegaConf.to_container(config, resolve=True)
    operations = {
        name: make_operation(name, settings) for name, settings in (plain.pop("operations", None) or {}).items()
    }
    made: Augmentation = instantiate(plain, _partial_=True, _convert_="all")(operations=operations)
    return made
