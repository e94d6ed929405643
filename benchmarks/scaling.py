"""How cost grows with clips, folds and trials, for `make bench`."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from measuring import Figures, noise_store
from search_bookkeeping import NUM_LOSO_FOLDS, bookkeeping

from fer3d.clips.store import ClipStore
from fer3d.training.pace import training_rate
from fer3d.training.run import Run

# Cost per unit at the largest size over that at the smallest, of a straight line.
_STRAIGHT = 1.25
MakeRun = Callable[..., Run]


def clips(figures: Figures, work: Path, make_run: Callable[[ClipStore], Run], shares: tuple[int, ...]) -> None:
    """Cost against the number of clips."""
    costs = []
    for share in shares:
        store = noise_store(work / f"noise{share}", share)
        num_clips = len(store)
        started = time.perf_counter()
        store = ClipStore.open(store.folder)
        opened = time.perf_counter()
        run = make_run(store)
        rate = training_rate(run, 20)
        num_bytes = sum(path.stat().st_size for path in store.folder.iterdir())
        figures.keep(f"{num_clips} clips: bytes a clip on disk", num_bytes // num_clips)
        figures.keep(f"{num_clips} clips: seconds to open the store", round(opened - started, 3))
        figures.keep(f"{num_clips} clips: training clips/s", round(rate, 1))
        costs.append(1 / rate)
    growth = costs[-1] / costs[0]
    name = f"a training clip: cost with {shares[-1]} times the clips, times that with one"
    figures.keep(name, round(growth, 2), f"<= {_STRAIGHT}", growth <= _STRAIGHT)


def folds(figures: Figures, make_run: MakeRun, most: int) -> None:
    """Cost of a fold besides its training steps, against the number of folds."""
    costs = []
    for cv in ("kfold10", "loso"):
        run = make_run(f"cv={cv}", "num_batches=2", f"name={cv}")
        # The first one loads the clips.
        run.train(1)
        others = [fold.number for fold in run.folds[1 : most + 1]]
        started = time.perf_counter()
        run.train(others)
        costs.append((time.perf_counter() - started) / len(others))
        figures.keep(f"{len(run.folds)} folds, two steps and the prediction: seconds a fold", round(costs[-1], 2))
    seconds, growth = max(costs), costs[1] / costs[0]
    figures.keep("seconds between two folds, those steps included", round(seconds, 2), "<= 2", seconds <= 2)
    figures.keep(
        "a fold: cost with 118 folds, times that with 10", round(growth, 2), f"<= {_STRAIGHT}", growth <= _STRAIGHT
    )


def trials(figures: Figures, numbers: tuple[int, ...]) -> None:
    """The search's bookkeeping, against the number of trials."""
    for num_folds in (10, NUM_LOSO_FOLDS):
        found = [bookkeeping(number, num_folds) for number in numbers]
        for one in found:
            seconds = one.median_seconds
            name = f"bookkeeping of a trial of {num_folds} folds after {one.num_trials} trials: seconds"
            figures.keep(name, round(seconds, 3), "< 0.2", seconds < 0.2)
            figures.keep(f"{name}, of which TPE", round(one.mean_parts["sampling"], 3))
