"""Networks out of checkpoints, without running code that a checkpoint of somebody else's may name."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

import torch
from hydra.utils import get_object

from fer3d.models.network import Task
from fer3d.training.checkpoint import Checkpoint, CheckpointError
from fer3d.training.parts import make_network

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
    """Makes sure that settings which came in a file name code of some packages alone.

    Args:
        settings: Settings with `_target_` in them, at any depth.
        packages: The packages.

    Raises:
        CheckpointError: They name other code, or none that exists.
    """
    for target in _targets(settings):
        if not _is_of(target, packages):
            package = target.partition(".")[0]
            raise CheckpointError(
                f"the checkpoint's network is made by {target}, which is no part of fer3d: code that a file names runs "
                f"only if you say that you trust it (--trust {package})"
            )
        try:
            found = get_object(target)
        except Exception as error:  # whatever importing a module of a user's raises
            raise CheckpointError(
                f"the checkpoint's network is made by {target}, which is not here: {error}"
            ) from error
        # A module's own imports are reachable through it, such as `fer3d.models.cnn3d.torch.os.system`.
        if not _is_of(f"{getattr(found, '__module__', '')}.", packages):
            raise CheckpointError(f"the checkpoint's network is made by {target}, which is not what it seems")


def _is_of(target: str, packages: Collection[str]) -> bool:
    return target.startswith(tuple(f"{package}." for package in packages))


def _targets(settings: Any) -> Iterator[str]:
    if isinstance(settings, Mapping):
        if "_target_" in settings:
            yield str(settings["_target_"])
        settings = list(settings.values())
    if isinstance(settings, list | tuple):
        for value in settings:
            yield from _targets(value)
