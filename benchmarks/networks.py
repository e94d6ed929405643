"""Compares runtimes for a network on this machine: `python benchmarks/networks.py [compact cnn3d ...]`.

PyTorch eager, channels last, compiled and in bf16; ONNX Runtime on the result of `fer3d export`; and OpenVINO, if
installed. Each computes logits of clips in batches of 1, 4 and 16, interleaved in one process. A network is an option
of the group `model`, with random weights, or the path of a checkpoint. The table shows clips per second and the largest
difference of the probabilities from PyTorch in fp32.
"""

from __future__ import annotations

import json
import os
import platform
import statistics
import tempfile
import time
from argparse import ArgumentParser
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from omegaconf import OmegaConf

from fer3d.clips.preprocess import normalise, to_unit_range
from fer3d.configuration import compose_train
from fer3d.cores import count_threads
from fer3d.models.network import Task
from fer3d.prediction.onnx_export import export_network
from fer3d.prediction.onnx_network import from_bytes
from fer3d.prediction.trained import Trained
from fer3d.training.checkpoint import Checkpoint
from fer3d.training.networks import make_network, restore_network

EMOTIONS = ("anger", "contempt", "disgust", "fear", "happy", "sadness", "surprise")
REFERENCE = "PyTorch"
# Minimum duration of a measurement; a single batch may take longer.
TURN_SECONDS = 0.3

Clips = NDArray[np.uint8]
Way = Callable[[Clips], NDArray[Any]]
Clock = Callable[[], float]


def checkpoint_of(network: str) -> Checkpoint:
    """Reads a checkpoint, or creates one of an untrained network."""
    if network.endswith(".ckpt"):
        return Checkpoint.read(Path(network))
    config: Any = OmegaConf.to_container(compose_train([f"model={network}", "name=benchmark"]), resolve=True)
    torch.manual_seed(0)
    made = make_network(config["model"], Task(len(EMOTIONS), config["clips"]["num_frames"], 112, 1))
    told = {"corpus": "none", "synthetic": True, "clip_store": "", "subjects": (), "digest": "", "fold": 1}
    return Checkpoint(state_dict=made.state_dict(), emotions=EMOTIONS, config=config, num_channels=1, **told)


def by_pytorch(
    checkpoint: Checkpoint, *, channels_last: bool = False, bf16: bool = False, compiled: bool = False
) -> Way:
    """PyTorch on the CPU."""
    layout = torch.channels_last_3d if channels_last else torch.contiguous_format
    network = restore_network(checkpoint).to(memory_format=layout)
    run = torch.compile(network, dynamic=False) if compiled else network
    normalised = checkpoint.config["clips"]["normalise"]

    @torch.inference_mode()
    def way(clips: Clips) -> NDArray[Any]:
        given = to_unit_range(torch.from_numpy(clips))
        given = (normalise(given) if normalised else given).contiguous(memory_format=layout)
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            logits: torch.Tensor = run(given)
        return logits.float().numpy()

    return way


def by_openvino(content: bytes, precision: str) -> Way:
    """OpenVINO on the CPU."""
    import openvino

    settings = {"INFERENCE_PRECISION_HINT": precision, "INFERENCE_NUM_THREADS": count_threads()}
    core = openvino.Core()
    network = core.compile_model(core.read_model(BytesIO(content)), "CPU", {**settings, "PERFORMANCE_HINT": "LATENCY"})
    return lambda clips: np.array(network([clips])["logits"])


def ways(checkpoint: Checkpoint, content: bytes) -> Iterator[tuple[str, Way]]:
    """All available runtimes for a checkpoint and its ONNX file."""
    yield REFERENCE, by_pytorch(checkpoint)
    yield "PyTorch, channels last", by_pytorch(checkpoint, channels_last=True)
    yield "PyTorch, compiled", by_pytorch(checkpoint, compiled=True)
    yield "PyTorch, bf16, channels last", by_pytorch(checkpoint, channels_last=True, bf16=True)
    yield "PyTorch, bf16, channels last, compiled", by_pytorch(checkpoint, channels_last=True, bf16=True, compiled=True)
    yield "ONNX Runtime", from_bytes(content, "the file")[1].logits
    with suppress(ImportError):
        for name, precision in (("OpenVINO", "f32"), ("OpenVINO, bf16", "bf16")):
            yield name, by_openvino(content, precision)


