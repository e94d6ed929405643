"""Reads the frames of labelled sequences, from image files or videos, and finds images shared between sequences."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fer3d.clips.detectors import Image
from fer3d.clips.frames import FrameSampling
from fer3d.clips.images import read_images
from fer3d.clips.videos import read_video
from fer3d.corpora.sequences import FrameSequence, LabelledSequence, VideoSequence


@dataclass(frozen=True, slots=True, eq=False)
class SequenceFrames:
    """The frames of a sequence that make up its clip.

    Attributes:
        pixels: The distinct frames in temporal order: uint8, BGR (H, W, 3) or grey (H, W).
        names: A readable name for each: its file name, or its time in a video.
        formats: The format of each, such as `PNG` or `H.264 in MP4`.
        order: The clip's frames as ascending positions in `pixels`; short sequences repeat some.
        damage: Description of damage in the rest of a video; None if there is none.
    """

    pixels: tuple[Image, ...]
    names: tuple[str, ...]
    formats: tuple[str, ...]
    order: tuple[int, ...]
    damage: str | None = None

    def images(self) -> tuple[tuple[str, str], ...]:
        """Format and digest of each frame; equal images have equal digests, whatever their file."""
        return tuple((name, digest(pixels)) for name, pixels in zip(self.formats, self.pixels, strict=True))


def read_frames(sequence: LabelledSequence, sampling: FrameSampling, num_frames: int) -> SequenceFrames:
    """Reads the frames of a sequence that make up its clip.

    Args:
        sequence: The sequence.
        sampling: Chooses the frames.
        num_frames: Number of frames that the network takes.

    Raises:
        UnreadableError: A file is missing, damaged, or not an image or video.
    """
    if isinstance(sequence, FrameSequence):
        kept = kept_files(sequence, sampling, num_frames)
        paths = sorted({position: sequence.frames[position] for position in kept}.items())
        files = read_images([path for _, path in paths])
        return SequenceFrames(
            pixels=tuple(file.pixels for file in files),
            names=tuple(path.name for _, path in paths),
            formats=tuple(file.format for file in files),
            order=_ranks(kept),
        )
    kept = []

    def choose(times: Sequence[float]) -> Sequence[int]:
        kept[:] = sampling.kept(times, num_frames)
        return kept

    video = read_video(sequence.video, choose, sequence.start, sequence.end)
    return SequenceFrames(
        pixels=video.pixels,
        names=tuple(map(name_of_time, video.times)),
        formats=(video.format,) * len(video.pixels),
        order=_ranks(kept),
        damage=video.damage,
    )


def name_of_time(second: float) -> str:
    """Name of a video frame: its time."""
    return f"{second:.3f} s"


def time_of_name(name: str) -> float | None:
    """Time in seconds from a frame's name; None if the name is a file name."""
    number, _, unit = name.partition(" ")
    return float(number) if unit == "s" and number.replace(".", "", 1).isdigit() else None


def inputs(sequence: LabelledSequence, sampling: FrameSampling, num_frames: int, root: Path) -> list[Any]:
    """JSON-compatible values that identify a clip's input files: names, sizes and modification times.

    Args:
        sequence: The sequence.
        sampling: Chooses the frames.
        num_frames: Number of frames that the network takes.
        root: The corpus's folder; names are relative to it.
    """
    if isinstance(sequence, FrameSequence):
        kept = sorted(set(kept_files(sequence, sampling, num_frames)))
        return [_file_state(sequence.frames[position], root) for position in kept]
    return [[*_file_state(sequence.video, root), sequence.start, sequence.end]]


def num_images(sequence: LabelledSequence, sampling: FrameSampling, num_frames: int) -> int:
    """Maximum number of frames to read; a video's length is unknown before decoding."""
    if isinstance(sequence, FrameSequence):
        return len(set(kept_files(sequence, sampling, num_frames)))
    return sampling.num_stored(num_frames)


def kept_files(sequence: FrameSequence, sampling: FrameSampling, num_frames: int) -> list[int]:
    """Positions of the image files that make up a clip; they are assumed to be equally spaced in time."""
    return sampling.kept(range(len(sequence.frames)), num_frames)


def digest(image: Image) -> str:
    """Hexadecimal digest of an image's pixels."""
    found = hashlib.blake2b(repr(image.shape).encode(), digest_size=16)
    found.update(np.ascontiguousarray(image).data)
    return found.hexdigest()


def shared_images(
    sequences: Sequence[LabelledSequence],
    digests: Mapping[str, Iterable[str]],
    sampling: FrameSampling,
    num_frames: int,
) -> list[tuple[str, str]]:
    """Returns pairs of sequences that wrongly share an image, pixel for pixel.

    These are sequences of different subjects or emotions, and any two videos, because no two recordings share a frame.
    For each shared image, the first sequence is paired with each of the others.

    Args:
        sequences: All sequences of the corpus.
        digests: Digests of the images that each clip is made from, by clip id.
        sampling: Chooses the frames.
        num_frames: Number of frames that the network takes.
    """
    by_id = {sequence.clip_id: sequence for sequence in sequences}
    clips_by_digest: dict[str, dict[str, None]] = defaultdict(dict)
    for clip_id, found in digests.items():
        for digest in found:
            clips_by_digest[digest][clip_id] = None
    images = [sequence for sequence in sequences if isinstance(sequence, FrameSequence)]
    groups = (*clips_by_digest.values(), *_copies(images, sampling, num_frames))
    pairs = dict.fromkeys((first, other) for first, *others in groups for other in others)
    return [(first, other) for first, other in pairs if _should_differ(by_id[first], by_id[other])]


def _ranks(kept: Sequence[int]) -> tuple[int, ...]:
    rank = {position: number for number, position in enumerate(sorted(set(kept)))}
    return tuple(rank[position] for position in kept)


def _file_state(path: Path, root: Path) -> list[Any]:
    name = (path.relative_to(root) if path.is_relative_to(root) else path).as_posix()
    try:
        state = path.stat()
    except OSError:
        # Reading the file will fail later and report it.
        return [name, -1, -1]
    return [name, state.st_size, state.st_mtime_ns]


def _should_differ(first: LabelledSequence, other: LabelledSequence) -> bool:
    if (first.subject, first.emotion) != (other.subject, other.emotion):
        return True
    return isinstance(first, VideoSequence) and isinstance(other, VideoSequence)


def _copies(sequences: Sequence[FrameSequence], sampling: FrameSampling, num_frames: int) -> Iterator[dict[str, None]]:
    """Yields groups of sequences that contain the same file, where at least one clip uses it.

    This also covers frames that are in no clip. Only files of equal size are read.
    """
    by_size: dict[int, list[tuple[str, Path, bool]]] = defaultdict(list)
    for sequence in sequences:
        kept = set(kept_files(sequence, sampling, num_frames))
        for number, path in enumerate(sequence.frames):
            with suppress(OSError):
                by_size[path.stat().st_size].append((sequence.clip_id, path, number in kept))
    for files in by_size.values():
        if {in_clip for _, _, in_clip in files} == {False, True} and len({clip_id for clip_id, _, _ in files}) > 1:
            by_content: dict[bytes, list[tuple[str, bool]]] = defaultdict(list)
            for clip_id, path, in_clip in files:
                with suppress(OSError):
                    by_content[hashlib.blake2b(path.read_bytes()).digest()].append((clip_id, in_clip))
            for copies in by_content.values():
                if any(in_clip for _, in_clip in copies):
                    yield dict.fromkeys(clip_id for clip_id, _ in copies)
