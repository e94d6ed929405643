"""Names of clips that come from files: unique, readable, and the same whatever else a table holds."""

from __future__ import annotations

import hashlib
import os
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from fer3d.corpora.own_videos.clips import Clip
from fer3d.corpora.own_videos.media import Media
from fer3d.corpora.own_videos.tree import is_video
from fer3d.corpora.sequences import FrameSequence, LabelledSequence, VideoSequence


def _path_parts(media: Media, root: Path) -> list[str]:
    """The way from the root to a file; elsewhere the whole way to it, without what leads up."""
    path, base = (os.path.normpath(one.absolute()) for one in (media.path, root))
    relative = Path(path).relative_to(base) if Path(path).is_relative_to(base) else Path(os.path.relpath(path, base))
    return [part for part in relative.parts if part != ".."] or [Path(path).name]


def stand_in(media: Media, root: Path) -> str:
    """A subject's name for a file of which nobody knows whom it shows: the parts of one file have it in common."""
    path = "/".join(_path_parts(media, root))
    return f"unknown-{hashlib.sha256(path.encode()).hexdigest()[:10]}"


def named_sequences(clips: Sequence[Clip], root: Path) -> list[LabelledSequence]:
    """Names clips by what is shorter and still unlike all others: without the file's ending, with it, in full."""
    names: dict[int, str] = {}
    parts = [_path_parts(clip.media, root) for clip in clips]
    waiting = list(range(len(clips)))
    for style in (_short_name, _name_with_ending, _whole_path):
        groups: dict[str, list[int]] = defaultdict(list)
        for index in waiting:
            clip = clips[index]
            groups[f"{clip.subject}/{style(parts[index], clip.subject)}{_part(clip)}"].append(index)
        taken = {f"{clips[index].subject}/{name}" for index, name in names.items()}
        for clip_id, group in groups.items():
            if len(group) == 1 and clip_id not in taken:
                names[group[0]] = clip_id.removeprefix(f"{clips[group[0]].subject}/")
        waiting = [index for index in waiting if index not in names]
    for number, index in enumerate(waiting, start=2):
        names[index] = f"{'/'.join(parts[index])}{_part(clips[index])}~{number}"
    made = [_sequence(clip, names[index]) for index, clip in enumerate(clips)]
    return sorted(made, key=lambda sequence: (sequence.subject, sequence.sequence))


def _short_name(parts: list[str], subject: str) -> str:
    name = _name_with_ending(parts, subject)
    ending = PurePosixPath(name).suffix if is_video(name) else ""
    return name.removesuffix(ending)


def _name_with_ending(parts: list[str], subject: str) -> str:
    """The path without the subject's own folder."""
    below = parts.index(subject) if subject in parts[:-1] else None
    return "/".join(part for index, part in enumerate(parts) if index != below)


def _whole_path(parts: list[str], subject: str) -> str:
    return "/".join(parts)


def _part(clip: Clip) -> str:
    if clip.start is None and clip.end is None:
        return ""
    return f"@{clip.start or 0.0}-{'' if clip.end is None else clip.end}"


def _sequence(clip: Clip, name: str) -> LabelledSequence:
    row = clip.row
    if clip.media.frames:
        return FrameSequence(clip.subject, name, row.emotion, clip.media.frames, row.columns)
    return VideoSequence(clip.subject, name, row.emotion, clip.media.path, clip.start, clip.end, row.columns)
