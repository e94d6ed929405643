"""Outcomes of a trial's folds, and the accuracy that the trial can still reach: an exact bound under each protocol."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from fer3d.evaluation.protocols import INNER_VAL, LAST_EPOCH, PROTOCOLS, EpochProtocol
from fer3d.training.results import FoldResult

# By name. A joint choice on inner validation would need predictions that no outcome keeps.
SEARCH_PROTOCOLS = {
    protocol.name: protocol for protocol in PROTOCOLS if not (protocol.joint and protocol.needs_inner_val)
}


@dataclass(frozen=True)
class FoldOutcome:
    """The contribution of a trained fold to its trial's accuracy.

    Attributes:
        fold: The fold's number.
        num_held_out: Number of its held-out clips.
        num_correct: How many of them each epoch got right.
        inner_epochs: The epoch, from 1, under each protocol that needs inner validation, by its name; empty if the fold
            kept no training subjects back.
        seconds: Duration of the training.
    """

    fold: int
    num_held_out: int
    num_correct: tuple[int, ...]
    inner_epochs: Mapping[str, int] = field(default_factory=dict)
    seconds: float = 0.0

    @classmethod
    def of(cls, result: FoldResult) -> FoldOutcome:
        """Makes the outcome of a fold result."""
        kept_back = {} if result.inner_val is None else {result.fold: result.inner_val}
        inner = [protocol for protocol in SEARCH_PROTOCOLS.values() if protocol.needs_inner_val and kept_back]
        return cls(
            fold=result.fold,
            num_held_out=len(result.labels),
            num_correct=tuple(result.num_correct.tolist()),
            inner_epochs={protocol.name: int(protocol.choose(kept_back)[result.fold]) for protocol in inner},
            seconds=float(result.info["seconds"]),
        )

    @classmethod
    def from_json(cls, fold: str, stored: Mapping[str, Any]) -> FoldOutcome:
        """Reads what `as_json` wrote."""
        # Earlier studies hold the epoch of `inner_val` alone.
        earlier = {INNER_VAL.name: stored["inner_epoch"]} if "inner_epoch" in stored else {}
        return cls(
            fold=int(fold),
            num_held_out=stored["held_out"],
            num_correct=tuple(stored["correct"]),
            inner_epochs=stored.get("inner_epochs", earlier),
            seconds=stored["seconds"],
        )

    def as_json(self) -> dict[str, Any]:
        """The outcome in plain values, without its fold's number."""
        stored = {"held_out": self.num_held_out, "correct": list(self.num_correct), "seconds": self.seconds}
        return {**stored, "inner_epochs": dict(self.inner_epochs)} if self.inner_epochs else stored

    def num_wrong(self, protocol: EpochProtocol) -> int:
        """Number of held-out clips that this fold alone gets wrong.

        Under a joint protocol, which needs all folds, it is that of the last epoch.

        Raises:
            ValueError: The protocol needs inner validation, and the fold kept no training subjects back.
        """
        if protocol.name not in self._num_wrong:
            rule = LAST_EPOCH if protocol.joint else protocol
            epoch = self._inner_epoch(rule) if rule.needs_inner_val else rule.choose({self.fold: self})[self.fold]
            self._num_wrong[protocol.name] = self.num_held_out - self.num_correct[epoch - 1]
        return self._num_wrong[protocol.name]

    def accuracy(self, protocol: EpochProtocol) -> float:
        """Share of the held-out clips that are right, as `num_wrong` counts."""
        return 1 - self.num_wrong(protocol) / self.num_held_out

    @cached_property
    def _num_wrong(self) -> dict[str, int]:
        # By protocol: a search asks for all folds of a trial after each of them.
        return {}

    def _inner_epoch(self, protocol: EpochProtocol) -> int:
        if protocol.name not in self.inner_epochs:
            raise ValueError(f"fold {self.fold} kept no training subjects back to choose an epoch on")
        return self.inner_epochs[protocol.name]


def mistakes(outcomes: Sequence[FoldOutcome], protocol: EpochProtocol) -> dict[int, int]:
    """How many held-out clips of each fold are wrong at the epoch that these folds choose, by the fold's number.

    Raises:
        ValueError: The protocol needs inner validation, and a fold kept no training subjects back.
    """
    if not protocol.joint:
        return {one.fold: one.num_wrong(protocol) for one in outcomes}
    epochs = protocol.choose({one.fold: one for one in outcomes})
    return {one.fold: one.num_held_out - one.num_correct[epochs[one.fold] - 1] for one in outcomes}


def attainable_accuracy(outcomes: Sequence[FoldOutcome], num_clips: int, protocol: EpochProtocol) -> float:
    """The accuracy that a trial reaches if every clip of the remaining folds is right.

    It never rises from fold to fold, and with all folds done it is the trial's accuracy. A trial whose attainable
    accuracy is below a threshold ends below it, whatever follows: pruning by it is exact.

    Args:
        outcomes: The folds that are done.
        num_clips: Number of clips that all folds hold out together.
        protocol: The epoch protocol.
    """
    return (num_clips - sum(mistakes(outcomes, protocol).values())) / num_clips
