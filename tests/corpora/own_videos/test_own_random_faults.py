"""Random faults in tables, names and files: no traceback, and nothing dropped unnamed."""

from __future__ import annotations

import csv
import io
import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from video_trees import HEADER, add_frames, add_video, make_videos, read

from fer3d.corpora.own_videos.tree import VideoTree
from fer3d.corpora.sequences import CorpusError, FrameSequence, LabelledSequence

NUM_FAULTS, NUM_BLOCKS = 300, 6
# What a fault's error has to name, if there is one: any of these.
Names = list[str]
ODD = [
    b",",
    b'"',
    b"\n",
    b"\0",
    b"\xff",
    b";",
    b"\t",
    b"/",
    b"..",
    b" ",
    b"\xc3\xa9",
    b"\\",
    b"\r",
    b"'",
    b"\xef\xbb\xbf",
]


class Folder:
    """A good folder of videos with its table, and ways to spoil it.

    Args:
        root: The folder.
        rng: Chooses among them.
    """

    def __init__(self, root: Path, rng: random.Random) -> None:
        self.root, self.rng = root, rng
        rows = make_videos(root)
        rows += [f"{add_frames(root, f'{subject}/frames')},happy,{subject}" for subject in ("anna", "ben")]
        self.header = [*HEADER.split(","), "start", "end", "split", "notes"]
        self.rows = [[*row.split(","), "", "", "train", '"a, b"'] for row in rows]

    def write(self, content: bytes | None = None) -> None:
        text = "\n".join(",".join(row) for row in [self.header, *self.rows])
        (self.root / "clips.csv").write_bytes(f"{text}\n".encode() if content is None else content)

    def pick(self) -> tuple[int, Path, Names]:
        """A row, its file, and how an error may name them."""
        index = self.rng.randrange(len(self.rows))
        path = self.rows[index][0]
        return index, self.root / path, [f"line {index + 2}{end}" for end in (":", " ", "\n", ";")] + [path]

    def file(self) -> tuple[Path, Names]:
        """One of the files that are read."""
        _, path, names = self.pick()
        return (self.rng.choice(sorted(path.iterdir())) if path.is_dir() else path), names


def delete(folder: Folder) -> Names:
    _, path, names = folder.pick()
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    return names


def rename(folder: Folder) -> Names:
    file, names = folder.file()
    odd = os.fsdecode(folder.rng.choice([one for one in ODD if one not in (b"/", b"\0", b"..")]))
    file.rename(file.with_name(f"{file.stem}{odd}{folder.rng.choice([file.suffix, ''])}"))
    return names


def spoil(folder: Folder) -> Names:
    file, names = folder.file()
    file.write_bytes(folder.rng.choice([b"", b"version https://git-lfs.github.com/spec/v1\nsize 9\n"]))
    return names


def put_in_its_place(folder: Folder) -> Names:
    file, names = folder.file()
    file.unlink()
    kind = folder.rng.randrange(4)
    if kind == 0:
        file.mkdir()
    elif kind == 1:
        file.symlink_to("nowhere")
    elif kind == 2:
        file.symlink_to(file.name)
    else:
        os.mkfifo(file)
    return names


def copy_over(folder: Folder) -> Names:
    first, names = folder.file()
    second, others = folder.file()
    second.write_bytes(first.read_bytes())
    return names + others


def point_elsewhere(folder: Folder) -> Names:
    index, path, names = folder.pick()
    other, _, others = folder.pick()
    spelled = folder.rng.choice(["{}", "./{}", "anna/../{}", f"{folder.root}/{{}}", "{} "])
    folder.rows[index][0] = spelled.format(folder.rows[other][0])
    return [*names, *others, str(path)]


def change_cell(folder: Folder) -> Names:
    index, _, names = folder.pick()
    column = folder.rng.randrange(6)
    cell = folder.rows[index][column]
    changed = [cell.title(), cell.upper(), "", f" {cell}", f"{cell}x"]
    others = ["-1", "nan", "1.5", "1e999", "happy", "anna", "x" * 300]
    folder.rows[index][column] = folder.rng.choice(changed + others)
    return names


