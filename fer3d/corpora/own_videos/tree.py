"""The video files and the folders of frame images below a folder."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from fer3d.corpora.layout import IMAGE_SUFFIX, is_litter, shown
from fer3d.corpora.sequences import CorpusError

# Of the containers that FFmpeg reads, those that hold videos of people.
VIDEO_ENDINGS = frozenset(
    (".mp4", ".m4v", ".mov", ".avi", ".mkv", ".webm", ".flv", ".f4v", ".mpg", ".mpeg", ".wmv", ".asf", ".3gp", ".3g2")
) | {".mts", ".m2ts", ".vob", ".ogv", ".mxf", ".mjpeg", ".mjpg", ".y4m", ".dv"}
# A root that is far too high must end in an error message and not in a walk over a whole disk.
MAX_FOLDERS = 100_000

_IMAGE = re.compile(".+" + IMAGE_SUFFIX, re.IGNORECASE)
_NUMBER = re.compile(r"([0-9]+)")


@dataclass(frozen=True, slots=True)
class VideoTree:
    """What lies below a folder.

    Attributes:
        root: The folder.
        videos: The paths of files with a video's ending, relative to the root, in natural order.
        image_folders: The folders, relative to the root, that hold images and no videos, in natural order.
        closed: The folders that cannot be opened.
    """

    root: Path
    videos: list[str] = field(default_factory=list)
    image_folders: list[str] = field(default_factory=list)
    closed: list[str] = field(default_factory=list)

    @classmethod
    def below(cls, root: Path) -> VideoTree:
        """Looks through a folder; links are followed, and hidden files and folders are passed over.

        Raises:
            CorpusError: There are more than `MAX_FOLDERS` folders.
        """
        tree = cls(root)
        num_folders = 0
        # Each with the folders that it lies in, since a link may lead back to one of them.
        waiting: list[tuple[str, frozenset[tuple[int, int]]]] = [("", frozenset())]
        while waiting:
            folder, above = waiting.pop()
            num_folders += 1
            if num_folders > MAX_FOLDERS:
                raise CorpusError(
                    f"data.root is {shown(root.absolute())}, which has more than {MAX_FOLDERS:,} folders: set the key "
                    "data.root to the folder that holds the videos"
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
    """Whether a file's name has a video's ending."""
    return PurePosixPath(name).suffix.lower() in VIDEO_ENDINGS


def is_image(name: str) -> bool:
    """Whether a file's name has an image's ending."""
    return bool(_IMAGE.fullmatch(name))


def is_folder(entry: os.DirEntry[str]) -> bool:
    """Whether an entry is a folder, or a link to one."""
    try:
        return entry.is_dir()
    except OSError:
        return False  # a link that leads to itself


def is_text(names: Iterable[str]) -> bool:
    """Whether names can be written: a file's name may hold bytes that are no text."""
    try:
        "".join(names).encode()
    except UnicodeEncodeError:
        return False
    return True


def natural(name: str) -> tuple[tuple[str, int], ...]:
    """Returns a key by which `take9` comes before `take10`."""
    texts = _NUMBER.split(name)
    numbers = [int(number[:400]) for number in texts[1::2]] + [-1]
    return tuple(zip(texts[::2], numbers, strict=True))


def without_numbers(name: str) -> str:
    """Returns a name with `#` in the place of each number."""
    return _NUMBER.sub("#", name)
