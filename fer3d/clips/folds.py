"""Subject-independent folds: functions from the subject of each clip to numbered folds.

No fold has a subject on two sides, and every clip is held out in exactly one fold (in none by `all_clips`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import GroupKFold, GroupShuffleSplit, LeaveOneGroupOut, PredefinedSplit

Split = Callable[[Sequence[str]], "list[Fold]"]


class FoldError(ValueError):
    """A fold that does not exist, or a corpus that cannot be split as asked."""


@dataclass(frozen=True, slots=True)
class Fold:
    """One split of the clips.

    Attributes:
        number: The fold's number, from 1.
        train: Indices of the training clips, ascending.
        held_out: Indices of the held-out clips, ascending.
        inner_val: Indices of clips of training subjects that are kept from training to choose an epoch, ascending.
    """

    number: int
    train: tuple[int, ...]
    held_out: tuple[int, ...]
    inner_val: tuple[int, ...] = ()


def leave_one_subject_out(subjects: Sequence[str], inner_val: float = 0.0) -> list[Fold]:
    """LOSO: one fold a subject, in ascending order of subject id.

    Args:
        subjects: The subject of each clip.
        inner_val: Share of the training subjects kept from training to choose an epoch; 0 keeps none.

    Raises:
        FoldError: There are fewer than two subjects, or `inner_val` leaves nobody to train or to choose on.
    """
    _check_num_subjects(subjects, 2)
    return _folds(LeaveOneGroupOut().split(subjects, groups=subjects), subjects, inner_val)


def step_folds(subjects: Sequence[str], num_folds: int = 10, inner_val: float = 0.0) -> list[Fold]:
    """Subject number i in ascending order of id (from 0) goes to fold `i % num_folds + 1`.

    The rule of Frame Attention Networks (Meng et al., ICIP 2019) and others on CK+, where it gives ten folds of 22 to
    40 clips.

    Args:
        subjects: The subject of each clip.
        num_folds: Number of folds.
        inner_val: Share of the training subjects kept from training to choose an epoch; 0 keeps none.

    Raises:
        FoldError: There are fewer subjects than folds or fewer than two folds, or `inner_val` leaves nobody to train
            or to choose on.
    """
    _check_num_subjects(subjects, num_folds)
    _, rank = np.unique(np.asarray(subjects), return_inverse=True)
    return _folds(PredefinedSplit(rank % num_folds).split(), subjects, inner_val)


def balanced_folds(subjects: Sequence[str], num_folds: int = 10, inner_val: float = 0.0) -> list[Fold]:
    """Folds of nearly equal numbers of clips: the largest subjects are dealt out first.

    The paper's Table 4 fits folds of 30 to 33 clips, which this gives on CK+ and the rule of `step_folds` does not.

    Args:
        subjects: The subject of each clip.
        num_folds: Number of folds.
        inner_val: Share of the training subjects kept from training to choose an epoch; 0 keeps none.

    Raises:
        FoldError: There are fewer subjects than folds or fewer than two folds, or `inner_val` leaves nobody to train
            or to choose on.
    """
    _check_num_subjects(subjects, num_folds)
    return _folds(GroupKFold(num_folds).split(subjects, groups=subjects), subjects, inner_val)


def nested_folds(
    subjects: Sequence[str], outer: Split, inner: Split | None, outer_fold: int | None = None
) -> list[Fold]:
    """The folds of one search within a nested cross-validation: inner folds of an outer fold's training clips alone.

    The outer fold's held-out clips are in none of them, so that a search on them knows nothing of those clips.

    Args:
        subjects: The subject of each clip.
        outer: Makes the outer folds.
        inner: Makes the inner folds; None for the outer folds themselves, on which the best trials are tested.
        outer_fold: The number of the outer fold.

    Raises:
        FoldError: There is no such outer fold, or the clips cannot be split as asked.
    """
    if inner is None:
        return outer(subjects)
    if outer_fold is None:
        raise FoldError(
            "cv=nested is a search's: python -m fer3d.train -m hydra/sweeper=optuna cv=nested. To train the inner "
            "folds of one outer fold, set cv.outer_fold"
        )
    (chosen,) = select_folds(outer(subjects), outer_fold)
    there = chosen.train

    def outside(indices: tuple[int, ...]) -> tuple[int, ...]:
        return tuple(there[index] for index in indices)

    return [
        Fold(fold.number, outside(fold.train), outside(fold.held_out), outside(fold.inner_val))
        for fold in inner([subjects[index] for index in there])
    ]


def all_clips(subjects: Sequence[str]) -> list[Fold]:
    """One fold that trains on every clip and holds out none: the start of a transfer, not a cross-validation.

    Args:
        subjects: The subject of each clip.
    """
    return [Fold(1, tuple(range(len(subjects))), ())]


def select_folds(folds: Sequence[Fold], numbers: int | Iterable[int] | None) -> list[Fold]:
    """Returns the folds with the given numbers in that order, or all of them for None.

    Raises:
        FoldError: A number is not a whole number in the range, or stands there twice, or there is none.
    """
    if numbers is None:
        return list(folds)
    wanted = list(numbers) if isinstance(numbers, Iterable) and not isinstance(numbers, str) else [numbers]
    span = f"folds are numbered from 1 to {len(folds)}"
    if not wanted:
        raise FoldError(f"fold={numbers} names no fold: {span}")
    for number in wanted:
        if isinstance(number, bool) or not isinstance(number, int):
            raise FoldError(f"fold={number!r} is no fold number: {span}; give one (+fold=3) or a list (+fold=[1,2,5])")
        if not 1 <= number <= len(folds):
            raise FoldError(f"fold={number} does not exist: {span}")
    if len(set(wanted)) < len(wanted):
        raise FoldError(f"fold={wanted} names a fold twice")
    return [folds[int(number) - 1] for number in wanted]


def _folds(
    splits: Iterator[tuple[NDArray[Any], NDArray[Any]]], subjects: Sequence[str], inner_val: float
) -> list[Fold]:
    folds = [
        Fold(number, tuple(sorted(train.tolist())), tuple(sorted(held_out.tolist())))
        for number, (train, held_out) in enumerate(splits, start=1)
    ]
    return [_keep_back(fold, subjects, inner_val) for fold in folds] if inner_val else folds


def _keep_back(fold: Fold, subjects: Sequence[str], share: float) -> Fold:
    """Moves the clips of a share of the training subjects, drawn by the fold's number alone, to `inner_val`."""
    people = [subjects[index] for index in fold.train]
    num_people = len(set(people))
    if not 0 <= share < 1 or not 1 <= round(share * num_people) < num_people:
        raise FoldError(
            f"cv.inner_val must be a share of the training subjects that leaves some to train and some to choose an "
            f"epoch on, got {share} of {num_people} subjects in fold {fold.number}"
        )
    split = GroupShuffleSplit(1, test_size=round(share * num_people), random_state=fold.number)
    train, inner_val = next(split.split(people, groups=people))
    return replace(
        fold,
        train=tuple(fold.train[index] for index in sorted(train.tolist())),
        inner_val=tuple(fold.train[index] for index in sorted(inner_val.tolist())),
    )


def _check_num_subjects(subjects: Sequence[str], num_folds: int) -> None:
    if num_folds < 2:
        raise FoldError(f"cv.num_folds must be at least 2, got {num_folds}")
    if len(set(subjects)) < num_folds:
        raise FoldError(
            f"{num_folds} subject-independent folds need as many subjects, the corpus has {len(set(subjects))}; "
            "lower cv.num_folds"
        )
