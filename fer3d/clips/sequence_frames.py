"""From a labelled sequence to the frames of it that its clip is made of: image files, or a video file."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fer3d.clips.detectors import Image
from fer3d.clips.frames import FrameSampling
from fer3d.clips.images import read_images
from fer3d.clips.videos import read_video
from fer3d.corpora.sequences import FrameSequence, LabelledSequence


@dataclass(frozen=True, slots=True, eq=False)
class SequenceFrames:
    """The frames of a sequence that its clip is made of.

    Attributes:
        pixels: Each of them once, in the order of time: BGR (H, W, 3) or grey (H, W), uint8.
        names: A name for each, for people: of its file, or its time in a video.
        formats: The format of each, such as `PNG` or `H.264 in MP4`.
        order: The clip's frames, as positions among these; ascending, and some repeat where the sequence is short.
        damage: What was wrong with the rest of a video; None for nothing.
    """

    pixels: tuple[Image, ...]
    names: tuple[str, ...]
    formats: tuple[str, ...]
    order: tuple[int, ...]
    damage: str | None = None

    def images(self) -> tuple[tuple[str, str], ...]:
        """Format and digest of each frame; the same image has the same digest in whatever file it is."""
        return tuple((name, digest(pixels)) for name, pixels in zip(self.formats, self.pixels, strict=True))


def read_frames(sequence: LabelledSequence, sampling: FrameSampling, num_frames: int) -> SequenceFrames:
    """Reads the frames of a sequence that its clip is made of.

    Args:
        sequence: The sequence.
        sampling: Chooses them.
        num_frames: Frames that the network takes.

    Raises:
        UnreadableError: A file is missing, damaged, or no image or video.
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
    """The name of a frame of a video: its time."""
    return f"{second:.3f} s"


def time_of_name(name: str) -> float | None:
    """The second that a frame's name tells; None where it names a file."""
    number, _, unit = name.partition(" ")
    return float(number) if unit == "s" and number.replace(".", "", 1).isdigit() else None


def inputs(sequence: LabelledSequence, sampling: FrameSampling, num_frames: int, root: Path) -> list[Any]:
    """What a clip's pixels depend on, as JSON can hold it: its files' names, sizes and times of change.

    Args:
        sequence: The sequence.
        sampling: Chooses its frames.
        num_frames: Frames that the network takes.
        root: The corpus's folder, to which names are relative.
    """
    if isinstance(sequence, FrameSequence):
        kept = sorted(set(kept_files(sequence, sampling, num_frames)))
        return [_file_state(sequence.frames[position], root) for position in kept]
    return [[*_file_state(sequence.video, root), sequence.start, sequence.end]]


def num_images(sequence: LabelledSequence, sampling: FrameSampling, num_frames: int) -> int:
    """How many frames are read, at most: of a video nobody knows before it is decoded."""
    if isinstance(sequence, FrameSequence):
        return len(set(kept_files(sequence, sampling, num_frames)))
    return sampling.num_stored(num_frames)


def kept_files(sequence: FrameSequence, sampling: FrameSampling, num_frames: int) -> list[int]:
    """The positions of the image files that a clip is made of; they are taken to be equally far apart in time."""
    return sampling.kept(range(len(sequence.frames)), num_frames)


def digest(image: Image) -> str:
    """A digest of an image's pixels, in hexadecimal."""
    found = hashlib.blake2b(repr(image.shape).encode(), digest_size=16)
    found.update(np.ascontiguousarray(image).data)
    return found.hexdigest()


def _ranks(kept: Sequence[int]) -> tuple[int, ...]:
    rank = {position: number for number, position in enumerate(sorted(set(kept)))}
    return tuple(rank[position] for position in kept)


def _file_state(path: Path, root: Path) -> list[Any]:
    name = (path.relative_to(root) if path.is_relative_to(root) else path).as_posix()
    try:
        state = path.stat()
    except OSError:
        # Reading it will fail, and be reported then.
        return [name, -1, -1]
    return [name, state.st_size, state.st_mtime_ns]
