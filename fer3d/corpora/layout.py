"""Finds a corpus's folders below a user's root and reports everything that deviates from the distribution."""

from __future__ import annotations

import os
import re
import warnings
from collections import deque
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeVar

from fer3d.corpora.sequences import SYNTHETIC_MARKER, CorpusError, CorpusWarning

MAX_DEPTH = 6
# Limits the search if the root is far too high, such as a home folder.
MAX_FOLDERS = 5_000
MAX_NAMED = 8

LFS_POINTER = b"version https://git-lfs"
IMAGE_SUFFIX = r"\.(?:png|jpe?g|bmp|tiff?)"

# Files that operating systems and archivers leave behind; other unread files are reported.
_LITTER = re.compile(
    r"\._.*|\.DS_Store|\.directory|\.nfs.*|\.git.*|\.Spotlight-V100|\.Trashes|\.fseventsd|__MACOSX|Icon\r|@eaDir|"
    r"(?:eh)?Thumbs\.db|desktop\.ini|lost\+found",
    re.IGNORECASE,
)
_COPY_NUMBER = re.compile(r"\s*\(\d+\)$")
_SEPARATORS = re.compile(r"[^a-z0-9]")

Key = TypeVar("Key", bound=Hashable)


@dataclass(frozen=True, slots=True)
class Distribution:
    """How to obtain a corpus, for the errors of its reader.

    Attributes:
        title: The corpus's usual name, such as `CK+`.
        layout: The folders and files that the reader expects.
        origin: Where the corpus comes from, which archives are needed and under which licence.
    """

    title: str
    layout: str
    origin: str

    def existing_folder(self, root: Path) -> Path:
        """Returns `root`.

        Raises:
            CorpusError: `root` is missing, a file, empty or not readable.
        """
        problem = None
        try:
            if not root.exists():
                problem = "does not exist"
            elif not root.is_dir():
                problem = "is a file, not a folder"
            elif not any(root.iterdir()):
                problem = "is empty"
        except OSError as error:
            problem = f"cannot be opened ({error.strerror})"
        if problem:
            raise self.not_found(f"data.root is {shown(root.absolute())}, which {problem}.")
        return root

    def not_found(self, problem: str) -> CorpusError:
        """Returns the error to raise: the problem, the expected layout and how to obtain the corpus."""
        lines = (
            f"{self.title} cannot be read: {problem}",
            f"Expected: {self.layout}, at most {MAX_DEPTH} levels and {MAX_FOLDERS:,} folders below data.root.",
            f"To get it: {self.origin}",
            "Then set data.root to the folder of the unpacked archives.",
        )
        return CorpusError("\n".join(lines))


@dataclass(frozen=True, slots=True)
class Fault:
    """A kind of deviation from the corpus as distributed.

    Attributes:
        problem: What is wrong; the places follow it.
        remedy: What to do about it.
    """

    problem: str
    remedy: str


UNREAD = Fault(
    "these are not read, because the corpus as distributed has no such files or folders there",
    "Rename what should be read, and move the rest out of the corpus",
)
_ELSEWHERE = Fault(
    "these look like parts of the corpus but are not read, because they are in the wrong place",
    "Move what should be read to its place, and the rest out of data.root",
)
TWICE = Fault("these exist twice", "Keep one of each")
CLOSED = Fault("these cannot be opened", "Make them readable, or copy them again")
NO_FILE = Fault("these are not files but folders, broken links or devices", "Restore the files")


