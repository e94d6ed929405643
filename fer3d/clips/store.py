"""The clip store: a folder with one array of face crops and a readable index."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import MISSING, asdict, dataclass, field, fields
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt
from pydantic import TypeAdapter, ValidationError

from fer3d.checked_json import CHECKSUM, check_seal, first_error, sealed

FORMAT_VERSION = 1
ARRAY_NAME = "clips.npy"
INDEX_NAME = "index.json"
_CHUNK = 1 << 24


class StoreError(Exception):
    """A clip store cannot be used; the message names the folder, the problem and the remedy."""


@dataclass(frozen=True, slots=True)
class ClipRecord:
    """Index entry of one clip.

    Attributes:
        clip_id: Such as `S005/001`.
        subject: Such as `S005`.
        emotion: One of the store's emotions.
        frames: Name of each frame: its image file, or its time in a video.
        boxes: x1, y1, x2, y2 of the crop in each frame, in pixels.
        confidences: The detector's confidence; None if no face was found in the frame.
        sources: Source of each box; see `fer3d.clips.faces.FrameFace`.
        columns: Additional values from the corpus by name, such as `split`.
    """

    clip_id: str
    subject: str
    emotion: str
    frames: tuple[str, ...]
    boxes: tuple[tuple[int, int, int, int], ...]
    confidences: tuple[float | None, ...]
    sources: tuple[str, ...]
    columns: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class StoreHeader:
    """Index entries of the store as a whole, without those that follow from its clips.

    Attributes:
        corpus: The corpus's name.
        synthetic: Whether the images are rendered.
        emotions: The class names; a label is an index into this tuple.
        num_channels: 1 for grey, 3 for RGB.
        num_frames: Number of frames per clip.
        size: Height and width of a frame in pixels.
        key: SHA-256 of the inputs and settings that the store is made from.
        settings: All settings that shape the clips.
        versions: Versions of the libraries used.
        subjects_known: Whether the subjects identify people; otherwise no split is subject-independent.
    """

    corpus: str
    synthetic: bool
    emotions: tuple[str, ...]
    num_channels: int
    num_frames: int
    size: int
    key: str
    settings: dict[str, Any]
    versions: dict[str, str]
    subjects_known: bool = True

    @property
    def clip_shape(self) -> tuple[int, int, int, int]:
        """T, H, W, C of a clip."""
        return self.num_frames, self.size, self.size, self.num_channels


class ClipStore:
    """A finished clip store with a memory-mapped array.

    Attributes:
        folder: The store's folder.
        header: Index entries of the store as a whole.
        records: Index entries of the clips, in the array's order.
        clips: (N, T, H, W, C) uint8, read only; three channels are RGB.
        clip_ids: Id of each clip.
        subjects: Subject of each clip.
        clip_emotions: Emotion of each clip.
        labels: (N,) int64, each clip's index into `emotions`.
        emotions: The class names.
        corpus: The corpus's name.
        synthetic: Whether the images are rendered; results measured on them must say so.
        num_channels: 1 for grey, 3 for RGB.
        splits: Each clip's value in the corpus's column `split`; empty if there is none.
        digest: SHA-256 of the content: pixels, labels, subjects, clip ids and columns in order. It does not depend on
            the store's location.
    """

    def __init__(
        self,
        folder: Path,
        header: StoreHeader,
        records: tuple[ClipRecord, ...],
        clips: npt.NDArray[np.uint8],
        digest: str,
    ) -> None:
        self.folder = folder
        self.header = header
        self.records = records
        self.clips = clips
        self.digest = digest
        self.clip_ids = tuple(record.clip_id for record in records)
        self.subjects = tuple(record.subject for record in records)
        self.clip_emotions = tuple(record.emotion for record in records)
        self.splits = tuple(record.columns.get("split", "") for record in records)
        self.emotions = header.emotions
        self.corpus = header.corpus
        self.synthetic = header.synthetic
        self.num_channels = header.num_channels
        indices = {emotion: label for label, emotion in enumerate(header.emotions)}
        labels = [indices[emotion] for emotion in self.clip_emotions]
        self.labels: npt.NDArray[np.int64] = np.array(labels, dtype=np.int64)

    @classmethod
    def open(cls, folder: Path | str, expected: StoreHeader | None = None) -> ClipStore:
        """Opens a store and verifies its content, including pixels, against its digest and checksum.

        Args:
            folder: The store's folder.
            expected: The expected header, compared except for library versions; None: any.

        Raises:
            StoreError: The folder does not contain a store, or the store is damaged, edited, or has another format or
                header than expected.
        """
        folder = Path(folder)
        try:
            header, records, digest = _read_index((folder / INDEX_NAME).read_bytes())
            clips = np.lib.format.open_memmap(folder / ARRAY_NAME, mode="r")
            want = (len(records), *header.clip_shape)
            if clips.shape != want or clips.dtype != np.uint8:
                raise ValueError(f"{ARRAY_NAME} holds {clips.dtype} {clips.shape} instead of uint8 {want}")
            if _digest(_pixels_digest(clips), header, records) != digest:
                raise ValueError("its clips, labels, subjects or names were edited or damaged")
            _check_header(header, expected)
            return cls(folder, header, records, clips, digest)
        except PermissionError as error:
            raise StoreError(f"{folder} is not readable: {error}") from error
        except Exception as error:  # parsing a damaged file may raise anything
            reason = f"missing entry {error}" if isinstance(error, KeyError) else str(error) or type(error).__name__
            raise StoreError(
                f"{folder} is not a usable clip store: {reason}. Delete it and run `python -m fer3d.prepare` again."
            ) from error

    def __len__(self) -> int:
        return len(self.records)


def read_digest(folder: Path) -> str:
    """Returns the digest in a store's index without verifying it; `ClipStore.open` does.

    Raises:
        OSError: The index does not exist.
        ValueError: The index is damaged.
    """
    return _read_index((folder / INDEX_NAME).read_bytes())[2]


class StoreWriter:
    """Writes a store clip by clip; a context manager.

    Args:
        folder: An empty folder, meant to be a work folder of `fer3d.atomic_folder`.
        header: Index entries of the store as a whole.
    """

    def __init__(self, folder: Path, header: StoreHeader) -> None:
        self._folder = folder
        self._header = header
        self._records: list[ClipRecord] = []
        self._pixels = hashlib.sha256()

    def __enter__(self) -> StoreWriter:
        self._file: IO[bytes] = (self._folder / ARRAY_NAME).open("wb")
        self._data_start = write_array_header(self._file, 0, self._header.clip_shape)
        return self

    def __exit__(self, *error: object) -> None:
        self._file.close()

    def add(self, record: ClipRecord, clip: npt.NDArray[np.uint8]) -> None:
        """Appends one clip of shape (T, H, W, C).

        Raises:
            ValueError: The clip's shape or dtype, or its record, does not match the header.
        """
        if clip.shape != self._header.clip_shape or clip.dtype != np.uint8:
            raise ValueError(f"{record.clip_id}: {clip.dtype} {clip.shape} instead of {self._header.clip_shape}")
        if record.emotion not in self._header.emotions:
            raise ValueError(f"{record.clip_id}: {record.emotion} is not one of {', '.join(self._header.emotions)}")
        pixels = np.ascontiguousarray(clip).data
        self._file.write(pixels)
        self._pixels.update(pixels)
        self._records.append(record)

    def take_over(self, array: Path, records: Sequence[ClipRecord]) -> None:
        """Adopts an array file that contains exactly these clips, without copying if the file system allows it.

        Args:
            array: The file, created by `write_array_header` and appended clips; its header will change.
            records: The clips' records, in the file's order.
        """
        self._file.close()
        own = self._folder / ARRAY_NAME
        own.unlink()
        try:
            own.hardlink_to(array)
        except OSError:
            shutil.copyfile(array, own)
        self._file = own.open("r+b")
        self._file.seek(self._data_start)
        while chunk := self._file.read(_CHUNK):
            self._pixels.update(chunk)
        self._records = list(records)

    def seal(self) -> ClipStore:
        """Completes the array, then the index, and opens the store."""
        if write_array_header(self._file, len(self._records), self._header.clip_shape) != self._data_start:
            raise StoreError(f"{self._folder}: the header of {ARRAY_NAME} changed its length")
        self._file.flush()
        os.fsync(self._file.fileno())
        digest = _digest(self._pixels, self._header, self._records)
        with (self._folder / INDEX_NAME).open("w", encoding="utf-8") as file:
            file.write(_index_text(self._header, self._records, digest))
            file.flush()
            os.fsync(file.fileno())
        return ClipStore.open(self._folder)


def write_array_header(file: IO[bytes], num_clips: int, clip_shape: tuple[int, int, int, int]) -> int:
    """Writes the array's header at the start of the file and returns the offset of the first clip."""
    # NumPy pads the header so that the first axis can grow in place.
    shape = (num_clips, *clip_shape)
    header = {"descr": np.lib.format.dtype_to_descr(np.dtype(np.uint8)), "fortran_order": False, "shape": shape}
    file.seek(0)
    np.lib.format.write_array_header_1_0(file, header)
    return file.tell()


