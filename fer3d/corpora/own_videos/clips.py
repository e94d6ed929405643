"""Checks of the rows of a table of videos: labels, parts, and the same pixels in two of them."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import inf, isfinite

from fer3d.corpora.layout import name_some, shown
from fer3d.corpora.own_videos.faults import RowFaults
from fer3d.corpora.own_videos.media import Media, alike
from fer3d.corpora.own_videos.table import Row
from fer3d.corpora.sequences import name_problem

_SECONDS = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_BLANKS = re.compile(r"[\s_-]+")
_LEADING_ZEROS = re.compile(r"(?<![0-9])0+(?=[0-9])")
_KEEP_ONE = "Training and test would share pixels, or a clip would count twice: keep one"


@dataclass(frozen=True, slots=True)
class Clip:
    """A row and what it leads to.

    Attributes:
        row: The row.
        media: The video file or the folder of images.
        start: In seconds; None for the first frame.
        end: In seconds; None for the end of the video.
        subject: The row's, or the one that stands for its file where nobody knows who is seen.
    """

    row: Row
    media: Media
    start: float | None
    end: float | None
    subject: str

    @property
    def interval(self) -> tuple[float, float]:
        """Start and end with the file's own in the place of None."""
        return self.start or 0.0, inf if self.end is None else self.end


def seconds(row: Row, faults: RowFaults) -> tuple[float | None, float | None] | None:
    """Returns a row's start and end, or None where they are no good, which is noted."""
    found: list[float | None] = []
    for name, text in (("start", row.start), ("end", row.end)):
        value = float(text) if _SECONDS.fullmatch(text) else None
        if text and (value is None or not isfinite(value)):
            faults.error(f"{name} is not a number of seconds such as 12.5", f"{row.where} ({shown(text)})")
        elif value is not None and value < 0:
            faults.error(f"{name} is before the video begins", f"{row.where} ({shown(text)})")
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
    """Notes emotions and subjects that cannot name anything, and those that differ in a way that nobody means."""
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
                    "subjects that differ only in leading zeros: one person under two names would be in training and "
                    "test at once",
                    name_some(list(spellings)),
                )
    splits = [row for row in rows if "split" in row.columns]
    if any(row.columns["split"] for row in splits):
        for row in splits:
            if not row.columns["split"]:
                faults.error("an empty cell in the column split, which others fill in", row.where)


def plain(text: str) -> str:
    """Returns a text without case and blanks."""
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
    """Notes clips that have pixels in common.

    Errors where their subjects, emotions or splits differ, and where a row is there twice; else warnings.
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
                _note(first, second, "parts of one file that overlap", faults.warning, faults)


def _overlapping(clips: Sequence[Clip]) -> Iterable[tuple[Clip, Clip]]:
    """Pairs of parts of one file, each with the part before it that ends last."""
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
            f"the same pixels under two subjects, emotions or splits. {_KEEP_ONE}", f"{places} ({', '.join(unlike)})"
        )
    else:
        mild(kind, places)
