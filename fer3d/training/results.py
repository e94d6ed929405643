"""Fold results on disk: `result.json` with provenance and counts, `logits.npz` with the logits of every epoch."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fer3d.checked_json import CHECKSUM, check_seal, sealed
from fer3d.clips.folds import stored_kind
from fer3d.clips.independence import Independence
from fer3d.training.result_schema import FORMAT_VERSION, check_entries

RESULT_NAME = "result.json"
LOGITS_NAME = "logits.npz"
_LOGITS_DIGEST = "logits_sha256"
# The entries of `result.json` that are not part of `info`.
_DERIVED = ("format", "fold", "num_held_out", "num_correct", _LOGITS_DIGEST, CHECKSUM)
_INNER_VAL = "inner_val_"
# The facts that all folds of a run share.
_OF_THE_RUN = ("digest", "corpus", "synthetic", "clip_store", "num_folds", "num_clips")
SHARED = (*_OF_THE_RUN, *Independence().entries, "emotions", "number of epochs", "nested")


class ResultError(Exception):
    """A fold result that cannot be used; says which, why, and what to do."""


@dataclass(frozen=True, kw_only=True)
class EpochPredictions:
    """Predictions for some clips after each epoch.

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

    @property
    def clips(self) -> tuple[tuple[str, str, int], ...]:
        """Id, subject and label of each clip."""
        return tuple(zip(self.clip_ids, self.subjects, self.labels.tolist(), strict=True))


@dataclass(frozen=True, kw_only=True)
class FoldResult(EpochPredictions):
    """The result of a trained fold: the predictions for its held-out clips, and their provenance.

    Attributes:
        fold: The fold's number, from 1.
        emotions: The class names.
        info: Everything else in `result.json`: configuration, digest, seed, versions, timings.
        inner_val: The predictions for the training subjects kept back to choose an epoch (`cv.inner_val`); None
            without any.
    """

    fold: int
    emotions: tuple[str, ...]
    info: Mapping[str, Any]
    inner_val: EpochPredictions | None = None

    @property
    def held_out_kind(self) -> str:
        """`held-out clips` with the cautions that apply: debug, not subject-independent, synthetic."""
        debug = "DEBUG " if self.info["config"].get("num_batches") else ""
        synthetic = "SYNTHETIC " if self.info.get("synthetic") else ""
        return f"{debug}{Independence.told(self.info).mark}{synthetic}held-out clips"

    def summary(self) -> str:
        """The fold's accuracy in a sentence, with all cautions."""
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
    """The folder of a fold's result, such as `fold_003`."""
    return run_folder / f"fold_{fold:03d}"


def write_result(result: FoldResult, folder: Path) -> None:
    """Writes a result into a folder, `result.json` last.

    Use a work folder of `fer3d.atomic_folder`, so that readers never see half a result.
    """
    arrays: dict[str, Any] = {"emotions": np.array(result.emotions), **_arrays(result, "")}
    if result.inner_val is not None:
        arrays |= _arrays(result.inner_val, _INNER_VAL)
    archive = BytesIO()
    np.savez_compressed(archive, **arrays)
    (folder / LOGITS_NAME).write_bytes(archive.getbuffer())
    summary = {
        "format": FORMAT_VERSION,
        "fold": result.fold,
        "num_held_out": len(result.labels),
        "num_correct": _counts(result),
        **result.info,
        _LOGITS_DIGEST: hashlib.sha256(archive.getbuffer()).hexdigest(),
    }
    text = json.dumps(sealed(summary), indent=2, ensure_ascii=False)
    (folder / RESULT_NAME).write_text(text + "\n", encoding="utf-8")


def read_result(folder: Path, expected: Mapping[str, object] | None = None) -> FoldResult:
    """Reads a fold's result and checks its checksums, its consistency and the expected facts.

    Args:
        folder: The fold's folder.
        expected: Expected facts, by the names of `facts`.

    Raises:
        ResultError: The result is missing, damaged or of another format, or is not the expected one.
    """
    try:
        result = _read(folder)
    except PermissionError as error:
        raise ResultError(f"{folder} is not readable: {error}. Check its permissions") from error
    except Exception as error:  # a damaged archive raises errors of any type
        reason = f"no entry {error}" if isinstance(error, KeyError) else str(error) or type(error).__name__
        raise ResultError(
            f"{folder} holds no usable fold result: {reason}. Delete it to train the fold again"
        ) from error
    check_facts(result, folder, expected or {})
    return result


def check_facts(result: FoldResult, folder: Path, expected: Mapping[str, object]) -> None:
    """Checks that a folder holds the expected result.

    Args:
        result: The result that it holds.
        folder: The fold's folder.
        expected: Expected facts, by the names of `facts`.

    Raises:
        ResultError: A fact differs.
    """
    found = facts(result)
    for name, want in expected.items():
        if found[name] != want:
            raise ResultError(
                f"{folder} holds another result than expected: its {name} {_difference(found[name], want)}. It was "
                "renamed, copied or edited: move it elsewhere or delete it, and run the same command again"
            )


def facts(result: FoldResult) -> dict[str, object]:
    """The facts that identify a fold's result, by readable names."""
    return {
        "fold number": result.fold,
        **{name: result.info[name] for name in _OF_THE_RUN},
        **Independence.told(result.info).entries,
        "emotions": result.emotions,
        "number of epochs": len(result.logits),
        "nested": "chosen" in result.info,
        "held-out clips": result.clips,
        "clips kept back": () if result.inner_val is None else result.inner_val.clips,
    }