@dataclass(frozen=True, kw_only=True)
class _Index(StoreHeader):
    """The index as stored: the header's entries and these."""

    format: int
    num_clips: int
    digest: str
    clips: tuple[ClipRecord, ...]


_INDEX = TypeAdapter(_Index)


def _read_index(content: bytes) -> tuple[StoreHeader, tuple[ClipRecord, ...], str]:
    plain = json.loads(content)
    if not isinstance(plain, dict):
        raise ValueError(f"{INDEX_NAME} is a {type(plain).__name__} instead of an object")
    if plain.get("format") != FORMAT_VERSION:
        raise ValueError(f"its format is {plain.get('format')} instead of {FORMAT_VERSION}")
    check_seal(plain)
    try:
        # Validate the raw content: in `plain`, JSON arrays are lists, not tuples.
        index = _INDEX.validate_json(content, strict=True)
    except ValidationError as error:
        raise ValueError(f"{INDEX_NAME}: {first_error(error)}") from error
    header = StoreHeader(**{name: getattr(index, name) for name in StoreHeader.__dataclass_fields__})
    _check_index(index)
    return header, index.clips, index.digest


def _check_index(index: _Index) -> None:
    ids = Counter(clip.clip_id for clip in index.clips)
    if len(index.clips) != index.num_clips:
        raise ValueError(f"{INDEX_NAME} names {len(index.clips)} clips instead of {index.num_clips}")
    if len(ids) < len(index.clips):
        raise ValueError(f"{INDEX_NAME} names the clip {ids.most_common(1)[0][0]} twice")
    if len(set(index.emotions)) < len(index.emotions):
        raise ValueError(f"{INDEX_NAME} names an emotion twice")
    for clip in index.clips:
        if clip.emotion not in index.emotions:
            raise ValueError(f"the clip {clip.clip_id} shows {clip.emotion}, which is not an emotion of the store")
        if {len(clip.frames), len(clip.boxes), len(clip.confidences), len(clip.sources)} != {index.num_frames}:
            raise ValueError(f"the entries of the clip {clip.clip_id} do not describe {index.num_frames} frames")


