"""Keeps finished clips on disk during preparation, so that an interrupted one resumes without repeating work."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType

import numpy as np
import numpy.typing as npt
from pydantic import TypeAdapter, ValidationError

from fer3d.clips.store import ARRAY_NAME, write_array_header
from fer3d.disk import writing

JOURNAL_NAME = "clips.jsonl"


@dataclass(frozen=True, slots=True)
class MadeClip:
    """A clip without its pixels and the corpus's labels.

    Attributes:
        frames: A name for each frame.
        boxes: See `ClipRecord`.
        confidences: See `ClipRecord`.
        sources: See `ClipRecord`.
        images: Format and hexadecimal digest of each image that the clip is made from.
        damage: Description of damage in the rest of its file; None if there is none.
    """

    frames: tuple[str, ...]
    boxes: tuple[tuple[int, int, int, int], ...]
    confidences: tuple[float | None, ...]
    sources: tuple[str, ...]
    images: tuple[tuple[str, str], ...]
    damage: str | None = None


@dataclass(frozen=True, slots=True)
class _Entry:
    """A line of the journal: a clip's key, the digest of its pixels, and its description."""

    key: str
    pixels: str
    clip: MadeClip


_ENTRY = TypeAdapter(_Entry)


class UnfinishedClips:
    """A growing array of clips and a journal that describes them; a context manager.

    A clip counts once its line is in the journal. Opening discards partial writes of a killed process and clips whose
    pixels do not match the journal.

    Args:
        folder: Folder of the array and the journal. Only one process may have it open.
        clip_shape: T, H, W, C of every clip.
    """

    def __init__(self, folder: Path, clip_shape: tuple[int, int, int, int]) -> None:
        self.folder = folder
        self._shape = clip_shape
        self._entries: list[_Entry] = []
        self._rows: dict[str, int] = {}

    def __enter__(self) -> UnfinishedClips:
        with writing(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
            for name in (ARRAY_NAME, JOURNAL_NAME):
                (self.folder / name).touch()
            self._array = self.array.open("r+b")
            self._journal = (self.folder / JOURNAL_NAME).open("r+b")
            # Rewritten later with the number of clips.
            self._start = write_array_header(self._array, 0, self._shape)
            end = self._read_journal()
            self._journal.truncate(end)
            self._journal.seek(end)
            self._array.truncate(self._start + len(self) * self._num_bytes)
            self._array.seek(0, 2)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        for file in (self._array, self._journal):
            # Every clip was flushed when it was added, where errors were reported.
            with suppress(OSError):
                file.close()
        if not len(self):
            self.remove()

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def array(self) -> Path:
        """The array's file; its header lacks the number of clips."""
        return self.folder / ARRAY_NAME

    def find(self, key: str) -> int | None:
        """Returns the row of the clip with this key; None if there is none."""
        return self._rows.get(key)

    def clip(self, row: int) -> MadeClip:
        """Returns the description of a clip."""
        return self._entries[row].clip

    def pixels(self, row: int) -> npt.NDArray[np.uint8]:
        """Returns the pixels of a clip, (T, H, W, C)."""
        offset = self._start + row * self._num_bytes
        self._array.flush()
        return np.memmap(self.array, np.uint8, "r", offset, self._shape)

    def add(self, key: str, clip: MadeClip, pixels: npt.NDArray[np.uint8]) -> int:
        """Appends a clip (T, H, W, C) under a key and returns its row.

        Raises:
            ValueError: The clip has another shape or dtype.
            DiskError: The clip cannot be written.
        """
        if pixels.shape != self._shape or pixels.dtype != np.uint8:
            raise ValueError(f"{pixels.dtype} {pixels.shape} instead of uint8 {self._shape}")
        content = np.ascontiguousarray(pixels).data
        entry = _Entry(key, _digest(content), clip)
        with writing(self.folder):
            self._array.write(content)
            self._array.flush()
            self._journal.write(_line(entry))
            self._journal.flush()
        self._note(entry)
        return len(self) - 1

    def write_journal(self, folder: Path, rows: Sequence[int]) -> None:
        """Writes the journal of the clips in these rows to the folder of a store, for `EarlierClips`."""
        with (folder / JOURNAL_NAME).open("wb") as journal:
            journal.writelines(_line(self._entries[row]) for row in rows)

    def remove(self) -> None:
        """Removes the folder."""
        shutil.rmtree(self.folder, ignore_errors=True)

    @property
    def _num_bytes(self) -> int:
        return int(np.prod(self._shape))

    def _read_journal(self) -> int:
        """Records clips whose line and pixels are intact; returns the offset after the last such line."""
        end = 0
        for line in self._journal:
            try:
                entry = _ENTRY.validate_json(line, strict=True)
            except ValidationError:
                break
            content = self._array.read(self._num_bytes)
            if not line.endswith(b"\n") or _digest(content) != entry.pixels or not self._fits(entry.clip):
                break
            self._note(entry)
            end += len(line)
        return end

    def _fits(self, clip: MadeClip) -> bool:
        parts: tuple[Sequence[object], ...] = (clip.frames, clip.boxes, clip.confidences, clip.sources)
        return {len(part) for part in parts} == {self._shape[0]}

    def _note(self, entry: _Entry) -> None:
        self._rows[entry.key] = len(self)
        self._entries.append(entry)


class EarlierClips:
    """Clips of existing stores, to be reused by a store with other labels, subjects, splits or partly other files.

    Args:
        stores: The stores' folders; those without a valid store or journal are ignored.
        clip_shape: T, H, W, C of the clips needed.
    """

    def __init__(self, stores: Iterable[Path], clip_shape: tuple[int, int, int, int]) -> None:
        self._shape = clip_shape
        self._found: dict[str, tuple[Path, int, _Entry]] = {}
        for store in stores:
            with suppress(OSError, ValueError):
                # The journal of a store with another shape is not read.
                if np.load(store / ARRAY_NAME, mmap_mode="r").shape[1:] == clip_shape:
                    self._note(store)

    def find(self, key: str) -> tuple[MadeClip, npt.NDArray[np.uint8]] | None:
        """Returns the clip with this key and its verified pixels (T, H, W, C); None if there is none."""
        with suppress(KeyError, OSError, ValueError, IndexError):
            store, row, entry = self._found[key]
            pixels = np.array(np.load(store / ARRAY_NAME, mmap_mode="r")[row])
            if _digest(pixels.data) == entry.pixels:
                return entry.clip, pixels
        return None

    def _note(self, store: Path) -> None:
        with (store / JOURNAL_NAME).open("rb") as journal:
            for row, line in enumerate(journal):
                entry = _ENTRY.validate_json(line, strict=True)
                self._found[entry.key] = store, row, entry


def _line(entry: _Entry) -> bytes:
    return json.dumps(asdict(entry)).encode() + b"\n"


def _digest(content: bytes | memoryview) -> str:
    return hashlib.blake2b(content, digest_size=16).hexdigest()
