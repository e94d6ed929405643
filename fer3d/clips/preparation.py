"""Prepares a corpus: decodes frames, finds and crops faces, and writes a clip store, or finds an existing one."""

from __future__ import annotations

import math
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import cv2
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.text import Text

from fer3d.atomic_folder import atomic_folder
from fer3d.clips.contact_sheet import write_contact_sheet
from fer3d.clips.detectors import Image
from fer3d.clips.faces import FaceExtraction, NoFaceError
from fer3d.clips.frames import FrameSampling, LastFrames
from fer3d.clips.images import UnreadableError
from fer3d.clips.preparation_report import PreparationReport, SkippedClip
from fer3d.clips.recipe import Recipe, UnreadablePolicy, hashed
from fer3d.clips.sequence_frames import shared_images
from fer3d.clips.store import ClipRecord, ClipStore, StoreHeader, StoreWriter
from fer3d.clips.unfinished import EarlierClips, MadeClip, UnfinishedClips
from fer3d.clips.video_stream import read_head
from fer3d.cores import count_cores
from fer3d.corpora.checked import read_checked
from fer3d.corpora.layout import name_some
from fer3d.corpora.sequences import Corpus, LabelledSequence, VideoSequence
from fer3d.disk import check_space, check_writable
from fer3d.file_lock import file_lock, remove_unheld

SHEET_NAME = "contact_sheet.png"
# A network holds about 100 MB while it works on ten images.
MAX_WORKERS = 16
# Per clip: several minutes of video.
MAX_FRAMES = 10_000

T = TypeVar("T")
R = TypeVar("R")
# A newly made clip, or the row of an existing one.
_Made = tuple[MadeClip, Image] | int


class PreparationError(Exception):
    """A corpus cannot be prepared; the message names the files or clips and what to do."""


