"""Measures what fer3d claims about speed on a CPU, each figure against its baseline in the same run: `make bench`.

Usage: `python benchmarks/bench.py [--store outputs/clips/NAME] [--json FILE] [--only NAME ...]`. Without a store it
creates one of noise. Both sides of a ratio take turns for several rounds, of which the median counts; the full network,
whose plain loop takes most of a minute per round, has one round. The exit status is 0 even if a target is missed: the
table says so.
"""

from __future__ import annotations

import argparse
import faulthandler
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from fer3d.cores import count_cores, tell_libraries

# As the commands do, before PyTorch is imported.
tell_libraries()

import cv2
import preparing
import scaling
import torch
from measuring import FULL_GFLOP, Figures, in_turn, noise_store, step_rate
from plain_loop import PlainLoop

from fer3d.clips.store import ClipStore
from fer3d.configuration import compose_train
from fer3d.training.pace import training_rate
from fer3d.training.run import Run

SECTIONS = "machine training fold start side_by_side preparation memory twin clips folds trials"


class Bench(Figures):
    """The measurements on one store.

    Args:
        store: The clip store.
        work: Folder for everything that is written.
        json_file: File for the figures; None: none.
        quick: Whether to measure little, as a test that everything runs.
    """

    def __init__(self, store: ClipStore, work: Path, json_file: Path | None = None, quick: bool = False) -> None:
        super().__init__(json_file)
        self.store, self.work, self.quick = store, work, quick

    def run(self, *overrides: str) -> Run:
        """A run of the default configuration with overrides, for one epoch."""
        common = ["name=bench", "logger=csv", "progress=false", f"outputs={self.work}", "trainer.max_epochs=1"]
        return Run.of(compose_train([*common, *overrides]), self.store)

    def training(self) -> None:
        """Training against a plain loop."""
        fast = "bf16-mixed" if self.run("compile=false").precision == "bf16-mixed" else "32-true"
        amx = torch.cpu.get_capabilities().get("amx_bf16", False)
        wanted = {"compact": 5.0, "full": 6.0} if amx else {"compact": 2.3, "full": 2.0}
        wanted = wanted if fast == "bf16-mixed" else {"compact": 1.5, "full": 1.5}
        for name, model, steps, rounds in (("compact", "compact", 20, 5), ("full", "cnn3d", 2, 1)):
            settings = [f"model={model}", f"precision={fast}"]
            plain = PlainLoop(self.run(*settings), self.run(*settings).folds[2])
            eager, compiled = (self.run(*settings, f"compile={value}") for value in ("false", "true"))
            for run in (eager, compiled):
                training_rate(run, 1)
            rates = in_turn(
                [
                    lambda plain=plain, steps=steps: plain.clips_per_second(0, steps),  # type: ignore[misc]
                    lambda eager=eager, steps=steps: training_rate(eager, steps),  # type: ignore[misc]
                    lambda compiled=compiled, steps=steps: training_rate(compiled, steps),  # type: ignore[misc]
                ],
                rounds,
            )
            for label, rate in zip(("plain loop", f"{fast}", f"{fast}, compiled"), rates, strict=True):
                self.keep(f"{name}, {label}: clips/s", round(rate, 2))
            ratio = max(rates[1:]) / rates[0]
            self.keep(f"{name}: times the plain loop", round(ratio, 2), f">= {wanted[name]}", ratio >= wanted[name])
            if name == "full" and fast == "bf16-mixed":
                share = max(rates[1:]) * FULL_GFLOP / 1e3 / self.found["torch.bfloat16 matrix product, TFLOP/s"]
                least = 0.6 if amx else 0.75
                self.keep("full: share of the bf16 matrix rate", f"{share:.0%}", f">= {least:.0%}", share >= least)

    def fold(self) -> None:
        """A compact fold against its bare steps."""
        run = self.run("compile=false", "augment=none")
        bf16 = run.precision == "bf16-mixed"
        rates = in_turn(
            [
                lambda: step_rate(["model=compact"], 30, 10, bf16=bf16, last=bf16),
                lambda: training_rate(run, 7),
                lambda: training_rate(self.run("compile=false"), 20),
            ],
            5,
        )
        for label, rate in zip(("bare steps", "real loop, no copies", "real loop"), rates, strict=True):
            self.keep(f"compact, {label}: clips/s", round(rate, 1))
        slower = rates[0] / rates[2] - 1
        self.keep("compact: the loop is slower than its steps by", f"{slower:.0%}", "<= 8%", slower <= 0.08)

    def start(self) -> None:
        """Starting a command."""
        train = [sys.executable, "-m", "fer3d.train"]
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}

        def seconds(*arguments: str) -> float:
            started = time.perf_counter()
            subprocess.run([*train, *arguments], check=True, **quiet)  # type: ignore[call-overload]
            return time.perf_counter() - started

        (asked,) = in_turn([lambda: seconds("--help")], 5)
        self.keep("--help: seconds", round(asked, 2), "< 0.7", asked < 0.7)
        worker = [sys.executable, __file__, "--first-step", str(self.store.folder), "--work", str(self.work)]

        def first_steps() -> float:
            started = time.time()
            told = subprocess.run(worker, check=True, capture_output=True, text=True).stdout
            return float(told.split()[-1]) - started

        (stepped,) = in_turn([first_steps], 3)
        self.keep("third training step: seconds after the start", round(stepped, 1), "<= 8", stepped <= 8)

    def preparation(self) -> None:
        """Preparation against its parts alone."""
        preparing.preparation(self, self.work, num_clips=2 if self.quick else 24)

    def memory(self) -> None:
        """Memory of preparation."""
        preparing.memory(self, self.work, num_clips=2 if self.quick else 16)

    def twin(self) -> None:
        """Rendering the twin."""
        preparing.twin(self, self.work, num_subjects=1 if self.quick else 3)

    def clips(self) -> None:
        """Cost against the number of clips."""
        shares = (1, 2) if self.quick else (1, 4, 16)
        scaling.clips(self, self.work, lambda store: Bench(store, self.work).run("compile=false"), shares)

    def folds(self) -> None:
        """Cost against the number of folds."""
        scaling.folds(self, self.run, most=2 if self.quick else 40)

    def trials(self) -> None:
        """Cost against the number of trials."""
        scaling.trials(self, (3,) if self.quick else (20, 200, 800))

    def side_by_side(self) -> None:
        """Two processes beside each other against one with all cores."""
        if count_cores() < 2:
            return
        worker = [sys.executable, __file__, "--worker", str(self.store.folder), "--work", str(self.work)]

        def folds_a_minute(num_processes: int, threads: str | None) -> float:
            environment = {key: value for key, value in os.environ.items() if key != "OMP_NUM_THREADS"}
            if threads:
                environment["OMP_NUM_THREADS"] = threads
            begin = str(time.time() + 12)
            running = [
                subprocess.Popen([*worker, "--begin", begin], stdout=subprocess.PIPE, env=environment)
                for _ in range(num_processes)
            ]
            return 60 * sum(1 / float(process.communicate()[0].split()[-1]) for process in running)

        share = str(max(1, count_cores() // 2))
        alone, shared, unshared = in_turn(
            [lambda: folds_a_minute(1, None), lambda: folds_a_minute(2, share), lambda: folds_a_minute(2, None)], 2
        )
        self.keep("one process: epochs a minute", round(alone, 1))
        self.keep("two processes: epochs a minute", round(shared, 1))
        self.keep("two processes with all cores' threads each", round(unshared, 1))
        ratio = shared / alone
        self.keep("two processes: times the work of one", round(ratio, 2), ">= 1.0", ratio >= 1.0)


def work_on(store: ClipStore, work: Path, begin: float) -> None:
    """One of several processes: the seconds that an epoch of the compact network takes it."""
    bench = Bench(store, work / str(os.getpid()))
    training_rate(bench.run("compile=false"), 1)
    time.sleep(max(0.0, begin - time.time()))
    started = time.perf_counter()
    training_rate(bench.run("compile=false"), 50)
    print(time.perf_counter() - started)


def take_first_steps(store: ClipStore, work: Path) -> None:
    """A process that ends with its third training step, and prints the time."""
    run = Bench(store, work / str(os.getpid())).run()
    run.check([1])
    training_rate(run, 1)
    print(time.time())


def main() -> None:
    """Runs the measurements and prints the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--store", type=Path, help="a clip store (noise)")
    parser.add_argument("--json", type=Path, help="file for the figures")
    parser.add_argument("--only", nargs="*", metavar="NAME", help=f"only these of {SECTIONS}")
    parser.add_argument("--quick", action="store_true", help="measure too little for a figure, as a test")
    for hidden in ("--worker", "--first-step", "--work"):
        parser.add_argument(hidden, type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--begin", type=float, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        return work_on(ClipStore.open(arguments.worker), arguments.work, arguments.begin)
    if arguments.first_step:
        return take_first_steps(ClipStore.open(arguments.first_step), arguments.work)
    # One run in several ended in a segmentation fault; this shows where the next one does.
    faulthandler.enable()
    cv2.setNumThreads(1)
    work = Path(tempfile.mkdtemp(prefix="fer3d-bench-"))
    try:
        store = ClipStore.open(arguments.store) if arguments.store else noise_store(work / "noise")
        bench = Bench(store, work, arguments.json, arguments.quick)
        for name in arguments.only or SECTIONS.split():
            bench.section(getattr(bench, name))
    finally:
        shutil.rmtree(work)


if __name__ == "__main__":
    main()
