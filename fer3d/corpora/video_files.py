"""Shared parts of the readers of corpora with one video file per clip and labels in the file names."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from fer3d.corpora.layout import CLOSED, LFS_POINTER, NO_FILE, TWICE, UNREAD, Fault, Findings, shown, walk
from fer3d.corpora.own_videos.tree import is_video
from fer3d.corpora.sequences import CorpusError

# Files derived from clips, with the same names beside them: sound, landmarks, features, pictures.
_DERIVED = re.compile(r".*\.(?:wav|mp3|csv|txt|json|npy|npz|png|jpe?g)", re.IGNORECASE | re.DOTALL)

_MAX_POINTER_BYTES = 1024
_POINTERS = Fault(
    "these are Git LFS pointers instead of videos, because the repository was cloned without Git LFS",
    "Install Git LFS and run git lfs pull in the clone",
)


def chosen_emotions(emotions: Sequence[str] | None, available: Sequence[str], title: str) -> tuple[str, ...]:
    """Returns the emotions to read, in the order of `data.emotions`, or all available ones if it is null.

    Raises:
        CorpusError: `emotions` is not a list of at least two different ones of `available`.
    """
    if emotions is None:
        return tuple(available)
    example = f"{title} has {', '.join(available)}; for example data.emotions=[{available[0]},{available[1]}]"
    if isinstance(emotions, str) or not isinstance(emotions, Sequence):
        raise CorpusError(f"data.emotions is {emotions!r}, but must be a list; {example}")
    unknown = [repr(emotion) for emotion in emotions if emotion not in available]
    if unknown:
        raise CorpusError(f"data.emotions contains the unknown {', '.join(unknown)}; {example}")
    twice = [emotion for emotion, count in Counter(emotions).items() if count > 1]
    if twice:
        raise CorpusError(f"data.emotions contains {', '.join(twice)} more than once; {example}")
    if len(emotions) < 2:
        raise CorpusError(f"data.emotions has {len(emotions)} emotions, but needs at least two; {example}")
    return tuple(emotions)


def find_clips(root: Path, findings: Findings, clip: re.Pattern[str], clip_like: re.Pattern[str]) -> dict[str, Path]:
    """Finds the video files below `root` that are named like a clip, and returns them by that name.

    Records errors for two files of one clip, for a clip that is not a file and for Git LFS pointers, and warnings for
    videos with other names and files named almost like a clip.

    Args:
        root: The corpus's folder.
        findings: Collects errors and warnings.
        clip: Matches a clip's name without suffix.
        clip_like: Matches a file name, with suffix, that may be a misnamed clip.
    """
    clips: dict[str, Path] = {}
    for file in _candidates(root, findings, clip, clip_like):
        name = file.stem.upper()
        if not is_video(file.name) or not clip.fullmatch(name):
            findings.warning(UNREAD, file)
        elif not file.is_file():
            findings.error(NO_FILE, file)
        elif name not in clips:
            clips[name] = file
            if _is_pointer(file, findings):
                findings.error(_POINTERS, file)
        elif file.resolve() != clips[name].resolve():
            findings.error(TWICE, clips[name], f" and {shown(_below(root, file))}")
    return dict(sorted(clips.items()))


def find_files(root: Path, name: str) -> list[Path]:
    """Returns the files below `root` with this name, ignoring case."""
    nothing = re.compile(r"(?!)")
    sighted = walk(root, nothing, lambda _, found: found.lower() == name.lower())
    return [folder / found for folder, names in sighted.files.items() for found in names]


def _candidates(root: Path, findings: Findings, clip: re.Pattern[str], clip_like: re.Pattern[str]) -> Iterator[Path]:
    def may_be_clip(_: Path, name: str) -> bool:
        return is_video(name) or bool(clip_like.fullmatch(name) and not _DERIVED.fullmatch(name))

    # Do not enter a folder that is named like a clip's file.
    sighted = walk(root, re.compile(rf"(?:{clip.pattern})\.[^.]+", re.IGNORECASE), may_be_clip)
    for folder in sighted.closed:
        findings.warning(CLOSED, folder)
    for folders in sighted.holders.values():
        for folder in folders:
            findings.error(NO_FILE, folder)
    real_root = root.resolve()
    for real, names in sorted(sighted.files.items()):
        # `walk` returns real paths, because links may lead to a folder in several ways.
        folder = root / real.relative_to(real_root) if real.is_relative_to(real_root) else real
        yield from (folder / name for name in names)


def _is_pointer(file: Path, findings: Findings) -> bool:
    try:
        if file.stat().st_size > _MAX_POINTER_BYTES:
            return False
    except OSError:
        return False
    return (findings.read(file, len(LFS_POINTER)) or b"").startswith(LFS_POINTER)


def _below(root: Path, file: Path) -> Path:
    return file.relative_to(root) if file.is_relative_to(root) else file
