"""Benchmarks training steps of a network on random clips: `python benchmarks/training_step.py model=compact`.

Takes any override of the configuration, such as `precision=bf16-mixed compile=true batch_size=8`.
"""

from __future__ import annotations

import sys
import time

import torch
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from torch.nn import functional as F

from fer3d.configuration import config_folder
from fer3d.models.network import Task
from fer3d.training.device import resolve_precision
from fer3d.training.networks import make_network


def main(overrides: list[str], num_steps: int = 10) -> None:
    """Prints the median over `num_steps` steps, after two warm-up steps."""
    with initialize_config_dir(config_folder(), version_base="1.3"):
        config = compose("train", overrides=["name=benchmark", *overrides])
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    bf16 = resolve_precision(config.precision) == "bf16-mixed"
    network = make_network(config.model, Task(num_classes=7, num_frames=10, size=112, num_channels=1)).to(device)
    if bf16:
        network = network.to(memory_format=torch.channels_last_3d)
    run = torch.compile(network) if config.compile else network
    optimizer = instantiate(config.optimizer)(network.parameters())
    clips = torch.rand(config.batch_size, 1, 10, 112, 112, device=device)
    labels = torch.randint(7, (config.batch_size,), device=device)
    times = []
    for _ in range(num_steps + 2):
        started = time.perf_counter()
        with torch.autocast(device.type, torch.bfloat16, enabled=bf16):
            loss = F.cross_entropy(run(clips), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        loss.item()
        times.append(time.perf_counter() - started)
    median = sorted(times[2:])[num_steps // 2]
    print(f"{config.batch_size / median:.1f} training clips/s ({device}, {'bf16' if bf16 else 'fp32'})")


if __name__ == "__main__":
    main(sys.argv[1:])
