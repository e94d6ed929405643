"""What the fixtures of conftest.py are."""

from __future__ import annotations

from collections.abc import Callable

from omegaconf import DictConfig

from fer3d.clips.store import ClipStore

# Composes the configuration, with these settings.
Compose = Callable[..., DictConfig]
# Makes a tiny clip store.
MakeStore = Callable[..., ClipStore]
# Runs one of fer3d's commands: the exit status, the output and the errors.
Invoke = Callable[..., tuple[int, str, str]]
