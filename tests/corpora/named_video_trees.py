"""Builders of small trees in the layouts of the corpora of video files. The readers decode nothing: files are empty."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path

from trees import touch

CREMA_CODES = ("ANG", "DIS", "FEA", "HAP", "NEU", "SAD")
CREMA_SENTENCES = ("IEO", "TIE", "IOM", "IWW", "TAI", "MTI", "IWL", "ITH", "DFA", "ITS", "TSI", "WSI")


def ravdess_names(
    actors: Sequence[int] = (1, 2), modalities: Sequence[str] = ("01", "02"), channel: str = "01", num_codes: int = 8
) -> list[str]:
    """Returns the names of every take of the actors, as distributed."""
    return [
        f"{modality}-{channel}-{code:02d}-{intensity}-{statement}-{repetition}-{actor:02d}.mp4"
        for actor in actors
        for modality in modalities
        for code in range(1, num_codes + 1)
        for intensity in (("01",) if code == 1 else ("01", "02"))
        for statement in ("01", "02")
        for repetition in ("01", "02")
    ]


def make_ravdess(root: Path, names: Sequence[str] | None = None, folder: str = "Actor_{actor}") -> Path:
    """Writes files into their actors' folders, those of two actors unless `names` says otherwise; returns `root`."""
    for name in ravdess_names() if names is None else names:
        touch(root / folder.format(actor=name[18:20]) / name)
    return root


def crema_names(actors: Sequence[int] = (1001, 1002), sentences: Sequence[str] = ("DFA", "IEO")) -> list[str]:
    """Returns a clip's name for every actor, sentence and emotion."""
    return [
        f"{actor}_{sentence}_{code}_{'LO' if sentence == 'IEO' and code != 'NEU' else 'XX'}"
        for actor in actors
        for sentence in sentences
        for code in CREMA_CODES
    ]


def full_crema_names() -> list[str]:
    """Returns 7,442 names of 91 actors with CREMA-D's counts."""
    names = []
    for code in CREMA_CODES:
        levels = [(s, level) for s in CREMA_SENTENCES for level in (("LO", "MD", "HI") if s == "IEO" else ("XX",))]
        if code == "NEU":
            levels = [(sentence, "XX") for sentence in CREMA_SENTENCES]
        every = [f"{actor}_{s}_{code}_{level}" for s, level in levels for actor in range(1001, 1092)]
        names += every[: 1087 if code == "NEU" else 1271]
    return names


def make_crema(root: Path, names: Sequence[str] | None = None, folder: str = "VideoFlash") -> Path:
    for name in crema_names() if names is None else names:
        touch(root / folder / f"{name}.flv")
    return root


def write_votes(root: Path, votes: Mapping[str, tuple[str, str]], folder: str = "processedResults") -> Path:
    """Writes the table of votes as distributed, with each clip's vote by face and by face and voice."""
    table = touch(root / folder / "summaryTable.csv")
    with table.open("w", newline="") as file:
        rows = csv.writer(file, quoting=csv.QUOTE_ALL)
        columns = ("VoiceVote", "VoiceLevel", "FaceVote", "FaceLevel", "MultiModalVote", "MultiModalLevel")
        rows.writerow(["", "FileName", *columns])
        for number, (name, (face, multimodal)) in enumerate(votes.items(), start=1):
            rows.writerow([number, name, "N", "69.1", face, "30.67:51.00", multimodal, "64.78"])
    return table
