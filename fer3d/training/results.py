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

FORMAT_VERSION = 1
RESULT_NAME = "result.json"
LOGITS_NAME = "logits.npz"

# What reading a damaged file can raise; an archive of NumPy raises what its layers do.
_DAMAGE = (OSError, EOFError, ValueError, KeyError, AttributeError, TypeError, zipfile.BadZipFile, zlib.error)


class ResultError(Exception):
    """A fold result that cannot be used: which, why, and what to do."""


@dataclass(frozen=True)
class FoldResult:
    """What a trained fold leaves.

    Attributes:
        fold: The fold's number, from 1.
        logits: `(num_epochs, num_held_out, num_classes)` float32: what the network said of the held-out clips after
            each epoch.
        labels: `(num_held_out,)` int64.
        clip_ids: Ids of the held-out clips.
        emotions: The class names.
        info: Everything else that `result.json` holds: config, digest, seed, versions, subjects, timings.
    """

    fold: int
    logits: NDArray[np.float32]
    labels: NDArray[np.int64]
    clip_ids: tuple[str, ...]
    emotions: tuple[str, ...]
    info: Mapping[str, Any]

    @property
    def num_correct(self) -> NDArray[np.int64]:
        """Number of held-out clips that each epoch got right, `(num_epochs,)`."""
        return np.asarray((self.logits.argmax(-1) == self.labels).sum(-1), dtype=np.int64)

    @property
    def held_out_kind(self) -> str:
        """What the numbers were measured on: `held-out clips`, called synthetic where they are."""
        return "SYNTHETIC held-out clips" if self.info.get("synthetic") else "held-out clips"

    def summary(self) -> str:
        """The fold's accuracy in a sentence; the best epoch and synthetic clips are labelled as what they are."""
        correct, total = self.num_correct, len(self.labels)
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
    np.savez_compressed(
        folder / LOGITS_NAME,
        logits=result.logits,
        labels=result.labels,
        clip_ids=np.array(result.clip_ids),
        emotions=np.array(result.emotions),
    )
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
            logits, labels = arrays["logits"], arrays["labels"]
            clip_ids, emotions = tuple(arrays["clip_ids"].tolist()), tuple(arrays["emotions"].tolist())
        if logits.ndim != 3 or logits.shape[1:] != (len(labels), len(emotions)) or len(clip_ids) != len(labels):
            raise ValueError(f"{LOGITS_NAME} holds logits of shape {logits.shape} for {len(labels)} clips")
        return FoldResult(info.pop("fold"), logits, labels, clip_ids, emotions, info)
    except _DAMAGE as error:
        reason = f"no entry {error}" if isinstance(error, KeyError) else str(error)
        raise ResultError(
            f"{folder} holds no usable fold result: {reason}. Delete it to train the fold again."
        ) from error
