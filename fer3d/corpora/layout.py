"""Finding a corpus's folders under the roots seen in the wild, and naming what there is not as it should be."""

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
# A root that is far too high, such as a home folder, must end in an error message and not in a walk over a whole disk.
MAX_FOLDERS = 5_000
MAX_NAMED = 8

IMAGE_SUFFIX = r"\.(?:png|jpe?g|bmp|tiff?)"

# What systems and archivers leave in folders; whatever else is not read is named.
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
            CorpusError: `root` is missing, is a file, is empty or may not be opened.
        """
        problem = None
        try:
            if not root.exists():
                problem = "does not exist"
            elif not root.is_dir():
                problem = "is a file and not a folder"
            elif not any(root.iterdir()):
                problem = "is empty"
        except OSError as error:
            problem = f"cannot be opened ({error.strerror})"
        if problem:
            raise self.not_found(f"data.root is {shown(root.absolute())}, which {problem}.")
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


@dataclass(frozen=True, slots=True)
class Fault:
    """A kind of thing that is not as in the corpus as distributed.

    Attributes:
        problem: What is wrong, to be followed by the places.
        remedy: What to do about it.
    """

    problem: str
    remedy: str


UNREAD = Fault(
    "these are not read, since the corpus as distributed has no such files or folders there",
    "Rename what should be read, and move the rest out of the corpus",
)
_ELSEWHERE = Fault(
    "these look like parts of the corpus and are not read, since they lie where it has none",
    "Move what should be read to its place, and the rest out of data.root",
)
TWICE = Fault("the same thing is there twice", "Keep one of each")
CLOSED = Fault("these cannot be opened", "Make them readable, or copy them again")
NO_FILE = Fault("these should be files and are not (a folder, a broken link or a device)", "Put the files there again")


class Findings:
    """What a reader comes upon that is not as distributed, gathered so that one sentence names all places of a kind.

    Every name in a folder of the corpus goes through `take`: it is used, or known litter, or named in the end.

    Args:
        title: The corpus's usual name.
        root: The folder that holds the corpus; places are named relative to it.
    """

    def __init__(self, title: str, root: Path) -> None:
        self._title = title
        self._root = root
        self._errors: dict[Fault, list[str]] = {}
        self._warnings: dict[Fault, list[str]] = {}

    def error(self, fault: Fault, place: Path | str, detail: str = "") -> None:
        """Notes what would change the meaning of a clip, so that the corpus is refused."""
        self._errors.setdefault(fault, []).append(self._place(place) + detail)

    def warning(self, fault: Fault, place: Path | str, detail: str = "") -> None:
        """Notes what has to be known and does not stand in the way."""
        self._warnings.setdefault(fault, []).append(self._place(place) + detail)

    def take(
        self, folder: Path, kind: Literal["files", "folders"], key_of: Callable[[str], Key | None]
    ) -> dict[Key, Path]:
        """Returns the files (or folders) in `folder` by the key of their name, sorted by name, and notes the others.

        Args:
            folder: A folder of the corpus.
            kind: What is looked for.
            key_of: Returns what a name stands for, or `None` where it is not a name of the corpus.
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
        """Notes what looks like a part of the corpus and lies outside of what is read.

        Args:
            sighted: What there is below the root.
            used: The folders that are read; what they hold besides is for `take`.
            is_known: Whether a folder is another part of the distribution, which is not wanted here.
            is_in_subject: Whether a folder in a subject folder has a name of this corpus; other data sets number their
                subjects, too.
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
            # Its real place, since links may lead there in several ways.
            folder = self._root / folder.relative_to(root) if folder.is_relative_to(root) else folder
            if not is_known(folder):
                place = folder / names[0]
                places.append((place, f" and {len(names) - 1} more in its folder" if len(names) > 1 else ""))
        for place, detail in places:
            self.warning(_ELSEWHERE, place, detail)

    def read(self, file: Path, num_bytes: int) -> bytes | None:
        """Returns the first bytes of a file, or `None` where it cannot be opened."""
        try:
            with file.open("rb") as opened:
                return opened.read(num_bytes)
        except OSError as error:
            self.error(CLOSED, file, f" ({error.strerror})")
            return None

    def raise_errors(self) -> None:
        """Raises what was noted as an error.

        Raises:
            CorpusError: There are errors; the warnings follow them, since they may explain them.
        """
        if self._errors:
            raise CorpusError(self._text({**self._errors, **self._warnings}))

    def warnings_text(self) -> str:
        """Returns what only has to be known, a sentence for each kind."""
        return self._text(self._warnings)

    def warn(self, stacklevel: int) -> None:
        """Warns with a `CorpusWarning` about what only has to be known."""
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
    """Returns the configured root as a path, its `~user` replaced."""
    path = Path(str(root))
    try:
        return path.expanduser()
    except RuntimeError:
        # There is no such user; then there is no such folder either, which is for the reader to say.
        return path


def is_litter(name: str) -> bool:
    """Returns whether a system or an archiver has left what has this name."""
    return bool(_LITTER.fullmatch(name))


def plain_name(name: str) -> str:
    """Returns a folder's name without case, separators and the number of a repeated download.

    `Emotion_labels`, `emotion labels` and `Emotion_labels (2)` all become `emotionlabels`.
    """
    return _SEPARATORS.sub("", _COPY_NUMBER.sub("", name).lower())


def subfolders(folder: Path) -> list[Path]:
    """Returns the folders in `folder`, sorted by name, without hidden ones and the `__MACOSX` of a Mac's archives."""
    return listing(folder)[0]


