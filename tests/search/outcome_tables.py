"""Trials as tables of what their folds came to, drawn by Hypothesis or written by hand; nothing is trained."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from hypothesis import strategies as st

from fer3d.evaluation.protocols import BEST_COMMON_EPOCH, BEST_EPOCH, INNER_VAL, PROTOCOLS, EpochProtocol
from fer3d.search.outcomes import FoldOutcome
from fer3d.search.pruning import Progress

protocols = st.sampled_from(PROTOCOLS)


def fold(number: int, num_held_out: int, *num_correct: int, inner_epoch: int | None = None) -> FoldOutcome:
    """A fold that gets so many clips right, a number an epoch."""
    return FoldOutcome(number, num_held_out, num_correct, {INNER_VAL.name: inner_epoch} if inner_epoch else {})


@st.composite
def trials(draw: st.DrawFn, max_folds: int = 5) -> list[FoldOutcome]:
    """All folds of a trial, of several sizes and epochs, with an epoch that inner validation chose."""
    num_epochs = draw(st.integers(1, 4))
    outcomes = []
    for number in range(1, draw(st.integers(1, max_folds)) + 1):
        size = draw(st.integers(1, 6))
        correct = draw(st.lists(st.integers(0, size), min_size=num_epochs, max_size=num_epochs))
        outcomes.append(fold(number, size, *correct, inner_epoch=draw(st.integers(1, num_epochs))))
    return outcomes


def num_clips(outcomes: Sequence[FoldOutcome]) -> int:
    """Of all of a trial's folds."""
    return sum(outcome.num_held_out for outcome in outcomes)


def pooled_accuracy(outcomes: Sequence[FoldOutcome], protocol: EpochProtocol) -> float:
    """The accuracy of all of a trial's folds, counted from its definition."""
    epochs = range(len(outcomes[0].num_correct))
    if protocol == BEST_COMMON_EPOCH:
        num_correct = max(sum(outcome.num_correct[epoch] for outcome in outcomes) for epoch in epochs)
    elif protocol == BEST_EPOCH:
        num_correct = sum(max(outcome.num_correct) for outcome in outcomes)
    elif protocol == INNER_VAL:
        num_correct = sum(outcome.num_correct[outcome.inner_epochs[INNER_VAL.name] - 1] for outcome in outcomes)
    else:
        num_correct = sum(outcome.num_correct[-1] for outcome in outcomes)
    return num_correct / num_clips(outcomes)


def thresholds(outcomes: Sequence[FoldOutcome]) -> st.SearchStrategy[float]:
    """Any share, but often one that such a trial can meet exactly."""
    total = num_clips(outcomes)
    return st.integers(0, total).map(lambda num_correct: num_correct / total) | st.floats(0, 1)


def judged(
    order: Sequence[FoldOutcome], protocol: EpochProtocol, folds_per_job: int = 1, num_folds: int | None = None
) -> Iterator[Progress]:
    """A trial's progress after each job, its last one included.

    Args:
        order: Its folds in the order of their training.
        protocol: The epoch protocol.
        folds_per_job: Number of folds that a job trains.
        num_folds: Number of those that are done; None for all.
    """
    for start in range(0, len(order) if num_folds is None else num_folds, folds_per_job):
        yield Progress(tuple(order[: start + folds_per_job]), num_clips(order), len(order), protocol)
