"""Detects leakage: whether a video shows a training subject of the network."""

from __future__ import annotations

import re
import warnings
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from hydra.errors import HydraException
from hydra.utils import get_object, instantiate

from fer3d.corpora.layout import root_folder
from fer3d.corpora.sequences import CorpusError, FrameSequence
from fer3d.prediction.trained import PredictionError, Trained
from fer3d.trusted_targets import TargetError, check_targets

# The modules whose classes read corpora, and where networks trained before there was `fer3d.twin` have the twins'.
_READERS = ("fer3d.corpora", "fer3d.twin.corpora")
_FORMER_READERS = re.compile(r"fer3d\.corpora\.synthetic_\w+(?=\.Synthetic\w+$)")


def has_seen(trained: Trained, file: Path, video: Path | None, trusted: Collection[str] = ()) -> bool:
    """Returns whether a video shows a subject that the network was trained on.

    Only videos within the folder of the training corpus can be recognised.

    Args:
        trained: Metadata of the network.
        file: The network's file; a corpus with a relative path is also searched for in its parent folders.
        video: The video file or the folder of frames; None for a camera.
        trusted: Packages besides fer3d whose code may read the corpus.

    Raises:
        PredictionError: The corpus reader named in the network's file is not trusted.
    """
    if video is None:
        return False
    place, data = video.resolve(), _Settings(trained.data)
    for root in filter(place.is_relative_to, _roots(trained, file)):
        # fer3d does not read sequences without a label, but their paths still name the subject.
        named = place.relative_to(root).parts
        if not _subjects(root, data, frozenset(trusted)).get(place, frozenset(named)).isdisjoint(trained.subjects):
            return True
    return False


def _roots(trained: Trained, file: Path) -> Iterator[Path]:
    """Possible corpus folders; the working directory may differ from that of the training."""
    if root := trained.data.get("root"):
        path = root_folder(str(root))
        yield path.resolve()
        if not path.is_absolute():
            yield from ((folder / path).resolve() for folder in file.resolve().parents)


class _Settings:
    """Hashable settings, for `lru_cache`."""

    def __init__(self, plain: Mapping[str, Any]) -> None:
        self.plain, self._text = plain, repr(plain)

    def __hash__(self) -> int:
        return hash(self._text)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Settings) and self._text == other._text


@lru_cache(maxsize=4)
def _subjects(root: Path, data: _Settings, trusted: frozenset[str]) -> dict[Path, frozenset[str]]:
    """The subjects of each file and folder of a corpus; empty if it cannot be read."""
    rest = {name: value for name, value in data.plain.items() if name != "_target_"}
    target = _FORMER_READERS.sub("fer3d.twin.corpora", str(data.plain.get("_target_")))
    try:
        check_targets({"_target_": target}, (*_READERS, *trusted), "the network's corpus")
        # fer3d's readers have no nested targets, and some code in fer3d.corpora does more than read.
        check_targets(rest, trusted, "a part of the network's corpus")
        if not isinstance(get_object(target), type):
            raise TargetError(f"{target} in the network's file is not a corpus class")
    except TargetError as error:
        raise PredictionError(f"cannot check whether the network was trained on videos of {root}: {error}") from error
    found: defaultdict[Path, set[str]] = defaultdict(set)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            sequences = instantiate({**data.plain, "_target_": target, "root": str(root)}).read()
        except (CorpusError, HydraException, OSError, ValueError):
            return {}
    for sequence in sequences:
        place = sequence.frames[0].parent if isinstance(sequence, FrameSequence) else sequence.video
        found[place.resolve()].add(sequence.subject)
    return {place: frozenset(subjects) for place, subjects in found.items()}
