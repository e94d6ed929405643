"""What is explained: the network of a checkpoint, and a clip of the store that it was trained on."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from hydra.utils import instantiate
from numpy.typing import NDArray
from torch import Tensor, nn

from fer3d.clips.store import INDEX_NAME, ClipStore, StoreError, read_digest
from fer3d.explanation.gradcam import ExplanationError
from fer3d.models.network import Task
from fer3d.training.checkpoint import CHECKPOINT_NAME, Checkpoint
from fer3d.training.networks import make_network
from fer3d.training.results import fold_folder, read_result

SEEN = "SEEN IN TRAINING"
_MAX_NAMED = 3


@dataclass(frozen=True, slots=True, eq=False)
class ShownClip:
    """A clip as it is explained and drawn.

    Attributes:
        name: Such as `S005/001`, or a video's name with the person and the seconds.
        pixels: uint8 `(S, H, W, C)`, before CLAHE: the frames that the network's views take.
        frames: What each frame is called, `S` texts: its file, or its second.
        label: The true emotion; None where nobody knows.
        seen: `SEEN IN TRAINING` where its subject's clips trained the network, or nothing.
    """

    name: str
    pixels: NDArray[np.uint8]
    frames: tuple[str, ...]
    label: str | None = None
    seen: str = ""


def find_store(folder: Path, digest: str) -> ClipStore | None:
    """Returns the clip store with a digest, if it lies in a folder or is that folder."""
    if not folder.is_dir():
        return None
    for path in [folder] if (folder / INDEX_NAME).exists() else sorted(folder.iterdir()):
        # A damaged store or something else is not the one that is looked for.
        with suppress(StoreError, OSError, ValueError):
            # To compare all pixels with their digest takes time, where there are many stores.
            if read_digest(path) == digest:
                return ClipStore.open(path)
    return None


def views_of(config: Mapping[str, Any], num_stored: int) -> Tensor:
    """Returns the frames of each view that a prediction of a stored clip averages over, `(K, T)`.

    Args:
        config: The run's configuration.
        num_stored: Frames of a stored clip, `S`.

    Raises:
        ExplanationError: Code that is not fer3d's chooses the frames.
    """
    num_frames = int(config["clips"]["num_frames"])
    if num_frames == num_stored:
        return torch.arange(num_frames)[None]
    target = str(config["frames"]["_target_"])
    if not target.startswith("fer3d.clips.frames."):
        raise ExplanationError(f"the checkpoint's frames are chosen by {target}, which is not fer3d's")
    return torch.as_tensor(instantiate(config["frames"]).prediction(num_frames))


def network_of(checkpoint: Checkpoint, num_channels: int) -> nn.Module:
    """Returns the network of a checkpoint, in prediction and in float32."""
    config = checkpoint.config
    task = Task(
        len(checkpoint.emotions), int(config["clips"]["num_frames"]), int(config["faces"]["crop"]["size"]), num_channels
    )
    network = make_network(config["model"], task)
    network.load_state_dict(dict(checkpoint.state_dict))
    return network.eval().float()


def stored_clip(store: ClipStore, clip_id: str, views: Tensor, checkpoint: Checkpoint) -> ShownClip:
    """Returns a clip of the store that a checkpoint was trained on.

    Args:
        store: The store.
        clip_id: The clip.
        views: The frames of each view, `(K, T)`.
        checkpoint: The checkpoint.

    Raises:
        ExplanationError: The store has no such clip.
    """
    if clip_id not in store.clip_ids:
        named = ", ".join(_examples(store, checkpoint))
        raise ExplanationError(f"{store.folder} holds no clip {clip_id}; it holds clips such as {named}")
    place = store.clip_ids.index(clip_id)
    record = store.records[place]
    kept = torch.unique(views).tolist()
    return ShownClip(
        name=clip_id,
        pixels=np.asarray(store.clips[place])[kept],
        frames=tuple(record.frames[frame] for frame in kept),
        label=record.emotion,
        seen=SEEN if record.subject in checkpoint.subjects else "",
    )


def checkpoint_of(path: Path, clip_id: str | None = None) -> Path:
    """Returns the checkpoint that a path means: the file itself, a fold's, or that of the fold which held a clip out.

    Args:
        path: A checkpoint, a fold's folder, or a run's folder.
        clip_id: The clip that is to be explained; None for none of the corpus.

    Raises:
        ExplanationError: There is none, or several and nothing that says which.
    """
    if path.is_file():
        return path
    if (path / CHECKPOINT_NAME).is_file():
        return path / CHECKPOINT_NAME
    kept = sorted(path.glob(f"fold_*/{CHECKPOINT_NAME}")) if path.is_dir() else []
    if not kept:
        raise ExplanationError(
            f"{path} holds no {CHECKPOINT_NAME}: give one, or the folder of a run with save_checkpoint=true"
        )
    if clip_id is not None:
        for folder in sorted(path.glob("fold_*")):
            number = int(folder.name.removeprefix("fold_"))
            if clip_id in read_result(folder, {"fold number": number}).clip_ids:
                held_out = fold_folder(path, number) / CHECKPOINT_NAME
                if not held_out.is_file():
                    raise ExplanationError(
                        f"fold {number} of {path} held {clip_id} out and kept no checkpoint: train it again with "
                        "save_checkpoint=true, or name the checkpoint of another fold, which has seen that clip"
                    )
                return held_out
    if len(kept) > 1:
        what = f"none of its folds held {clip_id} out" if clip_id else "nothing says which one of them to ask"
        raise ExplanationError(f"{path} has {len(kept)} checkpoints, and {what}: give one, such as {kept[0]}")
    return kept[0]


def _examples(store: ClipStore, checkpoint: Checkpoint) -> list[str]:
    """Some clips, if possible of subjects that the network has not seen."""
    unseen = [record.clip_id for record in store.records if record.subject not in checkpoint.subjects]
    return (unseen or list(store.clip_ids))[:_MAX_NAMED]
