"""What is explained: the network of a checkpoint, and clips of the store that it was trained on."""

from __future__ import annotations

from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fer3d.clips.preprocess import load_clips
from fer3d.clips.store import INDEX_NAME, ClipStore, StoreError, read_digest
from fer3d.explanation.explain_clip import ViewedNetwork
from fer3d.explanation.gradcam import ExplanationError
from fer3d.prediction.trained import Trained
from fer3d.training.checkpoint import CHECKPOINT_NAME, Checkpoint
from fer3d.training.restore import restore_network
from fer3d.training.results import fold_folder, read_result

SEEN = "SEEN IN TRAINING"
_MAX_NAMED = 3


@dataclass(frozen=True, slots=True, eq=False)
class ShownClip:
    """A clip as it is explained and drawn.

    Attributes:
        name: Such as `S005/001`, or a video's name with the face and the seconds.
        pixels: uint8 `(S, H, W, C)`, before CLAHE: the frames that the network's views take.
        frames: What each frame is called, `S` texts: its file, or its second.
        caution: What has to be said of it: that its faces are rendered, or that the network has seen them in training.
        label: The true emotion; None where nobody knows.
    """

    name: str
    pixels: NDArray[np.uint8]
    frames: tuple[str, ...]
    caution: str
    label: str | None = None


@dataclass(frozen=True, eq=False)
class TrainedNetwork:
    """The network of a checkpoint.

    Attributes:
        path: The checkpoint's file.
        checkpoint: What it says.
        trained: What the clips are made like.
        network: The network, by whole clips of the frames in `kept`.
        kept: Which of a stored clip's frames the views take, ascending.
        device: Where it computes.
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
            trusted: Packages besides fer3d's whose code it may name.
            device: Where the network is to compute.

        Raises:
            CheckpointError: It is none, or names code that is not trusted.
        """
        checkpoint = Checkpoint.read(path, "the checkpoint")
        return cls.of(checkpoint, path, trusted, device)

    @classmethod
    def of(
        cls, checkpoint: Checkpoint, path: Path, trusted: Collection[str] = (), device: str = "cpu"
    ) -> TrainedNetwork:
        """Makes the network of a checkpoint that is read already; see `read`."""
        trained = Trained.of(checkpoint, trusted)
        kept = sorted({frame for view in trained.views for frame in view})
        viewed = ViewedNetwork(
            restore_network(checkpoint, trusted).float(),
            torch.tensor([[kept.index(frame) for frame in view] for view in trained.views]),
            normalised=trained.normalise,
            temperature=trained.temperature or 1.0,
        )
        return cls(path, checkpoint, trained, viewed.to(device), tuple(kept), torch.device(device))

    def given(self, clip: ShownClip) -> Tensor:
        """Returns the clip as it enters: uint8 `(C, S, H, W)` on the network's device, after CLAHE."""
        return load_clips(clip.pixels[None], clahe=self.trained.clahe)[0].to(self.device)

    def stored_clip(self, store: ClipStore, clip_id: str) -> ShownClip:
        """Returns a clip of the store that the network was trained on.

        Raises:
            ExplanationError: The store has no such clip.
        """
        subjects = self.checkpoint.subjects
        if clip_id not in store.clip_ids:
            # If possible of subjects that the network has not seen.
            unseen = [record.clip_id for record in store.records if record.subject not in subjects]
            named = ", ".join((unseen or list(store.clip_ids))[:_MAX_NAMED])
            raise ExplanationError(f"{store.folder} holds no clip {clip_id}; it holds clips such as {named}")
        place = store.clip_ids.index(clip_id)
        record = store.records[place]
        cautions = ("SYNTHETIC data" if store.synthetic else "", SEEN if record.subject in subjects else "")
        return ShownClip(
            name=clip_id,
            pixels=np.asarray(store.clips[place])[list(self.kept)],
            frames=tuple(record.frames[frame] for frame in self.kept),
            caution=", ".join(filter(None, cautions)),
            label=record.emotion,
        )


def find_store(folder: Path, digest: str) -> ClipStore | None:
    """Returns the clip store whose content has a digest, pixels included, if it lies in a folder or is that folder."""
    if not folder.is_dir():
        return None
    for path in [folder] if (folder / INDEX_NAME).exists() else sorted(folder.iterdir()):
        # A damaged store or something else is not the one that is looked for.
        with suppress(StoreError, OSError, ValueError):
            # To compare all pixels with their digest takes time, where there are many stores.
            if read_digest(path) == digest:
                return ClipStore.open(path)
    return None


def checkpoint_of(path: Path, clip_id: str | None = None) -> Path:
    """Returns the checkpoint that a path means.

    Args:
        path: A checkpoint, the folder of a fold, or that of a run: which means the fold that held the clip out.
        clip_id: The clip of the run's corpus that is to be explained; None for something else.

    Raises:
        ExplanationError: There is none, or several and nothing that says which.
        ResultError: A fold's result cannot be read.
    """
    if path.is_file():
        return path
    if not path.is_dir():
        raise ExplanationError(
            f"there is no {path}: give a {CHECKPOINT_NAME}, or the folder of a run that kept its own"
        )
    if (path / CHECKPOINT_NAME).is_file():
        return path / CHECKPOINT_NAME
    kept = sorted(path.glob(f"fold_*/{CHECKPOINT_NAME}"))
    if not kept:
        raise ExplanationError(
            f"{path} holds no {CHECKPOINT_NAME}: give one, or the folder of a run with save_checkpoint=true"
        )
    held_out = _fold_of(path, clip_id) if clip_id else None
    if held_out is not None and fold_folder(path, held_out) / CHECKPOINT_NAME not in kept:
        raise ExplanationError(
            f"fold {held_out} of {path} held {clip_id} out and kept no checkpoint: train it again with "
            f"save_checkpoint=true, or name a checkpoint that has seen the clip, such as {kept[0]}"
        )
    if held_out is None and len(kept) > 1:
        why = f"none of its folds held {clip_id} out" if clip_id else "nothing says which one is meant"
        raise ExplanationError(f"{path} has {len(kept)} checkpoints, and {why}: name one, such as {kept[0]}")
    return kept[0] if held_out is None else fold_folder(path, held_out) / CHECKPOINT_NAME


def _fold_of(run: Path, clip_id: str) -> int | None:
    """The fold of a run that held a clip out, if it is there."""
    for folder in sorted(run.glob("fold_[0-9]*")):
        number = int(folder.name.removeprefix("fold_"))
        if clip_id in read_result(folder, {"fold number": number}).clip_ids:
            return number
    return None
