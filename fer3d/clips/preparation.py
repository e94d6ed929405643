"""From a corpus to a clip store: decode, find faces, crop, write; or find the store that is already there."""

from __future__ import annotations

import hashlib
import json
import math
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

import cv2
import numpy as np
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.text import Text

from fer3d.atomic_folder import atomic_folder
from fer3d.clips.contact_sheet import write_contact_sheet
from fer3d.clips.faces import FaceCrops, FaceExtraction, NoFaceError
from fer3d.clips.images import ImageNotes, UnreadableImageError, read_image
from fer3d.clips.preparation_report import PreparationReport, SkippedClip
from fer3d.clips.store import FORMAT_VERSION, ClipRecord, ClipStore, StoreHeader, StoreWriter
from fer3d.cores import count_cores
from fer3d.corpora.layout import name_some
from fer3d.corpora.sequences import Corpus, FrameSequence
from fer3d.disk import check_space, check_writable
from fer3d.file_lock import file_lock, remove_unheld

SHEET_NAME = "contact_sheet.png"
# A network holds about 100 MB while it works on ten images.
MAX_WORKERS = 16

T = TypeVar("T")
R = TypeVar("R")
UnreadablePolicy = Literal["error", "skip"]
# A clip's crops, and the format and the digest of each of its images.
_Made = tuple[FaceCrops, list[tuple[str, bytes]]]


class PreparationError(Exception):
    """A corpus that cannot be made into a clip store: which images or clips, and what to do about them."""


@dataclass(frozen=True, slots=True)
class Preparation:
    """What `prepare_clips` returns.

    Attributes:
        store: The clip store.
        built: Whether it was made just now, rather than found.
        report: What making it did.
    """

    store: ClipStore
    built: bool
    report: PreparationReport


def prepare_clips(
    corpus: Corpus,
    faces: FaceExtraction,
    folder: Path,
    *,
    num_frames: int = 10,
    on_unreadable: UnreadablePolicy = "error",
    progress: bool = True,
    num_workers: int | None = None,
) -> Preparation:
    """Makes the clip store of a corpus, unless it is there already; waits where another process is making it.

    The store is `<folder>/<corpus>-<key>`, the key being made of the images' paths, sizes and times of change, the
    labels, and all settings: whatever changes one of them makes another store beside the first. A clip is the last
    `num_frames` frames of its sequence; a shorter one repeats its last frame (paper, section 3).

    Warns with a `CorpusWarning` when clips of two subjects, or of two emotions, have an image in common.

    Args:
        corpus: Where the sequences come from.
        faces: How frames become face crops.
        folder: Holds all stores.
        num_frames: Number of frames of a clip.
        on_unreadable: What an unreadable image does: `error`, or `skip` its clip and report it.
        progress: Whether to show a progress bar.
        num_workers: Number of clips worked on at once; None: one a CPU core, 16 at most.

    Raises:
        CorpusError: The corpus cannot be read.
        DetectorError: The detector's files are missing or not the expected ones.
        PreparationError: An image is unreadable, a clip shows no face, or no clip is left; each under its policy.
        DiskError: The store cannot be written, or the disk is too small for it.
        StoreError: The store is there but damaged.
        ValueError: A setting is out of range.
    """
    if num_frames < 1:
        raise ValueError(f"clips.num_frames must be >= 1, got {num_frames}")
    if on_unreadable not in ("error", "skip"):
        raise ValueError(f"clips.on_unreadable must be one of error, skip, got {on_unreadable}")
    check_writable(folder)
    started = time.perf_counter()
    sequences = corpus.read()
    header = _header(corpus, sequences, faces, num_frames, on_unreadable)
    store_folder = folder / f"{corpus.name}-{header.key[:12]}"
    lock = folder / f".{store_folder.name}.lock"
    if store_folder.exists():
        remove_unheld(lock)
        made = _find_store(store_folder, header)
    else:
        check_space(folder, len(sequences) * math.prod(header.clip_shape), "the clips")
        # Runs that are started together need the same store.
        with file_lock(lock, f"the clip store {store_folder} is being made"):
            if store_folder.exists():
                made = _find_store(store_folder, header)
            else:
                workers = num_workers or _num_workers()
                made = _make_store(store_folder, header, sequences, faces, progress, workers, started)
    made.report.warn(stacklevel=2)
    return made


