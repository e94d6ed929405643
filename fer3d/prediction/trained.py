"""Metadata of a trained network that prediction needs: emotions, preprocessing, calibration, provenance."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.errors import InstantiationException
from hydra.utils import instantiate

from fer3d.clips.detectors import FaceDetector
from fer3d.clips.faces import FaceExtraction
from fer3d.clips.frame_order import AS_FILMED, FrameOrder, without_default
from fer3d.clips.frames import FrameSampling, make_sampling
from fer3d.corpora.layout import root_folder
from fer3d.training.identity import differences

if TYPE_CHECKING:
    from fer3d.training.checkpoint import Checkpoint

# Frames per second of image files, which store no times.
ASSUMED_RATE = 30.0


class PredictionError(Exception):
    """A source cannot be predicted, or a network cannot be used."""


@dataclass(frozen=True)
class Trained:
    """Metadata of a trained network.

    Attributes:
        emotions: The class names.
        num_channels: Channels of a clip: 1 for grey, 3 for RGB.
        num_frames: Frames of the network's input, `T`.
        num_stored: Frames of a clip before sampling, `S`.
        views: Indices of the sampled frames of each view, `(K, T)`.
        clahe: Whether frames are equalised.
        normalise: Whether the input is scaled to [-1, 1] instead of [0, 1].
        faces: Face detection and cropping: the configuration's section `faces`.
        frames: Frame sampling: the section `frames`, without an `order` that is the default.
        temperature: Calibration temperature, which divides the logits; None if not fitted.
        corpus: Name of the corpus.
        synthetic: Whether its faces are rendered.
        data: The corpus reader: the section `data`.
        subjects: The training subjects.
        training_clips: Quantiles of measures of the training clips (see `fer3d.clips.measures`).
        run: The run's digest.
        fold: The fold's number.
        weights: SHA-256 of the weights.
        order: Which of the `T` frames the network gets first, second and so on; None as filmed. Networks are given
            frames in the order of time and put them into this order themselves.
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
    order: tuple[int, ...] | None = None

    @classmethod
    def of(cls, checkpoint: Checkpoint, trusted: Collection[str] = ()) -> Trained:
        """Reads the metadata of a checkpoint.

        Args:
            checkpoint: The checkpoint.
            trusted: See `restore_network`.

        Raises:
            CheckpointError: The checkpoint names code that is not trusted.
        """
        from fer3d.training.networks import check_targets

        config = checkpoint.config
        check_targets(config["frames"], ("fer3d.clips.frames", *trusted))
        check_targets(config["faces"], ("fer3d.clips.faces", "fer3d.clips.detectors", *trusted))
        sampling = make_sampling(config["frames"])
        num_frames = config["clips"]["num_frames"]
        num_stored = sampling.num_stored(num_frames)
        # As in the data module: a store that keeps only the network's frames has one view.
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
            frames=without_default(config["frames"]),
            temperature=checkpoint.temperature,
            corpus=checkpoint.corpus,
            synthetic=checkpoint.synthetic,
            data=config["data"],
            subjects=checkpoint.subjects,
            training_clips={name: tuple(values) for name, values in (checkpoint.training_clips or {}).items()},
            run=checkpoint.digest,
            fold=checkpoint.fold,
            weights=checkpoint.weights_digest,
            order=FrameOrder.of(config).positions(num_frames),
        )

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> Trained:
        """Inverse of `plain`, also after JSON.

        Raises:
            KeyError, TypeError: An entry is missing or has the wrong type.
        """
        given = {field.name: plain[field.name] for field in dataclasses.fields(cls)}
        for name in ("emotions", "subjects"):
            given[name] = tuple(given[name])
        given["views"] = tuple(map(tuple, given["views"]))
        given["order"] = None if given["order"] is None else tuple(given["order"])
        given["training_clips"] = {name: tuple(values) for name, values in given["training_clips"].items()}
        return cls(**given)

    def plain(self) -> dict[str, Any]:
        """Returns the metadata as plain values."""
        return {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}

    @property
    def size(self) -> int:
        """Height and width of a crop in pixels."""
        return int(self.faces["crop"]["size"])

    @property
    def span(self) -> float:
        """Median duration of the training clips, from the first to the last frame, in seconds."""
        if "seconds" in self.training_clips:
            return self.training_clips["seconds"][1]
        return (self.num_stored - 1) * int(self.frames.get("stride", 1)) / ASSUMED_RATE

    @cached_property
    def sampling(self) -> FrameSampling:
        """The frame sampling of the training clips."""
        return make_sampling(self.frames)

    @cached_property
    def extraction(self) -> FaceExtraction:
        """The face detection and cropping of the training clips.

        Raises:
            DetectorError: A file of the detector is missing.
        """
        made: FaceExtraction = instantiate(self.faces)
        return made

    def detector(self, engine: str | None = None) -> FaceDetector:
        """The face detector of the training clips.

        Args:
            engine: What runs it; None for what did on the training clips.

        Raises:
            PredictionError: The engine does not exist, or the detector has none to choose from.
            DetectorError: A file of the detector is missing.
        """
        if engine is None:
            return self.extraction.detector
        try:
            made: FaceDetector = instantiate({**self.faces["detector"], "engine": engine})
        except InstantiationException as error:
            raise PredictionError(f"--detector-engine {engine}: {error.__cause__ or error}") from error
        return made

    @property
    def caution(self) -> str:
        """The caution to show with every prediction; empty for none."""
        return f"SYNTHETIC: trained on rendered faces ({self.corpus})" if self.synthetic else ""

    def check_same_clips(self, other: Trained, name: str, other_name: str) -> None:
        """Checks that two networks can be averaged: same emotions, same preprocessing.

        Raises:
            PredictionError: They differ.
        """
        fields = ("emotions", "num_channels", "num_frames", "num_stored", "views", "clahe")
        ours, theirs = (
            {
                **{field: getattr(one, field) for field in fields},
                "frames": {"order": AS_FILMED, **one.frames},
                "faces": one.extraction.settings(),
            }
            for one in (self, other)
        )
        for key, (first, second) in differences(ours, theirs).items():
            raise PredictionError(
                f"{name} and {other_name} cannot be averaged: {key} is {_said(first)} in the first and {_said(second)} "
                "in the second. Give networks of one configuration, or predict with each separately"
            )


def _said(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, tuple | list) else str(value)


def as_path(path: Path | str) -> Path:
    """Returns a user's path with `~user` expanded."""
    return root_folder(path)
