"""Clip stores of noise instead of faces: by itself, or of a run that was never trained."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fer3d.clips.store import ClipRecord, ClipStore, StoreHeader, StoreWriter
from fer3d.evaluation.run_results import RunResults


def write_clips(folder: Path, *, num_clips: int, num_frames: int, size: int, num_channels: int = 1) -> ClipStore:
    """Writes a clip store of as many subjects as clips."""
    emotions = ("happy", "sad")
    clips = [(f"{number}/1", str(number), emotions[number % 2]) for number in range(num_clips)]
    shape = {"num_channels": num_channels, "num_frames": num_frames, "size": size}
    return _write(folder, clips, corpus="noise", synthetic=True, emotions=emotions, **shape)


def write_store(run: Path, folder: Path, size: int = 32) -> ClipStore:
    """Writes the clip store of a run's held-out clips."""
    results = RunResults.read(run)
    clips = [
        (clip_id, subject, results.emotions[label])
        for fold in results.folds
        for clip_id, subject, label in zip(fold.clip_ids, fold.subjects, fold.labels, strict=True)
    ]
    told = {"corpus": results.corpus, "synthetic": results.synthetic, "emotions": results.emotions}
    return _write(folder, clips, num_channels=1, num_frames=10, size=size, **told)


def _write(folder: Path, clips: Sequence[tuple[str, str, str]], **fields: Any) -> ClipStore:
    header = StoreHeader(key="k" * 64, settings={}, versions={}, **fields)
    rng = np.random.default_rng(0)
    folder.mkdir(parents=True)
    with StoreWriter(folder, header) as writer:
        for clip_id, subject, emotion in clips:
            record = ClipRecord(
                clip_id=clip_id,
                subject=subject,
                emotion=emotion,
                frames=("1.png",) * header.num_frames,
                boxes=((0, 0, header.size, header.size),) * header.num_frames,
                confidences=(1.0,) * header.num_frames,
                sources=("detected",) * header.num_frames,
            )
            writer.add(record, rng.integers(0, 255, header.clip_shape, dtype=np.uint8))
        return writer.seal()