def same_numbers(first: FoldResult, second: FoldResult) -> bool:
    """Whether two trainings of a fold gave the same logits, bit by bit.

    Without held-out clips there are no logits, and versions and device are compared instead.
    """
    if not (first.clips or first.inner_val):
        return all(first.info[name] == second.info[name] for name in ("versions", "device"))
    pairs = [(first, second), (first.inner_val, second.inner_val)]
    return all(
        one is other if one is None or other is None else np.array_equal(one.logits, other.logits)
        for one, other in pairs
    )


def _read(folder: Path) -> FoldResult:
    info = dict(check_entries(json.loads((folder / RESULT_NAME).read_text(encoding="utf-8"))))
    check_seal(info)
    info["cv_kind"] = str(stored_kind(info, info["config"]["cv"]))
    content = (folder / LOGITS_NAME).read_bytes()
    if info.get(_LOGITS_DIGEST, hashlib.sha256(content).hexdigest()) != hashlib.sha256(content).hexdigest():
        raise ValueError(f"{LOGITS_NAME} does not match the checksum in {RESULT_NAME}")
    with np.load(BytesIO(content), allow_pickle=False) as arrays:
        emotions = _texts(arrays, "emotions")
        kept_back = f"{_INNER_VAL}logits" in arrays
        inner_val = EpochPredictions(**_predictions(arrays, _INNER_VAL, emotions)) if kept_back else None
        held_out = _predictions(arrays, "", emotions)
    result = FoldResult(
        fold=info["fold"],
        emotions=emotions,
        info={name: value for name, value in info.items() if name not in _DERIVED},
        inner_val=inner_val,
        **held_out,
    )
    _check_told(info, result)
    return result


def _check_told(info: Mapping[str, Any], result: FoldResult) -> None:
    """Checks the entries of `result.json` about the arrays."""
    told = {
        "num_held_out": len(result.labels),
        "num_correct": _counts(result),
        "subjects": sorted(set(result.subjects)),
        "num_train_with_copies": dict.fromkeys(result.emotions),
    }
    for name, want in told.items():
        found = dict.fromkeys(info[name]) if name == "num_train_with_copies" else info[name]
        if found != want:
            raise ValueError(f"{name} in {RESULT_NAME} contradicts {LOGITS_NAME}")
    if result.fold > info["num_folds"]:
        raise ValueError(f"its fold number is {result.fold}, but num_folds is {info['num_folds']}")


def _counts(predictions: EpochPredictions) -> dict[str, Any]:
    every = predictions.num_correct.tolist()
    return {"last_epoch": every[-1], "best_epoch": max(every), "every_epoch": every}


def _arrays(predictions: EpochPredictions, prefix: str) -> dict[str, Any]:
    return {
        f"{prefix}logits": predictions.logits,
        f"{prefix}labels": predictions.labels,
        f"{prefix}clip_ids": np.array(predictions.clip_ids, dtype=np.str_),
        f"{prefix}subjects": np.array(predictions.subjects, dtype=np.str_),
    }


def _predictions(arrays: Mapping[str, NDArray[Any]], prefix: str, emotions: tuple[str, ...]) -> dict[str, Any]:
    logits, labels = arrays[f"{prefix}logits"], arrays[f"{prefix}labels"]
    clip_ids, subjects = _texts(arrays, f"{prefix}clip_ids"), _texts(arrays, f"{prefix}subjects")
    for name, array, dtype in (("logits", logits, np.float32), ("labels", labels, np.int64)):
        if array.dtype != dtype:
            raise ValueError(f"{LOGITS_NAME} holds {prefix}{name} of {array.dtype} instead of {np.dtype(dtype)}")
    shapes = [logits.shape[1:], labels.shape, (len(clip_ids),), (len(subjects),)]
    num_clips = len(clip_ids)
    if not len(logits) or shapes != [(num_clips, len(emotions)), *[(num_clips,)] * 3]:
        raise ValueError(
            f"{LOGITS_NAME} holds {prefix}logits of shape {logits.shape} for {labels.size} labels, {num_clips} clips, "
            f"{len(subjects)} subjects and {len(emotions)} emotions"
        )
    if not np.isfinite(logits).all():
        raise ValueError(f"{LOGITS_NAME} holds {prefix}logits that are not finite")
    if not ((labels >= 0) & (labels < len(emotions))).all():
        raise ValueError(f"{LOGITS_NAME} holds {prefix}labels outside the {len(emotions)} emotions")
    return {"logits": logits, "labels": labels, "clip_ids": clip_ids, "subjects": subjects}


def _texts(arrays: Mapping[str, NDArray[Any]], name: str) -> tuple[str, ...]:
    array = arrays[name]
    if array.ndim != 1 or array.dtype.kind != "U":
        raise ValueError(f"{LOGITS_NAME} holds {name} of {array.dtype} {array.shape} instead of texts")
    if name.endswith(("clip_ids", "emotions")) and len(set(array.tolist())) < len(array):
        raise ValueError(f"{LOGITS_NAME} holds duplicate {name}")
    return tuple(array.tolist())


def _difference(found: object, want: object) -> str:
    """How a fact differs from the expected one: for clips, the first difference."""
    if isinstance(found, tuple) and isinstance(want, tuple):
        if len(found) != len(want):
            return f"are {len(found)} instead of {len(want)}"
        index, one, other = next(
            (i, *pair) for i, pair in enumerate(zip(found, want, strict=True)) if pair[0] != pair[1]
        )
        return f"differ, first in number {index + 1}, which is {one} instead of {other}"
    return f"is {found} instead of {want}"
