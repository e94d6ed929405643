"""The clips that a run missed, and where its networks have evidence for the wrong emotion."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fer3d.clips.store import ClipStore
from fer3d.evaluation.protocols import HeldOutPredictions
from fer3d.evaluation.run_results import RunResults
from fer3d.explanation.explain_clip import find_evidence
from fer3d.explanation.gradcam import METHODS, ExplanationError
from fer3d.explanation.sources import TrainedNetwork
from fer3d.training.checkpoint import CHECKPOINT_NAME, Checkpoint, CheckpointError
from fer3d.training.results import fold_folder


@dataclass(frozen=True, slots=True)
class MissedClip:
    """A held-out clip that was predicted wrongly.

    Attributes:
        clip_id: Such as `S005/001`.
        emotion: The true one.
        predicted: The predicted one.
        probability: Of the predicted one.
    """

    clip_id: str
    emotion: str
    predicted: str
    probability: float


@dataclass(frozen=True, slots=True, eq=False)
class MissedMaps:
    """Maps of missed clips.

    Attributes:
        maps: By clip, `(S, H, W)`, at least 0; 0 in frames that the network does not take.
        said: What the maps are, or why clips have none: sentences.
    """

    maps: Mapping[str, NDArray[np.float32]]
    said: str


def missed_clips(predictions: HeldOutPredictions, emotions: Sequence[str]) -> list[MissedClip]:
    """Returns the clips that were predicted wrongly, the most confident ones first.

    Args:
        predictions: A run's predictions under one epoch protocol.
        emotions: The class names.
    """
    missed = [
        MissedClip(
            clip_id=predictions.clip_ids[clip],
            emotion=emotions[predictions.labels[clip]],
            predicted=emotions[predictions.predicted[clip]],
            probability=float(predictions.probabilities[clip].max()),
        )
        for clip in np.flatnonzero(~predictions.correct)
    ]
    return sorted(missed, key=lambda clip: (-clip.probability, clip.clip_id))


def missed_maps(run: RunResults, store: ClipStore, missed: Sequence[MissedClip]) -> MissedMaps:
    """Looks for the evidence for the wrong emotion in each clip, by the network that missed it after its last epoch.

    Only code of fer3d is run.

    Args:
        run: The run.
        store: Its clips.
        missed: Its missed clips that are shown.
    """
    maps: dict[str, NDArray[np.float32]] = {}
    faults: dict[str, None] = {}
    for fold in run.folds:
        clips = [clip for clip in missed if clip.clip_id in fold.clip_ids]
        path = fold_folder(run.folder, fold.fold) / CHECKPOINT_NAME
        if not clips or not path.is_file():
            continue
        try:
            checkpoint = Checkpoint.read(path, "the checkpoint")
            if (checkpoint.digest, checkpoint.fold) != (run.digest, fold.fold):
                raise CheckpointError(f"the {CHECKPOINT_NAME} of fold {fold.fold} is that of another fold or run")
            trained = TrainedNetwork.of(checkpoint, path)
            for clip in clips:
                maps[clip.clip_id] = _map(trained, store, clip)
        except (CheckpointError, ExplanationError) as error:
            # Without the folders of the machine that this runs on.
            faults[str(error).replace(str(path), f"fold {fold.fold}'s {CHECKPOINT_NAME}")] = None
    return MissedMaps(maps, _maps_said(len(maps), len(missed), list(faults)))


def _map(trained: TrainedNetwork, store: ClipStore, clip: MissedClip) -> NDArray[np.float32]:
    shown = trained.stored_clip(store, clip.clip_id)
    label = trained.trained.emotions.index(clip.predicted)
    evidence = find_evidence(trained.network_for(shown), trained.given(shown), label)
    whole = np.zeros(store.clips.shape[1:4], dtype=np.float32)
    whole[list(trained.kept)] = evidence.map.numpy()
    return whole


def _maps_said(num_maps: int, num_clips: int, faults: Sequence[str]) -> str:
    if faults and not num_maps:
        return f"Where the network saw that emotion cannot be shown: {faults[0]}."
    if not num_maps:
        return (
            "Where the network saw that emotion is shown here once the run has kept its networks: the command that "
            "trained it, with save_checkpoint=true, adds them."
        )
    rest = "" if num_maps == num_clips else f" The networks of {num_clips - num_maps} clips were not kept."
    return (
        f"The brighter, the more evidence the network had there for the predicted emotion ({METHODS['hirescam']}); "
        f"`fer3d explain` says how much of it is in each frame, and checks it.{rest}"
    )