class Findings:
    """Collects a reader's findings, so that one message lists all places of each kind.

    Every name in a folder of the corpus goes through `take`: it is used, known litter, or reported.

    Args:
        title: The corpus's usual name.
        root: The corpus's folder; places are shown relative to it.
    """

    def __init__(self, title: str, root: Path) -> None:
        self._title = title
        self._root = root
        self._errors: dict[Fault, list[str]] = {}
        self._warnings: dict[Fault, list[str]] = {}

    def error(self, fault: Fault, place: Path | str, detail: str = "") -> None:
        """Records a deviation that would change the meaning of a clip, so that reading fails."""
        self._errors.setdefault(fault, []).append(self._place(place) + detail)

    def warning(self, fault: Fault, place: Path | str, detail: str = "") -> None:
        """Records a deviation that does not prevent reading."""
        self._warnings.setdefault(fault, []).append(self._place(place) + detail)

    def take(
        self, folder: Path, kind: Literal["files", "folders"], key_of: Callable[[str], Key | None]
    ) -> dict[Key, Path]:
        """Returns the files (or folders) in `folder` by the key of their name, sorted by name; records the others.

        Args:
            folder: A folder of the corpus.
            kind: What to return.
            key_of: Maps a name to its key, or to `None` if the corpus has no such name.
        """
        taken: dict[Key, Path] = {}
        for entry in self._entries(folder):
            path, key = folder / entry.name, key_of(entry.name)
            if key is None or (kind == "folders" and not _is(entry, "folders")):
                self.warning(UNREAD, path)
            elif not _is(entry, kind):
                self.error(NO_FILE, path)
            elif key in taken:
                self.error(TWICE, taken[key], f" and {name_some([path.name])}")
            else:
                taken[key] = path
        return taken

    def note_elsewhere(
        self,
        sighted: Sighted,
        used: Sequence[Path],
        is_known: Callable[[Path], bool],
        is_in_subject: Callable[[str], bool],
    ) -> None:
        """Records what looks like a part of the corpus outside the folders that are read.

        Args:
            sighted: What exists below the root.
            used: The folders that are read; `take` handles their contents.
            is_known: Whether a folder is another, unneeded part of the distribution.
            is_in_subject: Whether a folder below a subject folder is named as in this corpus; other data sets also
                number their subjects.
        """
        places: list[tuple[Path, str]] = []
        for holder in sighted.holders:
            if holder not in used and not is_known(holder):
                places += [(folder, "") for folder in sighted.holders[holder] if _has_subfolder(folder, is_in_subject)]
        real = [folder.resolve() for folder in used]
        root = self._root.resolve()
        for folder, names in sighted.files.items():
            if any(folder.is_relative_to(one) for one in real):
                continue
            # Show the real place, because links may lead there in several ways.
            folder = self._root / folder.relative_to(root) if folder.is_relative_to(root) else folder
            if not is_known(folder):
                place = folder / names[0]
                places.append((place, f" and {len(names) - 1} more in its folder" if len(names) > 1 else ""))
        for place, detail in places:
            self.warning(_ELSEWHERE, place, detail)

    def read(self, file: Path, num_bytes: int) -> bytes | None:
        """Returns the first bytes of a file, or `None` if it cannot be opened."""
        try:
            with file.open("rb") as opened:
                return opened.read(num_bytes)
        except OSError as error:
            self.error(CLOSED, file, f" ({error.strerror})")
            return None

    def raise_errors(self) -> None:
        """Raises the recorded errors.

        Raises:
            CorpusError: There are errors; the message also has the warnings, which may explain them.
        """
        if self._errors:
            raise CorpusError(self._text({**self._errors, **self._warnings}))

    def warnings_text(self) -> str:
        """Returns the warnings, one sentence per kind."""
        return self._text(self._warnings)

    def warn(self, stacklevel: int) -> None:
        """Warns with a `CorpusWarning` if there are warnings."""
        if self._warnings:
            warnings.warn(self.warnings_text(), CorpusWarning, stacklevel=stacklevel + 1)

    def _entries(self, folder: Path) -> list[os.DirEntry[str]]:
        try:
            with os.scandir(folder) as entries:
                return sorted((e for e in entries if not is_litter(e.name)), key=lambda entry: entry.name)
        except OSError as error:
            self.error(CLOSED, folder, f" ({error.strerror})")
            return []

    def _place(self, place: Path | str) -> str:
        if isinstance(place, str):
            return place
        return shown(place.relative_to(self._root) if place.is_relative_to(self._root) else place)

    def _text(self, faults: dict[Fault, list[str]]) -> str:
        sentences = [
            f"{fault.problem} ({len(places)}): {name_some(places)}. {fault.remedy}." for fault, places in faults.items()
        ]
        return f"{self._title} in {shown(self._root.absolute())}: {' Also, '.join(sentences)}" if sentences else ""


def root_folder(root: str | Path) -> Path:
    """Returns the configured root as a path with `~user` expanded."""
    path = Path(str(root))
    try:
        return path.expanduser()
    except RuntimeError:
        # There is no such user, hence no such folder, which the reader reports.
        return path


def is_litter(name: str) -> bool:
    """Whether an operating system or archiver leaves files with this name."""
    return bool(_LITTER.fullmatch(name))


def plain_name(name: str) -> str:
    """Returns a folder's name in lower case, without separators and the number of a repeated download.

    `Emotion_labels`, `emotion labels` and `Emotion_labels (2)` all become `emotionlabels`.
    """
    return _SEPARATORS.sub("", _COPY_NUMBER.sub("", name).lower())


