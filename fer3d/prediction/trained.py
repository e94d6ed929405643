"""What a prediction has to know of a trained network besides the network itself."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.utils import instantiate

from fer3d.clips.faces import FaceExtraction
from fer3d.clips.frames import FrameSampling
from fer3d.corpora.layout import root_folder
from fer3d.training.identity import differences

if TYPE_CHECKING:
    from fer3d.training.checkpoint import Checkpoint

# Of image files, whose times nobody knows, and of the clips made of them.
ASSUMED_RATE = 30.0


class PredictionError(Exception):
    """What cannot be predicted, or predicted with: which, why, and what to do."""


@dataclass(frozen=True)
class Trained:
    """What a network was trained on, and what its clips are made like.

    Attributes:
        emotions: The class names.
        num_channels: Channels of a clip: 1 for grey, 3 for RGB.
        num_frames: Frames that the network takes, `T`.
        num_stored: Frames that a clip has before some are chosen, `S`.
        views: Which of them each view of a clip is made of, `(K, T)`.
        clahe: Whether frames are equalised.
        normalise: Whether clips enter the network in [-1, 1] instead of [0, 1].
        faces: How faces are found and cropped: the configuration's section `faces`.
        frames: Which frames a clip is made of: the section `frames`.
        temperature: What logits are divided by; None where it was not fitted.
        corpus: The name of the corpus.
        synthetic: Whether its faces are rendered.
        data: Where the corpus lies: the section `data`.
        subjects: Who took part in the training.
        training_clips: What the training clips look like (see `fer3d.clips.measures`).
        run: The run's digest.
        fold: The fold's number.
        weights: SHA-256 of the weights.
    """

    emotions: tuple[str, ...]
    num_channels: int
    num_frames: int
    num_stored: int
    views: tuple[tuple[int, ...], ...]
    clahe: bool
    normalise: bool
    faces: Mapping[str, Any]
    frames: Mapping[str, Any]
    temperature: float | None
    corpus: str
    synthetic: bool
    data: Mapping[str, Any]
    subjects: tuple[str, ...]
    training_clips: Mapping[str, tuple[float, ...]]
    run: str
    fold: int
    weights: str

    @classmethod
    def of(cls, checkpoint: Checkpoint, trusted: Collection[str] = ()) -> Trained:
        """Takes it from a checkpoint.

        Args:
            checkpoint: The checkpoint.
            trusted: As of `restore_network`.

        Raises:
            CheckpointError: The checkpoint names code that is not trusted.
        """
        from fer3d.training.restore import check_targets

        config = checkpoint.config
        check_targets(config["frames"], ("fer3d.clips.frames", *trusted))
        check_targets(config["faces"], ("fer3d.clips.faces", "fer3d.clips.detectors", *trusted))
        sampling: FrameSampling = instantiate(config["frames"])
        num_frames = config["clips"]["num_frames"]
        num_stored = sampling.num_stored(num_frames)
        # As in the data module: where the store keeps no more than the network takes, there is one sample.
        views = [list(range(num_frames))] if num_stored == num_frames else sampling.prediction(num_frames).tolist()
        return cls(
            emotions=checkpoint.emotions,
            num_channels=checkpoint.num_channels or 1,
            num_frames=num_frames,
            num_stored=num_stored,
            views=tuple(map(tuple, views)),
            clahe=config["clips"]["clahe"],
            normalise=config["clips"]["normalise"],
            faces=config["faces"],
            frames=config["frames"],
            temperature=checkpoint.temperature,
            corpus=checkpoint.corpus,
            synthetic=checkpoint.synthetic,
            data=config["data"],
            subjects=checkpoint.subjects,
            training_clips={name: tuple(values) for name, values in (checkpoint.training_clips or {}).items()},
            run=checkpoint.digest,
            fold=checkpoint.fold,
            weights=checkpoint.weights_digest,
        )

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> Trained:
        """Takes it from what `plain` returned, after JSON.

        Raises:
            KeyError, TypeError: Something is missing or of another kind.
        """
        given = {field.name: plain[field.name] for field in dataclasses.fields(cls)}
        for name in ("emotions", "subjects"):
            given[name] = tuple(given[name])
        given["views"] = tuple(map(tuple, given["views"]))
        given["training_clips"] = {name: tuple(values) for name, values in given["training_clips"].items()}
        return cls(**given)

    def plain(self) -> dict[str, Any]:
        """Returns it in plain values."""
        return {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}

    @property
    def size(self) -> int:
        """Height and width of a crop in pixels."""
        return int(self.faces["crop"]["size"])

    @property
    def span(self) -> float:
        """Seconds from the first frame of a clip to the last one, in the middle of the training clips."""
        if "seconds" in self.training_clips:
            return self.training_clips["seconds"][1]
        return (self.num_stored - 1) * int(self.frames.get("stride", 1)) / ASSUMED_RATE

    @cached_property
    def sampling(self) -> FrameSampling:
        """Which frames of a short sequence a clip is made of."""
        made: FrameSampling = instantiate(self.frames)
        return made

    @cached_property
    def extraction(self) -> FaceExtraction:
        """How faces are found and cropped.

        Raises:
            DetectorError: A file of the detector is missing.
        """
        made: FaceExtraction = instantiate(self.faces)
        return made

    @property
    def caution(self) -> str:
        """What has to be said wherever its predictions are shown; empty for nothing."""
        return f"SYNTHETIC: trained on rendered faces ({self.corpus})" if self.synthetic else ""

    def check_same_clips(self, other: Trained, name: str, other_name: str) -> None:
        """Makes sure that two networks can be averaged: the same emotions, and clips that are made alike.

        Raises:
            PredictionError: They cannot; the message says what differs.
        """
        fields = ("emotions", "num_channels", "num_frames", "num_stored", "views", "clahe", "faces", "frames")
        ours, theirs = ({field: getattr(one, field) for field in fields} for one in (self, other))
        for key, (first, second) in differences(ours, theirs).items():
            raise PredictionError(
                f"{name} and {other_name} cannot be averaged: {key} is {_said(first)} in the first and {_said(second)} "
                "in the second. Predict with networks of one configuration, or with one after the other"
            )


def _said(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, tuple | list) else str(value)


def as_path(path: Path | str) -> Path:
    """Returns what a user named as a path, its `~user` replaced."""
    return root_folder(path)
