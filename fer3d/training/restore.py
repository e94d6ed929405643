"""Networks out of checkpoints, without running code that a checkpoint of somebody else's may name."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import torch

from fer3d import trusted_targets
from fer3d.models.network import Task
from fer3d.training.checkpoint import Checkpoint, CheckpointError
from fer3d.training.networks import make_network

# What a checkpoint may name as parts of its network: nothing there does more than make a part.
_MODEL_PARTS = ("fer3d.models", "torch.nn")


def restore_network(checkpoint: Checkpoint, trusted: Collection[str] = ()) -> torch.nn.Module:
    """Makes a checkpoint's network, with its weights, in evaluation mode, on the CPU.

    Args:
        checkpoint: The checkpoint.
        trusted: Packages besides fer3d's and PyTorch's networks whose code may run, such as `my_model`.

    Raises:
        CheckpointError: It names code of another package, does not say all that its network is made of, or its weights
            are another network's.
    """
    config = checkpoint.config
    check_targets(config["model"], (*_MODEL_PARTS, *trusted))
    if checkpoint.num_channels is None:
        raise CheckpointError(
            "the checkpoint does not say whether its clips are grey or coloured: an earlier version of fer3d wrote it; "
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
    """Makes sure that settings which came in a checkpoint name code of some packages alone.

    Args:
        settings: Settings with `_target_` in them, at any depth.
        packages: The packages.

    Raises:
        CheckpointError: They name other code, or none that exists.
    """
    try:
        trusted_targets.check_targets(settings, packages, "the checkpoint's network")
    except trusted_targets.TargetError as error:
        raise CheckpointError(str(error)) from error
