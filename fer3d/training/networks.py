"""Creates networks from configurations and checkpoints, without running untrusted code that a checkpoint names."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import torch
from hydra.utils import get_object, instantiate
from omegaconf import DictConfig

from fer3d import trusted_targets
from fer3d.models.network import Task
from fer3d.training.checkpoint import Checkpoint, CheckpointError

# Packages whose code a checkpoint may name: instantiating it only creates network parts.
_MODEL_PARTS = ("fer3d.models", "torch.nn")


def make_network(settings: Mapping[str, Any] | DictConfig, task: Task) -> torch.nn.Module:
    """Creates the network configured by `model`.

    Args:
        settings: The configuration's `model` section.
        task: The sizes that the network may request.

    Raises:
        ValueError: The result is not a `torch.nn.Module`.
    """
    made = instantiate(settings, **task.told(get_object(settings["_target_"])))
    check_kind("model", made, torch.nn.Module)
    network: torch.nn.Module = made
    return network


def check_kind(key: str, made: object, kind: type) -> None:
    """Checks the type of a part created from settings.

    Raises:
        ValueError: It is not a `kind`; the message names its key.
    """
    if not isinstance(made, kind):
        raise ValueError(f"{key}._target_ must create an instance of PyTorch's {kind.__name__}, but creates {made!r}")


def restore_network(checkpoint: Checkpoint, trusted: Collection[str] = ()) -> torch.nn.Module:
    """Creates a checkpoint's network with its weights, in evaluation mode, on the CPU.

    Args:
        checkpoint: The checkpoint.
        trusted: Packages besides `fer3d.models` and `torch.nn` whose code may run, such as `my_model`.

    Raises:
        CheckpointError: It names code of another package, lacks settings of its network, or its weights do not fit.
    """
    config = checkpoint.config
    check_targets(config["model"], (*_MODEL_PARTS, *trusted))
    if checkpoint.num_channels is None:
        raise CheckpointError(
            "the checkpoint does not say whether its clips are grey or RGB, because an old version of fer3d wrote it; "
            "delete it and run the command that made it again"
        )
    task = Task(
        num_classes=len(checkpoint.emotions),
        num_frames=config["clips"]["num_frames"],
        size=config["faces"]["crop"]["size"],
        num_channels=checkpoint.num_channels,
    )
    network = make_network(config["model"], task)
    checkpoint.start(network, checkpoint.emotions)
    return network.eval()


def check_targets(settings: Mapping[str, Any], packages: Collection[str]) -> None:
    """Checks that a checkpoint's settings name code from trusted packages only.

    Args:
        settings: Settings with `_target_` entries at any depth.
        packages: Trusted packages.

    Raises:
        CheckpointError: A target is not in these packages or does not exist.
    """
    try:
        trusted_targets.check_targets(settings, packages, "the checkpoint's network")
    except trusted_targets.TargetError as error:
        raise CheckpointError(str(error)) from error
