"""Epoch protocols: which epoch of each fold counts. The choice changes a result more than most settings do.

One rule, one class, listed once in `PROTOCOLS`. Evaluation, tables, seeds and the search's bound take everything they
need from the class.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_softmax, softmax

from fer3d.evaluation.run_results import EvaluationError, RunResults
from fer3d.training.results import EpochPredictions, FoldResult

LooksAt = Literal["nothing", "inner_val", "held_out"]


class EpochCounts(Protocol):
    """A fold as far as most protocols look at it, and all that a search keeps of it."""

    @property
    def num_correct(self) -> Sequence[int] | NDArray[np.int64]:
        """`(num_epochs,)` number of held-out clips that each epoch gets right."""


class EpochProtocol(ABC):
    """A rule for which epoch of each fold counts.

    A search prunes a trial by the mistakes of its folds so far, at the epochs that `choose` picks from these folds
    alone. The bound is exact if each fold's epoch depends on that fold alone, or, for a joint protocol, if the rule
    minimises the mistakes of all folds together.

    Attributes:
        name: A lower-case word for the configuration, CSV and JSON files.
        title: The name in tables and figures; says so where the protocol is optimistic.
        meaning: The rule in a sentence.
        looks_at: What `choose` gets: the predictions of the `held_out` clips, which makes the result optimistic; those
            of the training subjects kept back by `cv.inner_val`; or `nothing` but the number of epochs.
        joint: Whether the epoch of a fold depends on other folds.
        own: The class of a user's own rule, such as `my_protocol.MyRule`; None for fer3d's.
    """

    name: str
    title: str
    meaning: str
    looks_at: LooksAt
    joint: bool = False
    own: str | None = None

    @abstractmethod
    def choose(self, folds: Mapping[int, Any]) -> Mapping[int, int]:
        """Returns the epoch that counts in each fold, from 1, by the number of the fold.

        Args:
            folds: By number, the `EpochPredictions` of each fold for the clips that the rule looks at; without any clip
                if it looks at `nothing`. In a search, a rule that does not look at `inner_val` gets `EpochCounts`.
        """

    @property
    def optimistic(self) -> bool:
        """Whether held-out clips influence the choice, so that the result is biased upwards."""
        return self.looks_at == "held_out"

    @property
    def needs_inner_val(self) -> bool:
        """Whether the rule needs training subjects that were kept back to choose an epoch."""
        return self.looks_at == "inner_val"

    def epochs(self, run: RunResults) -> dict[int, int]:
        """Returns the epoch that counts in each fold of a run, from 1.

        Raises:
            EvaluationError: The run lacks the predictions that the rule looks at, or the rule returns something other
                than an epoch for each fold.
        """
        seen = {fold.fold: _VIEWS[self.looks_at](fold) for fold in run.folds}
        if lacking := [number for number, clips in seen.items() if clips is None]:
            raise EvaluationError(
                f"{run.folder} kept no training subjects back in {len(lacking)} of {len(seen)} folds, so that "
                f"{self.own or self.name} cannot choose an epoch: train with, for example, cv.inner_val=0.1"
            )
        chosen: Any = self.choose(seen)
        valid = isinstance(chosen, Mapping) and set(chosen) == set(seen)
        if not valid or not all(_is_epoch(chosen[fold.fold], len(fold.logits)) for fold in run.folds):
            raise EvaluationError(
                f"{self.own or self.name} must choose an epoch from 1 to {run.num_epochs} for each fold, "
                f"{{1: 5, 2: 7}} for example, and chose {str(chosen)[:200]}"
            )
        return {number: int(chosen[number]) for number in seen}


class BestEpoch(EpochProtocol):
    """Each fold chooses its epoch on its held-out clips."""

    name = "best_epoch"
    title = "best epoch of each fold (optimistic)"
    meaning = "each fold's own best epoch on its held-out clips"
    looks_at = "held_out"

    def choose(self, folds: Mapping[int, EpochCounts]) -> dict[int, int]:
        """The epoch with the most clips right, and the earliest of equals."""
        return {number: int(np.argmax(fold.num_correct)) + 1 for number, fold in folds.items()}


class BestCommonEpoch(EpochProtocol):
    """All folds together choose one epoch on their held-out clips."""

    name = "best_common_epoch"
    title = "best common epoch (slightly optimistic)"
    meaning = "the one epoch that is best over all folds' held-out clips"
    looks_at = "held_out"
    joint = True

    def choose(self, folds: Mapping[int, EpochCounts]) -> dict[int, int]:
        """The epoch with the most clips right, and the earliest of equals."""
        num_correct = np.sum([np.asarray(fold.num_correct) for fold in folds.values()], axis=0)
        return dict.fromkeys(folds, int(np.argmax(num_correct)) + 1)


class LastEpoch(EpochProtocol):
    """Nothing is chosen."""

    name = "last_epoch"
    title = "last epoch"
    meaning = "the last epoch, fixed in advance: held-out clips choose nothing"
    looks_at = "nothing"

    def choose(self, folds: Mapping[int, EpochCounts]) -> dict[int, int]:
        """The number of epochs."""
        return {number: len(fold.num_correct) for number, fold in folds.items()}


class InnerVal(EpochProtocol):
    """Each fold chooses its epoch on training subjects kept back."""

    name = "inner_val"
    title = "epoch chosen on inner validation"
    meaning = "the epoch that is best on training subjects kept back for this choice (cv.inner_val)"
    looks_at = "inner_val"

    def choose(self, folds: Mapping[int, EpochPredictions]) -> dict[int, int]:
        """The epoch with the most clips right; the lower loss breaks ties, which are frequent among few clips."""
        return {number: self._best(clips) for number, clips in folds.items()}

    def _best(self, clips: EpochPredictions) -> int:
        log_probabilities = log_softmax(clips.logits.astype(np.float64), axis=-1)
        loss = -log_probabilities[:, np.arange(len(clips.labels)), clips.labels].mean(-1)
        return int(np.lexsort((loss, -clips.num_correct))[0]) + 1


PROTOCOLS: tuple[EpochProtocol, ...] = (
    BEST_EPOCH := BestEpoch(),
    BEST_COMMON_EPOCH := BestCommonEpoch(),
    LAST_EPOCH := LastEpoch(),
    INNER_VAL := InnerVal(),
)


def protocols_of(run: RunResults) -> tuple[EpochProtocol, ...]:
    """The epoch protocols of `PROTOCOLS` that a run's folds have the predictions for."""
    has_inner_val = all(fold.inner_val is not None for fold in run.folds)
    return tuple(protocol for protocol in PROTOCOLS if has_inner_val or not protocol.needs_inner_val)