@dataclass(frozen=True, slots=True)
class Preparation:
    """Result of `prepare_clips`.

    Attributes:
        store: The clip store.
        built: Whether the store was created now rather than found.
        report: The preparation report.
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
    sampling: FrameSampling | None = None,
    on_unreadable: UnreadablePolicy = "error",
    progress: bool = True,
    num_workers: int | None = None,
    check: Callable[[Sequence[LabelledSequence], StoreHeader], None] | None = None,
) -> Preparation:
    """Creates the clip store of a corpus, or opens it if it exists; waits if another process is creating it.

    The store is `<folder>/<corpus>-<key>`. The key is a digest of the files' paths, sizes and modification times, the
    labels and all settings, so any change creates another store beside the first. Finished clips are kept on disk
    during preparation: an interrupted preparation resumes, even after a file is replaced or a policy changes. Clips
    of existing stores are reused if their files and the settings that shape their pixels are equal, so correcting a
    label does not repeat face detection.

    Warns with a `CorpusWarning` if clips of different subjects or emotions share an image, or if a video is damaged
    towards its end.

    Args:
        corpus: Source of the sequences.
        faces: Turns frames into face crops.
        folder: Parent folder of all stores.
        num_frames: Number of frames per clip that the network takes.
        sampling: Chooses the frames to store; None: the last ones (paper, section 3).
        on_unreadable: `error`, or `skip` to leave out and report clips with an unreadable file.
        progress: Whether to show a progress bar.
        num_workers: Number of clips processed in parallel; None: one per CPU core, at most 16.
        check: Called with the sequences and the store's header before any work; raises if they cannot be used.

    Raises:
        CorpusError: The corpus cannot be read.
        DetectorError: The detector's files are missing or not the expected ones.
        PreparationError: A file is unreadable or a clip shows no face and the policy is `error`, or no clip is left.
        DiskError: The store cannot be written, or the disk is too small for it.
        StoreError: The store exists but is damaged.
        ValueError: A setting is out of range.
    """
    if not 1 <= num_frames <= MAX_FRAMES:
        raise ValueError(f"clips.num_frames must be from 1 to {MAX_FRAMES:,}, got {num_frames}")
    if on_unreadable not in ("error", "skip"):
        raise ValueError(f"clips.on_unreadable must be one of error, skip, got {on_unreadable}")
    recipe = Recipe(corpus, faces, sampling or LastFrames(), num_frames, on_unreadable)
    if (num_stored := recipe.sampling.num_stored(num_frames)) > MAX_FRAMES:
        raise ValueError(f"frames.stored must be at most {MAX_FRAMES:,}, got {num_stored}")
    check_writable(folder)
    started = time.perf_counter()
    sequences = read_checked(corpus)
    header = recipe.header(sequences)
    store_folder = folder / f"{corpus.name}-{header.key[:12]}"
    unfinished = folder / f".{corpus.name}-{hashed(recipe.extraction())[:12]}.unfinished"
    lock = unfinished.with_suffix(".lock")
    if store_folder.exists():
        remove_unheld(lock)
        made = _find_store(store_folder, header)
    else:
        if check is not None:
            check(sequences, header)
        check_space(folder, len(sequences) * math.prod(header.clip_shape), "the clips")
        # Runs started together need the same store.
        with file_lock(lock, f"the clip store {store_folder} is being prepared"):
            if store_folder.exists():
                made = _find_store(store_folder, header)
            else:
                with UnfinishedClips(unfinished, header.clip_shape) as clips:
                    workers = num_workers or _num_workers()
                    made = _make_store(store_folder, header, recipe, sequences, clips, progress, workers, started)
    made.report.warn(stacklevel=2)
    return made


def _find_store(store_folder: Path, header: StoreHeader) -> Preparation:
    return Preparation(ClipStore.open(store_folder, header), False, PreparationReport.read(store_folder))


def _make_store(
    store_folder: Path,
    header: StoreHeader,
    recipe: Recipe,
    sequences: Sequence[LabelledSequence],
    clips: UnfinishedClips,
    progress: bool,
    num_workers: int,
    started: float,
) -> Preparation:
    # Workers share the cores; more threads than cores get in each other's way. OpenCV does not respect Slurm's limits.
    cv2.setNumThreads(max(1, count_cores() // num_workers))
    with _bar(progress) as bar:
        rows, failed = _make_clips(header, recipe, sequences, clips, bar, num_workers)
    _check_clips(len(rows), failed, recipe, len(sequences), clips)
    with atomic_folder(store_folder) as work:
        records = [
            _record(sequence, clips.clip(rows[sequence.clip_id])) for sequence in sequences if sequence.clip_id in rows
        ]
        with StoreWriter(work, header) as writer:
            _fill(writer, records, list(rows.values()), clips)
            write_contact_sheet(writer.seal(), work / SHEET_NAME)
        made = {clip_id: clips.clip(row) for clip_id, row in rows.items()}
        digests = {clip_id: [digest for _, digest in clip.images] for clip_id, clip in made.items()}
        report = PreparationReport.of(
            header.corpus,
            header.synthetic,
            records,
            [SkippedClip(clip_id, str(error)) for clip_id, error in failed.items()],
            Counter(name for clip in made.values() for name, _ in clip.images),
            shared_images(sequences, digests, recipe.sampling, recipe.num_frames),
            time.perf_counter() - started,
            damaged={clip_id: clip.damage for clip_id, clip in made.items() if clip.damage},
            subjects_known=header.subjects_known,
        )
        report.write(work)
        clips.write_journal(work, list(rows.values()))
    clips.remove()
    return Preparation(ClipStore.open(store_folder), True, report)


def _make_clips(
    header: StoreHeader,
    recipe: Recipe,
    sequences: Sequence[LabelledSequence],
    clips: UnfinishedClips,
    bar: Progress,
    num_workers: int,
) -> tuple[dict[str, int], dict[str, Exception]]:
    """Makes every possible clip; returns row numbers of clips and errors of failed ones, both by clip id."""
    failed = _no_videos(sequences)
    if failed and recipe.on_unreadable == "error":
        return {}, failed
    # Set by a fatal file error: from then on files are only read, so that all bad files are reported at once.
    doomed = threading.Event()
    keys = [hashed([recipe.extraction(), recipe.inputs(sequence)]) for sequence in sequences]
    stores = clips.folder.parent.glob(f"{recipe.corpus.name}-*")
    earlier = EarlierClips(stores, header.clip_shape)

    def work(item: tuple[LabelledSequence, str]) -> _Made | Exception | None:
        sequence, key = item
        if sequence.clip_id in failed:
            return failed[sequence.clip_id]
        row, made = clips.find(key), earlier.find(key)
        if row is not None and recipe.allows(clips.clip(row)):
            return row
        if made is not None and recipe.allows(made[0]):
            return made
        try:
            return recipe.make(sequence, lambda: not doomed.is_set())
        except (NoFaceError, UnreadableError) as error:
            return error

    rows: dict[str, int] = {}
    shown = bar.add_task(header.corpus, total=sum(map(recipe.num_images, sequences)))
    items = list(zip(sequences, keys, strict=True))
    for (sequence, key), made in zip(items, _in_order(work, items, num_workers), strict=True):
        if isinstance(made, Exception):
            failed[sequence.clip_id] = made
            if isinstance(made, UnreadableError) and recipe.on_unreadable == "error":
                doomed.set()
        elif made is not None:
            rows[sequence.clip_id] = made if isinstance(made, int) else clips.add(key, *made)
        bar.advance(shown, recipe.num_images(sequence))
    return rows, failed


def _no_videos(sequences: Sequence[LabelledSequence]) -> dict[str, Exception]:
    """Returns, by clip id, the errors of video files that are unusable even without decoding."""
    failed: dict[str, Exception] = {}
    for sequence in sequences:
        if isinstance(sequence, VideoSequence):
            try:
                read_head(sequence.video)
            except UnreadableError as error:
                failed[sequence.clip_id] = error
    return failed


def _check_clips(
    num_made: int, failed: Mapping[str, Exception], recipe: Recipe, num_sequences: int, clips: UnfinishedClips
) -> None:
    unreadable = {clip_id: error for clip_id, error in failed.items() if isinstance(error, UnreadableError)}
    kept = f" {len(clips)} finished clips are kept in {clips.folder} and will be reused." if len(clips) else ""
    if unreadable and recipe.on_unreadable == "error":
        raise PreparationError(
            f"{len(unreadable)} of {num_sequences} clips have an unreadable file: "
            f"{name_some([str(error) for error in unreadable.values()])}. Replace damaged files, or set "
            f"`clips.on_unreadable=skip` to leave out {name_some(list(unreadable))}.{kept}"
        )
    faceless = [clip_id for clip_id, error in failed.items() if isinstance(error, NoFaceError)]
    if faceless and recipe.faces.on_no_face == "error":
        raise PreparationError(
            f"No face was found in any frame of {len(faceless)} of {num_sequences} clips: {name_some(faceless)}. "
            "Set `faces.on_no_face` to `skip` (leave them out) or `full_frame` (use the whole frames), "
            f"or lower `faces.detector.confidence`.{kept}"
        )
    if not num_made:
        reasons = name_some([f"{clip_id}: {error}" for clip_id, error in failed.items()])
        raise PreparationError(f"No clip is left to store: {reasons or 'the corpus has no sequences'}.")


def _fill(writer: StoreWriter, records: Sequence[ClipRecord], rows: Sequence[int], clips: UnfinishedClips) -> None:
    if rows == list(range(len(clips))):
        writer.take_over(clips.array, records)
        return
    for record, row in zip(records, rows, strict=True):
        writer.add(record, clips.pixels(row))


def _record(sequence: LabelledSequence, clip: MadeClip) -> ClipRecord:
    return ClipRecord(
        clip_id=sequence.clip_id,
        subject=sequence.subject,
        emotion=sequence.emotion,
        frames=clip.frames,
        boxes=clip.boxes,
        confidences=clip.confidences,
        sources=clip.sources,
        columns=dict(sequence.columns),
    )


def _in_order(work: Callable[[T], R], items: Sequence[T], num_workers: int) -> Iterator[R]:
    """Yields `work(item)` for each item in order; worker threads stay only slightly ahead of the consumer."""
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