def _check_header(header: StoreHeader, expected: StoreHeader | None) -> None:
    if expected is None:
        return
    # Compare after a JSON round trip, as the index stores them.
    found, want = (json.loads(json.dumps(asdict(one))) for one in (header, expected))
    for name in want:
        if name != "versions" and found[name] != want[name]:
            raise ValueError(f"its {name} is {found[name]} instead of {want[name]}")


def _index_text(header: StoreHeader, records: Sequence[ClipRecord], digest: str) -> str:
    """Writes readable JSON: one clip per line."""
    top = {"format": FORMAT_VERSION, "num_clips": len(records), "digest": digest, **_written(header)}
    entries = [_written(record) for record in records]
    checksum = sealed({**top, "clips": entries})[CHECKSUM]
    start = json.dumps({**top, CHECKSUM: checksum}, indent=2, ensure_ascii=False).removesuffix("\n}")
    clips = ",\n".join(f"    {json.dumps(entry, ensure_ascii=False)}" for entry in entries)
    return f'{start},\n  "clips": [\n{clips}\n  ]\n}}\n'


def _written(entry: StoreHeader | ClipRecord) -> dict[str, Any]:
    """An entry as the index stores it, without default values."""
    left_out = {
        each.name
        for each in fields(entry)
        if (each.default is not MISSING and getattr(entry, each.name) == each.default)
        or (each.default_factory is not MISSING and getattr(entry, each.name) == each.default_factory())
    }
    return {name: value for name, value in asdict(entry).items() if name not in left_out}


def _pixels_digest(clips: npt.NDArray[np.uint8]) -> hashlib._Hash:
    pixels = hashlib.sha256()
    for clip in clips:
        pixels.update(np.ascontiguousarray(clip).data)
    return pixels


def _digest(pixels: hashlib._Hash, header: StoreHeader, records: Sequence[ClipRecord]) -> str:
    content = {
        "shape": [len(records), *header.clip_shape],
        "emotions": header.emotions,
        "clips": [
            (record.clip_id, record.subject, record.emotion, *([record.columns] if record.columns else []))
            for record in records
        ],
        **({} if header.subjects_known else {"subjects_known": False}),
    }
    digest = pixels.copy()
    digest.update(json.dumps(content, sort_keys=True).encode())
    return digest.hexdigest()


def find_store(folder: Path, digest: str) -> ClipStore | None:
    """Returns the clip store with a content digest, pixels included: the folder itself, or one directly within it."""
    if not folder.is_dir():
        return None
    for path in [folder] if (folder / INDEX_NAME).exists() else sorted(folder.iterdir()):
        # Skip damaged stores and other folders.
        with suppress(StoreError, OSError, ValueError):
            # Compare the digests in the indexes first: verifying the pixels of many stores takes time.
            if read_digest(path) == digest:
                return ClipStore.open(path)
    return None
