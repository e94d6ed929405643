"""Whether a video belongs to the corpus that a network was trained on, and shows somebody whom it has seen there."""

from __future__ import annotations

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


def has_seen(trained: Trained, file: Path, video: Path | None, trusted: Collection[str] = ()) -> bool:
    """Returns whether a network was trained on clips of somebody whom a video shows.

    This can be told of videos that lie in the corpus of its training.

    Args:
        trained: What is known of the network.
        file: The network's file: a corpus whose folder has a relative name is looked for near it, too.
        video: The video file or the folder of frames; None for a camera.
        trusted: Packages besides fer3d's whose code may read the corpus.

    Raises:
        PredictionError: The network's file names code that may not run to read the corpus.
    """
    if video is None:
        return False
    place, data = video.resolve(), _Settings(trained.data)
    for root in filter(place.is_relative_to, _roots(trained, file)):
        # A sequence without a label is no part of the corpus as fer3d reads it, and its path still tells who it is.
        named = place.relative_to(root).parts
        if not _subjects(root, data, frozenset(trusted)).get(place, frozenset(named)).isdisjoint(trained.subjects):
            return True
    return False


def _roots(trained: Trained, file: Path) -> Iterator[Path]:
    """The folders that the corpus may lie in: commands are given elsewhere than the training was."""
    if root := trained.data.get("root"):
        path = root_folder(str(root))
        yield path.resolve()
        if not path.is_absolute():
            yield from ((folder / path).resolve() for folder in file.resolve().parents)


class _Settings:
    """Settings that a cache can hold."""

    def __init__(self, plain: Mapping[str, Any]) -> None:
        self.plain, self._text = plain, repr(plain)

    def __hash__(self) -> int:
        return hash(self._text)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Settings) and self._text == other._text


@lru_cache(maxsize=4)
def _subjects(root: Path, data: _Settings, trusted: frozenset[str]) -> dict[Path, frozenset[str]]:
    """The subjects of each file and folder of a corpus; none where it cannot be read."""
    rest = {name: value for name, value in data.plain.items() if name != "_target_"}
    target = str(data.plain.get("_target_"))
    try:
        check_targets({"_target_": target}, ("fer3d.corpora", *trusted), "the network's corpus")
        # The corpora of fer3d have no parts, and not everything there only reads.
        check_targets(rest, trusted, "a part of the network's corpus")
        if not isinstance(get_object(target), type):
            raise TargetError(f"the network's corpus is made by {target}, which is none")
    except TargetError as error:
        raise PredictionError(f"whether the network has seen a video of {root} cannot be told: {error}") from error
    found: defaultdict[Path, set[str]] = defaultdict(set)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            sequences = instantiate({**data.plain, "root": str(root)}).read()
        except (CorpusError, HydraException, OSError, ValueError):
            return {}
    for sequence in sequences:
        place = sequence.frames[0].parent if isinstance(sequence, FrameSequence) else sequence.video
        found[place.resolve()].add(sequence.subject)
    return {place: frozenset(subjects) for place, subjects in found.items()}
