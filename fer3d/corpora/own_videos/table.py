"""Reads a table of videos: a CSV file with one row per clip."""

from __future__ import annotations

import csv
import difflib
import io
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from fer3d.corpora.layout import LFS_POINTER, shown
from fer3d.corpora.own_videos.faults import RowFaults
from fer3d.corpora.sequences import CorpusError

REQUIRED = ("path", "emotion", "subject")
OPTIONAL = ("start", "end", "split")
# Common names of these columns in other tables.
_OTHER_NAMES = {
    "path": ("file", "filename", "file_name", "filepath", "file_path", "video", "video_path", "clip", "name"),
    "emotion": ("label", "labels", "class", "expression", "emotion_label", "target", "category", "affect"),
    "subject": ("actor", "actor_id", "person", "person_id", "speaker", "participant", "identity", "subject_id", "id"),
}
NO_SUBJECTS = (
    "Without subjects, random splits leak: if other clips of the same person are in the training set, a network "
    "recognises the person instead of the expression, and if another part or copy of the same take is, it has seen the "
    "answer; published accuracies of 92 to 99 % come from such splits. Name the person in every clip (any name, the "
    "same for all clips of one person). If the people are unknown, set data.subjects=unknown: all results are then "
    "labelled NOT SUBJECT-INDEPENDENT"
)
_MAX_BYTES = 256 * 2**20


@dataclass(frozen=True, slots=True)
class Row:
    """One clip as described by a table or a file's path.

    Attributes:
        place: Where it is described, such as `line 7`; empty for a path.
        path: The video file or image folder, as written.
        emotion: Empty if missing.
        subject: Empty if missing.
        start: In seconds; empty: the first frame.
        end: In seconds; empty: the end of the video.
        columns: Other values by name.
    """

    place: str
    path: str
    emotion: str
    subject: str
    start: str = ""
    end: str = ""
    columns: dict[str, str] = field(default_factory=dict)

    @property
    def where(self) -> str:
        """The row's name in messages."""
        return f"{self.place}: {shown(self.path)}" if self.place else shown(self.path)


def read_table(file: Path, subjects_known: bool, faults: RowFaults) -> list[Row]:
    """Returns a table's rows. The first line names the columns; commas, semicolons or tabs separate them.

    Column names are case-insensitive, blanks around a cell are removed, and blank lines are skipped.

    Args:
        file: UTF-8 with or without a byte-order mark.
        subjects_known: Whether the column `subject` is required.
        faults: Collects faults of lines and columns.

    Raises:
        CorpusError: The file is not a table.
    """
    text = _text(_content(file), faults)
    header = next((line for line in text.splitlines() if line.strip()), "")
    delimiter = max(",;\t", key=lambda one: _fit(header, one))
    records = _records(text, delimiter, faults)
    if not records:
        faults.raise_errors()
        raise _not_a_table(file, "is empty")
    names = _columns(*records[0], header, subjects_known, faults)
    rows = [_row(line, cells, names, subjects_known, faults) for line, cells in records[1:]]
    if len(records) == 1:
        faults.error("a header without rows below", f"line {records[0][0] + 1}")
    return [row for row in rows if row is not None]


def _content(file: Path) -> bytes:
    try:
        if file.is_dir():
            raise _not_a_table(file, "is a folder")
        if not file.is_file():
            raise _not_a_table(file, "does not exist, or is not a file")
        if file.stat().st_size > _MAX_BYTES:
            raise _not_a_table(file, f"is larger than {_MAX_BYTES // 2**20} MB")
        content = file.read_bytes()
    except (OSError, ValueError) as error:
        raise _not_a_table(file, f"cannot be opened ({getattr(error, 'strerror', None) or error})") from error
    if content.startswith((b"PK\x03\x04", b"\xd0\xcf\x11\xe0")):
        raise _not_a_table(file, "is a spreadsheet: save it as CSV (in Excel: CSV UTF-8)")
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise _not_a_table(file, "is UTF-16 text: save it as UTF-8 (in Excel: CSV UTF-8)")
    if content.startswith(LFS_POINTER):
        raise _not_a_table(file, "is a Git LFS pointer instead of the file: run `git lfs pull`")
    if not content.strip():
        raise _not_a_table(file, "is empty")
    if b"\0" in content[:4096] and content[:4096].count(b"\0") > 8:
        raise _not_a_table(file, "is not a text file")
    return content