def _find_store(store_folder: Path, header: StoreHeader) -> Preparation:
    return Preparation(ClipStore.open(store_folder, header), False, PreparationReport.read(store_folder))


def _make_store(
    store_folder: Path,
    header: StoreHeader,
    sequences: Sequence[FrameSequence],
    faces: FaceExtraction,
    progress: bool,
    num_workers: int,
    started: float,
) -> Preparation:
    images = ImageNotes()
    # OpenCV knows nothing of Slurm.
    cv2.setNumThreads(count_cores())
    with atomic_folder(store_folder) as work:
        with StoreWriter(work, header) as writer, _bar(progress) as bar:
            records, failed = _write_clips(writer, header, sequences, faces, images, bar, num_workers)
            _check_clips(records, failed, faces, header.settings["on_unreadable"], len(sequences))
            write_contact_sheet(writer.seal(), work / SHEET_NAME)
        report = PreparationReport.of(
            header.corpus,
            header.synthetic,
            records,
            [SkippedClip(clip_id, str(error)) for clip_id, error in failed.items()],
            images.num_by_format,
            images.shared(sequences, header.num_frames),
            time.perf_counter() - started,
        )
        report.write(work)
    return Preparation(ClipStore.open(store_folder), True, report)


def _header(
    corpus: Corpus, sequences: Sequence[FrameSequence], faces: FaceExtraction, num_frames: int, on_unreadable: str
) -> StoreHeader:
    settings = {
        "faces": faces.settings(),
        "num_frames": num_frames,
        "num_channels": corpus.num_channels,
        "on_unreadable": on_unreadable,
    }
    versions = {"opencv": cv2.__version__, "numpy": np.__version__}
    inputs = {
        "format": FORMAT_VERSION,
        "opencv": cv2.__version__,
        "settings": settings,
        "emotions": corpus.emotions,
        "synthetic": corpus.synthetic,
        "clips": [
            [s.clip_id, s.subject, s.emotion, [_file_state(path, corpus.root) for path in s.frames[-num_frames:]]]
            for s in sequences
        ],
    }
    return StoreHeader(
        corpus=corpus.name,
        synthetic=corpus.synthetic,
        emotions=tuple(corpus.emotions),
        num_channels=corpus.num_channels,
        num_frames=num_frames,
        size=faces.crop.size,
        key=hashlib.sha256(json.dumps(inputs, sort_keys=True).encode()).hexdigest(),
        settings=settings,
        versions=versions,
    )


def _file_state(path: Path, root: Path) -> list[Any]:
    name = (path.relative_to(root) if path.is_relative_to(root) else path).as_posix()
    try:
        state = path.stat()
    except OSError:
        # Reading it will fail, and be reported then.
        return [name, -1, -1]
    return [name, state.st_size, state.st_mtime_ns]


