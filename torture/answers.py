"""Reads the results of commands without fer3d's own checks, and compares them."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray


def read_clips(outputs: Path, data: str) -> dict[str, dict[str, Any]]:
    """Content of a corpus's only clip store: subject, emotion and pixels of each clip."""
    (store,) = (outputs / "clips").glob(f"{data}-*")
    index = json.loads((store / "index.json").read_text(encoding="utf-8"))
    pixels = np.load(store / "clips.npy")
    return {
        clip["clip_id"]: {
            **{name: clip[name] for name in ("subject", "emotion")},
            "pixels": hashlib.sha256(pixels[number].tobytes()).hexdigest(),
        }
        for number, clip in enumerate(index["clips"])
    }


def read_logits(run: Path) -> dict[str, NDArray[np.float32]]:
    """The logits of each finished fold of a run."""
    return {path.parent.name: np.load(path)["logits"] for path in sorted(run.glob("fold_*/logits.npz"))}


def read_study(folder: Path) -> list[Any]:
    """State, settings, and number of correct clips per fold and epoch of each trial of a study."""
    from fer3d.search.records import StudyRecord

    record = StudyRecord.read(str(folder))
    try:
        return [
            (trial.state, dict(trial.params), sorted((one.fold, list(one.num_correct)) for one in trial.outcomes))
            for trial in record.trials
        ]
    finally:
        record.close()


def equal(first: Any, second: Any) -> bool:
    """Whether two answers are equal, arrays bit by bit."""
    if isinstance(first, dict) and isinstance(second, dict):
        return first.keys() == second.keys() and all(equal(first[key], second[key]) for key in first)
    if isinstance(first, list | tuple) and isinstance(second, list | tuple):
        return len(first) == len(second) and all(map(equal, first, second))
    if isinstance(first, np.ndarray) or isinstance(second, np.ndarray):
        return np.array_equal(np.asarray(first), np.asarray(second))
    return bool(first == second)


def difference(first: Any, second: Any, path: str = "") -> str:
    """The first difference between two answers."""
    if isinstance(first, dict) and isinstance(second, dict):
        for key in [*first, *second]:
            if not equal(first.get(key), second.get(key)):
                return difference(first.get(key), second.get(key), f"{path}.{key}")
    if isinstance(first, list) and isinstance(second, list) and len(first) == len(second):
        for number, pair in enumerate(zip(first, second, strict=True)):
            if not equal(*pair):
                return difference(*pair, f"{path}[{number}]")
    if isinstance(first, np.ndarray):
        return f"{path} has other numbers"
    return f"{path} is {first!r} instead of {second!r}"[:300]
