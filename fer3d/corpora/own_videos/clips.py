"""Clips from the rows of a table: checks of labels, intervals and shared pixels, and unique names."""

from __future__ import annotations

import hashlib
import os
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import inf, isfinite
from pathlib import Path, PurePosixPath

from fer3d.corpora.layout import name_some, shown
from fer3d.corpora.own_videos.faults import RowFaults
from fer3d.corpora.own_videos.media import Media, alike
from fer3d.corpora.own_videos.table import Row
from fer3d.corpora.own_videos.tree import is_video
from fer3d.corpora.sequences import FrameSequence, LabelledSequence, VideoSequence, name_problem

_SECONDS = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_BLANKS = re.compile(r"[\s_-]+")
_LEADING_ZEROS = re.compile(r"(?<![0-9])0+(?=[0-9])")
_KEEP_ONE = "Training and test would share pixels, or a clip would count twice: keep one of them"


@dataclass(frozen=True, slots=True)
class Clip:
    """A row and its media.

    Attributes:
        row: The row.
        media: The video file or image folder.
        start: In seconds; None: the first frame.
        end: In seconds; None: the end of the video.
        subject: The row's subject, or a placeholder for the file if subjects are unknown.
    """

    row: Row
    media: Media
    start: float | None
    end: float | None
    subject: str

    @property
    def interval(self) -> tuple[float, float]:
        """Start and end in seconds, with 0 and infinity for None."""
        return self.start or 0.0, inf if self.end is None else self.end


def seconds(row: Row, faults: RowFaults) -> tuple[float | None, float | None] | None:
    """Returns a row's start and end, or None if they are invalid, which is recorded."""
    found: list[float | None] = []
    for name, text in (("start", row.start), ("end", row.end)):
        value = float(text) if _SECONDS.fullmatch(text) else None
        if text and (value is None or not isfinite(value)):
            faults.error(f"{name} is not a number of seconds such as 12.5", f"{row.where} ({shown(text)})")
        elif value is not None and value < 0:
            faults.error(f"{name} is negative", f"{row.where} ({shown(text)})")
        else:
            found.append(value)
    if len(found) < 2:
        return None
    start, end = found
    if end is not None and end <= (start or 0.0):
        faults.error("end is not after start", f"{row.where} ({row.start or '0'} to {row.end})")
        return None
    return start, end


def check_names(rows: Sequence[Row], subjects_known: bool, faults: RowFaults) -> None:
    """Records invalid names of emotions and subjects, and names that differ only in spelling."""
    for row in rows:
        for kind, text in (("emotion", row.emotion), ("subject", row.subject)):
            if problem := name_problem(text) if text else None:
                faults.error(f"{kind} {problem}", f"{row.where} ({shown(text)})")
    _check_spellings("emotions", [(row, row.emotion) for row in rows if row.emotion], faults)
    if subjects_known:
        subjects = [(row, row.subject) for row in rows if row.subject]
        _check_spellings("subjects", subjects, faults)
        numbered: dict[str, dict[str, Row]] = defaultdict(dict)
        for row, subject in subjects:
            numbered[_LEADING_ZEROS.sub("", plain(subject))].setdefault(subject, row)
        for spellings in numbered.values():
            if len({plain(spelling) for spelling in spellings}) > 1:
                faults.warning(
                    "subjects that differ only in leading zeros; if they are one person, that person would be in both "
                    "training and test",
                    name_some(list(spellings)),
                )
    splits = [row for row in rows if "split" in row.columns]
    if any(row.columns["split"] for row in splits):
        for row in splits:
            if not row.columns["split"]:
                faults.error("an empty cell in the column split, although other rows have a value", row.where)


def plain(text: str) -> str:
    """Removes case and blanks."""
    return _BLANKS.sub("", text).casefold()


def _check_spellings(what: str, named: Iterable[tuple[Row, str]], faults: RowFaults) -> None:
    spellings: dict[str, Counter[str]] = defaultdict(Counter)
    first: dict[str, Row] = {}
    for row, text in named:
        spellings[plain(text)][text] += 1
        first.setdefault(text, row)
    for counts in spellings.values():
        if len(counts) > 1:
            proposed = max(counts, key=lambda text: (counts[text], text.islower()))
            each = ", ".join(
                f"{shown(text)} {count} times, first in {first[text].where}" for text, count in counts.items()
            )
            faults.error(f"{what} that differ only in case or blanks", f"{each}; write {shown(proposed)} everywhere")


