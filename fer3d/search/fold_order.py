"""Which fold of a trial comes next: the hardest first, so that a losing trial ends early, with the same verdict."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np

from fer3d.evaluation.protocols import EpochProtocol
from fer3d.search.outcomes import FoldOutcome

Order = Literal["hardest_first", "shuffled", "by_number"]
ORDERS: tuple[Order, ...] = ("hardest_first", "shuffled", "by_number")

# Mistakes' worth of belief that a fold is as hard as any other, against the chance in the first trials.
_PRIOR = 1.0
_NUM_ROUNDS = 20


def fold_order(
    order: Order,
    sizes: dict[int, int],
    history: Sequence[Sequence[FoldOutcome]],
    protocol: EpochProtocol,
    seed: int,
) -> list[int]:
    """Returns the numbers of all folds in the order in which a trial trains them.

    A function of its arguments alone, whatever the order of `history`, so that processes that know the same trials
    agree.

    Args:
        order: `hardest_first` by what is known so far, `shuffled` by the seed, or `by_number`.
        sizes: Number of held-out clips of each fold.
        history: The outcomes of each trial so far; trials need not have run all folds.
        protocol: The epoch protocol.
        seed: Decides between folds of which no more is known.
    """
    numbers = sorted(sizes)
    if order == "by_number":
        return numbers
    shuffled: list[int] = np.random.default_rng(seed).permutation(numbers).tolist()
    if order == "shuffled":
        return shuffled
    expected = expected_wrong(sizes, history, protocol)
    # Rounded, since sums in another order differ in their last digits.
    return sorted(shuffled, key=lambda number: -round(expected[number], 9))


def expected_wrong(
    sizes: dict[int, int], history: Sequence[Sequence[FoldOutcome]], protocol: EpochProtocol
) -> dict[int, float]:
    """How many clips of each fold an average trial is expected to get wrong.

    A bad trial is cut after its hardest folds, and only a good one runs the easy ones, so that mistakes cannot simply
    be averaged. A fold's mistakes in a trial are taken for Poisson distributed around its size times its difficulty
    times the trial's badness, and both are fitted in turn.
    """
    place = {fold: column for column, fold in enumerate(sorted(sizes))}
    size = np.array([sizes[fold] for fold in place], dtype=float)
    wrong = np.zeros((len(history), len(place)))
    ran = np.zeros_like(wrong)
    for row, outcomes in enumerate(history):
        for outcome in outcomes:
            if outcome.fold in place:
                wrong[row, place[outcome.fold]] = outcome.num_wrong(protocol)
                ran[row, place[outcome.fold]] = outcome.num_held_out
    difficulty = np.ones(len(place))
    for _ in range(_NUM_ROUNDS):
        badness = wrong.sum(1) / np.maximum(ran @ difficulty, _PRIOR)
        difficulty = (wrong.sum(0) + _PRIOR) / (badness @ ran + _PRIOR)
    return dict(zip(place, (size * difficulty).tolist(), strict=True))
