"""Networks in checkpoints, computed by PyTorch."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from pathlib import Path

import numpy as np
import torch
from hydra.errors import HydraException
from numpy.typing import NDArray

from fer3d.clips.preprocess import normalise, to_unit_range
from fer3d.prediction.trained import PredictionError, Trained
from fer3d.training.checkpoint import Checkpoint, CheckpointError
from fer3d.training.networks import restore_network


class TorchNetwork:
    """A network in fp32 on one device.

    Args:
        network: The network, in evaluation mode.
        normalised: Whether its input is scaled to [-1, 1] instead of [0, 1].
        device: The device.
        order: Which frames the network gets first, second and so on; None: those of the clips, in their order.
    """

    def __init__(
        self, network: torch.nn.Module, normalised: bool, device: torch.device, order: Sequence[int] | None = None
    ) -> None:
        self._network = network.to(device)
        self._normalised, self._device = normalised, device
        self._order = None if order is None else list(order)

    @torch.inference_mode()
    def logits(self, clips: NDArray[np.uint8]) -> NDArray[np.float64]:
        """Returns the logits `(N, num_classes)` of clips `(N, C, T, H, W)`, 0 to 255."""
        ordered = clips if self._order is None else clips[:, :, self._order]
        given = to_unit_range(torch.from_numpy(ordered).to(self._device))
        logits: torch.Tensor = self._network(normalise(given) if self._normalised else given)
        return logits.double().cpu().numpy()


def read_checkpoint(path: Path, device: str, trusted: Collection[str]) -> tuple[Trained, TorchNetwork]:
    """Reads a checkpoint; see `fer3d.prediction.networks.load_networks`.

    Raises:
        PredictionError: The checkpoint cannot be used, or the device does not exist.
    """
    place = _device(device)
    try:
        checkpoint = Checkpoint.read(path, "--with")
    except CheckpointError as error:
        raise PredictionError(str(error)) from error
    try:
        network = restore_network(checkpoint, trusted)
        trained = Trained.of(checkpoint, trusted)
    except CheckpointError as error:
        raise PredictionError(f"{path}: {error}") from error
    except (HydraException, KeyError, TypeError, ValueError) as error:
        what = f"missing key {error}" if isinstance(error, KeyError) else " ".join(str(error).split())
        raise PredictionError(f"{path} contains settings that this version of fer3d cannot use: {what}") from error
    return trained, TorchNetwork(network, trained.normalise, place, trained.order)


def _device(name: str) -> torch.device:
    if not re.fullmatch(r"auto|cpu|cuda(:\d+)?", name):
        raise PredictionError(f"--device must be auto, cpu or cuda, got {name}")
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    device = torch.device(name)
    number = torch.cuda.device_count()
    if device.type == "cuda" and (device.index or 0) >= number:
        raise PredictionError(
            f"--device is {name}, but PyTorch finds {number} CUDA GPUs: leave the option out, or give cpu"
        )
    return device
