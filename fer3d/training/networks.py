"""From a configuration to the network that it describes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from hydra.utils import get_object, instantiate
from omegaconf import DictConfig

from fer3d.models.network import Task


def make_network(settings: Mapping[str, Any] | DictConfig, task: Task) -> torch.nn.Module:
    """Makes the network that `model` describes.

    Args:
        settings: What the configuration has under `model`.
        task: What the network may ask for.

    Raises:
        ValueError: It is no network at all.
    """
    made = instantiate(settings, **task.told(get_object(settings["_target_"])))
    check_kind("model", made, torch.nn.Module)
    network: torch.nn.Module = made
    return network


def check_kind(key: str, made: object, kind: type) -> None:
    """Makes sure that a part is what it should be.

    Raises:
        ValueError: It is not; the message names its key.
    """
    if not isinstance(made, kind):
        raise ValueError(f"{key}._target_ must make an instance of PyTorch's {kind.__name__}, and makes {made!r}")
