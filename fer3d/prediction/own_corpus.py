"""Whether a video belongs to the corpus that networks were trained on, and who is seen in it."""

from __future__ import annotations

import warnings
from collections.abc import Collection, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from hydra.utils import get_object, instantiate

from fer3d.corpora.sequences import CorpusError, FrameSequence
from fer3d.prediction.trained import Trained


def subject_of(path: Path | None, trained: Trained, trusted: Collection[str] = ()) -> str | None:
    """Returns the subject of a video that lies in the corpus of a network's training; None for any other video.

    Args:
        path: The video file or the folder of frames; None for a camera.
        trained: What is known of the network.
        trusted: Packages besides fer3d's whose code may read the corpus.
    """
    root = trained.data.get("root")
    if path is None or not root:
        return None
    place, root_place = path.resolve(), Path(str(root)).expanduser().resolve()
    if not place.is_relative_to(root_place):
        return None
    subjects = _subjects(str(root_place), _Settings(trained.data), frozenset(trusted))
    # A sequence without a label is no part of the corpus as fer3d reads it, and its path still tells who it is.
    named = [part for part in place.relative_to(root_place).parts if part in trained.subjects]
    return subjects.get(place) or (named[0] if named else None)


class _Settings:
    """Settings that a cache can hold."""

    def __init__(self, plain: Mapping[str, Any]) -> None:
        self.plain, self._text = plain, repr(plain)

    def __hash__(self) -> int:
        return hash(self._text)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Settings) and self._text == other._text


@lru_cache(maxsize=4)
def _subjects(root: str, data: _Settings, trusted: frozenset[str]) -> dict[Path, str]:
    """The subject of each file and folder of a corpus."""
    target = str(data.plain["_target_"])
    if not target.startswith(tuple(f"{package}." for package in ("fer3d.corpora", *trusted))):
        return {}
    if not str(getattr(get_object(target), "__module__", "")).startswith(("fer3d.corpora.", *trusted)):
        return {}
    found: dict[Path, str] = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            sequences = instantiate({**data.plain, "root": root}).read()
        except CorpusError:
            return {}
    for sequence in sequences:
        place = sequence.frames[0].parent if isinstance(sequence, FrameSequence) else sequence.video
        found[place.resolve()] = sequence.subject
    return found