def _write_clips(
    writer: StoreWriter,
    header: StoreHeader,
    sequences: Sequence[FrameSequence],
    faces: FaceExtraction,
    images: ImageNotes,
    bar: Progress,
    num_workers: int,
) -> tuple[list[ClipRecord], dict[str, Exception]]:
    """Writes every clip that can be made; returns what was written and, by clip id, what was not."""
    # Set by an image that ends the preparation: from then on images are only read, so that all such are named at once.
    doomed = threading.Event()

    def work(sequence: FrameSequence) -> _Made | NoFaceError | UnreadableImageError | None:
        try:
            files = [read_image(path) for path in sequence.frames[-header.num_frames :]]
            if doomed.is_set():
                return None
            crops = faces.extract([file.pixels for file in files], header.num_channels)
            return crops, [(file.format, file.digest()) for file in files]
        except (NoFaceError, UnreadableImageError) as error:
            return error

    records: list[ClipRecord] = []
    failed: dict[str, Exception] = {}
    total = sum(len(sequence.frames[-header.num_frames :]) for sequence in sequences)
    task = bar.add_task(header.corpus, total=total)
    for sequence, made in zip(sequences, _in_order(work, sequences, num_workers), strict=True):
        if isinstance(made, tuple):
            images.add(sequence.clip_id, made[1])
            crops = made[0].repeat_last(header.num_frames)
            records.append(_record(sequence, crops))
            writer.add(records[-1], crops.crops)
        elif made is not None:
            failed[sequence.clip_id] = made
            if isinstance(made, UnreadableImageError) and header.settings["on_unreadable"] == "error":
                doomed.set()
        bar.advance(task, len(sequence.frames[-header.num_frames :]))
    return records, failed


def _check_clips(
    records: Sequence[ClipRecord],
    failed: Mapping[str, Exception],
    faces: FaceExtraction,
    on_unreadable: str,
    num_sequences: int,
) -> None:
    unreadable = {clip_id: error for clip_id, error in failed.items() if isinstance(error, UnreadableImageError)}
    if unreadable and on_unreadable == "error":
        raise PreparationError(
            f"{len(unreadable)} of {num_sequences} clips have an image that is no good: "
            f"{name_some([str(error) for error in unreadable.values()])}. Replace what is damaged, or set "
            f"`clips.on_unreadable=skip` to leave out {name_some(list(unreadable))}."
        )
    faceless = [clip_id for clip_id, error in failed.items() if isinstance(error, NoFaceError)]
    if faceless and faces.on_no_face == "error":
        raise PreparationError(
            f"No face was found in any frame of {len(faceless)} of {num_sequences} clips: {name_some(faceless)}. "
            "Set `faces.on_no_face` to `skip` (leave them out) or `full_frame` (use their whole frames), "
            "or lower `faces.detector.confidence`."
        )
    if not records:
        reasons = name_some([f"{clip_id}: {error}" for clip_id, error in failed.items()])
        raise PreparationError(f"No clip is left to store: {reasons or 'the corpus has no sequences'}.")


def _record(sequence: FrameSequence, crops: FaceCrops) -> ClipRecord:
    names = [path.name for path in sequence.frames[-len(crops.faces) :]]
    names += names[-1:] * (len(crops.faces) - len(names))
    return ClipRecord(
        clip_id=sequence.clip_id,
        subject=sequence.subject,
        emotion=sequence.emotion,
        frames=tuple(names),
        boxes=tuple(face.box for face in crops.faces),
        confidences=tuple(face.confidence for face in crops.faces),
        sources=tuple(face.source for face in crops.faces),
    )


def _in_order(work: Callable[[T], R], items: Sequence[T], num_workers: int) -> Iterator[R]:
    """Yields `work(item)` for each item in order, done by threads that never run far ahead of what was taken."""
    pool = ThreadPoolExecutor(num_workers)
    pending: deque[Future[R]] = deque()
    try:
        for item in items:
            pending.append(pool.submit(work, item))
            if len(pending) > 2 * num_workers:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


def _num_workers() -> int:
    return min(count_cores(), MAX_WORKERS)


class _FramesPerSecond(ProgressColumn):
    def render(self, task: Task) -> Text:
        return Text("" if task.speed is None else f"{task.speed:.0f} frames/s")


def _bar(shown: bool) -> Progress:
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(show_speed=False),
        TextColumn("{task.completed:.0f}/{task.total:.0f} frames"),
        _FramesPerSecond(),
        TimeRemainingColumn(),
    )
    return Progress(*columns, disable=not shown)
