"""The clip store: a folder with one array of face crops and a readable index of what they are."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections import Counter
from collections.abc import Sequence
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
    """A clip store that cannot be used: which folder, what is wrong with it, and what to do."""


@dataclass(frozen=True, slots=True)
class ClipRecord:
    """One clip's line of the index.

    Attributes:
        clip_id: Such as `S005/001`.
        subject: Such as `S005`.
        emotion: One of the store's emotions.
        frames: The names of the image files, one a frame.
        boxes: x1, y1, x2, y2 of what was cropped out of each frame, in pixels.
        confidences: The detector's, None for a frame whose own face was not found.
        sources: For each frame `detected`, `nearest`, `full_frame` or `repeated` (see `fer3d.clips.faces.FrameFace`).
        columns: What else the corpus says of the clip, by name, such as `split`.
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
    """What the index says about the store as a whole, apart from what follows from its clips.

    Attributes:
        corpus: The corpus's name.
        synthetic: Whether the images are rendered.
        emotions: The class names; a label is an index into this tuple.
        num_channels: 1 for grey, 3 for RGB.
        num_frames: Number of frames of every clip.
        size: Height and width of a frame in pixels.
        key: SHA-256 of the inputs and settings the store was made from.
        settings: All settings that shaped the clips.
        versions: Versions of the libraries that shaped them.
        subjects_known: Whether the subjects say who is seen; otherwise no split is subject-independent.
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
    """A finished clip store, its array mapped into memory.

    Attributes:
        folder: The store's folder.
        header: What it says about itself.
        records: One entry a clip, in the array's order.
        clips: (N, T, H, W, C) uint8, read only; three channels are RGB.
        clip_ids: Each clip's id.
        subjects: Each clip's subject.
        clip_emotions: Each clip's emotion.
        labels: (N,) int64, each clip's index into `emotions`.
        emotions: The class names.
        corpus: The corpus's name.
        synthetic: Whether the images are rendered, so that everything measured on them must say so.
        num_channels: 1 for grey, 3 for RGB.
        splits: Each clip's entry in the corpus's column `split`; empty where there is none.
        digest: SHA-256 of the content: pixels, labels, subjects, clip ids and columns in order; the same wherever it
            lies.
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
    def open(cls, folder: Path, expected: StoreHeader | None = None) -> ClipStore:
        """Opens a store and compares its content, pixels included, with its digest and its checksum.

        Args:
            folder: The store's folder.
            expected: What the store should say about itself, save for the libraries' versions; None where nobody knows.

        Raises:
            StoreError: The folder does not hold a store, or a damaged or edited one, or one of another format or of
                other clips than expected.
        """
        try:
            header, records, digest = _read_index((folder / INDEX_NAME).read_bytes())
            clips = np.lib.format.open_memmap(folder / ARRAY_NAME, mode="r")
            want = (len(records), *header.clip_shape)
            if clips.shape != want or clips.dtype != np.uint8:
                raise ValueError(f"{ARRAY_NAME} holds {clips.dtype} {clips.shape} instead of uint8 {want}")
            if _digest(_pixels_digest(clips), header, records) != digest:
                raise ValueError("its clips, or their labels, subjects or names, were edited or damaged")
            _check_header(header, expected)
            return cls(folder, header, records, clips, digest)
        except PermissionError as error:
            raise StoreError(f"{folder} may not be read: {error}") from error
        except Exception as error:  # the layers of a damaged file raise whatever they like
            reason = f"no entry {error}" if isinstance(error, KeyError) else str(error) or type(error).__name__
            raise StoreError(
                f"{folder} is not a usable clip store: {reason}. Delete it and run `python -m fer3d.prepare` again."
            ) from error

    def __len__(self) -> int:
        return len(self.records)


def read_digest(folder: Path) -> str:
    """Returns the digest of a store's content as its index says it, which only opening the store checks.

    Raises:
        OSError: There is no index.
        ValueError: The index is damaged.
    """
    return _read_index((folder / INDEX_NAME).read_bytes())[2]


class StoreWriter:
    """Writes a store clip by clip; a context manager.

    Args:
        folder: An empty folder, meant to be a work folder of `fer3d.atomic_folder`.
        header: What the store says about itself.
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
            ValueError: The clip's shape or dtype, or its record, does not fit the header.
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
        """Takes the file of an array that holds exactly these clips, without copying it where the disk can do that.

        Args:
            array: The file, made by `write_array_header` and by appending clips; its header is going to change.
            records: What the clips are, in the file's order.
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
        """Completes the array and then the index, and opens the store."""
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
    """Writes the header of an array of clips at the file's beginning, and returns where the clips begin."""
    # NumPy pads this header so that the first axis can grow in place.
    shape = (num_clips, *clip_shape)
    header = {"descr": np.lib.format.dtype_to_descr(np.dtype(np.uint8)), "fortran_order": False, "shape": shape}
    file.seek(0)
    np.lib.format.write_array_header_1_0(file, header)
    return file.tell()


@dataclass(frozen=True, kw_only=True)
class _Index(StoreHeader):
    """The index as it is written: the header's entries, and these."""

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
        # Not of `plain`, in which JSON's lists are no tuples.
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
            raise ValueError(f"the clip {clip.clip_id} shows {clip.emotion}, which is none of the store's emotions")
        if {len(clip.frames), len(clip.boxes), len(clip.confidences), len(clip.sources)} != {index.num_frames}:
            raise ValueError(f"the clip {clip.clip_id} does not tell of {index.num_frames} frames")


def _check_header(header: StoreHeader, expected: StoreHeader | None) -> None:
    if expected is None:
        return
    # As JSON gives them back.
    found, want = (json.loads(json.dumps(asdict(one))) for one in (header, expected))
    for name in want:
        if name != "versions" and found[name] != want[name]:
            raise ValueError(f"its {name} is {found[name]} instead of {want[name]}")


def _index_text(header: StoreHeader, records: Sequence[ClipRecord], digest: str) -> str:
    """Writes JSON for people too: one clip a line."""
    top = {"format": FORMAT_VERSION, "num_clips": len(records), "digest": digest, **_written(header)}
    entries = [_written(record) for record in records]
    checksum = sealed({**top, "clips": entries})[CHECKSUM]
    start = json.dumps({**top, CHECKSUM: checksum}, indent=2, ensure_ascii=False).removesuffix("\n}")
    clips = ",\n".join(f"    {json.dumps(entry, ensure_ascii=False)}" for entry in entries)
    return f'{start},\n  "clips": [\n{clips}\n  ]\n}}\n'


def _written(entry: StoreHeader | ClipRecord) -> dict[str, Any]:
    """An entry as the index holds it: what most corpora have nothing to say about is left out."""
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
