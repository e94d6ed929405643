"""What the benchmarks share: timing, single training steps, and a list of figures."""

from __future__ import annotations

import json
import math
import platform
import statistics
import time
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from hydra.utils import instantiate
from torch.nn import functional as F

from fer3d.clips.store import ClipRecord, ClipStore, StoreHeader, StoreWriter
from fer3d.configuration import compose_train
from fer3d.cores import count_cores
from fer3d.memory import freed_memory_kept
from fer3d.models.network import Task
from fer3d.training.networks import make_network
from fer3d.training.run import versions
from fer3d.training.static_forward import StaticForward

DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")
GPU = DEVICE.type == "cuda"
EMOTIONS = ("anger", "contempt", "disgust", "fear", "happy", "sadness", "surprise")
# CK+: number of sequences, and number of subjects with that many.
SUBJECTS = {1: 21, 2: 22, 3: 47, 4: 20, 5: 7, 6: 1}
# GFLOP per clip of a training step of the full network.
FULL_GFLOP = 134


class Figures:
    """Figures that are printed, compared with their targets, and saved as JSON.

    Args:
        json_file: File for the figures; None: none.
    """

    def __init__(self, json_file: Path | None) -> None:
        self.found: dict[str, Any] = {}
        self.targets: dict[str, dict[str, Any]] = {}
        self.json_file = json_file

    def keep(self, name: str, value: Any, target: str = "", holds: bool | None = None) -> None:
        """Prints a figure and saves all of them.

        Args:
            name: What was measured, with its unit.
            value: The figure.
            target: The target in words.
            holds: Whether the figure reaches it.
        """
        self.found[name] = value
        verdict = "" if holds is None else f"  target {target}: {'holds' if holds else 'MISSED'}"
        if holds is not None:
            self.targets[name] = {"target": target, "holds": holds}
        print(f"{name:62} {value}{verdict}", flush=True)
        if self.json_file is not None:
            self.json_file.write_text(json.dumps({**self.found, "targets": self.targets}, indent=1, default=str))

    def section(self, measure: Callable[[], None]) -> None:
        """Runs one group of measurements; if it fails, the others still run."""
        print(f"\n== {(measure.__doc__ or '').splitlines()[0].rstrip('.')}", flush=True)
        started = time.perf_counter()
        try:
            measure()
        except Exception:
            self.keep(f"failed: {measure.__name__}", traceback.format_exc(limit=-4))
        self.keep(f"seconds of {measure.__name__}", round(time.perf_counter() - started, 1))

    def machine(self) -> None:
        """The machine."""
        self.keep("device", torch.cuda.get_device_name() if GPU else _processor())
        self.keep("versions", {**versions(), "cudnn": torch.backends.cudnn.version(), "cuda": torch.version.cuda})
        self.keep("cores", count_cores())
        for dtype in (torch.bfloat16, torch.float32):
            self.keep(f"{dtype} matrix product, TFLOP/s", round(matrix_rate(dtype), 2))


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    abilities = [name for name in ("amx_bf16", "avx512_bf16") if torch.cpu.get_capabilities().get(name)]
    return f"{names[0] if names else platform.machine()}, {', '.join(abilities) or 'no bf16 instructions'}"


def matrix_rate(dtype: torch.dtype) -> float:
    """TFLOP/s of a large matrix product."""
    size = 8192 if GPU else 2048
    a, b = (torch.randn(size, size, device=DEVICE).to(dtype) for _ in range(2))
    return 2 * size**3 / median_seconds(lambda: a @ b, steps=10) / 1e12


def in_turn(sides: Sequence[Callable[[], float]], rounds: int) -> list[float]:
    """Median figure of each side, which take turns so that a noisy machine disturbs all of them."""
    found = [[side() for side in sides] for _ in range(rounds)]
    return [statistics.median(figures) for figures in zip(*found, strict=True)]


def synchronise() -> None:
    """Waits for the device."""
    if GPU:
        torch.cuda.synchronize()


def noise_store(folder: Path, share: float = 1.0) -> ClipStore:
    """Creates a store of noise with CK+'s numbers of clips and subjects, or about that share of the subjects."""
    counts = [count for count, subjects in SUBJECTS.items() for _ in range(math.ceil(share * subjects))]
    header = StoreHeader("noise", True, EMOTIONS, 1, 10, 112, "n" * 64, {}, {})
    rng = np.random.default_rng(0)
    folder.mkdir(parents=True)
    with StoreWriter(folder, header) as writer:
        for subject, count in enumerate(counts):
            for number in range(count):
                writer.add(
                    ClipRecord(
                        clip_id=f"S{subject:03d}/{number:03d}",
                        subject=f"S{subject:03d}",
                        emotion=EMOTIONS[(subject + number) % 7],
                        frames=("1.png",) * 10,
                        boxes=((0, 0, 112, 112),) * 10,
                        confidences=(1.0,) * 10,
                        sources=("detected",) * 10,
                    ),
                    rng.integers(0, 256, header.clip_shape, dtype=np.uint8),
                )
        return writer.seal()


def median_seconds(work: Callable[[], Any], steps: int, repeats: int = 5) -> float:
    """Median seconds per call over several rounds of `steps` calls."""
    for _ in range(3):
        work()
    times = []
    for _ in range(repeats):
        synchronise()
        started = time.perf_counter()
        for _ in range(steps):
            work()
        synchronise()
        times.append((time.perf_counter() - started) / steps)
    return statistics.median(times)


def step_rate(
    model: Sequence[str],
    batch_size: int,
    steps: int,
    *,
    bf16: bool = False,
    last: bool = False,
    fused: bool = False,
    deterministic: bool = False,
    mode: str | None = None,
    recorded: bool = False,
    channels: int = 1,
) -> float:
    """Clips per second of a forward pass, backward pass and Adam step on a random batch.

    With `channels`, the clip has that many channels, all but the first zero, so that cuDNN can use tensor cores.
    """
    config = compose_train(["name=gpu", *model, *([f"model.in_channels={channels}"] if channels > 1 else [])])
    torch.manual_seed(0)
    network = make_network(config.model, Task(num_classes=7, num_frames=10, size=112, num_channels=1)).to(DEVICE)
    if last:
        network = network.to(memory_format=torch.channels_last_3d)
    run = (
        torch.compile(network, mode=mode)
        if mode
        else StaticForward(network, compiled=False, may_fall_back=False, recorded=recorded)
    )
    optimizer = instantiate(config.optimizer)(network.parameters(), fused=fused)
    clips = torch.zeros(batch_size, channels, 10, 112, 112, device=DEVICE)
    clips[:, :1].uniform_()
    clips = clips.contiguous(memory_format=torch.channels_last_3d if channels > 1 else torch.contiguous_format)
    labels = torch.randint(7, (batch_size,), device=DEVICE)

    def step() -> None:
        with torch.autocast(DEVICE.type, torch.bfloat16, enabled=bf16):
            loss = F.cross_entropy(run(clips), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    torch.use_deterministic_algorithms(deterministic)
    try:
        with freed_memory_kept():
            return batch_size / median_seconds(step, steps)
    finally:
        torch.use_deterministic_algorithms(False)
