"""Subject-independent folds: functions from the subject of each clip to numbered folds.

No fold has a subject on both sides, and every clip is held out in exactly one fold.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import GroupKFold, LeaveOneGroupOut, PredefinedSplit


class FoldError(ValueError):
    """A fold that does not exist, or a corpus that cannot be split as asked."""


@dataclass(frozen=True, slots=True)
class Fold:
    """One split of the clips.

    Attributes:
        number: The fold's number, from 1.
        train: Indices of the training clips, ascending.
        held_out: Indices of the held-out clips, ascending.
    """

    number: int
    train: tuple[int, ...]
    held_out: tuple[int, ...]


def leave_one_subject_out(subjects: Sequence[str]) -> list[Fold]:
    """LOSO: one fold a subject, in ascending order of subject id.

    Args:
        subjects: The subject of each clip.

    Raises:
        FoldError: There are fewer than two subjects.
    """
    _check_num_subjects(subjects, 2)
    return _folds(LeaveOneGroupOut().split(subjects, groups=subjects))


def step_folds(subjects: Sequence[str], num_folds: int = 10) -> list[Fold]:
    """Subject number i in ascending order of id (from 0) goes to fold `i % num_folds + 1`.

    The rule of Frame Attention Networks (Meng et al., ICIP 2019) and others on CK+, where it gives ten folds of 22 to
    40 clips.

    Args:
        subjects: The subject of each clip.
        num_folds: Number of folds.

    Raises:
        FoldError: There are fewer subjects than folds, or fewer than two folds.
    """
    _check_num_subjects(subjects, num_folds)
    _, rank = np.unique(np.asarray(subjects), return_inverse=True)
    return _folds(PredefinedSplit(rank % num_folds).split())


def balanced_folds(subjects: Sequence[str], num_folds: int = 10) -> list[Fold]:
    """Folds of nearly equal numbers of clips: the largest subjects are dealt out first.

    The paper's Table 4 fits folds of 30 to 33 clips, which this gives on CK+ and the rule of `step_folds` does not.

    Args:
        subjects: The subject of each clip.
        num_folds: Number of folds.

    Raises:
        FoldError: There are fewer subjects than folds, or fewer than two folds.
    """
    _check_num_subjects(subjects, num_folds)
    return _folds(GroupKFold(num_folds).split(subjects, groups=subjects))


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


def _folds(splits: Iterator[tuple[NDArray[Any], NDArray[Any]]]) -> list[Fold]:
    return [
        Fold(number, tuple(sorted(train.tolist())), tuple(sorted(held_out.tolist())))
        for number, (train, held_out) in enumerate(splits, start=1)
    ]


def _check_num_subjects(subjects: Sequence[str], num_folds: int) -> None:
    if num_folds < 2:
        raise FoldError(f"cv.num_folds must be at least 2, got {num_folds}")
    if len(set(subjects)) < num_folds:
        raise FoldError(
            f"{num_folds} subject-independent folds need as many subjects, the corpus has {len(set(subjects))}; "
            "lower cv.num_folds"
        )
