"""Compares training with clips on the device and streamed from disk: `python benchmarks/streaming.py [SETTING ...]`.

Writes a clip store of noise (0.5 GB; see `--clips`) and trains on it alternately. Takes any setting, such as
`model=cnn3d batch_size=8 precision=bf16-mixed`.
"""

from __future__ import annotations

import tempfile
import time
from argparse import ArgumentParser
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from hydra.utils import instantiate
from torch.nn import functional as F

from fer3d.clips.augment import make_augmentation
from fer3d.clips.clip_source import ClipSource, clip_source
from fer3d.clips.data import FoldData
from fer3d.clips.folds import Fold
from fer3d.clips.frames import make_sampling
from fer3d.clips.store import ClipRecord, ClipStore, StoreHeader, StoreWriter
from fer3d.configuration import compose_train
from fer3d.models.network import Task
from fer3d.training.device import resolve_precision
from fer3d.training.networks import make_network

EMOTIONS = tuple("abcdefgh")
NUM_STORED, SIZE = 32, 112
NUM_ROUNDS = 5


def write_noise(folder: Path, num_clips: int) -> ClipStore:
    """Writes a store of colour clips."""
    header = StoreHeader("noise", True, EMOTIONS, 3, NUM_STORED, SIZE, "k" * 64, {}, {})
    rng = np.random.default_rng(0)
    folder.mkdir()
    with StoreWriter(folder, header) as writer:
        for number in range(num_clips):
            same: dict[str, Any] = {
                "frames": ("1",) * NUM_STORED,
                "boxes": ((0, 0, SIZE, SIZE),) * NUM_STORED,
                "confidences": (1.0,) * NUM_STORED,
                "sources": ("detected",) * NUM_STORED,
            }
            record = ClipRecord(f"{number}/1", str(number), EMOTIONS[number % len(EMOTIONS)], **same)
            writer.add(record, rng.integers(0, 256, header.clip_shape, dtype=np.uint8))
        return writer.seal()


class Trainer:
    """Trains its own network on clips from one source."""

    def __init__(self, config: Any, store: ClipStore, source: ClipSource, device: torch.device) -> None:
        self.device, self.bf16 = device, resolve_precision(config.precision) == "bf16-mixed"
        task = Task(len(EMOTIONS), config.clips.num_frames, SIZE, 3)
        network = make_network(config.model, task).to(device)
        self.network = network.to(memory_format=torch.channels_last_3d) if self.bf16 else network
        self.optimizer = instantiate(config.optimizer)(network.parameters())
        self.data = FoldData(
            clips=source,
            labels=torch.from_numpy(store.labels),
            emotions=EMOTIONS,
            fold=Fold(1, tuple(range(len(store))), ()),
            augmentation=make_augmentation(config.augment),
            batch_size=config.batch_size,
            normalise=config.clips.normalise,
            shuffle_seed=0,
            augment_seed=0,
            sampling=make_sampling(config.frames),
            num_frames=config.clips.num_frames,
        )
        self.data.to(device)

    def clips_a_second(self, num_batches: int) -> float:
        """Trains on some batches as Lightning would, and times all but the first two."""
        num_clips, started = 0, 0.0
        for number, rows in enumerate(self.data.train_dataloader()):
            if number == 2:
                num_clips, started = 0, time.perf_counter()
            batch = self.data.transfer_batch_to_device(rows, self.device, 0)
            with torch.autocast(self.device.type, torch.bfloat16, enabled=self.bf16):
                loss = F.cross_entropy(self.network(batch.clips), batch.labels)
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()
            loss.item()
            num_clips += len(batch.labels)
            if number + 1 == num_batches + 2:
                break
        return num_clips / (time.perf_counter() - started)


def main(arguments: Sequence[str] | None = None) -> None:
    """Prints the medians of both ways and their ratio."""
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("settings", nargs="*")
    parser.add_argument("--clips", type=int, default=400)
    parser.add_argument("--batches", type=int, default=12)
    options = parser.parse_args(arguments)
    settings = ["name=benchmark", "frames=segments", "augment=none", "clips.num_frames=16", *options.settings]
    config = compose_train(settings)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    with tempfile.TemporaryDirectory() as folder:
        store = write_noise(Path(folder) / "store", options.clips)
        clahe = config.clips.clahe
        sources = {
            "on the device": clip_source(store, clahe=clahe, memory=1e9, device=device),
            "streamed": clip_source(store, clahe=clahe, memory=0.0, device=device),
        }
        trainers = {name: Trainer(config, store, source, device) for name, source in sources.items()}
        speeds: dict[str, list[float]] = {name: [] for name in trainers}
        for _ in range(NUM_ROUNDS):
            for name, trainer in trainers.items():
                speeds[name].append(trainer.clips_a_second(options.batches))
        medians = {name: float(np.median(values)) for name, values in speeds.items()}
    for name, median in medians.items():
        print(f"{name}: {median:.1f} training clips/s ({min(speeds[name]):.1f} to {max(speeds[name]):.1f})")
    print(f"streamed : on the device = {medians['streamed'] / medians['on the device']:.3f} ({device})")


if __name__ == "__main__":
    main()