def subfolders(folder: Path) -> list[Path]:
    """Returns the folders in `folder`, sorted by name, without hidden ones and macOS's `__MACOSX`."""
    return listing(folder)[0]


def listing(folder: Path) -> tuple[list[Path], list[str]]:
    """Returns the folders in `folder` as `subfolders` does, and the names of everything else, both sorted."""
    with os.scandir(folder) as entries:
        kinds = {entry.name: _is(entry, "folders") for entry in entries}
    names = sorted(name for name in kinds if not name.startswith(".") and name != "__MACOSX")
    return [folder / name for name in names if kinds[name]], [name for name in names if not kinds[name]]


@dataclass(frozen=True, slots=True)
class Sighted:
    """Result of a search below a corpus's root.

    Attributes:
        holders: Folders that contain subject folders, nearest first, with their subject folders. A folder reachable
            through several links appears once.
        files: Names of files that look like the corpus's own, by folder, except those inside subject folders.
        closed: Folders that cannot be opened.
    """

    holders: dict[Path, list[Path]]
    files: dict[Path, list[str]]
    closed: list[Path]


def walk(root: Path, subject: re.Pattern[str], is_part: Callable[[Path, str], bool] = lambda *_: False) -> Sighted:
    """Searches `root` and the folders below for a corpus's folders and files, without entering subject folders.

    The search is limited to `MAX_DEPTH` levels and `MAX_FOLDERS` folders.

    Args:
        root: Where to start.
        subject: Matches the name of a subject folder.
        is_part: Whether a file, given by folder and name, looks like one of the corpus.
    """
    holders: dict[Path, list[Path]] = {}
    real_holders: set[Path] = set()
    files: dict[Path, list[str]] = {}
    closed: list[Path] = []
    queue = deque([(root, 0)])
    num_visited = 0
    while queue and num_visited < MAX_FOLDERS:
        folder, depth = queue.popleft()
        num_visited += 1
        try:
            below, names = listing(folder)
        except OSError:
            # Skip a mounted disk's `lost+found` or a vanished folder, and continue with its siblings.
            closed.append(folder)
            continue
        if parts := [name for name in names if is_part(folder, name)]:
            files.setdefault(folder.resolve(), parts)
        subjects = [path for path in below if subject.fullmatch(path.name)]
        if subjects and (real := folder.resolve()) not in real_holders:
            real_holders.add(real)
            holders[folder] = subjects
        if depth < MAX_DEPTH:
            queue.extend((path, depth + 1) for path in below if not subject.fullmatch(path.name))
    return Sighted(holders, files, closed)


def in_synthetic_twin(folder: Path) -> bool:
    """Whether `folder` is in a synthetic twin."""
    return any((place / SYNTHETIC_MARKER).is_file() for place in (folder.resolve(), *folder.resolve().parents))


def contents(folder: Path) -> str:
    """Lists the names in `folder` as a phrase, shortened if there are many; folders end in a slash."""
    with os.scandir(folder) as entries:
        names = sorted(_with_kind(entry) for entry in entries)
    return name_some(names) if names else "nothing"


def name_some(names: Sequence[str]) -> str:
    """Joins `names` into a phrase that spells out the first `MAX_NAMED`."""
    rest = len(names) - MAX_NAMED
    return ", ".join(map(shown, names[:MAX_NAMED])) + (f" and {rest} more" if rest > 0 else "")


def shown(name: str | Path) -> str:
    """Returns a printable form of a name that reveals leading and trailing blanks and undecodable bytes."""
    text = str(name)
    return text if text.isprintable() and text == text.strip() else repr(text)


def parts_below(root: Path, folder: Path) -> list[str]:
    """Returns the plain names of the folders from `root` to `folder`; empty if it is elsewhere."""
    return [plain_name(part) for part in folder.relative_to(root).parts] if folder.is_relative_to(root) else []


def _has_subfolder(folder: Path, is_name: Callable[[str], bool]) -> bool:
    try:
        return any(is_name(path.name) for path in subfolders(folder))
    except OSError:
        return False


def _is(entry: os.DirEntry[str], kind: Literal["files", "folders"]) -> bool:
    try:
        return entry.is_file() if kind == "files" else entry.is_dir()
    except OSError:
        # A link to itself.
        return False


def _with_kind(entry: os.DirEntry[str]) -> str:
    if not _is(entry, "folders"):
        return entry.name
    return f"{entry.name}/" if os.access(entry.path, os.R_OK | os.X_OK) else f"{entry.name}/ (not readable)"
