"""Finds the video files and image folders of a table's rows and checks them without decoding."""

from __future__ import annotations

import hashlib
import os
import stat
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath

from fer3d.corpora.layout import is_litter, name_some, shown
from fer3d.corpora.own_videos.faults import RowFaults
from fer3d.corpora.own_videos.table import Row
from fer3d.corpora.own_videos.tree import is_folder, is_image, is_text, is_video, natural, without_numbers

_HEAD_BYTES = 64 * 1024
_NO_TEXT = "a name that is not valid UTF-8 (rename it)"
_CLOSED = "it cannot be opened"


@dataclass(frozen=True)
class Media:
    """A video file or a folder of frame images.

    Attributes:
        path: Its path.
        identity: Device and inode, equal for all paths to the same file.
        sizes: Size of the file, or of each image, in bytes.
        frames: Paths of the images in temporal order; empty for a video file.
    """

    path: Path
    identity: tuple[int, int]
    sizes: tuple[int, ...]
    frames: tuple[Path, ...] = ()

    @cached_property
    def head(self) -> str:
        """Digest of the first bytes of the first file."""
        with (self.frames or (self.path,))[0].open("rb") as file:
            return hashlib.sha256(file.read(_HEAD_BYTES)).hexdigest()

    @cached_property
    def content(self) -> str:
        """Digest of all bytes."""
        digests = hashlib.sha256()
        for path in self.frames or (self.path,):
            with path.open("rb") as file:
                digests.update(hashlib.file_digest(file, "sha256").digest())
        return digests.hexdigest()


class MediaFinder:
    """Finds the media of rows, examining each path once.

    Args:
        root: Folder that paths are relative to.
        known: Paths below it, for suggestions.
        faults: Collects faults of paths and files.
    """

    def __init__(self, root: Path, known: Sequence[str], faults: RowFaults) -> None:
        self._root = root
        self._known: dict[str, list[str]] = defaultdict(list)
        for name in known:
            path = PurePosixPath(name.casefold())
            for key in {str(path), str(path.with_suffix("")), f"*/{path.name}"}:
                self._known[key].append(name)
        self._faults = faults
        self._found: dict[str, Media | None] = {}
        self._places: dict[str, str] = {}

    def find(self, row: Row) -> Media | None:
        """Returns the media of a row, or None if they are unusable, which is recorded."""
        if row.path not in self._found:
            self._found[row.path] = self._look(row)
        elif self._found[row.path] is None:
            self._faults.error("the same fault as in the row named first", f"{row.where} (as {self._places[row.path]})")
        self._places.setdefault(row.path, row.place)
        return self._found[row.path]

    def _look(self, row: Row) -> Media | None:
        for text in dict.fromkeys((row.path, row.path.strip(), row.path.strip().replace("\\", "/"))):
            path = self._root / text
            try:
                state = path.stat()
            except (FileNotFoundError, NotADirectoryError):
                continue
            except (OSError, ValueError) as error:
                self._faults.error(_CLOSED, f"{row.where} ({getattr(error, 'strerror', None) or error})")
                return None
            if not is_text([text]):
                self._faults.error(_NO_TEXT, row.where)
                return None
            if stat.S_ISDIR(state.st_mode):
                return self._folder(row, path, state)
            return self._video(row, path, state)
        if (self._root / row.path).is_symlink():
            self._faults.error("a broken link", row.where)
        else:
            self._faults.error("no such file or folder (paths are relative to data.root)", row.where + self._meant(row))
        return None

    def _meant(self, row: Row) -> str:
        """Suggests the only path that differs just in case, extension or folder."""
        path = PurePosixPath(os.path.normpath(row.path.strip().replace("\\", "/")).casefold())
        for key in (str(path), str(path.with_suffix("")) if path.name else "", f"*/{path.name}"):
            if len(like := self._known.get(key, [])) == 1:
                return f" (did you mean {shown(like[0])}?)"
        return ""

    def _video(self, row: Row, path: Path, state: os.stat_result) -> Media | None:
        if not stat.S_ISREG(state.st_mode):
            self._faults.error("neither a file nor a folder", row.where)
        elif is_image(path.name):
            self._faults.error("an image instead of a video (for frame images name their folder)", row.where)
        elif self._can_be_opened(path, row.where):
            return Media(path, (state.st_dev, state.st_ino), (state.st_size,))
        return None

    def _folder(self, row: Row, folder: Path, state: os.stat_result) -> Media | None:
        try:
            with os.scandir(folder) as found:
                entries = [entry for entry in found if not entry.name.startswith(".") and not is_litter(entry.name)]
            names = sorted((entry.name for entry in entries if not is_folder(entry)), key=natural)
        except OSError as error:
            self._faults.error(_CLOSED, f"{row.where} ({error.strerror})")
            return None
        images = [name for name in names if is_image(name)]
        if problem := _unlike(names, images):
            self._faults.error(*problem(row.where))
            return None
        if others := [name for name in names if name not in set(images)]:
            self._faults.warning("other files in a folder of frames, not read", f"{row.where} ({name_some(others)})")
        sizes = []
        for name in images:
            path, where = folder / name, f"{row.where} ({shown(name)})"
            try:
                size = path.stat().st_size if path.is_file() else None
            except OSError:
                size = None
            if size is None:
                self._faults.error("an image that is not a file (a broken link or a device)", where)
                return None
            if not self._can_be_opened(path, where):
                return None
            sizes.append(size)
        frames = tuple(folder / name for name in images)
        return Media(folder, (state.st_dev, state.st_ino), tuple(sizes), frames)

    def _can_be_opened(self, path: Path, where: str) -> bool:
        # The content is checked in preparation, which has a policy for unreadable files.
        try:
            path.open("rb").close()
        except OSError as error:
            self._faults.error(_CLOSED, f"{where} ({error.strerror})")
            return False
        return True


def _unlike(names: Sequence[str], images: Sequence[str]) -> Callable[[str], tuple[str, str]] | None:
    """Why a folder is not a sequence of frames; None if it is."""
    if videos := [name for name in names if is_video(name)]:
        return lambda where: ("a folder of videos (name each in the table)", f"{where} ({name_some(videos)})")
    if not images:
        return lambda where: ("a folder without images", where)
    if not is_text(images):
        return lambda where: (_NO_TEXT, where)
    kinds = list(dict.fromkeys(map(without_numbers, images)))
    if len(kinds) > 1 or len(set(map(natural, images))) < len(images):
        shown_kinds = name_some(kinds if len(kinds) > 1 else list(images))
        return lambda where: (
            "a folder whose image names differ in more than their numbers, so their order is unknown",
            f"{where} ({shown_kinds})",
        )
    return None


def alike(media: Iterable[Media], faults: RowFaults) -> list[list[Media]]:
    """Returns groups of files, or folders, with the same bytes.

    Only files of equal size are read, and completely only if they begin alike.
    """
    groups = [list({one.identity: one for one in media if any(one.sizes)}.values())]
    keys: tuple[Callable[[Media], Hashable], ...] = (
        lambda one: (bool(one.frames), one.sizes),
        lambda one: one.head,
        lambda one: one.content,
    )
    for key in keys:
        finer = []
        for group in groups:
            parts: dict[Hashable, list[Media]] = defaultdict(list)
            for one in group:
                try:
                    parts[key(one)].append(one)
                except OSError as error:
                    faults.error(_CLOSED, f"{shown(one.path)} ({error.strerror})")
            finer += [part for part in parts.values() if len(part) > 1]
        groups = finer
    return groups
