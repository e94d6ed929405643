"""Builders of small folders of own videos. Readers decode nothing, so that a few bytes are a video."""

from __future__ import annotations

import os
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fer3d.corpora.own_videos.videos import Videos
from fer3d.corpora.sequences import CorpusError, CorpusWarning, LabelledSequence

HEADER = "path,emotion,subject"
SUBJECTS = ("anna", "ben", "cleo")
EMOTIONS = ("angry", "happy")


def add_video(root: Path, path: str, content: bytes | None = None) -> str:
    """Writes a file that is like no other one, and returns its path below the root."""
    file = root / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(os.fsencode(f"video {path}") if content is None else content)
    return path


def add_frames(root: Path, folder: str, names: Sequence[str] = ("1.png", "2.png", "10.png")) -> str:
    for name in names:
        add_video(root, f"{folder}/{name}")
    return folder


def make_videos(root: Path) -> list[str]:
    """Writes two takes of each emotion of each subject, and returns the rows of their table."""
    rows = []
    for subject in SUBJECTS:
        for emotion in EMOTIONS:
            for take in (1, 2):
                path = add_video(root, f"{subject}/{emotion}/take{take}.mp4")
                rows.append(f"{path},{emotion},{subject}")
    return rows


def write_table(root: Path, rows: Sequence[str], header: str = HEADER, name: str = "clips.csv") -> str:
    (root / name).write_text("\n".join([header, *rows, ""]), encoding="utf-8")
    return name


def read(root: Path, **settings: Any) -> tuple[list[LabelledSequence], str]:
    """Reads and returns the sequences, and what was warned about."""
    settings = {"table": "clips.csv"} | settings
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        sequences = Videos(root, **settings).read()
    assert all(issubclass(warning.category, CorpusWarning) for warning in caught)
    return sequences, "\n".join(str(warning.message) for warning in caught)


def refused(root: Path, **settings: Any) -> str:
    """Reads and returns the message of the error."""
    try:
        read(root, **settings)
    except CorpusError as error:
        return str(error)
    raise AssertionError("it was read")
