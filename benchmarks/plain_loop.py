"""The baseline: training as it is written in an afternoon, on the same clips, network, copies and batches as fer3d.

Eager fp32 PyTorch, PyTorch's pools, three channels, a DataLoader whose worker processes augment each clip with OpenCV,
Adam, and `loss.item()` at every step. Usage: `python benchmarks/plain_loop.py --store outputs/clips/NAME
[SETTING ...]`, where a setting is one of `fer3d.train`, such as `model=cnn3d` or `batch_size=8`.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset

from fer3d.clips.augment import AugmentationPlan, RandomLinearContrast, make_augmentation
from fer3d.clips.folds import Fold
from fer3d.clips.preprocess import load_clips
from fer3d.clips.store import ClipStore
from fer3d.configuration import compose_train
from fer3d.cores import count_cores
from fer3d.models.network import Task
from fer3d.models.pooling import BlockAvgPool3d, BlockPool3d
from fer3d.training.networks import make_network
from fer3d.training.run import Run


class Clips(Dataset[tuple[Tensor, int]]):
    """An epoch's rows, each a float32 clip `(3, T, H, W)` in [0, 1] and its label.

    Args:
        clips: uint8 `(N, 1, T, H, W)`.
        labels: `(N,)`.
        plan: Which clip and which operation each row has.
    """

    def __init__(self, clips: NDArray[np.uint8], labels: NDArray[np.int64], plan: AugmentationPlan) -> None:
        self.clips, self.labels = clips, labels
        self.rows = [(int(clip), plan.names[number] if number >= 0 else "") for clip, number in _rows(plan)]

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, row: int) -> tuple[Tensor, int]:
        """Augments all frames of a clip with one draw."""
        index, operation = self.rows[row]
        frames = [np.repeat(frame[..., None], 3, axis=-1) for frame in self.clips[index, 0]]
        if operation == "flip":
            frames = [cv2.flip(frame, 1) for frame in frames]
        elif operation == "rotation":
            height, width = frames[0].shape[:2]
            turn = cv2.getRotationMatrix2D((width / 2, height / 2), float(torch.rand(()) * 60 - 30), 1.0)
            frames = [cv2.warpAffine(frame, turn, (width, height)) for frame in frames]
        elif operation == "contrast":
            factor, centre = float(torch.rand(()) * 1.98 + 0.22), RandomLinearContrast.CENTRE * 255
            frames = [np.clip(centre + factor * (frame - centre), 0, 255).astype(np.uint8) for frame in frames]
        elif operation:
            raise ValueError(f"the plain loop has no operation {operation}")
        return torch.from_numpy(np.stack(frames)).permute(3, 0, 1, 2).float() / 255, int(self.labels[index])


def _rows(plan: AugmentationPlan) -> Iterator[tuple[int, int]]:
    return zip(plan.clip.tolist(), plan.operation.tolist(), strict=True)


def plain_network(network: nn.Module) -> nn.Module:
    """Replaces fer3d's pools by PyTorch's."""
    for module in list(network.modules()):
        for name, child in module.named_children():
            if isinstance(child, BlockPool3d):
                make: Any = nn.AvgPool3d if isinstance(child, BlockAvgPool3d) else nn.MaxPool3d
                setattr(module, name, make(child.kernel, child.stride, child.padding))
    return network


class PlainLoop:
    """The loop on one fold.

    Args:
        run: Says the clips and settings.
        fold: The fold to train.
    """

    def __init__(self, run: Run, fold: Fold) -> None:
        config, store = run.config, run.store
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        torch.manual_seed(0)
        task = Task(len(store.emotions), config.clips.num_frames, store.header.size, store.num_channels)
        self.network = plain_network(make_network(config.model, task)).to(self.device)
        self.optimizer = torch.optim.Adam(self.network.parameters(), lr=config.learning_rate)
        labels = store.labels[list(fold.train)].tolist()
        plan = make_augmentation(config.augment).plan(fold.train, labels, store.emotions)
        rows = Clips(load_clips(store.clips, clahe=config.clips.clahe).numpy(), store.labels, plan)
        self.loader = DataLoader(
            rows,
            config.batch_size,
            shuffle=True,
            drop_last=True,
            num_workers=count_cores(),
            pin_memory=self.device.type == "cuda",
            persistent_workers=True,
        )

    def clips_per_second(self, seconds: float, min_steps: int = 3) -> float:
        """Training clips per second over about that long, after two steps that are not timed."""
        started = 0.0
        for steps, (clips, labels) in enumerate(self._batches(), start=-2):
            if steps == 0:
                started = time.perf_counter()
            elif steps >= min_steps and (wall := time.perf_counter() - started) > seconds:
                return steps * len(labels) / wall
            loss = F.cross_entropy(self.network(clips.to(self.device)), labels.to(self.device))
            self.optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            self.optimizer.step()
            loss.item()
        raise AssertionError("unreachable: epochs never end")

    def _batches(self) -> Iterator[tuple[Tensor, Tensor]]:
        while True:
            yield from self.loader


def main() -> None:
    """Prints the rate of the plain loop."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--store", type=Path, required=True, help="a clip store")
    parser.add_argument("--seconds", type=float, default=10, help="how long to train (10)")
    parser.add_argument("settings", nargs="*", help="settings of fer3d.train")
    arguments = parser.parse_args()
    cv2.setNumThreads(0)
    run = Run.of(compose_train(["name=plain", "logger=csv", *arguments.settings]), ClipStore.open(arguments.store))
    rate = PlainLoop(run, run.folds[2]).clips_per_second(arguments.seconds)
    print(f"plain loop: {rate:.1f} training clips/s")


if __name__ == "__main__":
    main()
