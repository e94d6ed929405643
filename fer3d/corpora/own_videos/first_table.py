"""Writes a first table for a folder of videos, guessed from folder and file names."""

from __future__ import annotations

import csv
import io
import os
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from fer3d.atomic_file import write_file
from fer3d.corpora import ravdess
from fer3d.corpora.layout import name_some, shown
from fer3d.corpora.own_videos.tree import VideoTree, is_text, is_video
from fer3d.corpora.sequences import CorpusError, name_problem

# Words for one emotion each, the usual one first. Three-letter codes count only between separators.
_WORDS = (
    ("anger", "angry", "ang", "rage"),
    ("contempt", "contemptuous"),
    ("disgust", "disgusted", "dis"),
    ("fear", "fearful", "afraid", "scared", "fea"),
    ("happy", "happiness", "joy", "joyful", "hap"),
    ("sad", "sadness", "sorrow"),
    ("surprise", "surprised", "sur"),
    ("neutral", "neutrality", "neu"),
    ("calm", "calmness"),
    ("bored", "boredom"),
    ("confused", "confusion"),
    ("excited", "excitement"),
    ("frustrated", "frustration"),
    ("anxious", "anxiety"),
    ("pain", "painful"),
    ("pride", "proud"),
    ("shame", "ashamed"),
)
_EMOTION = {word: words[0] for words in _WORDS for word in words}
_SPLITS = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("test", "testing"), "test"),
    **dict.fromkeys(("val", "valid", "validation", "dev"), "val"),
}
_SEPARATORS = re.compile(r"[\s_.,;+()\[\]-]+")
# Word boundaries without separators, as in `sub01happy` and `HappyAnna`.
_CHANGES = re.compile(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Za-z])(?=[0-9])|(?<=[0-9])(?=[A-Za-z])")

_RAVDESS = re.compile(r"0[1-3]-0[12]-0([1-8])-0[12]-0[12]-0[12]-([0-9]{2})")
_CREMA_D = re.compile(r"(1[0-9]{3})_[A-Z]{3}_(ANG|DIS|FEA|HAP|NEU|SAD)_(?:XX|LO|MD|HI)", re.IGNORECASE)
# Names of people, such as s01, P-3, Actor_12, subject 7.
_PERSON = re.compile(
    r"(?:actor|subject|subj|sub|sbj|person|speaker|participant|user|id|s|p|f|m)[\s_-]*[0-9]+", re.IGNORECASE
)
_NUMBER = re.compile(r"[0-9]+")


@dataclass(slots=True)
class Guess:
    """One row of the table; values that could not be guessed are empty.

    Attributes:
        path: Relative to the folder.
        emotion: The emotion word found.
        subject: The part of the path that seems to identify a person.
        split: train, test or val.
        corpus: The known corpus whose naming style the file has; empty for none.
    """

    path: str
    emotion: str = ""
    subject: str = ""
    split: str = ""
    corpus: str = ""


def write_first_table(folder: Path, table: Path) -> tuple[VideoTree, list[Guess]]:
    """Writes a table of the videos and image folders in a folder, guessed from their names.

    Args:
        folder: The folder.
        table: Path of the table, relative to the folder; it must not exist.

    Returns:
        The contents of the folder, and the rows.

    Raises:
        CorpusError: The folder does not exist or contains no videos, or the table exists.
        DiskError: The table cannot be written.
    """
    if not folder.is_dir():
        raise CorpusError(f"{shown(folder)} is not a folder: name the one that contains the videos")
    file = folder / table
    if os.path.lexists(file):
        raise CorpusError(
            f"{shown(file)} already exists and is not overwritten: delete it, or choose another name with --table"
        )
    tree = VideoTree.below(folder)
    paths = [*tree.videos, *tree.image_folders]
    if not paths:
        raise CorpusError(f"{shown(folder)} contains no video files and no folders of images, at any depth")
    if bad := [path for path in paths if not is_text([path])]:
        raise CorpusError(f"names that are not valid UTF-8 cannot be written to a table; rename {name_some(bad)}")
    rows = guess_rows(paths)
    write_file(file, table_text(rows))
    return tree, rows


