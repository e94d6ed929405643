"""The order in which a network gets the frames of a clip (`frames.order`): whether time matters.

An order only matters where a network reads clips, so that all orders share their clip stores.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray

from fer3d.settings import FrameOrderName

AS_FILMED: FrameOrderName = "as_filmed"


@dataclass(frozen=True)
class FrameOrder:
    """Orders the `T` frames that a frame sampling chose.

    Attributes:
        name: `as_filmed`, `reversed`, `shuffled` or `apex_repeated`.
        seed: The run's seed, which only `shuffled` uses.

    Raises:
        ValueError: There is no such order.
    """

    name: FrameOrderName
    seed: int

    def __post_init__(self) -> None:
        if self.name not in get_args(FrameOrderName):
            raise ValueError(f"frames.order must be one of {', '.join(get_args(FrameOrderName))}, got {self.name}")

    @classmethod
    def of(cls, config: Mapping[str, Any]) -> FrameOrder:
        """Reads the order of a configuration; one without `frames.order` is of clips as filmed.

        Raises:
            ValueError: There is no such order.
        """
        return cls(config["frames"].get("order", AS_FILMED), config["seed"])

    def positions(self, num_frames: int, clip_id: str | None = None) -> tuple[int, ...] | None:
        """Returns which of the `T` frames the network gets first, second and so on; None as filmed.

        `shuffled` sorts the frames by SHA-256 digests of the seed, the clip's id and the frame's number: the same in
        every fold, on every machine and with every version of a library.

        Args:
            num_frames: `T`.
            clip_id: The clip's id in its store. None for clips of a video, which all get one permutation: were it drawn
                for each, the predictions of neighbouring clips would differ for no reason in the video.
        """
        numbers = range(num_frames)
        match self.name:
            case "as_filmed":
                return None
            case "reversed":
                return tuple(reversed(numbers))
            case "apex_repeated":
                return (num_frames - 1,) * num_frames
            case "shuffled":
                return tuple(sorted(numbers, key=lambda number: _digest(self.seed, clip_id, number)))

    def table(self, clip_ids: Sequence[str], num_frames: int) -> NDArray[np.int64] | None:
        """Returns the positions for each clip of a store, `(N, T)`; None as filmed."""
        rows = [self.positions(num_frames, clip_id) for clip_id in clip_ids]
        return None if self.name == AS_FILMED else np.array(rows, dtype=np.int64).reshape(-1, num_frames)


def without_default(frames: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the section `frames` without an `order` that is the default, which it may lack."""
    return {key: value for key, value in frames.items() if (key, value) != ("order", AS_FILMED)}


def _digest(*parts: Any) -> bytes:
    return hashlib.sha256(json.dumps(parts).encode()).digest()
