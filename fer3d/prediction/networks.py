"""Trained networks as files: checkpoints, ONNX files and runs' folders, and the average over several."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from fer3d.clips.preprocess import equalise
from fer3d.prediction.trained import PredictionError, Trained, as_path

_CHECKPOINTS = "fold_*/last.ckpt"


class Network(Protocol):
    """Computes logits, by whatever library."""

    def logits(self, clips: NDArray[np.uint8]) -> NDArray[np.float64]:
        """Returns the logits `(N, num_classes)` of clips `(N, C, T, H, W)`, 0 to 255."""


@dataclass(frozen=True)
class Member:
    """One trained network.

    Attributes:
        path: Its file.
        trained: What is known of it.
        network: The network.
    """

    path: Path
    trained: Trained
    network: Network


class Ensemble:
    """Networks whose predictions are averaged.

    Args:
        members: The networks; at least one.

    Attributes:
        members: The networks.
        trained: What is known of the first; all share how clips are made.

    Raises:
        PredictionError: Their clips are not made alike.
    """

    def __init__(self, members: Sequence[Member]) -> None:
        self.members = tuple(members)
        first = self.members[0]
        for member in self.members[1:]:
            first.trained.check_same_clips(member.trained, str(first.path), str(member.path))
        self.trained = first.trained
        self._views = np.array(self.trained.views)

    def probabilities(self, clips: NDArray[np.uint8]) -> NDArray[np.float64]:
        """Returns the probabilities `(B, num_classes)` of clips `(B, S, H, W, C)`, averaged over views and networks."""
        num_clips, (num_views, num_frames) = len(clips), self._views.shape
        views = clips[:, self._views].reshape(num_clips * num_views, num_frames, *clips.shape[2:])
        given = np.ascontiguousarray(np.moveaxis(views, -1, 1))
        found = [_calibrated(member, given, num_clips) for member in self.members]
        mean: NDArray[np.float64] = np.mean(found, axis=0)
        return mean

    def prepared(self, crop: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Returns a crop (H, W, C) as the networks want it: equalised, where they were trained on such."""
        return equalise(crop[None, None])[0, 0] if self.trained.clahe else crop

    @property
    def caution(self) -> str:
        """What has to be said wherever their predictions are shown; empty for nothing."""
        return next(filter(None, (member.trained.caution for member in self.members)), "")


def load_networks(paths: Sequence[Path | str], *, device: str = "auto", trusted: Collection[str] = ()) -> Ensemble:
    """Reads trained networks.

    Args:
        paths: Checkpoints (`last.ckpt`), ONNX files that `fer3d export` wrote, and folders of runs, which stand for the
            checkpoints of all their folds.
        device: `auto`, `cpu` or `cuda`.
        trusted: Packages besides fer3d's whose code a checkpoint may name.

    Raises:
        PredictionError: A path is none of these, a network cannot be used, or the networks cannot be averaged.
    """
    # Each once: averaged with itself, a network would count twice.
    found = [file for path in paths for file in network_files(as_path(path))]
    files = list({file.resolve(): file for file in found}.values())
    if not files:
        raise PredictionError("no network was given: give a last.ckpt, an ONNX file or a run's folder after --with")
    return Ensemble([_member(file, device, trusted) for file in files])


def network_files(path: Path) -> Iterator[Path]:
    """Yields the checkpoints of a run's or a fold's folder, or the file itself.

    Raises:
        PredictionError: The folder holds none.
    """
    if not path.is_dir():
        yield path
        return
    found = sorted(path.glob(_CHECKPOINTS)) or sorted(path.glob("last.ckpt"))
    if not found:
        raise PredictionError(
            f"{path} holds no trained network (no {_CHECKPOINTS}). Train with save_checkpoint=true, which completes a "
            "run that is done, too, or with cv=all_clips, which keeps its network"
        )
    yield from found


def _member(path: Path, device: str, trusted: Collection[str]) -> Member:
    if path.suffix.lower() == ".onnx":
        if device not in ("auto", "cpu"):
            raise PredictionError(
                f"--device is {device}, and {path} is computed on the CPU: give its last.ckpt instead"
            )
        from fer3d.prediction.onnx_network import read_onnx

        trained, network = read_onnx(path, trusted)
        return Member(path, trained, network)
    # Takes seconds to import, and ONNX files do without.
    from fer3d.prediction.torch_network import read_checkpoint

    return Member(path, *read_checkpoint(path, device, trusted))


def _calibrated(member: Member, clips: NDArray[np.uint8], num_clips: int) -> NDArray[np.float64]:
    """The probabilities of clips, of which each has its views side by side."""
    logits = member.network.logits(clips).astype(np.float64)
    by_view = _softmax(logits).reshape(num_clips, -1, logits.shape[1])
    mean: NDArray[np.float64] = by_view.mean(1)
    if member.trained.temperature is None:
        return mean
    # As it was fitted: to the logarithms of the average over views.
    return _softmax(np.log(np.maximum(mean, np.finfo(np.float64).tiny)) / member.trained.temperature)


def _softmax(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    raised = np.exp(logits - logits.max(1, keepdims=True))
    result: NDArray[np.float64] = raised / raised.sum(1, keepdims=True)
    return result
