"""What all tests share: the real configuration, shrunk, and tiny clip stores."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig

from fer3d.clips.store import ClipRecord, ClipStore, StoreHeader, StoreWriter
from fer3d.command import config_folder

EMOTIONS = ("anger", "contempt", "disgust", "fear", "happy", "sadness", "surprise")
# Settings with which a fold takes about a second.
TINY = [
    "logger=csv",
    "progress=false",
    "trainer.max_epochs=2",
    "trainer.accelerator=cpu",
    "batch_size=8",
    "model.filters=[[2],[2],[2,2],[2,2],[2,2]]",
    "model.hidden=[4,4]",
    "precision=32-true",
]


@pytest.fixture(autouse=True)
def _no_wandb_account(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Keeps W&B off the network, whatever the machine is set up for."""
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    monkeypatch.setenv("WANDB_MODE", "offline")


@pytest.fixture
def compose_config(tmp_path: Path) -> Callable[..., DictConfig]:
    """Composes the real configuration with its outputs in the test's folder."""

    def make(*overrides: str) -> DictConfig:
        with initialize_config_dir(config_folder(), version_base="1.3"):
            return compose("train", overrides=["name=test", f"outputs={tmp_path / 'outputs'}", *overrides])

    return make


@pytest.fixture
def make_store(tmp_path: Path) -> Callable[..., ClipStore]:
    """Makes stores of clips whose emotion shows as the place of a bright bar, so that a network can learn it."""

    def make(num_subjects: int = 4, emotions: tuple[str, ...] = EMOTIONS, size: int = 32, **header: Any) -> ClipStore:
        folder = tmp_path / "stores" / f"test-{num_subjects}-{len(emotions)}-{size}-{len(header)}"
        folder.mkdir(parents=True)
        rng = np.random.default_rng(0)
        fields = {"corpus": "test", "synthetic": True, "num_channels": 1, "num_frames": 10, "key": "k" * 64}
        fields |= {"settings": {}, "versions": {}, "emotions": emotions, "size": size, **header}
        with StoreWriter(folder, StoreHeader(**fields)) as writer:
            for subject in range(1, num_subjects + 1):
                for label, emotion in enumerate(emotions):
                    record = _record(f"S{subject:03d}", f"{label + 1:03d}", emotion, fields["num_frames"])
                    shape = (fields["num_frames"], size, size, fields["num_channels"])
                    clip = rng.integers(0, 60, shape, dtype=np.uint8)
                    bar = size * label // len(emotions)
                    clip[fields["num_frames"] // 2 :, bar : bar + size // len(emotions)] += 150
                    writer.add(record, clip)
            return writer.seal()

    return make


def _record(subject: str, sequence: str, emotion: str, num_frames: int) -> ClipRecord:
    return ClipRecord(
        clip_id=f"{subject}/{sequence}",
        subject=subject,
        emotion=emotion,
        frames=tuple(f"{number:03d}.png" for number in range(num_frames)),
        boxes=((0, 0, 8, 8),) * num_frames,
        confidences=(0.9,) * num_frames,
        sources=("detected",) * num_frames,
    )
