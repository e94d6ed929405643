"""Finds the video files and folders of frame images below a folder."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from fer3d.corpora.layout import IMAGE_SUFFIX, is_litter, shown
from fer3d.corpora.sequences import CorpusError

# Containers that FFmpeg reads and that usually contain videos of people.
VIDEO_ENDINGS = frozenset(
    (".mp4", ".m4v", ".mov", ".avi", ".mkv", ".webm", ".flv", ".f4v", ".mpg", ".mpeg", ".wmv", ".asf", ".3gp", ".3g2")
) | {".mts", ".m2ts", ".vob", ".ogv", ".mxf", ".mjpeg", ".mjpg", ".y4m", ".dv"}
# Limits the search if the root is far too high.
MAX_FOLDERS = 100_000

_IMAGE = re.compile(".+" + IMAGE_SUFFIX, re.IGNORECASE)
_NUMBER = re.compile(r"([0-9]+)")


@dataclass(frozen=True, slots=True)
class VideoTree:
    """Contents of a folder.

    Attributes:
        root: The folder.
        videos: Paths of video files, judged by their extension, relative to the root, in natural order.
        image_folders: Folders with images and without videos, relative to the root, in natural order.
        closed: Folders that cannot be opened.
    """

    root: Path
    videos: list[str] = field(default_factory=list)
    image_folders: list[str] = field(default_factory=list)
    closed: list[str] = field(default_factory=list)

    @classmethod
    def below(cls, root: Path) -> VideoTree:
        """Searches a folder; links are followed, and hidden files and folders are skipped.

        Raises:
            CorpusError: There are more than `MAX_FOLDERS` folders.
        """
        tree = cls(root)
        num_folders = 0
        # Each folder with its ancestors, because a link may lead back to one of them.
        waiting: list[tuple[str, frozenset[tuple[int, int]]]] = [("", frozenset())]
        while waiting:
            folder, above = waiting.pop()
            num_folders += 1
            if num_folders > MAX_FOLDERS:
                raise CorpusError(
                    f"data.root is {shown(root.absolute())}, which has more than {MAX_FOLDERS:,} folders: set "
                    "data.root to the folder of the videos"
                )
            waiting += tree._look_into(folder, above)
        for paths in (tree.videos, tree.image_folders):
            paths.sort(key=natural)
        return tree

    def _look_into(
        self, folder: str, above: frozenset[tuple[int, int]]
    ) -> list[tuple[str, frozenset[tuple[int, int]]]]:
        try:
            state = (self.root / folder).stat()
            with os.scandir(self.root / folder) as found:
                entries = [entry for entry in found if not entry.name.startswith(".") and not is_litter(entry.name)]
        except OSError:
            self.closed.append(folder or ".")
            return []
        identity = (state.st_dev, state.st_ino)
        if identity in above:
            return []
        prefix = f"{folder}/" if folder else ""
        folders = [entry for entry in entries if is_folder(entry)]
        videos = [entry for entry in entries if entry not in folders and is_video(entry.name)]
        self.videos.extend(prefix + entry.name for entry in videos)
        if folder and not videos and any(is_image(entry.name) for entry in entries if entry not in folders):
            self.image_folders.append(folder)
        return [(prefix + entry.name, above | {identity}) for entry in folders]


def is_video(name: str) -> bool:
    """Whether a file name has a video extension."""
    return PurePosixPath(name).suffix.lower() in VIDEO_ENDINGS


def is_image(name: str) -> bool:
    """Whether a file name has an image extension."""
    return bool(_IMAGE.fullmatch(name))


def is_folder(entry: os.DirEntry[str]) -> bool:
    """Whether an entry is a folder or a link to one."""
    try:
        return entry.is_dir()
    except OSError:
        return False  # a link to itself


def is_text(names: Iterable[str]) -> bool:
    """Whether names can be encoded; file names may contain undecodable bytes."""
    try:
        "".join(names).encode()
    except UnicodeEncodeError:
        return False
    return True


def natural(name: str) -> tuple[tuple[str, int], ...]:
    """Sort key that orders `take9` before `take10`."""
    texts = _NUMBER.split(name)
    numbers = [int(number[:400]) for number in texts[1::2]] + [-1]
    return tuple(zip(texts[::2], numbers, strict=True))


def without_numbers(name: str) -> str:
    """Replaces each number in a name with `#`."""
    return _NUMBER.sub("#", name)
