"""The corpus of a user's own videos, described by a table or a path pattern."""

from __future__ import annotations

import os
import warnings
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Literal

from fer3d.corpora.checked import is_own_name
from fer3d.corpora.layout import in_synthetic_twin, name_some, root_folder, shown
from fer3d.corpora.own_videos.clips import Clip, check_names, check_pixels, named_sequences, plain, seconds, stand_in
from fer3d.corpora.own_videos.faults import RowFaults, name_places
from fer3d.corpora.own_videos.media import MediaFinder
from fer3d.corpora.own_videos.pattern import PathPattern
from fer3d.corpora.own_videos.table import Row, read_table
from fer3d.corpora.own_videos.tree import VideoTree
from fer3d.corpora.sequences import CorpusError, CorpusWarning, LabelledSequence, name_problem


class Videos:
    """Videos, or folders of frame images, each with an emotion and a subject.

    Attributes:
        name: As given.
        emotions: The classes as given; otherwise, after `read`, those found, in alphabetical order.
        num_channels: As given.
        root: The folder of the videos.
        synthetic: Whether any video is in a synthetic twin. Valid after `read`.
        subjects_known: Whether `subject` identifies people.

    Args:
        root: The folder that paths are relative to.
        table: A CSV file, relative to `root`, with the columns path, emotion, subject; optionally start and end in
            seconds, split, and others, which are kept.
        pattern: Instead of a table: a `PathPattern` for the paths below `root`.
        emotions: The classes in order; None: those found.
        others: What to do with emotions not in `emotions`: `error`, or `skip` their clips with a warning.
        subjects: `unknown` if the people are unknown; each file then counts as a person.
        num_channels: 1 for grey, 3 for RGB.
        name: The corpus's name in folders and reports: one lower-case word.

    Raises:
        CorpusError: A setting is wrong.
    """

    def __init__(
        self,
        root: str | Path | None,
        table: str | Path | None = None,
        pattern: str | None = None,
        emotions: Sequence[str | int] | None = None,
        others: Literal["error", "skip"] = "error",
        subjects: Literal["unknown"] | None = None,
        num_channels: Literal[1, 3] = 3,
        name: str = "videos",
    ) -> None:
        for key, value, choices in (
            ("others", others, ("error", "skip")),
            ("subjects", subjects, (None, "unknown")),
            ("num_channels", num_channels, (1, 3)),
        ):
            if value not in choices:
                raise CorpusError(f"data.{key} is {value!r}, but must be {' or '.join(map(str, choices))}")
        if not is_own_name(name):
            raise CorpusError(
                f"data.name is {shown(name)}, but must be a lower-case word such as my_videos that no built-in corpus "
                "uses"
            )
        self._root = root_folder(root) if root else None
        self._table = root_folder(table) if table else None
        self._pattern = pattern
        self._given = _checked_emotions(emotions)
        self._others = others
        self.name = name
        self.emotions: tuple[str, ...] = self._given or ()
        self.num_channels = num_channels
        self.subjects_known = subjects is None
        self.synthetic = False

    @property
    def root(self) -> Path:
        """The folder of the videos.

        Raises:
            CorpusError: `data.root` is not set.
        """
        if self._root is None:
            raise CorpusError("data.root is not set: set it to the folder of the videos")
        return self._root

    def read(self) -> list[LabelledSequence]:
        """Returns the sequences, sorted by subject and then by sequence; nothing is decoded.

        Warns with a `CorpusWarning` about video files that are not read, classes that were not given, unknown subjects,
        and suspicious rows.

        Raises:
            CorpusError: The root, the table or the pattern is missing or wrong; the message lists every fault.
        """
        _check_root(self.root)
        tree = VideoTree.below(self.root)
        rows, faults = self._rows(tree)
        check_names(rows, self.subjects_known, faults)
        finder = MediaFinder(self.root, [*tree.videos, *tree.image_folders], faults)
        clips = [clip for row in rows if (clip := self._clip(row, finder, faults)) is not None]
        check_pixels(clips, faults)
        emotions = self._emotions(rows, faults)
        if self.subjects_known and len({row.subject for row in rows if row.subject}) == 1:
            faults.error("only one subject, but some subjects must be held out", rows[0].subject)
        self._note_outside(clips, faults)
        if tree.closed:
            faults.warning("folders that cannot be opened", name_places(tree.closed))
        faults.raise_errors()
        faults.warn(stacklevel=2)
        self._say_unread(tree, clips)
        kept = [clip for clip in clips if clip.row.emotion in emotions]
        people: dict[str, set[str]] = defaultdict(set)
        for clip in clips:
            people[clip.row.emotion].add(clip.subject)
        self._say_assumptions(emotions, Counter(clip.row.emotion for clip in clips), people)
        self.emotions = emotions
        self.synthetic = in_synthetic_twin(self.root) or any(map(in_synthetic_twin, _folders(kept)))
        return named_sequences(kept, self.root)

    def _rows(self, tree: VideoTree) -> tuple[list[Row], RowFaults]:
        if (self._table is None) == (self._pattern is None):
            raise CorpusError(
                f"data.table and data.pattern are {'both' if self._table else 'not'} set; set one of them: "
                "data.table=clips.csv with the columns path, emotion, subject (`python -m fer3d.init FOLDER` writes a "
                "first one), or 'data.pattern=\"{subject}/{emotion}/*.mp4\"'"
            )
        if self._pattern is not None:
            rows = PathPattern(self._pattern, self.subjects_known).rows(tree)
            return rows, RowFaults(f"data.pattern={self._pattern} in {shown(self.root.absolute())}")
        assert self._table is not None
        table = self.root / self._table
        if not table.exists() and self._table.is_file():
            raise CorpusError(
                f"data.table is {shown(self._table)}, which must be relative to data.root; to use the one in the "
                f"current folder, set data.table={shown(self._table.absolute())}"
            )
        faults = RowFaults(f"data.table={shown(table.absolute())}")
        return read_table(table, self.subjects_known, faults), faults

    def _clip(self, row: Row, finder: MediaFinder, faults: RowFaults) -> Clip | None:
        times = seconds(row, faults)
        media = finder.find(row) if row.path else None
        if media is None or times is None:
            return None
        if media.frames and times != (None, None):
            faults.error("start and end for a folder of images; only video files have them", row.where)
            return None
        subject = row.subject if self.subjects_known else stand_in(media, self.root)
        return Clip(row, media, *times, subject)

    def _emotions(self, rows: Sequence[Row], faults: RowFaults) -> tuple[str, ...]:
        found = sorted({row.emotion for row in rows if row.emotion})
        if self._given is None:
            if len(found) == 1:
                faults.error("only one emotion, but at least two are needed", found[0])
            return tuple(found)
        if self._others == "error":
            meant = {plain(emotion): emotion for emotion in self._given}
            for emotion in (emotion for emotion in found if emotion not in self._given):
                of_it = [row for row in rows if row.emotion == emotion]
                like = meant.get(plain(emotion))
                faults.error(
                    f"an emotion that is not in data.emotions, {', '.join(self._given)} (add it there, or set "
                    "data.others=skip to leave its clips out)",
                    f"{shown(emotion)} {len(of_it)} times, first in {of_it[0].where}"
                    + (f"; write {shown(like)}" if like else ""),
                )
        elif len(kept := set(found) & set(self._given)) < 2:
            faults.error("clips of fewer than two of data.emotions", f"found: {name_some(sorted(kept)) or 'none'}")
        return self._given

    def _note_outside(self, clips: Sequence[Clip], faults: RowFaults) -> None:
        root = os.path.normpath(self.root.absolute())
        for clip in clips:
            if not Path(os.path.normpath(clip.media.path.absolute())).is_relative_to(root):
                faults.warning("outside of data.root", clip.row.where)

    def _say_unread(self, tree: VideoTree, clips: Sequence[Clip]) -> None:
        used = {clip.media.identity for clip in clips}
        source = (
            f"data.pattern={self._pattern} does not match"
            if self._pattern
            else f"data.table={self._table} does not name"
        )
        for kind, paths in (("video files", tree.videos), ("folders of images", tree.image_folders)):
            if unread := [shown(path) for path in paths if _identity(self.root / path) not in used]:
                message = f"{source} these {kind}, which are not read ({len(unread)}): {name_places(unread)}"
                warnings.warn(message, CorpusWarning, stacklevel=3)

    def _say_assumptions(self, emotions: tuple[str, ...], counts: Counter[str], people: Mapping[str, set[str]]) -> None:
        said = []
        if self._given is None:
            said.append(f"data.emotions is not set: the classes are, in alphabetical order, {', '.join(emotions)}")
            # Usually a mistake: all its clips are on one side, so the class is either trained or tested, never both.
            lonely = [emotion for emotion in emotions if len(people[emotion]) == 1] if self.subjects_known else []
            if lonely:
                told = name_some([f"{emotion} ({min(people[emotion])})" for emotion in lonely])
                said.append(f"only one subject shows {told}: such a class cannot be both trained and tested")
        elif absent := [emotion for emotion in emotions if not counts[emotion]]:
            said.append(f"no clip shows {', '.join(absent)} of data.emotions")
        if left_out := {emotion: count for emotion, count in counts.items() if emotion not in emotions}:
            each = ", ".join(f"{shown(emotion)} ({count})" for emotion, count in sorted(left_out.items()))
            said.append(f"data.others=skip leaves out {sum(left_out.values())} clips: {each}")
        if not self.subjects_known:
            said.append(
                "data.subjects=unknown: every file counts as another person, so the same person may be in training and "
                "test. All results are NOT SUBJECT-INDEPENDENT"
            )
        for message in said:
            warnings.warn(f"{self.name}: {message}", CorpusWarning, stacklevel=3)


