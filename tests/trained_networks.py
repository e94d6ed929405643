"""Checkpoints of networks that nobody trained: random weights, and batch norms that have seen something."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from composed import composed
from omegaconf import OmegaConf
from prepared import TINY
from torch import nn

from fer3d.models.network import Task
from fer3d.training.checkpoint import Checkpoint
from fer3d.training.networks import make_network

EMOTIONS = ("anger", "happy", "sad")
SIZE = 32


def make_checkpoint(
    settings: Sequence[str] = (), *, num_channels: int = 1, small: Sequence[str] = TINY, **fields: Any
) -> Checkpoint:
    """Makes a checkpoint of the configuration, shrunk, with some more settings."""
    config = composed("name=test", *small, f"faces.crop.size={SIZE}", *settings)
    torch.manual_seed(1)
    network = make_network(config.model, Task(len(EMOTIONS), config.clips.num_frames, SIZE, num_channels))
    for module in network.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            assert module.running_mean is not None
            assert module.running_var is not None
            module.running_mean.uniform_(-0.2, 0.2)
            module.running_var.uniform_(0.01, 0.05)
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.uniform_(module.bias, 0.0, 0.5)
    plain: Any = OmegaConf.to_container(config, resolve=True)
    told = {
        "emotions": EMOTIONS,
        "corpus": "test",
        "synthetic": True,
        "clip_store": "c" * 64,
        "subjects": ("S001", "S002"),
        "digest": "d" * 64,
        "fold": 1,
        "config": plain,
        "num_channels": num_channels,
        **fields,
    }
    return Checkpoint(state_dict=network.state_dict(), **told)


def write_checkpoint(path: Path, *settings: str, **fields: Any) -> Path:
    """Writes what `make_checkpoint` makes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    make_checkpoint(settings, **fields).write(path)
    return path
