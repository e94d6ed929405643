"""Builders of small trees in the layouts of the corpora. The readers open no image, so the frames are empty files."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from fer3d.corpora import oulu_casia
from fer3d.corpora.ckplus import EXPECTED
from fer3d.corpora.sequences import SYNTHETIC_MARKER, Corpus, CorpusWarning

CKPLUS_IMAGES = "cohn-kanade-images"
CKPLUS_LABELS = "Emotion"
OULU_STRONG = "OriginalImg/VL/Strong"
OULU_FOLDERS = ("Anger", "Disgust", "Fear", "Happiness", "Sadness", "Surprise")

# Subjects of CK+ by their number of labelled sequences.
CKPLUS_SUBJECTS = {1: 21, 2: 22, 3: 47, 4: 20, 5: 7, 6: 1}


def touch(file: Path) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.touch()
    return file


def add_ckplus_frames(images: Path, clip_id: str, numbers: Sequence[int]) -> None:
    for number in numbers:
        touch(images / clip_id / f"{clip_id.replace('/', '_')}_{number:08d}.png")


def add_ckplus_label(labels: Path, clip_id: str, text: str, number: int = 11) -> Path:
    file = touch(labels / clip_id / f"{clip_id.replace('/', '_')}_{number:08d}_emotion.txt")
    file.write_text(text)
    return file


def ckplus_code(code: int) -> str:
    return f"   {code:.7e}\n"


def make_ckplus(
    root: Path, codes: Mapping[str, int], images: str = CKPLUS_IMAGES, labels: str = CKPLUS_LABELS, num_frames: int = 3
) -> Path:
    """Writes one labelled sequence for every clip id of `codes`, and returns `root`."""
    for clip_id, code in codes.items():
        add_ckplus_frames(root / images, clip_id, range(1, num_frames + 1))
        add_ckplus_label(root / labels, clip_id, ckplus_code(code), num_frames)
    return root


def full_ckplus_codes() -> dict[str, int]:
    """Returns the codes of 327 sequences of 118 subjects with CK+'s counts."""
    emotions = [code for code, count in enumerate(EXPECTED.per_emotion.values(), start=1) for _ in range(count)]
    sizes = [size for size, num_subjects in CKPLUS_SUBJECTS.items() for _ in range(num_subjects)]
    ids = [f"S{subject:03d}/{k:03d}" for subject, size in enumerate(sizes, start=5) for k in range(1, size + 1)]
    return dict(zip(ids, emotions, strict=True))


def make_oulu(
    root: Path,
    folder: str = OULU_STRONG,
    subjects: Sequence[str] = ("P001", "P002"),
    emotions: Sequence[str] = OULU_FOLDERS,
    num_frames: int = 2,
) -> Path:
    """Writes one sequence for every subject and emotion folder, and returns `root`."""
    for subject in subjects:
        for emotion in emotions:
            for number in range(num_frames):
                touch(root / folder / subject / emotion / f"{number:03d}.jpeg")
    return root


def full_oulu(root: Path) -> Path:
    subjects = [f"P{number:03d}" for number in range(1, oulu_casia.EXPECTED.num_subjects + 1)]
    return make_oulu(root, subjects=subjects, num_frames=1)


def mark_synthetic(folder: Path, **content: object) -> Path:
    marker = touch(folder / SYNTHETIC_MARKER)
    marker.write_text(json.dumps(content))
    return folder


def read_part(corpus: Corpus) -> list[Any]:
    """Reads a tree that is too small to be the whole corpus, which the reader must warn of."""
    with pytest.warns(CorpusWarning, match="differs from the corpus as distributed"):
        return corpus.read()
