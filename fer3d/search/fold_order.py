"""The order of a trial's folds: the hardest first, to prune bad trials early. The order changes no verdict."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from fer3d.evaluation.protocols import EpochProtocol
from fer3d.search.outcomes import FoldOutcome

Order = Literal["hardest_first", "shuffled", "by_number"]
ORDERS: tuple[Order, ...] = ("hardest_first", "shuffled", "by_number")

# Prior for equally hard folds, in mistakes; it smooths the estimates of the first trials.
_PRIOR = 1.0
_NUM_ROUNDS = 20


def fold_order(
    order: Order,
    sizes: dict[int, int],
    history: Sequence[Sequence[FoldOutcome]],
    protocol: EpochProtocol,
    seed: int,
    counted: list[NDArray[np.float64]] | None = None,
) -> list[int]:
    """Returns the numbers of all folds in the order in which a trial trains them.

    It depends on the arguments alone, and not on the order of `history`, so that processes with the same trials agree.

    Args:
        order: `hardest_first` by the history, `shuffled` by the seed, or `by_number`.
        sizes: Number of held-out clips of each fold.
        history: The outcomes of each trial so far; trials need not have run all folds.
        protocol: The epoch protocol.
        seed: Breaks ties in the order.
        counted: See `expected_wrong`.
    """
    numbers = sorted(sizes)
    if order == "by_number":
        return numbers
    shuffled: list[int] = np.random.default_rng(seed).permutation(numbers).tolist()
    if order == "shuffled":
        return shuffled
    expected = expected_wrong(sizes, history, protocol, counted)
    # Rounded, since the last digits depend on the order of the sum.
    return sorted(shuffled, key=lambda number: -round(expected[number], 9))


def expected_wrong(
    sizes: dict[int, int],
    history: Sequence[Sequence[FoldOutcome]],
    protocol: EpochProtocol,
    counted: list[NDArray[np.float64]] | None = None,
) -> dict[int, float]:
    """The expected number of wrong clips of each fold in an average trial.

    A plain average is biased: a bad trial is pruned after its hardest folds, and only a good one runs the easy folds.
    Instead, the mistakes of a fold in a trial follow a Poisson distribution whose mean is the fold's size times its
    difficulty times the trial's badness, and alternating updates fit difficulty and badness.

    Args:
        sizes: Number of held-out clips of each fold.
        history: The outcomes of each trial.
        protocol: The epoch protocol.
        counted: Further trials, as an earlier call has counted them; those of `history` are added.
    """
    counted = [] if counted is None else counted
    place = {fold: column for column, fold in enumerate(sorted(sizes))}
    size = np.array([sizes[fold] for fold in place], dtype=float)
    for outcomes in history:
        # Its wrong clips and its held-out clips, by fold.
        counted.append(np.zeros((2, len(place))))
        for outcome in outcomes:
            if outcome.fold in place:
                counted[-1][:, place[outcome.fold]] = outcome.num_wrong(protocol), outcome.num_held_out
    wrong, ran = np.stack([np.zeros((2, len(place))), *counted], axis=1)
    difficulty = np.ones(len(place))
    for _ in range(_NUM_ROUNDS):
        badness = wrong.sum(1) / np.maximum(ran @ difficulty, _PRIOR)
        difficulty = (wrong.sum(0) + _PRIOR) / (badness @ ran + _PRIOR)
    return dict(zip(place, (size * difficulty).tolist(), strict=True))
