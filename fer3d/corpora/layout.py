"""Finding a corpus's folders under the roots seen in the wild, and saying what was there when they are not."""

from __future__ import annotations

import os
import re
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from fer3d.corpora.sequences import SYNTHETIC_MARKER, CorpusError

MAX_DEPTH = 6
# A root that is far too high, such as a home folder, must end in an error message and not in a walk over a whole disk.
MAX_FOLDERS = 5_000
MAX_NAMED = 8

IMAGE_SUFFIX = r"\.(?:png|jpe?g|bmp|tiff?)"

_COPY_NUMBER = re.compile(r"\s*\(\d+\)$")
_SEPARATORS = re.compile(r"[^a-z0-9]")


@dataclass(frozen=True, slots=True)
class Distribution:
    """How a corpus reaches its users, for the errors of its reader.

    Attributes:
        title: The corpus's usual name, such as `CK+`.
        layout: The folders and files that the reader looks for.
        origin: Where the corpus comes from, which archives are needed and under which licence.
    """

    title: str
    layout: str
    origin: str

    def existing_folder(self, root: Path) -> Path:
        """Returns `root`.

        Raises:
            CorpusError: `root` is missing, is a file or is empty.
        """
        if not root.exists():
            raise self.not_found(f"data.root is {root.absolute()}, which does not exist.")
        if not root.is_dir():
            raise self.not_found(f"data.root is {root.absolute()}, which is a file and not a folder.")
        if not any(root.iterdir()):
            raise self.not_found(f"data.root is {root.absolute()}, which is empty.")
        return root

    def not_found(self, problem: str) -> CorpusError:
        """Returns the error to raise: `problem`, then what was looked for and how to get it."""
        lines = (
            f"{self.title} cannot be read: {problem}",
            f"Looked for: {self.layout}, at most {MAX_DEPTH} levels and {MAX_FOLDERS:,} folders below data.root.",
            f"To get it: {self.origin}",
            "Then set the key data.root to the folder that holds the unpacked archives.",
        )
        return CorpusError("\n".join(lines))


def plain_name(name: str) -> str:
    """Returns a folder's name without case, separators and the number of a repeated download.

    `Emotion_labels`, `emotion labels` and `Emotion_labels (2)` all become `emotionlabels`.
    """
    return _SEPARATORS.sub("", _COPY_NUMBER.sub("", name).lower())


def subfolders(folder: Path) -> list[Path]:
    """Returns the folders in `folder`, sorted by name, without hidden ones and the `__MACOSX` of a Mac's archives."""
    with os.scandir(folder) as entries:
        names = [entry.name for entry in entries if entry.is_dir()]
    return [folder / name for name in sorted(names) if not name.startswith(".") and name != "__MACOSX"]


def folders_holding(root: Path, child: re.Pattern[str]) -> list[Path]:
    """Returns every folder at or below `root` that has a subfolder whose whole name matches `child`, nearest first.

    The search goes `MAX_DEPTH` levels and `MAX_FOLDERS` folders far and does not descend into a folder it returns. A
    folder reached by two ways, through a symbolic link, is returned once.
    """
    found: dict[Path, Path] = {}
    queue = deque([(root, 0)])
    num_visited = 0
    while queue and num_visited < MAX_FOLDERS:
        folder, depth = queue.popleft()
        num_visited += 1
        try:
            below = subfolders(folder)
        except OSError:
            # The `lost+found` of a mounted disk, or a folder that vanished, is no reason to give up on those beside it.
            continue
        if any(child.fullmatch(path.name) for path in below):
            found.setdefault(folder.resolve(), folder)
        elif depth < MAX_DEPTH:
            queue.extend((path, depth + 1) for path in below)
    return list(found.values())


def numbered_frames(folder: Path, pattern: re.Pattern[str]) -> tuple[Path, ...]:
    """Returns the files in `folder` whose whole name matches `pattern`, in the order of the number in its group 1.

    Raises:
        CorpusError: Two files carry the same number.
    """
    frames: dict[int, Path] = {}
    for path in folder.iterdir():
        match = pattern.fullmatch(path.name)
        if match is None:
            continue
        number = int(match[1])
        if number in frames:
            names = " and ".join(sorted((frames[number].name, path.name)))
            raise CorpusError(f"{folder} holds frame {number} twice, as {names}: keep one of them")
        frames[number] = path
    return tuple(frames[number] for number in sorted(frames))


def in_synthetic_twin(folder: Path) -> bool:
    """Returns whether `folder`, or a folder it lies in, was written by the generator of the synthetic twin."""
    return any((place / SYNTHETIC_MARKER).is_file() for place in (folder.resolve(), *folder.resolve().parents))


def contents(folder: Path) -> str:
    """Returns the names in `folder` as one phrase, shortened when they are many; folders end in a slash."""
    names = sorted(f"{path.name}/" if path.is_dir() else path.name for path in folder.iterdir())
    return name_some(names) if names else "nothing"


def name_some(names: Sequence[str]) -> str:
    """Returns `names` as one phrase, the first `MAX_NAMED` of them in full."""
    rest = len(names) - MAX_NAMED
    return ", ".join(names[:MAX_NAMED]) + (f" and {rest} more" if rest > 0 else "")
