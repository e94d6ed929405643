"""A first table for a folder of videos, guessed from the names of folders and files."""

from __future__ import annotations

import csv
import io
import os
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from fer3d.atomic_file import write_file
from fer3d.corpora.layout import name_some, shown
from fer3d.corpora.own_videos.emotion_words import emotion_word, of_known_corpus, one_word_each, split_word, words_of
from fer3d.corpora.own_videos.tree import VideoTree, is_text, is_video
from fer3d.corpora.sequences import CorpusError, name_problem

# Such as s01, P-3, Actor_12, subject 7.
_PERSON = re.compile(
    r"(?:actor|subject|subj|sub|sbj|person|speaker|participant|user|id|s|p|f|m)[\s_-]*[0-9]+", re.IGNORECASE
)
_NUMBER = re.compile(r"[0-9]+")


@dataclass(slots=True)
class Guess:
    """One row of the table; what could not be guessed is empty.

    Attributes:
        path: Relative to the folder.
        emotion: A word for it.
        subject: The part of the path that seems to stand for a person.
        split: train, test or val.
        corpus: The corpus in whose style the file is named; empty for none.
    """

    path: str
    emotion: str = ""
    subject: str = ""
    split: str = ""
    corpus: str = ""


def write_first_table(folder: Path, table: Path) -> tuple[VideoTree, list[Guess]]:
    """Writes a table of the videos and the folders of frame images in a folder, as far as their names tell.

    Args:
        folder: The folder.
        table: Where the table goes, relative to it; nothing may be there yet.

    Returns:
        What lies below the folder, and the rows.

    Raises:
        CorpusError: There is no such folder or nothing in it, or there is a table already.
        DiskError: The table cannot be written.
    """
    if not folder.is_dir():
        raise CorpusError(f"{shown(folder)} is no folder: give the one that holds the videos")
    file = folder / table
    if os.path.lexists(file):
        raise CorpusError(
            f"{shown(file)} is there already and is not overwritten: delete it, or name another with --table"
        )
    tree = VideoTree.below(folder)
    paths = [*tree.videos, *tree.image_folders]
    if not paths:
        raise CorpusError(f"{shown(folder)} holds neither video files nor folders of images, at any depth")
    if bad := [path for path in paths if not is_text([path])]:
        raise CorpusError(f"names with bytes that are no text in UTF-8 cannot stand in a table: {name_some(bad)}")
    rows = guess_rows(paths)
    write_file(file, table_text(rows))
    return tree, rows


def guess_rows(paths: Sequence[str]) -> list[Guess]:
    """Returns a row for each path.

    An emotion's word is looked for in the nearest folder that is one, then in the file's name, then in the folders'
    names. The subject is the first level of folders that varies and recurs, names of persons before others; else a part
    of the files' names that does.
    """
    rows = [Guess(path) for path in paths]
    for row in rows:
        if known := of_known_corpus(_stem(row.path)):
            row.corpus, row.emotion, row.subject = known
        else:
            row.emotion = _emotion(row.path)
        row.split = next(filter(None, map(split_word, _folders(row.path))), "") or ""
    words = one_word_each(row.emotion for row in rows if row.emotion and not row.corpus)
    others = [row for row in rows if not row.corpus]
    for row in others:
        row.emotion = words.get(row.emotion, "")
    _guess_subjects(others, _person_folders, in_names=False)
    _guess_subjects([row for row in others if not row.subject], _name_parts, in_names=True)
    return rows


def table_text(rows: Sequence[Guess]) -> str:
    """Writes the rows as CSV; with a column `split` where there is any."""
    names = ["path", "emotion", "subject", *(["split"] if any(row.split for row in rows) else [])]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(names)
    writer.writerows([getattr(row, name) for name in names] for row in rows)
    return text.getvalue()


def _stem(path: str) -> str:
    return PurePosixPath(path).stem if is_video(path) else PurePosixPath(path).name


def _folders(path: str) -> list[str]:
    return list(PurePosixPath(path).parts[:-1])


def _emotion(path: str) -> str:
    folders = _folders(path)[::-1]
    whole = [word for folder in folders if (word := emotion_word(folder)) == folder.strip().lower()]
    words = [*whole, emotion_word(_stem(path)), *map(emotion_word, folders)]
    return next(filter(None, words), "") or ""


def _person_folders(path: str) -> list[str]:
    """The folders that are neither an emotion's nor a split's."""
    return [folder for folder in _folders(path) if not split_word(folder) and emotion_word(folder) is None]


def _name_parts(path: str) -> list[str]:
    """The parts of a file's name without the word for an emotion."""
    return [word for word in words_of(_stem(path)) if emotion_word(word) is None]


def _guess_subjects(rows: Sequence[Guess], parts_of: Callable[[str], list[str]], in_names: bool) -> None:
    parts = [parts_of(row.path) for row in rows]
    best, best_score = None, 0
    for level in range(max(map(len, parts), default=0)):
        # A number at the end of a name counts takes.
        is_last = all(level >= len(each) - 1 for each in parts)
        values = [each[level] if level < len(each) else "" for each in parts]
        score = _score(values, rows, in_names, is_last)
        if score > best_score:
            best, best_score = level, score
    if best is None:
        return
    for row, each in zip(rows, parts, strict=True):
        if best < len(each) and name_problem(each[best]) is None:
            row.subject = each[best].strip()


def _score(values: Sequence[str], rows: Sequence[Guess], in_names: bool, is_last: bool) -> int:
    """How much a level looks like one of persons; 0 for not at all."""
    there = [value for value in values if value]
    counts = Counter(there)
    if len(counts) < 2 or len(counts) == len(there) or len(there) < len(values) / 2:
        return 0
    if all(map(_PERSON.fullmatch, counts)):
        return 3
    if not in_names:
        return 2
    emotions: dict[str, set[str]] = defaultdict(set)
    for value, row in zip(values, rows, strict=True):
        emotions[value].add(row.emotion)
    recurs = sum(len(emotions[value]) > 1 for value in counts) > len(counts) / 2
    is_take = is_last and all(map(_NUMBER.fullmatch, counts))
    return 1 if recurs and not is_take else 0
