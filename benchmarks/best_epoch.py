"""Simulates the optimistic bias of selecting each fold's best epoch on its held-out clips.

Usage: `python benchmarks/best_epoch.py`, or with another honest accuracy: `... --accuracy 0.9`

Nothing is trained, and no epoch is better than another: a clip is correct with the same probability in every epoch, so
selection adds only luck. Clips are independent. A clip is correct in an epoch if a standard normal variable is below
the honest accuracy's quantile; the variables of any two epochs have the same correlation. At 0, epochs err
independently and the bias is largest; at 1, all epochs agree and there is no bias. Real epochs lie in between, at an
unknown point: clips that are hard for any network, and a decaying learning rate, move them towards 1.

LOSO uses CK+'s 118 subjects with their numbers of sequences; the ten folds are CK+'s by the step-10 rule.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from scipy.stats import norm
from simulated_trials import CKPLUS_SUBJECTS

from fer3d.evaluation.tables import Table, percent

CORRELATIONS = (0.0, 0.5, 0.8, 0.9, 0.95, 1.0)
LOSO = tuple(size for size, number in CKPLUS_SUBJECTS.items() for _ in range(number))
TEN_FOLDS = (33, 39, 40, 35, 30, 37, 29, 29, 33, 22)
# Without a terminal, rich would break headings within words.
MIN_WIDTH = 100
COLUMNS = ("correlation", "last epoch", "best common epoch", "best epoch, 10 folds", "best epoch, LOSO")


def simulate(num_epochs: int, accuracy: float, correlation: float, num_runs: int, seed: int) -> NDArray[np.float64]:
    """Mean accuracy over simulated runs, by column of the table.

    Args:
        num_epochs: Number of epochs.
        accuracy: Probability that a clip is correct, in every epoch.
        correlation: Correlation of the normal variables of a clip's epochs.
        num_runs: Number of simulated runs.
        seed: Random seed.
    """
    rng = np.random.default_rng(seed)
    num_clips = sum(LOSO)
    found = np.empty((num_runs, 4))
    for run in range(num_runs):
        clip, epoch = rng.normal(size=(num_clips, 1)), rng.normal(size=(num_clips, num_epochs))
        right = np.sqrt(correlation) * clip + np.sqrt(1 - correlation) * epoch < norm.ppf(accuracy)
        common = right.sum(0)
        own = [best_of_each_fold(right, sizes).sum() for sizes in (TEN_FOLDS, LOSO)]
        found[run] = common[-1], common.max(), *own
    return np.asarray(found.mean(0) / num_clips)


def best_of_each_fold(right: NDArray[np.bool_], sizes: Sequence[int]) -> NDArray[np.int64]:
    """Number of correct clips of each fold in its best epoch; `right` is `(num_clips, num_epochs)`, ordered by fold."""
    starts = np.cumsum((0, *sizes[:-1]))
    return np.asarray(np.add.reduceat(right.astype(np.int64), starts).max(1))


def best_epoch_table(num_epochs: int, accuracy: float, num_runs: int, seed: int) -> Table:
    """One row per correlation."""
    return Table(
        title=f"Honest accuracy {accuracy:.1%}, {num_epochs} epochs, mean of {num_runs} simulated runs",
        columns=COLUMNS,
        rows=tuple(
            (f"{correlation:g}", *map(percent, simulate(num_epochs, accuracy, correlation, num_runs, seed).tolist()))
            for correlation in CORRELATIONS
        ),
        note="Correlation between the epochs of a clip: 0 is independent, 1 is identical.",
        caution="SIMULATED",
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Prints the table and returns the status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--accuracy", type=float, default=0.95, help="honest accuracy, between 0 and 1")
    parser.add_argument("--epochs", type=int, default=16, help="number of epochs")
    parser.add_argument("--runs", type=int, default=1000, help="simulated runs")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args(arguments)
    if not 0 < given.accuracy < 1 or given.epochs < 1 or given.runs < 1:
        parser.error("expected an accuracy between 0 and 1, at least one epoch and one run")
    table = best_epoch_table(given.epochs, given.accuracy, given.runs, given.seed)
    table.print(Console(width=max(Console().width, MIN_WIDTH)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
