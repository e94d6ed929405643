"""Clip stores of noise instead of faces: by itself, or of a run that was never trained."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from fer3d.clips.store import ClipRecord, ClipStore, StoreHeader, StoreWriter
from fer3d.evaluation.run_results import RunResults


def write_clips(folder: Path, *, num_clips: int, num_frames: int, size: int, num_channels: int = 1) -> ClipStore:
    """Writes a clip store of as many subjects as clips."""
    header = StoreHeader(
        corpus="noise",
        synthetic=True,
        emotions=("happy", "sad"),
        num_channels=num_channels,
        num_frames=num_frames,
        size=size,
        key="k" * 64,
        settings={},
        versions={},
    )
    rng = np.random.default_rng(0)
    folder.mkdir(parents=True)
    with StoreWriter(folder, header) as writer:
        for number in range(num_clips):
            record = ClipRecord(
                clip_id=f"{number}/1",
                subject=str(number),
                emotion=header.emotions[number % 2],
                frames=("1.png",) * num_frames,
                boxes=((0, 0, size, size),) * num_frames,
                confidences=(1.0,) * num_frames,
                sources=("detected",) * num_frames,
            )
            writer.add(record, rng.integers(0, 255, header.clip_shape, dtype=np.uint8))
        return writer.seal()


def write_store(run: Path, folder: Path, size: int = 32) -> ClipStore:
    """Writes the clip store of a run's held-out clips."""
    results = RunResults.read(run)
    header = StoreHeader(
        corpus=results.corpus,
        synthetic=results.synthetic,
        emotions=results.emotions,
        num_channels=1,
        num_frames=10,
        size=size,
        key="k" * 64,
        settings={},
        versions={},
    )
    rng = np.random.default_rng(0)
    folder.mkdir(parents=True)
    with StoreWriter(folder, header) as writer:
        for fold in results.folds:
            for clip_id, subject, label in zip(fold.clip_ids, fold.subjects, fold.labels, strict=True):
                record = ClipRecord(
                    clip_id=clip_id,
                    subject=subject,
                    emotion=results.emotions[label],
                    frames=("1.png",) * 10,
                    boxes=((0, 0, size, size),) * 10,
                    confidences=(1.0,) * 10,
                    sources=("detected",) * 10,
                )
                writer.add(record, rng.integers(0, 255, header.clip_shape, dtype=np.uint8))
        return writer.seal()
