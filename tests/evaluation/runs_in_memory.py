"""Runs without files: what their folds say after each epoch, chosen by hand or by Hypothesis."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import strategies as st
from numpy.typing import ArrayLike, NDArray

from fer3d.evaluation.run_results import RunResults
from fer3d.training.results import EpochPredictions, FoldResult

EMOTIONS = ("anger", "fear", "happy", "surprise")


def make_run(
    folds: Sequence[EpochPredictions], inner_val: Sequence[EpochPredictions | None] | None = None
) -> RunResults:
    """Makes a run of what its folds say of their held-out clips, and of those kept back to choose an epoch."""
    kept = inner_val or [None] * len(folds)
    results = tuple(
        FoldResult(fold=number, emotions=EMOTIONS, info={}, inner_val=inner, **vars(fold))
        for number, (fold, inner) in enumerate(zip(folds, kept, strict=True), start=1)
    )
    return RunResults(Path("run"), results, ())


def said(predicted: ArrayLike, labels: ArrayLike, subject: str = "S001", sure: ArrayLike = 3.0) -> EpochPredictions:
    """Predictions of `predicted`, a class an epoch and clip; `sure` is its logit, and the others' is 0."""
    classes = np.atleast_2d(predicted)
    return EpochPredictions(
        logits=(np.eye(len(EMOTIONS))[classes] * np.asarray(sure)[..., None]).astype(np.float32),
        labels=np.asarray(labels, dtype=np.int64),
        clip_ids=tuple(f"{subject}/{number:03d}" for number in range(classes.shape[1])),
        subjects=(subject,) * classes.shape[1],
    )


def right(*num_right: int, of: int, subject: str = "S001") -> EpochPredictions:
    """Predictions that get the first so many clips right, a number an epoch."""
    return said((np.arange(of) >= np.array(num_right)[:, None]).astype(int), np.zeros(of), subject)


def reordered(predictions: EpochPredictions, order: NDArray[np.int64]) -> dict[str, Any]:
    """The same clips in another order."""
    return {
        "logits": predictions.logits[:, order],
        "labels": predictions.labels[order],
        "clip_ids": tuple(predictions.clip_ids[index] for index in order),
        "subjects": tuple(predictions.subjects[index] for index in order),
    }


def with_logits(run: RunResults, logits: Sequence[NDArray[np.float32]]) -> RunResults:
    """The same run with other logits of its held-out clips."""
    folds = tuple(replace(fold, logits=other) for fold, other in zip(run.folds, logits, strict=True))
    return replace(run, folds=folds)


@st.composite
def runs(draw: st.DrawFn, inner_val: bool = False) -> RunResults:
    """Small runs with many ties between epochs, subjects of several clips, and emotions without clips."""
    num_epochs, num_folds = draw(st.integers(1, 5)), draw(st.integers(1, 4))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    emotions = draw(st.integers(1, len(EMOTIONS)))
    folds = [_predictions(rng, num_epochs, draw(st.integers(1, 6)), emotions, number) for number in range(num_folds)]
    kept = [_predictions(rng, num_epochs, draw(st.integers(1, 4)), emotions, 9) for _ in folds] if inner_val else None
    return make_run(folds, kept)


def _predictions(
    rng: np.random.Generator, num_epochs: int, num_clips: int, emotions: int, fold: int
) -> EpochPredictions:
    people = np.sort(rng.integers(0, 3, num_clips))
    return EpochPredictions(
        logits=rng.normal(size=(num_epochs, num_clips, len(EMOTIONS))).astype(np.float32),
        labels=rng.integers(0, emotions, num_clips),
        clip_ids=tuple(f"S{fold}{person}/{index:03d}" for index, person in enumerate(people)),
        subjects=tuple(f"S{fold}{person}" for person in people),
    )
