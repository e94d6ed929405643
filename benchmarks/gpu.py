"""Benchmarks fer3d on a GPU: steps, folds, a cross-validation, concurrent folds, and the cost of determinism.

Usage: `python benchmarks/gpu.py [--store outputs/clips/NAME] [--json FILE] [--seconds 20]`. Without a store it creates
one of noise with CK+'s numbers of clips and subjects, for which accuracies are meaningless. On a CPU it runs a tiny
network as a smoke test.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

# PyTorch reads it once, before the first matrix product.
os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")

import numpy as np
from measuring import FULL_GFLOP, GPU, Figures, noise_store, step_rate
from plain_loop import PlainLoop

from fer3d.clips.store import ClipStore
from fer3d.configuration import compose_train
from fer3d.training.run import Run

PAPER = ["model=cnn3d", "learning_rate=1e-4", "scheduler=constant", "trainer.max_epochs=16"]
TINY = ["model.filters=[[2],[2],[2],[2],[2]]", "model.hidden=[4,4]", "model.downsample=3"]
COMPACT, FULL = (["model=compact"], ["model=cnn3d"]) if GPU else (TINY, TINY)


class Benchmark(Figures):
    """The measurements on one store."""

    def __init__(self, store: ClipStore, work: Path, seconds: float, json_file: Path | None) -> None:
        super().__init__(json_file)
        self.store, self.work, self.seconds = store, work, seconds
        self._number = 0

    def run(self, *overrides: str, outputs: Path | None = None) -> Run:
        """A run of the default configuration with overrides, in its own folder."""
        self._number += 1
        outputs = outputs or self.work / f"outputs-{self._number}"
        return Run.of(
            compose_train(["name=gpu", "logger=csv", "progress=false", f"outputs={outputs}", *overrides]), self.store
        )

    def fold(self, *overrides: str, number: int = 3) -> tuple[float, Any]:
        """Training clips per second of a fold, and its result."""
        run = self.run(*overrides)
        result = run.fold_result(number)
        rows = sum(result.info["num_train_with_copies"].values()) * run.config.trainer.max_epochs
        return rows / result.info["seconds"], result

    def equality(self) -> None:
        """Reproducibility of a fold, by precision."""
        epochs = "trainer.max_epochs=3"
        for precision in ("bf16-mixed", "32-true"):
            for model, settings in (("compact", COMPACT), ("max pool, Lookahead", [*COMPACT, *LOOKAHEAD])):
                # Recorded ones come last: they should give the numbers of steps launched one by one.
                recorded = ("false", "false", "true", "true")
                logits = [
                    self.fold(*settings, epochs, f"precision={precision}", f"cuda_graphs={one}")[1].logits
                    for one in recorded
                ]
                for label, one, other in (("twice", 0, 1), ("recorded twice", 2, 3), ("recorded and not", 1, 2)):
                    same = np.array_equal(logits[one], logits[other])
                    self.keep(f"{precision}, {model}: the same numbers {label}", same)

    def steps(self) -> None:
        """Single steps: training clips per second."""
        bf16 = self.found.get("torch.bfloat16 matrix product, TFLOP/s", 1.0)
        variants: list[tuple[str, dict[str, Any]]] = [
            ("fp32", {}),
            ("bf16", {"bf16": True}),
            ("bf16, channels last", {"bf16": True, "last": True}),
            ("bf16, channels last, fused Adam", {"bf16": True, "last": True, "fused": GPU}),
            ("the same, deterministic", {"bf16": True, "last": True, "fused": GPU, "deterministic": True}),
            ("the same, compiled", {"bf16": True, "last": True, "fused": GPU, "mode": "default"}),
            ("the same, CUDA graphs", {"bf16": True, "last": True, "fused": GPU, "mode": "reduce-overhead"}),
            ("fused Adam, passes recorded", {"bf16": True, "last": True, "fused": GPU, "recorded": True}),
            ("the same, eight channels", {"bf16": True, "last": True, "fused": GPU, "recorded": True, "channels": 8}),
            ("eight channels, compiled", {"bf16": True, "last": True, "fused": GPU, "mode": "default", "channels": 8}),
        ]
        for name, model, steps in (("full", FULL, 15), ("compact", COMPACT, 60)):
            for label, options in variants:
                try:
                    rate = step_rate(model, 30, steps if GPU else 2, **options)
                except Exception as error:
                    self.keep(f"{name}, {label}: clips/s", f"failed: {type(error).__name__}: {str(error)[:200]}")
                    continue
                share = f", {rate * FULL_GFLOP / 1e3 / bf16:.0%} of the bf16 rate" if name == "full" and GPU else ""
                self.keep(f"{name}, {label}: clips/s", f"{rate:.1f}{share}")

    def baseline(self) -> None:
        """The plain loop: training clips per second."""
        for name, settings in (("compact", COMPACT), ("full", FULL)):
            run = self.run(*settings)
            rate = PlainLoop(run, run.folds[2]).clips_per_second(self.seconds / 4)
            self.keep(f"{name}, plain loop: clips/s", round(rate, 1))

    def loops(self) -> None:
        """Full training loop: training clips per second of a fold."""
        self.fold(*COMPACT, "trainer.max_epochs=1")
        for label, settings in (
            ("compact", COMPACT),
            ("compact, not deterministic", [*COMPACT, "trainer.deterministic=false"]),
            ("compact, CUDA graphs", [*COMPACT, "cuda_graphs=true"]),
            ("compact, CUDA graphs, compiled", [*COMPACT, "cuda_graphs=true", "compile=true"]),
            ("compact, CUDA graphs, compiled, another fold", [*COMPACT, "cuda_graphs=true", "compile=true", "seed=1"]),
            ("compact, no copies", [*COMPACT, "augment=none"]),
            ("compact, fp32", [*COMPACT, "precision=32-true"]),
            ("compact, max pool, Lookahead", [*COMPACT, *LOOKAHEAD]),
            ("compact, batch 120", [*COMPACT, "batch_size=120"]),
        ):
            rate, result = self.fold(*settings)
            right = f"{result.info['seconds']} s, {(result.logits[-1].argmax(1) == result.labels).sum()} right"
            self.keep(f"{label}: clips/s", f"{rate:.1f} ({right} of {len(result.labels)})")

    def profile(self) -> None:
        """Profile of a compact fold, by function."""
        import cProfile
        import io
        import pstats

        profiler = cProfile.Profile()
        profiler.runcall(self.fold, *COMPACT, "trainer.max_epochs=5")
        for order in ("tottime", "cumulative"):
            text = io.StringIO()
            pstats.Stats(profiler, stream=text).sort_stats(order).print_stats(45)
            if self.json_file is not None:
                self.json_file.with_name(f"profile-{order}.txt").write_text(text.getvalue())

    def full_fold(self) -> None:
        """A fold with the paper's length and width."""
        for label, settings in (("", []), (", compiled", ["compile=true"]), (", again", ["compile=true", "seed=1"])):
            rate, result = self.fold(*(PAPER if GPU else TINY), "cv=loso", *settings)
            self.keep(f"full width, the paper's fold{label}: clips/s", f"{rate:.1f} ({result.info['seconds']} s)")

    def cross_validation(self) -> None:
        """LOSO with the compact network: seconds per fold."""
        run, started, done = self.run(*COMPACT, "cv=loso", "cuda_graphs=true"), time.perf_counter(), 0
        trained = 0.0
        for fold in run.folds:
            trained += run.fold_result(fold.number).info["seconds"]
            done += 1
            if time.perf_counter() - started > 2 * self.seconds:
                break
        wall = time.perf_counter() - started
        self.keep("compact LOSO: folds in a process", f"{done} of {len(run.folds)} in {wall:.1f} s")
        self.keep("compact LOSO: seconds a fold, of which training", f"{wall / done:.2f}, {trained / done:.2f}")

    def side_by_side(self) -> None:
        """Concurrent processes on one device: folds per minute."""
        for num_processes in (1, 2, 4, 8) if GPU else (1, 2):
            outputs = self.work / f"side-{num_processes}"
            begin = time.time() + (25 if num_processes == 8 else 18 if GPU else 8)
            command = [sys.executable, __file__, "--worker", str(outputs), "--store", str(self.store.folder)]
            timing = ["--begin", str(begin), "--seconds", str(self.seconds)]
            workers = [
                subprocess.Popen([*command, *timing, "--part", f"{number}/{num_processes}"], stdout=subprocess.PIPE)
                for number in range(num_processes)
            ]
            answers = [json.loads(worker.communicate()[0].splitlines()[-1]) for worker in workers]
            rate = sum(answer["folds"] / answer["seconds"] for answer in answers)
            late = max(answer["late"] for answer in answers)
            self.keep(
                f"{num_processes} processes: folds a minute", f"{60 * rate:.1f} (the last began {late:.1f} s late)"
            )


