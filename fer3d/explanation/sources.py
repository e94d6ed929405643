"""Inputs of an explanation: the network of a checkpoint, and clips of its clip store."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fer3d.clips.frame_order import FrameOrder
from fer3d.clips.preprocess import load_clips
from fer3d.clips.store import ClipStore
from fer3d.explanation.explain_clip import ViewedNetwork
from fer3d.explanation.gradcam import ExplanationError
from fer3d.prediction.trained import Trained
from fer3d.training.checkpoint import CHECKPOINT_NAME, Checkpoint
from fer3d.training.networks import restore_network
from fer3d.training.results import fold_folder, read_result

SEEN = "SEEN IN TRAINING"
_MAX_NAMED = 3


@dataclass(frozen=True, slots=True, eq=False)
class ShownClip:
    """A clip to explain and draw.

    Attributes:
        name: Such as `S005/001`, or a video's name with face and times.
        pixels: uint8 `(S, H, W, C)`, before CLAHE: the frames used by the network's views.
        frames: Name of each frame, `S` texts: its file or its time.
        caution: The caution to show: rendered faces, or a subject of the training.
        label: The true emotion; None if unknown.
        clip_id: The clip's id in its clip store; None for a clip of a video.
    """

    name: str
    pixels: NDArray[np.uint8]
    frames: tuple[str, ...]
    caution: str
    label: str | None = None
    clip_id: str | None = None


@dataclass(frozen=True, eq=False)
class TrainedNetwork:
    """The network of a checkpoint.

    Attributes:
        path: The checkpoint's file.
        checkpoint: The checkpoint.
        trained: Its metadata.
        network: The network, which takes clips of the frames in `kept`, ordered as for a clip of a video.
        kept: Indices of a stored clip's frames that the views use, ascending.
        device: The device.
    """

    path: Path
    checkpoint: Checkpoint
    trained: Trained
    network: ViewedNetwork
    kept: tuple[int, ...]
    device: torch.device

    @classmethod
    def read(cls, path: Path, trusted: Collection[str] = (), device: str = "cpu") -> TrainedNetwork:
        """Reads a checkpoint.

        Args:
            path: The file.
            trusted: Packages besides fer3d whose code it may name.
            device: The device.

        Raises:
            CheckpointError: The file is not a checkpoint, or names code that is not trusted.
        """
        checkpoint = Checkpoint.read(path, "the checkpoint")
        return cls.of(checkpoint, path, trusted, device)

    @classmethod
    def of(
        cls, checkpoint: Checkpoint, path: Path, trusted: Collection[str] = (), device: str = "cpu"
    ) -> TrainedNetwork:
        """Restores the network of a checkpoint in memory; see `read`."""
        trained = Trained.of(checkpoint, trusted)
        views = _ordered(trained.views, trained.order)
        kept = sorted({frame for view in views for frame in view})
        viewed = ViewedNetwork(
            restore_network(checkpoint, trusted).float(),
            _places(views, kept),
            normalised=trained.normalise,
            temperature=trained.temperature or 1.0,
        )
        return cls(path, checkpoint, trained, viewed.to(device), tuple(kept), torch.device(device))

    def network_for(self, clip: ShownClip) -> ViewedNetwork:
        """Returns the network with frames in the order that the clip has in training (each its own if shuffled)."""
        if clip.clip_id is None:
            return self.network
        order = FrameOrder.of(self.checkpoint.config).positions(self.trained.num_frames, clip.clip_id)
        views = _places(_ordered(self.trained.views, order), self.kept)
        shared = self.network
        own = ViewedNetwork(shared.network, views, normalised=shared.normalised, temperature=shared.temperature)
        return own.to(self.device)

    def given(self, clip: ShownClip) -> Tensor:
        """Returns the preprocessed clip: uint8 `(C, S, H, W)` on the network's device, after CLAHE."""
        return load_clips(clip.pixels[None], clahe=self.trained.clahe)[0].to(self.device)

    def stored_clip(self, store: ClipStore, clip_id: str) -> ShownClip:
        """Returns a clip of the network's clip store.

        Raises:
            ExplanationError: The clip does not exist.
        """
        subjects = self.checkpoint.subjects
        if clip_id not in store.clip_ids:
            # Suggest clips of subjects outside the training if possible.
            unseen = [record.clip_id for record in store.records if record.subject not in subjects]
            named = ", ".join((unseen or list(store.clip_ids))[:_MAX_NAMED])
            raise ExplanationError(f"{store.folder} does not contain clip {clip_id}; it contains, for example, {named}")
        place = store.clip_ids.index(clip_id)
        record = store.records[place]
        cautions = ("SYNTHETIC data" if store.synthetic else "", SEEN if record.subject in subjects else "")
        return ShownClip(
            name=clip_id,
            pixels=np.asarray(store.clips[place])[list(self.kept)],
            frames=tuple(record.frames[frame] for frame in self.kept),
            caution=", ".join(filter(None, cautions)),
            label=record.emotion,
            clip_id=clip_id,
        )


def checkpoint_of(path: Path, clip_id: str | None = None) -> Path:
    """Returns the checkpoint that a path stands for.

    Args:
        path: A checkpoint, a fold folder, or a run folder, which stands for the fold that held out the clip.
        clip_id: The clip of the run's corpus to explain; None for a video.

    Raises:
        ExplanationError: There is no checkpoint, or several without a way to choose.
        ResultError: A fold's result cannot be read.
    """
    if path.is_file():
        return path
    if not path.is_dir():
        raise ExplanationError(f"{path} does not exist: give a {CHECKPOINT_NAME}, or a run folder with checkpoints")
    if (path / CHECKPOINT_NAME).is_file():
        return path / CHECKPOINT_NAME
    kept = sorted(path.glob(f"fold_*/{CHECKPOINT_NAME}"))
    if not kept:
        raise ExplanationError(
            f"{path} contains no {CHECKPOINT_NAME}: give a checkpoint, or the folder of a run with save_checkpoint=true"
        )
    held_out = _fold_of(path, clip_id) if clip_id else None
    if held_out is not None and fold_folder(path, held_out) / CHECKPOINT_NAME not in kept:
        raise ExplanationError(
            f"fold {held_out} of {path} held out {clip_id} but has no checkpoint: train it again with "
            f"save_checkpoint=true, or give a checkpoint trained on the clip, such as {kept[0]}"
        )
    if held_out is None and len(kept) > 1:
        why = f", and none of its folds held out {clip_id}" if clip_id else ""
        raise ExplanationError(f"{path} contains {len(kept)} checkpoints{why}: give one, such as {kept[0]}")
    return kept[0] if held_out is None else fold_folder(path, held_out) / CHECKPOINT_NAME


def _ordered(views: Sequence[Sequence[int]], order: Sequence[int] | None) -> list[list[int]]:
    """The frames of each view in the order for the network."""
    return [list(view) if order is None else [view[place] for place in order] for view in views]


def _places(views: Sequence[Sequence[int]], kept: Sequence[int]) -> Tensor:
    """Where the frames of each view lie among those that are kept, `(K, T)`."""
    return torch.tensor([[kept.index(frame) for frame in view] for view in views])


def _fold_of(run: Path, clip_id: str) -> int | None:
    """The finished fold of a run that held out a clip; None if there is none."""
    for folder in sorted(run.glob("fold_[0-9]*")):
        number = int(folder.name.removeprefix("fold_"))
        if clip_id in read_result(folder, {"fold number": number}).clip_ids:
            return number
    return None
