"""Checkpoints computed by PyTorch."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from fer3d.clips.preprocess import normalise, to_unit_range
from fer3d.prediction.trained import PredictionError, Trained
from fer3d.training.checkpoint import Checkpoint
from fer3d.training.restore import restore_network


class TorchNetwork:
    """A network in fp32 on one device.

    Args:
        network: The network, in evaluation mode.
        normalised: Whether clips enter it in [-1, 1] instead of [0, 1].
        device: Where it computes.
    """

    def __init__(self, network: torch.nn.Module, normalised: bool, device: torch.device) -> None:
        self._network = network.to(device)
        self._normalised, self._device = normalised, device

    @torch.inference_mode()
    def logits(self, clips: NDArray[np.uint8]) -> NDArray[np.float64]:
        """Returns the logits `(N, num_classes)` of clips `(N, C, T, H, W)`, 0 to 255."""
        given = to_unit_range(torch.from_numpy(clips).to(self._device))
        logits: torch.Tensor = self._network(normalise(given) if self._normalised else given)
        return logits.double().cpu().numpy()


def read_checkpoint(path: Path, device: str, trusted: Collection[str]) -> tuple[Trained, TorchNetwork]:
    """Reads a checkpoint; see `fer3d.prediction.networks.load_networks`.

    Raises:
        CheckpointError: It cannot be used.
        PredictionError: There is no such device.
    """
    checkpoint = Checkpoint.read(path, "--with")
    network = restore_network(checkpoint, trusted)
    trained = Trained.of(checkpoint, trusted)
    return trained, TorchNetwork(network, trained.normalise, _device(device))


def _device(name: str) -> torch.device:
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name.startswith("cuda") and not torch.cuda.is_available():
        raise PredictionError("--device is cuda, and PyTorch finds no CUDA GPU here: leave it out, or give cpu")
    try:
        return torch.device(name)
    except RuntimeError as error:
        raise PredictionError(f"--device is {name}, which is no device: give auto, cpu or cuda") from error