def guess_rows(paths: Sequence[str]) -> list[Guess]:
    """Returns a guessed row for each path.

    The emotion comes from the nearest folder named after one, then from the file name, then from words within folder
    names. The subject is the first folder level that varies and recurs, preferring names of people, otherwise a part of
    the file names that does.
    """
    rows = [Guess(path) for path in paths]
    for row in rows:
        if known := _of_known_corpus(_stem(row.path)):
            row.corpus, row.emotion, row.subject = known
        else:
            row.emotion = _emotion(row.path)
        row.split = next(filter(None, map(_split_word, _folders(row.path))), "") or ""
    words = _one_word_each(row.emotion for row in rows if row.emotion and not row.corpus)
    others = [row for row in rows if not row.corpus]
    for row in others:
        row.emotion = words.get(row.emotion, "")
    _guess_subjects(others, _person_folders, in_names=False)
    _guess_subjects([row for row in others if not row.subject], _name_parts, in_names=True)
    return rows


def table_text(rows: Sequence[Guess]) -> str:
    """Formats the rows as CSV, with a column `split` if any row has one."""
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
    whole = [word for folder in folders if (word := _emotion_word(folder)) == folder.strip().lower()]
    words = [*whole, _emotion_word(_stem(path)), *map(_emotion_word, folders)]
    return next(filter(None, words), "") or ""


def _person_folders(path: str) -> list[str]:
    """The folders that name neither an emotion nor a split."""
    return [folder for folder in _folders(path) if not _split_word(folder) and _emotion_word(folder) is None]


def _name_parts(path: str) -> list[str]:
    """The parts of a file name without the emotion word."""
    return [word for word in _words_of(_stem(path)) if _emotion_word(word) is None]


def _guess_subjects(rows: Sequence[Guess], parts_of: Callable[[str], list[str]], in_names: bool) -> None:
    parts = [parts_of(row.path) for row in rows]
    best, best_score = None, 0
    for level in range(max(map(len, parts), default=0)):
        # Trailing numbers count takes.
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
    """How much a level looks like people; 0: not at all."""
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


def _words_of(name: str) -> list[str]:
    """Splits a name at its separators."""
    return [word for word in _SEPARATORS.split(name) if word]


def _emotion_word(name: str) -> str | None:
    """Returns the emotion word in a name, in lower case; None if it contains none or several."""
    if name.lower() in _EMOTION:
        return name.lower()
    for words in (_words_of(name), _CHANGES.sub(" ", name).replace("_", " ").split()):
        found = {word.lower() for word in words if word.lower() in _EMOTION}
        if found:
            return found.pop() if len(found) == 1 else None
    return None


def _split_word(name: str) -> str | None:
    """Returns train, test or val if a folder's name means one of them."""
    return _SPLITS.get(name.strip().lower())


def _one_word_each(words: Iterable[str]) -> dict[str, str]:
    """Maps each word to a common word for its emotion: the most frequent one that is not an abbreviation."""
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for word in words:
        counts[_EMOTION.get(word, word)][word] += 1
    chosen: dict[str, str] = {}
    for emotion, of_it in counts.items():
        whole = {word: count for word, count in of_it.items() if len(word) > 3 or word in ("joy", "sad")}
        best = max(whole, key=lambda word: whole[word]) if whole else emotion
        chosen |= dict.fromkeys(of_it, best)
    return chosen


def _of_known_corpus(stem: str) -> tuple[str, str, str] | None:
    """Returns corpus, emotion and subject from a file name in the style of RAVDESS or CREMA-D."""
    if match := _RAVDESS.fullmatch(stem):
        return "ravdess", ravdess.EMOTIONS[int(match[1]) - 1], match[2]
    if match := _CREMA_D.fullmatch(stem):
        return "crema_d", _EMOTION[match[2].lower()], match[1]
    return None
