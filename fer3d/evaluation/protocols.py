"""Epoch protocols: which epoch of each fold counts. The choice changes a result more than most settings do."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_softmax, softmax

from fer3d.evaluation.run_results import EvaluationError, RunResults
from fer3d.training.results import EpochPredictions


@dataclass(frozen=True)
class EpochProtocol:
    """A rule for which epoch counts.

    Attributes:
        name: As in configuration, CSV and JSON.
        optimistic: Whether held-out clips have a say in the choice, so that the result is better than it should be.
        title: The name for people; says so where it is optimistic.
        meaning: The rule in a sentence.
        own: The class of a user's own rule, such as `my_protocol.MyRule`; None for fer3d's.
        choose: What such a rule chooses, as `chosen_epochs` does.
    """

    name: str
    optimistic: bool
    title: str
    meaning: str
    own: str | None = None
    choose: Callable[[RunResults], dict[int, int]] | None = field(default=None, compare=False, repr=False)


BEST_EPOCH = EpochProtocol(
    "best_epoch",
    True,
    "best epoch of each fold (optimistic)",
    "each fold's own best epoch on its held-out clips: the paper's protocol",
)
BEST_COMMON_EPOCH = EpochProtocol(
    "best_common_epoch",
    True,
    "best common epoch (slightly optimistic)",
    "the one epoch that is best over all folds' held-out clips",
)
LAST_EPOCH = EpochProtocol(
    "last_epoch", False, "last epoch", "the last epoch, fixed in advance: held-out clips choose nothing"
)
INNER_VAL = EpochProtocol(
    "inner_val",
    False,
    "epoch chosen on inner validation",
    "the epoch that is best on training subjects kept back for this choice (cv.inner_val)",
)
PROTOCOLS = (BEST_EPOCH, BEST_COMMON_EPOCH, LAST_EPOCH, INNER_VAL)


@dataclass(frozen=True)
class HeldOutPredictions:
    """What a run says of all its held-out clips under one epoch protocol, in the order of folds.

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


def protocols_of(run: RunResults) -> tuple[EpochProtocol, ...]:
    """The epoch protocols that a run's folds allow."""
    return tuple(protocol for protocol in PROTOCOLS if protocol != INNER_VAL or _has_inner_val(run))


def chosen_epochs(run: RunResults, protocol: EpochProtocol) -> dict[int, int]:
    """The epoch that counts in each fold, from 1; of equally good ones the earliest.

    Raises:
        EvaluationError: `inner_val` is asked of a run that kept no training subjects back; or a rule of the user's own
            cannot choose.
    """
    if protocol.choose is not None:
        return protocol.choose(run)
    if protocol == BEST_EPOCH:
        return {fold.fold: int(fold.num_correct.argmax()) + 1 for fold in run.folds}
    if protocol == BEST_COMMON_EPOCH:
        epoch = int(np.sum([fold.num_correct for fold in run.folds], axis=0).argmax()) + 1
        return {fold.fold: epoch for fold in run.folds}
    if protocol == LAST_EPOCH:
        return {fold.fold: len(fold.logits) for fold in run.folds}
    epochs = {fold.fold: best_inner_epoch(fold.inner_val) for fold in run.folds if fold.inner_val is not None}
    if len(epochs) < len(run.folds):
        raise EvaluationError(
            f"{run.folder} kept no training subjects back, so that inner_val can choose no epoch: train with, "
            "for example, cv.inner_val=0.1"
        )
    return epochs


def held_out_predictions(run: RunResults, protocol: EpochProtocol) -> HeldOutPredictions:
    """Pools the held-out predictions of a run's folds, each at the epoch that counts."""
    epochs = chosen_epochs(run, protocol)
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


def _has_inner_val(run: RunResults) -> bool:
    return all(fold.inner_val is not None for fold in run.folds)


def best_inner_epoch(clips: EpochPredictions) -> int:
    """The epoch with the most clips right; the loss decides between equals, which are frequent among few clips."""
    said = log_softmax(clips.logits.astype(np.float64), axis=-1)
    loss = -said[:, np.arange(len(clips.labels)), clips.labels].mean(-1)
    return int(np.lexsort((loss, -clips.num_correct))[0]) + 1
