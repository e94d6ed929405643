"""Entries of a comparison without files: what each seed says of each clip, chosen by hand or by chance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fer3d.evaluation.entries import Entry
from fer3d.evaluation.run_results import RunResults
from fer3d.training.results import FoldResult

EMOTIONS = ("anger", "fear", "happy")


def make_entry(label: str, right: ArrayLike, *, num_folds: int = 10, kind: str = "k_fold", **told: Any) -> Entry:
    """Makes an entry of whether each seed gets each clip right, `(num_seeds, num_clips)`, after its only epoch.

    Clip number i is held out in fold `i % num_folds + 1`; `told` are entries of the folds' results.
    """
    return Entry(label, tuple(_run(label, seed, row, num_folds, kind, told) for seed, row in enumerate(_table(right))))


def chance_entries(
    accuracies: Mapping[str, float], costs: Sequence[float | None] = (), *, seeds: int = 1, **told: Any
) -> tuple[Entry, ...]:
    """Makes entries that get easy clips right more often, each with its accuracy and the GFLOP of a clip, if given."""
    easy = np.random.default_rng(0).random(330)
    entries = []
    for number, (label, accuracy) in enumerate(accuracies.items()):
        luck = np.random.default_rng([1, number]).random((seeds, len(easy)))
        cost = costs[number] if number < len(costs) else None
        costly: dict[str, Any] = {}
        if cost is not None:
            costly = {"gflop": cost, "num_parameters": int(1e6 * cost), "clips_per_second": 9 / cost}
        entries.append(make_entry(label, (easy + luck) / 2 < np.sqrt(accuracy / 2), **told, **costly))
    return tuple(entries)


def _table(right: ArrayLike) -> NDArray[np.bool_]:
    return np.atleast_2d(np.asarray(right, dtype=bool))


def _run(
    label: str, seed: int, right: NDArray[np.bool_], num_folds: int, kind: str, told: Mapping[str, Any]
) -> RunResults:
    labels = np.arange(len(right)) // num_folds % len(EMOTIONS)
    info = {
        "run": f"{label}-{seed}", "digest": f"{label}{seed}", "seed": seed, "corpus": "ckplus", "synthetic": True,
        "clip_store": "c" * 64, "precision": "32-true", "device": "cpu", "seconds": 2.0, "versions": {"fer3d": "0.1.0"},
        "num_folds": num_folds, "cv_kind": kind, "config": {"name": label, "cv": {"_target_": "step_folds"}}, **told,
    }  # fmt: skip
    folds = []
    for fold in range(num_folds):
        of_fold = np.arange(fold, len(right), num_folds)
        said = np.where(right, labels, (labels + 1) % len(EMOTIONS))[of_fold]
        folds.append(
            FoldResult(
                fold=fold + 1,
                emotions=EMOTIONS,
                info={**info, "num_train": max(len(right) - len(of_fold), 1)},
                logits=np.eye(len(EMOTIONS), dtype=np.float32)[said][None],
                labels=labels[of_fold],
                clip_ids=tuple(f"S{clip:03d}/001" for clip in of_fold),
                subjects=tuple(f"S{clip:03d}" for clip in of_fold),
            )
        )
    return RunResults(Path(f"outputs/{label}-{seed}"), tuple(folds), ())
