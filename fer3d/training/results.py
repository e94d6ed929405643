"""Fold results on disk: `result.json` for people and programs, `logits.npz` with the held-out logits of every epoch."""

from __future__ import annotations

import json
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

FORMAT_VERSION = 2
RESULT_NAME = "result.json"
LOGITS_NAME = "logits.npz"
_INNER_VAL = "inner_val_"

# What reading a damaged file can raise; an archive of NumPy raises what its layers do.
_DAMAGE = (OSError, EOFError, ValueError, KeyError, AttributeError, TypeError, zipfile.BadZipFile, zlib.error)


class ResultError(Exception):
    """A fold result that cannot be used: which, why, and what to do."""


@dataclass(frozen=True, kw_only=True)
class EpochPredictions:
    """What the network said of some clips after each epoch.

    Attributes:
        logits: `(num_epochs, num_clips, num_classes)` float32.
        labels: `(num_clips,)` int64.
        clip_ids: Each clip's id.
        subjects: Each clip's subject.
    """

    logits: NDArray[np.float32]
    labels: NDArray[np.int64]
    clip_ids: tuple[str, ...]
    subjects: tuple[str, ...]

    @property
    def num_correct(self) -> NDArray[np.int64]:
        """Number of clips that each epoch got right, `(num_epochs,)`."""
        return np.asarray((self.logits.argmax(-1) == self.labels).sum(-1), dtype=np.int64)


@dataclass(frozen=True, kw_only=True)
class FoldResult(EpochPredictions):
    """What a trained fold leaves: the predictions of its held-out clips, and where they come from.

    Attributes:
        fold: The fold's number, from 1.
        emotions: The class names.
        info: Everything else that `result.json` holds: config, digest, seed, versions, timings.
        inner_val: The predictions of the training subjects held back to choose an epoch (see `cv.inner_val`); None
            where there were none.
    """

    fold: int
    emotions: tuple[str, ...]
    info: Mapping[str, Any]
    inner_val: EpochPredictions | None = None

    @property
    def held_out_kind(self) -> str:
        """What the numbers were measured on: `held-out clips`, called synthetic where they are, and a quick try one."""
        debug = "DEBUG, " if self.info["config"].get("num_batches") else ""
        return f"{debug}SYNTHETIC held-out clips" if self.info.get("synthetic") else f"{debug}held-out clips"

    def summary(self) -> str:
        """The fold's accuracy in a sentence; the best epoch and synthetic clips are labelled as what they are."""
        correct, total = self.num_correct, len(self.labels)
        if not total:
            return f"fold {self.fold}: trained on all {self.info['num_train']} clips, nothing was held out"
        best = int(correct.argmax())
        return (
            f"fold {self.fold}: {correct[-1]} of {total} {self.held_out_kind} right after the last epoch "
            f"({correct[-1] / total:.1%}); best epoch, chosen on these very clips and so optimistic: "
            f"{correct[best] / total:.1%} (epoch {best + 1})"
        )


def fold_folder(run_folder: Path, fold: int) -> Path:
    """Where a fold's result lies, such as `fold_003`."""
    return run_folder / f"fold_{fold:03d}"


def write_result(result: FoldResult, folder: Path) -> None:
    """Writes a result into a folder, `result.json` last.

    The folder is meant to be a work folder of `fer3d.atomic_folder`.
    """
    arrays: dict[str, Any] = {"emotions": np.array(result.emotions), **_arrays(result, "")}
    if result.inner_val is not None:
        arrays |= _arrays(result.inner_val, _INNER_VAL)
    np.savez_compressed(folder / LOGITS_NAME, **arrays)
    summary = {
        "format": FORMAT_VERSION,
        "fold": result.fold,
        "num_held_out": len(result.labels),
        "num_correct": {
            "last_epoch": int(result.num_correct[-1]),
            "best_epoch": int(result.num_correct.max()),
            "every_epoch": result.num_correct.tolist(),
        },
        **result.info,
    }
    (folder / RESULT_NAME).write_text(json.dumps(summary, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def read_result(folder: Path) -> FoldResult:
    """Reads a fold's result.

    Raises:
        ResultError: The folder holds no result, a damaged one, or one of another format.
    """
    try:
        info = json.loads((folder / RESULT_NAME).read_text(encoding="utf-8"))
        if info.pop("format") != FORMAT_VERSION:
            raise ValueError(f"{RESULT_NAME} has another format than {FORMAT_VERSION}")
        # Opened here, since NumPy leaves a damaged archive open.
        with (folder / LOGITS_NAME).open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            emotions = tuple(arrays["emotions"].tolist())
            inner_val = None
            if f"{_INNER_VAL}logits" in arrays:
                inner_val = EpochPredictions(**_predictions(arrays, _INNER_VAL, len(emotions)))
            held_out = _predictions(arrays, "", len(emotions))
        return FoldResult(fold=info.pop("fold"), emotions=emotions, info=info, inner_val=inner_val, **held_out)
    except _DAMAGE as error:
        reason = f"no entry {error}" if isinstance(error, KeyError) else str(error)
        raise ResultError(
            f"{folder} holds no usable fold result: {reason}. Delete it to train the fold again."
        ) from error


def _arrays(predictions: EpochPredictions, prefix: str) -> dict[str, Any]:
    return {
        f"{prefix}logits": predictions.logits,
        f"{prefix}labels": predictions.labels,
        f"{prefix}clip_ids": np.array(predictions.clip_ids, dtype=np.str_),
        f"{prefix}subjects": np.array(predictions.subjects, dtype=np.str_),
    }


def _predictions(arrays: Mapping[str, NDArray[Any]], prefix: str, num_classes: int) -> dict[str, Any]:
    logits, labels = arrays[f"{prefix}logits"], arrays[f"{prefix}labels"]
    clip_ids, subjects = (tuple(arrays[f"{prefix}{name}"].tolist()) for name in ("clip_ids", "subjects"))
    if logits.ndim != 3 or logits.shape[1:] != (len(labels), num_classes) or len(clip_ids) != len(labels):
        raise ValueError(f"{LOGITS_NAME} holds logits of shape {logits.shape} for {len(labels)} clips")
    return {"logits": logits, "labels": labels, "clip_ids": clip_ids, "subjects": subjects}
