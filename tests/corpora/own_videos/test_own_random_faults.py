"""The faults of `torture.videos` in tables, names and files: no traceback, and nothing dropped unnamed."""

from __future__ import annotations

import csv
import io
import random
from pathlib import Path

import pytest
from video_trees import read

from fer3d.corpora.own_videos.tree import VideoTree
from fer3d.corpora.sequences import CorpusError, FrameSequence, LabelledSequence
from torture.own_folder import Folder, copy_folder, write_folder
from torture.table_faults import TABLE_FAULTS
from torture.video_faults import FILE_FAULTS

FAULTS = (*FILE_FAULTS, *TABLE_FAULTS)
NUM_FAULTS, NUM_BLOCKS = 180, 6


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("source")
    write_folder(folder / "videos", folder / "spares")
    return folder


def outcome(root: Path) -> tuple[list[LabelledSequence], str]:
    """The sequences and the warnings, or none and the error."""
    try:
        return read(root)
    except CorpusError as error:
        return [], str(error)


def num_rows(table: Path) -> int:
    """The rows of a table that was read, counted in another way."""
    text = table.read_bytes().decode("utf-8-sig")
    header = text.splitlines()[0]
    delimiter = max(",;\t", key=header.count)
    rows = list(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter))
    return sum(any(cell.strip() for cell in row) for row in rows) - 1


def files_of(sequences: list[LabelledSequence]) -> set[Path]:
    media = [one.frames[0].parent if isinstance(one, FrameSequence) else one.video for one in sequences]
    return {path.resolve() for path in media}


def names_of(folder: Folder) -> dict[str, set[str]]:
    """What tells a row: its path, and its line."""
    lines = folder.lines()
    return {row["row"]: {row["path"], *(f"line {line}" for line in lines[row["row"]])} for row in folder.rows}


@pytest.mark.parametrize("block", range(NUM_BLOCKS))
def test_random_faults_are_named_and_nothing_is_dropped_unnamed(block: int, source: Path, tmp_path: Path) -> None:
    outcomes = {"refused": 0, "read": 0}
    for number in range(block, NUM_FAULTS, NUM_BLOCKS):
        folder = copy_folder(source / "videos", source / "spares", tmp_path / str(number))
        before = names_of(folder)
        fault = FAULTS[number // NUM_BLOCKS % len(FAULTS)](folder, random.Random(number))
        folder.write()
        sequences, said = outcome(folder.root)
        outcomes["read" if sequences else "refused"] += 1
        if not sequences:
            assert fault is not None
            after = names_of(folder)
            names = {name for row in fault.rows for name in before.get(row, set()) | after.get(row, set())}
            assert any(name in said for name in (*names, *fault.names)), (number, fault, said)
            continue
        assert len(sequences) == num_rows(folder.table), (number, fault)
        assert len({sequence.clip_id for sequence in sequences}) == len(sequences)
        used = files_of(sequences)
        tree = VideoTree.below(folder.root)
        for path in (*tree.videos, *tree.image_folders):
            shown = path if path.isprintable() and path == path.strip() else repr(path)
            assert (folder.root / path).resolve() in used or shown in said, (number, fault, path, said)
    assert min(outcomes.values()) > 5
