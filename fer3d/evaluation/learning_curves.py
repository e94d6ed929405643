"""Loss and accuracy of every fold after every epoch, from the `metrics.csv` that training leaves."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas
from numpy.typing import NDArray

from fer3d.evaluation.run_results import EvaluationError, RunResults
from fer3d.training.results import FoldResult, fold_folder

METRICS_NAME = "metrics.csv"

_COLUMNS = ["train/loss", "train/accuracy", "held_out/loss", "held_out/accuracy"]


@dataclass(frozen=True)
class LearningCurves:
    """Loss and accuracy of each fold's training and held-out clips after each epoch.

    Attributes:
        folds: `num_folds` numbers.
        num_held_out: `(num_folds,)` clips that each fold held out.
        train_loss: `(num_folds, num_epochs)`, while training, so with dropout and augmentation.
        train_accuracy: `(num_folds, num_epochs)`, the same.
        held_out_loss: `(num_folds, num_epochs)`.
        held_out_accuracy: `(num_folds, num_epochs)`.
    """

    folds: tuple[int, ...]
    num_held_out: NDArray[np.int64]
    train_loss: NDArray[np.float64]
    train_accuracy: NDArray[np.float64]
    held_out_loss: NDArray[np.float64]
    held_out_accuracy: NDArray[np.float64]

    @property
    def num_epochs(self) -> int:
        """Number of epochs."""
        return int(self.train_loss.shape[1])


def read_curves(run: RunResults) -> LearningCurves:
    """Reads the `metrics.csv` of each of a run's folds that hold clips out.

    Raises:
        EvaluationError: One is missing or damaged, or lacks a value of an epoch.
    """
    folds = [fold for fold in run.folds if fold.clip_ids]
    values = np.array([_read_fold(run.folder, fold) for fold in folds])
    return LearningCurves(
        tuple(fold.fold for fold in folds),
        np.array([len(fold.clip_ids) for fold in folds]),
        *np.moveaxis(values, 2, 0),
    )


def _read_fold(run_folder: Path, fold: FoldResult) -> NDArray[np.float64]:
    """Returns `(num_epochs, num_columns)`."""
    path = fold_folder(run_folder, fold.fold) / METRICS_NAME
    num_epochs = len(fold.logits)
    try:
        # A callback may log beside the epochs, and Lightning may spread an epoch over several rows.
        table = pandas.read_csv(path)[["epoch", *_COLUMNS]].dropna(how="all", subset=_COLUMNS).astype(float)
        by_epoch = table.groupby("epoch").last()
        for epoch in by_epoch.index.difference(range(num_epochs)):
            raise ValueError(f"it has an epoch {epoch + 1:g} of {num_epochs}")
        values = by_epoch.reindex(range(num_epochs)).to_numpy()
        for epoch, column in np.argwhere(~np.isfinite(values)):
            raise ValueError(f"it has no {_COLUMNS[column]} for epoch {epoch + 1}")
    except (OSError, ValueError, KeyError) as error:
        reason = f"it lacks columns: {error.args[0]}" if isinstance(error, KeyError) else str(error)
        raise EvaluationError(
            f"{path} holds no usable curves: {reason}. Delete {path.parent} to train the fold again"
        ) from error
    return np.asarray(values)