@dataclass(frozen=True)
class HeldOutPredictions:
    """The held-out predictions of a run under one epoch protocol, in the order of folds.

    Attributes:
        protocol: The epoch protocol.
        epochs: The epoch that counts in each fold, from 1.
        clip_ids: Each clip's id.
        subjects: Each clip's subject.
        folds: `(num_clips,)` the fold that held the clip out.
        labels: `(num_clips,)`.
        probabilities: `(num_clips, num_classes)`.
    """

    protocol: EpochProtocol
    epochs: dict[int, int]
    clip_ids: tuple[str, ...]
    subjects: tuple[str, ...]
    folds: NDArray[np.int64]
    labels: NDArray[np.int64]
    probabilities: NDArray[np.float64]

    @property
    def predicted(self) -> NDArray[np.int64]:
        """`(num_clips,)` the most probable class."""
        return np.asarray(self.probabilities.argmax(-1), dtype=np.int64)

    @property
    def correct(self) -> NDArray[np.bool_]:
        """`(num_clips,)` whether that is the label."""
        return np.asarray(self.predicted == self.labels)


def held_out_predictions(run: RunResults, protocol: EpochProtocol) -> HeldOutPredictions:
    """Pools the held-out predictions of a run's folds, each at the epoch that counts.

    Raises:
        EvaluationError: As `EpochProtocol.epochs`.
    """
    epochs = protocol.epochs(run)
    return HeldOutPredictions(
        protocol=protocol,
        epochs=epochs,
        clip_ids=tuple(clip_id for fold in run.folds for clip_id in fold.clip_ids),
        subjects=tuple(subject for fold in run.folds for subject in fold.subjects),
        folds=np.concatenate([np.full(len(fold.labels), fold.fold) for fold in run.folds]),
        labels=np.concatenate([fold.labels for fold in run.folds]),
        probabilities=softmax(
            np.concatenate([fold.logits[epochs[fold.fold] - 1] for fold in run.folds]).astype(np.float64), axis=-1
        ),
    )


def _copied(clips: EpochPredictions, num_clips: int | None = None) -> EpochPredictions:
    """A copy, which a rule may change; of the first clips alone if `num_clips` says so."""
    return EpochPredictions(
        logits=clips.logits[:, :num_clips].copy(),
        labels=clips.labels[:num_clips].copy(),
        clip_ids=clips.clip_ids[:num_clips],
        subjects=clips.subjects[:num_clips],
    )


_VIEWS: dict[LooksAt, Callable[[FoldResult], EpochPredictions | None]] = {
    "nothing": lambda fold: _copied(fold, 0),
    "inner_val": lambda fold: fold.inner_val and _copied(fold.inner_val),
    "held_out": _copied,
}


def _is_epoch(chosen: Any, num_epochs: int) -> bool:
    return isinstance(chosen, int | np.integer) and not isinstance(chosen, bool) and 1 <= int(chosen) <= num_epochs
