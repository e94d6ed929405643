"""What the folds of a trial came to, and what the trial can still reach: the exact bound under each epoch protocol."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fer3d.evaluation.protocols import (
    BEST_COMMON_EPOCH,
    BEST_EPOCH,
    INNER_VAL,
    LAST_EPOCH,
    EpochProtocol,
    best_inner_epoch,
)
from fer3d.training.results import FoldResult


@dataclass(frozen=True)
class FoldOutcome:
    """What a trained fold adds to its trial's accuracy.

    Attributes:
        fold: The fold's number.
        num_held_out: Number of its held-out clips.
        num_correct: How many of them each epoch got right.
        inner_epoch: The epoch that inner validation chose, from 1; None where no training subjects were kept back.
        seconds: How long the training took.
    """

    fold: int
    num_held_out: int
    num_correct: tuple[int, ...]
    inner_epoch: int | None = None
    seconds: float = 0.0

    @classmethod
    def of(cls, result: FoldResult) -> FoldOutcome:
        """Makes the outcome of a fold result."""
        return cls(
            fold=result.fold,
            num_held_out=len(result.labels),
            num_correct=tuple(result.num_correct.tolist()),
            inner_epoch=None if result.inner_val is None else best_inner_epoch(result.inner_val),
            seconds=float(result.info["seconds"]),
        )

    @classmethod
    def from_json(cls, fold: str, stored: Mapping[str, Any]) -> FoldOutcome:
        """Reads what `as_json` wrote."""
        return cls(
            int(fold), stored["held_out"], tuple(stored["correct"]), stored.get("inner_epoch"), stored["seconds"]
        )

    def as_json(self) -> dict[str, Any]:
        """The outcome in plain values, without its fold's number."""
        stored = {"held_out": self.num_held_out, "correct": list(self.num_correct), "seconds": self.seconds}
        return stored if self.inner_epoch is None else {**stored, "inner_epoch": self.inner_epoch}

    def num_wrong(self, protocol: EpochProtocol) -> int:
        """Number of held-out clips that are wrong under a protocol by which every fold chooses its own epoch.

        Under `best_common_epoch`, for which all folds are needed, it is that of the last epoch.

        Raises:
            ValueError: The protocol is `inner_val`, and no training subjects were kept back.
        """
        if protocol == BEST_EPOCH:
            return self.num_held_out - max(self.num_correct)
        if protocol == INNER_VAL:
            if self.inner_epoch is None:
                raise ValueError(f"fold {self.fold} kept no training subjects back to choose an epoch on")
            return self.num_held_out - self.num_correct[self.inner_epoch - 1]
        return self.num_held_out - self.num_correct[-1]

    def accuracy(self, protocol: EpochProtocol) -> float:
        """Share of the held-out clips that are right, as `num_wrong` counts."""
        return 1 - self.num_wrong(protocol) / self.num_held_out


def attainable_accuracy(outcomes: Sequence[FoldOutcome], num_clips: int, protocol: EpochProtocol) -> float:
    """The accuracy that a trial reaches if every clip of the folds to come is right.

    It never rises from fold to fold, and with all folds done it is the trial's accuracy. A trial whose attainable
    accuracy is below a threshold ends below it, whatever follows: pruning by it is exact.

    Args:
        outcomes: The folds that are done.
        num_clips: Number of clips that all folds hold out together.
        protocol: The epoch protocol.
    """
    if protocol == BEST_COMMON_EPOCH and outcomes:
        correct = np.array([outcome.num_correct for outcome in outcomes])
        num_wrong = sum(outcome.num_held_out for outcome in outcomes) - int(correct.sum(0).max())
    else:
        num_wrong = sum(outcome.num_wrong(protocol) for outcome in outcomes)
    return (num_clips - num_wrong) / num_clips


# The protocols that a search can go by, by their names.
SEARCH_PROTOCOLS = {protocol.name: protocol for protocol in (BEST_EPOCH, BEST_COMMON_EPOCH, LAST_EPOCH, INNER_VAL)}
