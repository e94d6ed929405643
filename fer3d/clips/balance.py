"""Augmentation that balances the classes of any corpus by a rule instead of a table of copies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from kornia.augmentation import AugmentationBase2D

from fer3d.clips.augment import MAX_COPIES, Augmentation


class BalancedAugmentation(Augmentation):
    """Quasi-balanced copies as in the paper (section 4.1), computed by a rule.

    Each clip gets the number of copies that brings its class closest to the size of the largest class, whose clips get
    `copies_of_largest` each. Copies are dealt to the operations in turn. Only training clips count, so two folds may
    differ in their copies.

    On CK+ the rule gives 1,785 rows (236 to 276 per class), the paper's table 1,722 (225 to 276). Anger gets 5 copies
    per clip instead of 4 (270 rows instead of 225) and contempt 13 instead of 12 (252 instead of 234); the other
    classes agree.

    Args:
        operations: Kornia 2D operations by name, in the order in which copies are dealt to them.
        copies_of_largest: Copies of each clip of the largest class.
        max_of_operation: Maximum number of copies per clip by operation; default: no limit.
        max_copies: Maximum number of copies per clip. A class that would need more stays smaller than the others.
        redraw: Whether to draw anew each epoch, as in `Augmentation`.

    Raises:
        ValueError: There is no operation, `max_of_operation` names an unknown one, or a number is out of range.
    """

    def __init__(
        self,
        operations: Mapping[str, AugmentationBase2D] | None = None,
        copies_of_largest: int = 2,
        max_of_operation: Mapping[str, int] | None = None,
        max_copies: int = 30,
        redraw: bool = True,
    ) -> None:
        super().__init__(operations, redraw=redraw)
        self.copies_of_largest, self.max_copies = copies_of_largest, max_copies
        self.max_of_operation = dict(max_of_operation or {})
        if not self.operations:
            raise ValueError("augment.operations must name at least one operation, because copies are dealt to them")
        for name in self.max_of_operation:
            if name not in self.operations:
                raise ValueError(
                    f"augment.max_of_operation.{name}: no such operation in augment.operations, "
                    f"which has: {', '.join(self.operations)}"
                )
        numbers = {"max_copies": max_copies, "copies_of_largest": copies_of_largest}
        numbers |= {f"max_of_operation.{name}": number for name, number in self.max_of_operation.items()}
        for key, number in numbers.items():
            if not isinstance(number, int) or not 0 <= number <= MAX_COPIES:
                raise ValueError(f"augment.{key} must be a whole number from 0 to {MAX_COPIES}, got {number}")
        if copies_of_largest > max_copies:
            raise ValueError(
                f"augment.copies_of_largest must be at most augment.max_copies, {max_copies}, got {copies_of_largest}"
            )

    def numbers_of_copies(self, labels: Sequence[int], emotions: Sequence[str]) -> dict[str, dict[str, int]]:
        """Computes the copies by the rule; an emotion without training clips gets none."""
        counts = [labels.count(label) for label in range(len(emotions))]
        target = (1 + self.copies_of_largest) * max(counts)
        # Rows per clip, rounded to the nearest whole number, halves up.
        rows = [(2 * target + count) // (2 * count) if count else 1 for count in counts]
        dealt = [self._dealt(min(number - 1, self.max_copies)) for number in rows]
        return {
            name: {emotion: copies[name] for emotion, copies in zip(emotions, dealt, strict=True)}
            for name in self.operations
        }

    def _dealt(self, number: int) -> dict[str, int]:
        """Deals a clip's copies one by one to the first operation that has the fewest and is below its limit."""
        dealt = dict.fromkeys(self.operations, 0)
        for _ in range(number):
            free = [name for name in dealt if dealt[name] < self.max_of_operation.get(name, number)]
            if not free:
                break
            dealt[min(free, key=dealt.__getitem__)] += 1
        return dealt