def _not_a_table(file: Path, problem: str) -> CorpusError:
    return CorpusError(
        f"data.table is {shown(file.absolute())}, which {problem}. Expected: a CSV file with the columns "
        f"{', '.join(REQUIRED)}, optionally {', '.join(OPTIONAL)} and others, one row per clip, and paths relative to "
        "data.root. `python -m fer3d.init FOLDER` writes a first one"
    )


def _text(content: bytes, faults: RowFaults) -> str:
    """Decodes line by line, so that each invalid line is named."""
    lines = []
    for number, line in enumerate(content.removeprefix(b"\xef\xbb\xbf").splitlines(keepends=True), start=1):
        if b"\0" in line:
            faults.error("a NUL byte, which is not allowed in text", f"line {number}")
            line = line.replace(b"\0", b"?")
        try:
            lines.append(line.decode("utf-8"))
        except UnicodeDecodeError:
            faults.error("not in UTF-8 (save the table as UTF-8; in Excel: CSV UTF-8)", f"line {number}")
            lines.append(line.decode("utf-8", errors="replace"))
    return "".join(lines)


def _fit(header: str, delimiter: str) -> tuple[int, int]:
    """How well a delimiter explains the header: the number of known columns, and of all."""
    names = [_known(name) for name in header.split(delimiter)]
    return len({*REQUIRED, *OPTIONAL} & set(names)), len(names)


def _known(name: str) -> str:
    plain = name.strip().strip('"').strip()
    return plain.lower() if plain.lower() in (*REQUIRED, *OPTIONAL) else plain


def _records(text: str, delimiter: str, faults: RowFaults) -> list[tuple[int, list[str]]]:
    """Returns the line number and cells of every non-blank record; quoted cells may contain line breaks."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    records: list[tuple[int, list[str]]] = []
    while True:
        line = reader.line_num + 1
        try:
            cells = next(reader)
        except StopIteration:
            return records
        except csv.Error as error:
            faults.error(
                "wrong quotes, so nothing from here on could be read (a quoted cell ends with a quote, and a quote "
                "within it is doubled)",
                f"line {line} ({error})",
            )
            return records
        if any(cell.strip() for cell in cells):
            records.append((line, cells))


def _columns(line: int, cells: Sequence[str], header: str, subjects_known: bool, faults: RowFaults) -> list[str]:
    # pandas writes a first column without a name.
    names = [_known(cell) or f"column {number}" for number, cell in enumerate(cells, start=1)]
    for name, count in Counter(names).items():
        if count > 1:
            faults.error("a column that appears more than once", f"line {line}: {shown(name)}")
    for missing in (name for name in REQUIRED if name not in names):
        if missing == "subject":
            if not subjects_known:
                continue
            faults.explain(NO_SUBJECTS)
        faults.error(f"no column `{missing}`", f"line {line}: {shown(header.strip())}{_meant(missing, names)}")
    return names


def _meant(missing: str, names: Sequence[str]) -> str:
    known = {name.lower(): name for name in names if name not in (*REQUIRED, *OPTIONAL)}
    like = [known[name] for name in _OTHER_NAMES[missing] if name in known]
    like += [known[name] for name in difflib.get_close_matches(missing, list(known), 1)]
    return f"; is it {shown(like[0])}? Then rename that column to {missing}" if like else ""


def _row(line: int, cells: list[str], names: list[str], subjects_known: bool, faults: RowFaults) -> Row | None:
    place = f"line {line}"
    if len(cells) != len(names):
        # A trailing delimiter adds no cell.
        while len(cells) > len(names) and not cells[-1].strip():
            cells = cells[:-1]
        if len(cells) != len(names):
            faults.error(
                f"not {len(names)} cells as in the header (quote cells that contain the delimiter)",
                f"{place} has {len(cells)}: {shown(cells[0])}",
            )
            return None
    said = dict(zip(names, cells, strict=True))
    # Blanks at the start or end may belong to a file name.
    path = said.pop("path", "")
    said = {name: cell.strip() for name, cell in said.items()}
    row = Row(
        place,
        path if path.strip() else "",
        said.pop("emotion", ""),
        said.pop("subject", "") if subjects_known else "",
        said.pop("start", ""),
        said.pop("end", ""),
        said,
    )
    for name in ("path", "emotion", *(["subject"] if subjects_known else [])):
        if name in names and not getattr(row, name):
            faults.error(f"an empty cell in the column {name}", row.where if path.strip() else place)
            if name == "subject":
                faults.explain(NO_SUBJECTS)
    return row
