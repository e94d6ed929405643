"""The same image in several clips: a fold is tested on what it was trained on, or a label is wrong."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from fer3d.clips.frames import FrameSampling
from fer3d.clips.sequence_frames import kept_files
from fer3d.corpora.sequences import FrameSequence, LabelledSequence, VideoSequence


def shared_images(
    sequences: Sequence[LabelledSequence],
    digests: Mapping[str, Iterable[str]],
    sampling: FrameSampling,
    num_frames: int,
) -> list[tuple[str, str]]:
    """Returns pairs of sequences that have an image in common, pixel for pixel, and should not.

    Those are sequences of two subjects or of two emotions, and of videos any two: one person's two recordings do not
    share a frame. Of the sequences that one image is in, the first is paired with each of the others.

    Args:
        sequences: All sequences of the corpus.
        digests: The digests of the images that each clip was made from, by clip id.
        sampling: Chose them.
        num_frames: Frames that the network takes.
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


def _should_differ(first: LabelledSequence, other: LabelledSequence) -> bool:
    if (first.subject, first.emotion) != (other.subject, other.emotion):
        return True
    return isinstance(first, VideoSequence) and isinstance(other, VideoSequence)


def _copies(sequences: Sequence[FrameSequence], sampling: FrameSampling, num_frames: int) -> Iterator[dict[str, None]]:
    """Yields the sequences that a file of a clip has copies in, among the frames that are in no clip, too.

    Files are only read where their sizes agree.
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