def listing(folder: Path) -> tuple[list[Path], list[str]]:
    """Returns the folders in `folder`, as `subfolders` does, and the names of what else there is, both sorted."""
    with os.scandir(folder) as entries:
        kinds = {entry.name: _is(entry, "folders") for entry in entries}
    names = sorted(name for name in kinds if not name.startswith(".") and name != "__MACOSX")
    return [folder / name for name in names if kinds[name]], [name for name in names if not kinds[name]]


@dataclass(frozen=True, slots=True)
class Sighted:
    """What a walk below a corpus's root came upon.

    Attributes:
        holders: The folders that hold subject folders, nearest first, and those; a folder that two ways lead to,
            through a symbolic link, is there once.
        files: The names of the files that look like the corpus's own, by their folder; those in subject folders are
            not among them.
        closed: The folders that cannot be opened.
    """

    holders: dict[Path, list[Path]]
    files: dict[Path, list[str]]
    closed: list[Path]


def walk(root: Path, subject: re.Pattern[str], is_part: Callable[[Path, str], bool] = lambda *_: False) -> Sighted:
    """Looks for a corpus's folders and files at and below `root`, but not within subject folders.

    The walk goes `MAX_DEPTH` levels and `MAX_FOLDERS` folders far.

    Args:
        root: Where it begins.
        subject: What the whole name of a subject folder matches.
        is_part: Whether a file, given by its folder and its name, looks like one of the corpus.
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
            # The `lost+found` of a mounted disk, or a folder that vanished, is no reason to give up on those beside it.
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
    """Returns whether `folder`, or a folder it lies in, was written by the generator of the synthetic twin."""
    return any((place / SYNTHETIC_MARKER).is_file() for place in (folder.resolve(), *folder.resolve().parents))


def contents(folder: Path) -> str:
    """Returns the names in `folder` as one phrase, shortened when they are many; folders end in a slash."""
    with os.scandir(folder) as entries:
        names = sorted(_with_kind(entry) for entry in entries)
    return name_some(names) if names else "nothing"


def name_some(names: Sequence[str]) -> str:
    """Returns `names` as one phrase, the first `MAX_NAMED` of them in full."""
    rest = len(names) - MAX_NAMED
    return ", ".join(map(shown, names[:MAX_NAMED])) + (f" and {rest} more" if rest > 0 else "")


def shown(name: str | Path) -> str:
    """Returns a name so that blanks at its ends and bytes that are no text can be seen, and printed anywhere."""
    text = str(name)
    return text if text.isprintable() and text == text.strip() else repr(text)


def parts_below(root: Path, folder: Path) -> list[str]:
    """Returns the plain names of the folders that lead from `root` to `folder`; none if it lies elsewhere."""
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
        # A link that leads to itself.
        return False


def _with_kind(entry: os.DirEntry[str]) -> str:
    if not _is(entry, "folders"):
        return entry.name
    return f"{entry.name}/" if os.access(entry.path, os.R_OK | os.X_OK) else f"{entry.name}/ (which may not be opened)"