def _checked_emotions(emotions: Sequence[str | int] | None) -> tuple[str, ...] | None:
    if emotions is None:
        return None
    names = tuple(str(emotion).strip() for emotion in emotions)
    if len(names) < 2 or len(set(map(plain, names))) < len(names):
        raise CorpusError(f"data.emotions is [{', '.join(names)}], but must name at least two different classes")
    for name in names:
        if problem := name_problem(name) if name else "that is empty":
            raise CorpusError(f"data.emotions has a name {problem}: {shown(name)}")
    return names


def _check_root(root: Path) -> None:
    try:
        problem = "" if root.is_dir() else "is not a folder" if root.exists() else "does not exist"
        if not problem and not any(root.iterdir()):
            problem = "is empty"
    except (OSError, ValueError) as error:
        problem = f"cannot be opened ({getattr(error, 'strerror', None) or error})"
    if problem:
        raise CorpusError(f"data.root is {shown(root.absolute())}, which {problem}; set it to the folder of the videos")


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        state = path.stat()
    except OSError:
        return None
    return state.st_dev, state.st_ino


def _folders(clips: Iterable[Clip]) -> set[Path]:
    """The folders of the files, including the targets of links."""
    folders = set()
    for clip in clips:
        for path in clip.media.frames[:1] or (clip.media.path,):
            folders |= {path.parent, path.resolve().parent}
    return folders