def measure(network: str, batches: Sequence[int], num_turns: int, clock: Clock) -> list[dict[str, Any]]:
    """Measures all runtimes for one network.

    Args:
        network: An option of the group `model`, or the path of a checkpoint.
        batches: Batch sizes.
        num_turns: Number of measurements of each runtime.
        clock: Returns the time in seconds.

    Returns:
        For each runtime and batch size the median and range of clips per second, and the largest difference of a
        probability from the reference.
    """
    checkpoint = checkpoint_of(network)
    task = checkpoint.config["clips"]["num_frames"], *[checkpoint.config["faces"]["crop"]["size"]] * 2
    content = export_network(restore_network(checkpoint), Trained.of(checkpoint), network).content
    rng = np.random.default_rng(0)
    rows = []
    for batch in batches:
        # Created anew, since compilation is specific to a shape.
        torch.compiler.reset()
        found = dict(ways(checkpoint, content))
        clips = rng.integers(0, 256, (batch, checkpoint.num_channels or 1, *task), dtype=np.uint8)
        said = {name: _softmax(way(clips)) for name, way in found.items()}
        speeds: dict[str, list[float]] = {name: [] for name in found}
        for _ in range(num_turns):
            for name, way in found.items():
                # Threads of the previous runtime may still be spinning.
                time.sleep(0.2)
                speeds[name].append(batch * _calls_a_second(way, clips, clock))
        for name, values in speeds.items():
            rows.append(
                {
                    "network": network,
                    "batch": batch,
                    "way": name,
                    "clips_a_second": statistics.median(values),
                    "from": min(values),
                    "to": max(values),
                    "difference": float(np.abs(said[name] - said[REFERENCE]).max()),
                }
            )
    return rows


def _calls_a_second(way: Way, clips: Clips, clock: Clock) -> float:
    number, began = 0, clock()
    while (seconds := clock() - began) < TURN_SECONDS:
        way(clips)
        number += 1
    return number / seconds


def _softmax(logits: NDArray[Any]) -> NDArray[Any]:
    raised = np.exp(logits - logits.max(1, keepdims=True))
    return raised / raised.sum(1, keepdims=True)


def machine() -> dict[str, Any]:
    """Description of the machine."""
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    flags = next((line for line in lines if line.startswith("flags")), "").split()
    found = {"fer3d": version("fer3d"), "python": platform.python_version()}
    for name in ("torch", "onnxruntime", "openvino"):
        with suppress(PackageNotFoundError):
            found[name] = version(name)
    return {
        "processor": models[0] if models else platform.processor(),
        "flags": [flag for flag in ("avx2", "avx512f", "avx512_bf16", "amx_bf16") if flag in flags],
        "threads": count_threads(),
        "load_before": os.getloadavg()[0],
        "versions": found,
    }


def table(rows: Sequence[dict[str, Any]]) -> str:
    """Markdown table of clips per second: one row per runtime, one column per network and batch size."""
    columns = list(dict.fromkeys((row["network"], row["batch"]) for row in rows))
    lines = [
        "| clips/s | " + " | ".join(f"{Path(network).stem}, {batch}" for network, batch in columns) + " | difference |",
        "|---|" + "---|" * (len(columns) + 1),
    ]
    for way in dict.fromkeys(row["way"] for row in rows):
        own = {(row["network"], row["batch"]): row for row in rows if row["way"] == way}
        speeds = [own[column]["clips_a_second"] for column in columns]
        cells = [f"{speed:.0f}" if speed >= 100 else f"{speed:.3g}" for speed in speeds]
        lines.append(f"| {way} | {' | '.join(cells)} | {max(row['difference'] for row in own.values()):.0e} |")
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> None:
    """Prints a table and writes all numbers to a file."""
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("networks", nargs="*", default=["compact", "cnn3d"])
    parser.add_argument("--batch", type=int, nargs="+", default=[1, 4, 16])
    parser.add_argument("--turns", type=int, default=7)
    parser.add_argument("--out", type=Path, default=Path(tempfile.gettempdir()) / "networks.json")
    parser.add_argument(
        "--one-thread", action="store_true", help="measure CPU time, which other processes hardly affect"
    )
    options = parser.parse_args(arguments)
    if options.one_thread:
        os.environ["OMP_NUM_THREADS"] = "1"
    clock = time.process_time if options.one_thread else time.perf_counter
    torch.set_num_threads(count_threads())
    told = machine()
    rows = [row for network in options.networks for row in measure(network, options.batch, options.turns, clock)]
    told["load_after"] = os.getloadavg()[0]
    options.out.write_text(json.dumps({"machine": told, "turns": options.turns, "measured": rows}, indent=2) + "\n")
    print(table(rows))
    print(json.dumps(told))
    print(options.out)


if __name__ == "__main__":
    main()