def cut_or_add_cells(folder: Folder) -> Names:
    index, _, names = folder.pick()
    row = folder.rows[index]
    folder.rows[index] = row[: folder.rng.randrange(1, 7)] if folder.rng.random() < 0.5 else [*row, "more"]
    return names


def repeat_row(folder: Folder) -> Names:
    index, _, names = folder.pick()
    folder.rows.insert(folder.rng.randrange(len(folder.rows)), list(folder.rows[index]))
    return names[-1:]


def remove_row(folder: Folder) -> Names:
    index, _, names = folder.pick()
    del folder.rows[index]
    return names[-1:]


def change_header(folder: Folder) -> Names:
    column = folder.rng.randrange(len(folder.header))
    folder.header[column] = folder.rng.choice(["", "label", "path", folder.header[column].upper(), "x"])
    return ["line 1:"]


def add_file(folder: Folder) -> Names:
    odd = os.fsdecode(folder.rng.choice([b"\xff", b"\n", b" ", b"new"]))
    place = folder.rng.choice(["", "anna/", "ben/frames/"])
    add_video(folder.root, f"{place}{odd}{folder.rng.choice(['.mp4', '.MOV', '.png', '.txt'])}")
    return ["ben/frames"]


def odd_bytes(folder: Folder) -> Names:
    folder.write()
    content = (folder.root / "clips.csv").read_bytes()
    place = folder.rng.randrange(len(content))
    cut = folder.rng.randrange(3)
    folder.write(content[:place] + folder.rng.choice(ODD) + content[place + cut :])
    line = content[:place].count(b"\n") + 1
    # What is cut may be the end of the line, and a quote that is not closed may be found to be wrong later on.
    return [f"line {near}" for near in (line, line + 1)] + ["wrong quotes"]


def other_table(folder: Folder) -> Names:
    folder.write()
    table = folder.root / "clips.csv"
    content = table.read_bytes()
    choices = [b"", content.decode().encode("utf-16"), content[: folder.rng.randrange(len(content))]]
    if folder.rng.random() < 0.2:
        table.unlink()
        table.mkdir()
    else:
        table.write_bytes(folder.rng.choice(choices))
    return ["clips.csv"]


FAULTS: list[Callable[[Folder], Names]] = [
    *(delete, rename, spoil, put_in_its_place, copy_over, point_elsewhere, change_cell, cut_or_add_cells, repeat_row),
    *(remove_row, change_header, add_file, odd_bytes, other_table),
]


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


@pytest.mark.parametrize("block", range(NUM_BLOCKS))
def test_random_faults_are_named_and_nothing_is_dropped_unnamed(block: int, tmp_path: Path) -> None:
    outcomes = {"refused": 0, "read": 0}
    for number in range(block, NUM_FAULTS, NUM_BLOCKS):
        rng = random.Random(number)
        folder = Folder(tmp_path / str(number), rng)
        fault = FAULTS[number // NUM_BLOCKS % len(FAULTS)]
        names = fault(folder)
        if not (folder.root / "clips.csv").exists():
            folder.write()
        sequences, said = outcome(folder.root)
        outcomes["read" if sequences else "refused"] += 1
        if not sequences:
            assert any(name in said for name in names), (number, fault.__name__, names, said)
            continue
        assert len(sequences) == num_rows(folder.root / "clips.csv"), (number, fault.__name__)
        assert len({sequence.clip_id for sequence in sequences}) == len(sequences)
        used = files_of(sequences)
        tree = VideoTree.below(folder.root)
        for path in (*tree.videos, *tree.image_folders):
            shown = path if path.isprintable() and path == path.strip() else repr(path)
            assert (folder.root / path).resolve() in used or shown in said, (number, fault.__name__, path, said)
    assert min(outcomes.values()) > 5