LOOKAHEAD = ["model/pooling=max", "optimizer=lookahead", "model/activation=leaky_relu"]


def work_on(arguments: argparse.Namespace) -> None:
    """One of several processes, which trains its part of the LOSO folds for a while."""
    part, num_parts = map(int, arguments.part.split("/"))
    os.environ["OMP_NUM_THREADS"] = "2"
    benchmark = Benchmark(ClipStore.open(arguments.store), arguments.worker.parent, arguments.seconds, None)
    run = benchmark.run(*COMPACT, "cv=loso", "cuda_graphs=true", outputs=arguments.worker)
    # The first fold includes the start-up of the device.
    warm = benchmark.run(*COMPACT, "trainer.max_epochs=1", "seed=1", f"name=warm{part}")
    warm.fold_result(1)
    late = max(0.0, time.time() - arguments.begin)
    time.sleep(max(0.0, arguments.begin - time.time()))
    started, done = time.perf_counter(), 0
    for fold in run.folds[part::num_parts]:
        run.fold_result(fold.number)
        done += 1
        if time.perf_counter() - started > arguments.seconds:
            break
    print(json.dumps({"folds": done, "seconds": time.perf_counter() - started, "late": late}))


def main() -> None:
    """Runs the measurements and prints the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--store", type=Path, help="a clip store (noise)")
    parser.add_argument("--json", type=Path, help="file for the figures")
    parser.add_argument("--seconds", type=float, default=20, help="duration of each measurement of folds (20)")
    parser.add_argument("--only", nargs="*", help="names of the measurements")
    for hidden in ("--worker", "--begin", "--part"):
        parser.add_argument(hidden, type={"--worker": Path, "--begin": float}.get(hidden, str), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        return work_on(arguments)
    work = Path(tempfile.mkdtemp(prefix="fer3d-gpu-"))
    try:
        store = ClipStore.open(arguments.store) if arguments.store else noise_store(work / "noise", 1.0 if GPU else 0.1)
        benchmark = Benchmark(store, work, arguments.seconds, arguments.json)
        order = "machine equality baseline loops steps full_fold cross_validation side_by_side profile"
        for name in arguments.only or order.split():
            benchmark.section(getattr(benchmark, name))
    finally:
        shutil.rmtree(work)


if __name__ == "__main__":
    main()
