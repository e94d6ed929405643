"""Run folders as training leaves them, with chosen clips right in chosen epochs; nothing is trained."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from composed import composed
from numpy.typing import ArrayLike, NDArray
from omegaconf import OmegaConf

from fer3d.atomic_folder import atomic_folder
from fer3d.clips.independence import Independence
from fer3d.training.results import EpochPredictions, FoldResult, fold_folder, write_result

EMOTIONS = ("anger", "contempt", "disgust", "fear", "happy", "sadness", "surprise")
# What a result tells of its making that no number depends on.
TOLD = {
    "start_from": None,
    "precision": "32-true",
    "finished": "2026-11-23T08:00:00+00:00",
    "seconds": 1.5,
    "device": "cpu",
    "versions": {"fer3d": "0.1.0", "python": "3.11.2", "torch": "2.13.0"},
}

Table = NDArray[np.bool_]


@dataclass(frozen=True)
class Clip:
    """A clip that nobody ever sees."""

    clip_id: str
    subject: str
    label: int
    fold: int


def write_run(
    outputs: Path,
    correct: float | Sequence[ArrayLike] = 0.8,
    *,
    inner_val: float | Sequence[ArrayLike] | None = None,
    num_folds: int = 3,
    subjects_per_fold: int = 2,
    clips_per_subject: int = 4,
    num_epochs: int = 3,
    only: Collection[int] | None = None,
    name: str = "fake",
    seed: int = 0,
    digest: str | None = None,
    cv: str = "kfold10",
    corpus: str = "synthetic",
    synthetic: bool = True,
    emotions: Sequence[str] = EMOTIONS,
    clip_store: str = "c" * 64,
    independence: Independence | None = None,
    overrides: Sequence[str] = (),
) -> Path:
    """Writes a run's folder and returns it: `outputs/<name>-<digest>`.

    Subject number i is held out in fold `i % num_folds + 1`. Clips take the emotions in turn. A wrong clip is taken for
    the emotion after its own. Runs of the same sizes hold out the same clips in the same folds, and can be compared.

    `correct` says whether each clip is right after each epoch: a `(num_epochs, num_clips)` array for each fold, which
    sets all sizes but `subjects_per_fold`, and which `right()` makes of numbers; or the probability of it. `inner_val`
    says the same for clips kept back from training, which are the first of other folds. Only the folds of `only` are
    written. `seed` is also that of the logits and of what probabilities decide. By default, the digest is one of the
    settings and of `correct`, so that two different runs have two folders. `cv` and `corpus` are files of `conf/cv` and
    `conf/data`, `overrides` more settings, such as `model.dropout=0.3`.
    """
    subjects_per_fold = 1 if cv == "loso" else subjects_per_fold
    tables = _tables(correct, num_folds, (num_epochs, subjects_per_fold * clips_per_subject), seed)
    inner: Sequence[Table | None] = [None] * len(tables)
    if inner_val is not None:
        inner = _tables(inner_val, len(tables), (len(tables[0]), clips_per_subject), seed + 1)
    clips = _clips([table.shape[1] for table in tables], subjects_per_fold, len(emotions))
    settings = [f"cv={cv}", f"data={corpus}", f"name={name}", f"seed={seed}", f"trainer.max_epochs={len(tables[0])}"]
    settings += [] if cv in ("loso", "ravdess6", "crema_d5", "given") else [f"cv.num_folds={len(tables)}"]
    settings += [] if inner_val is None else ["cv.inner_val=0.1"]
    config = _config((*settings, *overrides))
    said = [table.tolist() for table in [*tables, *inner] if table is not None]
    digest = digest or _digest(config, clip_store, synthetic, emotions, said)
    folder = outputs / f"{name}-{digest[:8]}"
    info = {"run": folder.name, "digest": digest, "corpus": corpus, "synthetic": synthetic, "clip_store": clip_store}
    info |= {"seed": seed, "num_folds": len(tables), "num_clips": len(clips), "config": config, **TOLD}
    info |= independence.entries if independence else {}
    for number, (table, inner_table) in enumerate(zip(tables, inner, strict=True), start=1):
        if only is None or number in only:
            result = _fold(number, clips, table, inner_table, tuple(emotions), info)
            with atomic_folder(fold_folder(folder, number)) as work:
                write_result(result, work)
    return folder


def right(num_clips: int, *num_right: int) -> NDArray[np.bool_]:
    """`(num_epochs, num_clips)`: the first `num_right` of the clips are right, a number for each epoch."""
    return np.arange(num_clips) < np.asarray(num_right)[:, None]


def _tables(correct: float | Sequence[ArrayLike], num_folds: int, size: tuple[int, int], seed: int) -> list[Table]:
    if isinstance(correct, int | float):
        rng = np.random.default_rng(seed)
        return [rng.random(size) < correct for _ in range(num_folds)]
    return [np.asarray(table, dtype=bool) for table in correct]


def _clips(sizes: Sequence[int], subjects_per_fold: int, num_classes: int) -> list[Clip]:
    """All clips in the order of a clip store: by subject, then by sequence."""
    clips: list[Clip] = []
    for index in range(len(sizes) * subjects_per_fold):
        rank, fold = divmod(index, len(sizes))
        subject = f"S{index + 1:03d}"
        for sequence in range(len(range(rank, sizes[fold], subjects_per_fold))):
            clips.append(Clip(f"{subject}/{sequence + 1:03d}", subject, len(clips) % num_classes, fold + 1))
    return clips


def _fold(
    number: int,
    clips: Sequence[Clip],
    correct: Table,
    inner_correct: Table | None,
    emotions: tuple[str, ...],
    info: Mapping[str, Any],
) -> FoldResult:
    held_out = [clip for clip in clips if clip.fold == number]
    train = [clip for clip in clips if clip.fold != number]
    rng = np.random.default_rng([info["seed"], number])
    predictions = _predictions(held_out, correct, len(emotions), rng)
    inner_val = None
    if inner_correct is not None:
        kept, train = train[: inner_correct.shape[1]], train[inner_correct.shape[1] :]
        inner_val = EpochPredictions(**_predictions(kept, inner_correct, len(emotions), rng))
    told = {
        "subjects": sorted({clip.subject for clip in held_out}),
        "num_train": max(len(train), 1),
        "num_train_with_copies": dict.fromkeys(emotions, 5 * len(train) // len(emotions)),
    }
    return FoldResult(fold=number, emotions=emotions, inner_val=inner_val, info={**info, **told}, **predictions)


def _predictions(clips: Sequence[Clip], correct: Table, num_classes: int, rng: np.random.Generator) -> dict[str, Any]:
    """Logits that are sure of the label or of the class after it, and what they are about."""
    labels = np.array([clip.label for clip in clips], dtype=np.int64)
    said = np.where(correct, labels, (labels + 1) % num_classes)
    noise = rng.uniform(-1, 1, (*said.shape, num_classes))
    return {
        "logits": (4 * np.eye(num_classes)[said] + noise).astype(np.float32),
        "labels": labels,
        "clip_ids": tuple(clip.clip_id for clip in clips),
        "subjects": tuple(clip.subject for clip in clips),
    }


def _digest(*content: Any) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _config(settings: Sequence[str]) -> dict[str, Any]:
    plain = OmegaConf.to_container(composed("logger=csv", *settings), resolve=True, throw_on_missing=True)
    assert isinstance(plain, dict)
    return {str(key): value for key, value in plain.items()}
