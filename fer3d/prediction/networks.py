"""Loads trained networks (checkpoints, ONNX files, run folders) and averages their predictions."""

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
    """Computes logits."""

    def logits(self, clips: NDArray[np.uint8]) -> NDArray[np.float64]:
        """Returns the logits `(N, num_classes)` of clips `(N, C, T, H, W)`, 0 to 255, frames in the order of time."""


@dataclass(frozen=True)
class Member:
    """One trained network.

    Attributes:
        path: Its file.
        trained: Its metadata.
        network: The network.
    """

    path: Path
    trained: Trained
    network: Network


class Ensemble:
    """An ensemble: networks whose predictions are averaged.

    Args:
        members: The networks; at least one.

    Attributes:
        members: The networks.
        trained: Metadata of the first network; all share the preprocessing.

    Raises:
        PredictionError: The networks differ in their emotions or preprocessing.
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
        """Returns a crop (H, W, C) with CLAHE applied, if the networks were trained with it."""
        return equalise(crop[None, None])[0, 0] if self.trained.clahe else crop

    @property
    def caution(self) -> str:
        """The caution to show with every prediction; empty for none."""
        return next(filter(None, (member.trained.caution for member in self.members)), "")


def load_networks(paths: Sequence[Path | str], *, device: str = "auto", trusted: Collection[str] = ()) -> Ensemble:
    """Loads trained networks.

    Args:
        paths: Checkpoints (`last.ckpt`), ONNX files written by `fer3d export`, and run folders, which stand for the
            checkpoints of all their folds.
        device: `auto`, `cpu` or `cuda`.
        trusted: Packages besides fer3d whose code a checkpoint may name.

    Raises:
        PredictionError: A path is not a network, a network cannot be used, or the networks cannot be averaged.
    """
    # Unique: a network that is given twice would count twice in the average.
    found = [file for path in paths for file in network_files(as_path(path))]
    files = list({file.resolve(): file for file in found}.values())
    if not files:
        raise PredictionError("no network given: pass a last.ckpt, an ONNX file or a run folder with --with")
    return Ensemble([_member(file, device, trusted) for file in files])


def network_files(path: Path) -> Iterator[Path]:
    """Yields the checkpoints of a run or fold folder, or the file itself.

    Raises:
        PredictionError: The folder contains no checkpoint.
    """
    if not path.is_dir():
        yield path
        return
    found = sorted(path.glob(_CHECKPOINTS)) or sorted(path.glob("last.ckpt"))
    if not found:
        raise PredictionError(
            f"{path} contains no checkpoint ({_CHECKPOINTS}). Train with save_checkpoint=true, which also completes a "
            "finished run, or with cv=all_clips, which always saves one"
        )
    yield from found


def _member(path: Path, device: str, trusted: Collection[str]) -> Member:
    if path.suffix.lower() == ".onnx":
        if device not in ("auto", "cpu"):
            raise PredictionError(
                f"--device is {device}, but ONNX files such as {path} run on the CPU: give its last.ckpt instead"
            )
        from fer3d.prediction.onnx_network import read_onnx

        trained, network = read_onnx(path, trusted)
        return Member(path, trained, network)
    # PyTorch takes seconds to import, and ONNX files do not need it.
    from fer3d.prediction.torch_network import read_checkpoint

    return Member(path, *read_checkpoint(path, device, trusted))


def _calibrated(member: Member, clips: NDArray[np.uint8], num_clips: int) -> NDArray[np.float64]:
    """Calibrated probabilities of clips whose views are consecutive."""
    logits = member.network.logits(clips).astype(np.float64)
    by_view = _softmax(logits).reshape(num_clips, -1, logits.shape[1])
    mean: NDArray[np.float64] = by_view.mean(1)
    if member.trained.temperature is None:
        return mean
    # The temperature was fitted to the logarithm of the average over views.
    return _softmax(np.log(np.maximum(mean, np.finfo(np.float64).tiny)) / member.trained.temperature)


def _softmax(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    raised = np.exp(logits - logits.max(1, keepdims=True))
    result: NDArray[np.float64] = raised / raised.sum(1, keepdims=True)
    return result