def check_pixels(clips: Sequence[Clip], faults: RowFaults) -> None:
    """Records clips with common pixels.

    These are errors if subjects, emotions or splits differ or if a row appears twice, otherwise warnings.
    """
    original = {
        copy.identity: group[0].identity for group in alike((clip.media for clip in clips), faults) for copy in group
    }
    by_content: dict[tuple[int, int], list[Clip]] = defaultdict(list)
    for clip in clips:
        by_content[original.get(clip.media.identity, clip.media.identity)].append(clip)
    for same in by_content.values():
        for first, second in _overlapping(same):
            if first.media.identity != second.media.identity:
                _note(first, second, "files with the same bytes", faults.warning, faults)
            elif first.interval == second.interval:
                _note(first, second, f"the same clip in two rows. {_KEEP_ONE}", faults.error, faults)
            else:
                _note(first, second, "overlapping parts of one file", faults.warning, faults)


def _overlapping(clips: Sequence[Clip]) -> Iterable[tuple[Clip, Clip]]:
    """Pairs each part of a file with the earlier part that ends last, if they overlap."""
    ordered = sorted(clips, key=lambda clip: clip.interval)
    longest = ordered[0]
    for before, clip in pairwise(ordered):
        longest = max(longest, before, key=lambda one: one.interval[1])
        other = before if before.interval == clip.interval else longest
        if clip.interval[0] < other.interval[1]:
            yield other, clip


def _note(first: Clip, second: Clip, kind: str, mild: Callable[[str, str], None], faults: RowFaults) -> None:
    sides = (
        ("subject", first.subject, second.subject),
        ("emotion", first.row.emotion, second.row.emotion),
        ("split", first.row.columns.get("split", ""), second.row.columns.get("split", "")),
    )
    unlike = [f"{name} {shown(one)} and {shown(other)}" for name, one, other in sides if one != other]
    places = f"{first.row.where} and {second.row.where}"
    if unlike:
        faults.error(
            f"the same pixels with different subjects, emotions or splits. {_KEEP_ONE}",
            f"{places} ({', '.join(unlike)})",
        )
    else:
        mild(kind, places)


def _path_parts(media: Media, root: Path) -> list[str]:
    """The path from the root, without leading `..`."""
    path, base = (os.path.normpath(one.absolute()) for one in (media.path, root))
    relative = Path(path).relative_to(base) if Path(path).is_relative_to(base) else Path(os.path.relpath(path, base))
    return [part for part in relative.parts if part != ".."] or [Path(path).name]


def stand_in(media: Media, root: Path) -> str:
    """A placeholder subject for a file whose person is unknown; all parts of a file share it."""
    path = "/".join(_path_parts(media, root))
    return f"unknown-{hashlib.sha256(path.encode()).hexdigest()[:10]}"


def named_sequences(clips: Sequence[Clip], root: Path) -> list[LabelledSequence]:
    """Gives each clip the shortest unique name: without extension, with it, or the whole path."""
    names: dict[int, str] = {}
    parts = [_path_parts(clip.media, root) for clip in clips]
    waiting = list(range(len(clips)))
    for style in (_short_name, _name_with_ending, _whole_path):
        groups: dict[str, list[int]] = defaultdict(list)
        for index in waiting:
            clip = clips[index]
            groups[f"{clip.subject}/{style(parts[index], clip.subject)}{_part(clip)}"].append(index)
        taken = {f"{clips[index].subject}/{name}" for index, name in names.items()}
        for clip_id, group in groups.items():
            if len(group) == 1 and clip_id not in taken:
                names[group[0]] = clip_id.removeprefix(f"{clips[group[0]].subject}/")
        waiting = [index for index in waiting if index not in names]
    for number, index in enumerate(waiting, start=2):
        names[index] = f"{'/'.join(parts[index])}{_part(clips[index])}~{number}"
    made = [_sequence(clip, names[index]) for index, clip in enumerate(clips)]
    return sorted(made, key=lambda sequence: (sequence.subject, sequence.sequence))


def _short_name(parts: list[str], subject: str) -> str:
    name = _name_with_ending(parts, subject)
    ending = PurePosixPath(name).suffix if is_video(name) else ""
    return name.removesuffix(ending)


def _name_with_ending(parts: list[str], subject: str) -> str:
    """The path without the subject's folder."""
    below = parts.index(subject) if subject in parts[:-1] else None
    return "/".join(part for index, part in enumerate(parts) if index != below)


def _whole_path(parts: list[str], subject: str) -> str:
    return "/".join(parts)


def _part(clip: Clip) -> str:
    if clip.start is None and clip.end is None:
        return ""
    return f"@{clip.start or 0.0}-{'' if clip.end is None else clip.end}"


def _sequence(clip: Clip, name: str) -> LabelledSequence:
    row = clip.row
    if clip.media.frames:
        return FrameSequence(clip.subject, name, row.emotion, clip.media.frames, row.columns)
    return VideoSequence(clip.subject, name, row.emotion, clip.media.path, clip.start, clip.end, row.columns)
