"""How fast a run trains on this machine, and how long it will take."""

from __future__ import annotations

import itertools
import statistics
import time
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback

from fer3d.training.fold import train_fold
from fer3d.training.parts import num_updates
from fer3d.training.run import Run
from fer3d.training.seeding import FoldSeeds

# Steps before those that are timed: the first ones allocate memory and choose kernels.
_WARM_UP = 2


def training_rate(run: Run, num_steps: int = 4) -> float:
    """Training clips per second, timed over a few steps of one fold through the real loop; nothing is stored.

    Args:
        run: The run.
        num_steps: Number of steps that are timed; fewer if an epoch has fewer.
    """
    seconds = _step_seconds(run, num_steps)
    return float(run.config.batch_size * len(seconds) / sum(seconds))


def expected_seconds(run: Run) -> float:
    """Expected duration of training all folds of a run, judged by a few steps; prediction adds a few per cent."""
    # The median, since another process may hold up a step.
    a_step = statistics.median(_step_seconds(run, num_steps=6))
    return float(a_step * num_updates(run.config, run.store, run.folds) / run.config.batch_size)


def duration(seconds: float) -> str:
    """Returns a duration for people, such as `2 h 05 min`."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60:02d} min"


def _step_seconds(run: Run, num_steps: int) -> list[float]:
    """Seconds of each of a few steps."""
    clock, training = _Clock(), run.training()
    train_fold(
        replace(
            training,
            trainer=partial(training.trainer, max_epochs=1),
            num_batches=_WARM_UP + num_steps,
            callbacks=lambda: [clock],
            # Later epochs train everything.
            fine_tuning=replace(training.fine_tuning, frozen={}),
        ),
        clips=run.clips,
        labels=torch.from_numpy(run.store.labels),
        emotions=run.store.emotions,
        fold=replace(run.folds[0], held_out=(), inner_val=()),
        seeds=FoldSeeds.derive(run.config.seed, run.folds[0].number),
        loggers=[],
        folder=Path(run.config.outputs),
        progress=False,
    )
    times = clock.times[min(_WARM_UP, len(clock.times) - 2) :]
    return [after - before for before, after in itertools.pairwise(times)]


class _Clock(Callback):
    """Notes when training begins and when each of its steps is done."""

    def __init__(self) -> None:
        self.times: list[float] = []

    def on_train_start(self, trainer: pl.Trainer, *_: Any) -> None:
        self._note(trainer)

    def on_train_batch_end(self, trainer: pl.Trainer, *_: Any) -> None:
        self._note(trainer)

    def _note(self, trainer: pl.Trainer) -> None:
        if trainer.strategy.root_device.type == "cuda":
            torch.cuda.synchronize(trainer.strategy.root_device)
        self.times.append(time.perf_counter())
