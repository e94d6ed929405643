"""Folds: functions from the subject of each clip to numbered folds.

The folds made here never have a subject on both sides, and hold out every clip exactly once (`all_clips` holds out
none). Neither is guaranteed for the folds of a corpus (`fer3d.clips.given_folds`); `fer3d.clips.independence` checks
them.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import partial
from itertools import pairwise
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import GroupKFold, GroupShuffleSplit, LeaveOneGroupOut, PredefinedSplit

from fer3d.corpora.layout import name_some

# Takes `subjects`, and `splits` if it has a parameter of that name.
Split = Callable[..., "list[Fold]"]
AnySplit = TypeVar("AnySplit", bound=Split)


class FoldError(ValueError):
    """A fold does not exist, or a corpus cannot be split as configured."""


class FoldKind(StrEnum):
    """The kind of cross-validation that a splitting rule makes; results and studies store its value."""

    K_FOLD = "k_fold"
    LOSO = "loso"
    RANGES = "ranges"
    GIVEN = "given"
    NESTED = "nested"
    ALL_CLIPS = "all_clips"


def of_kind(kind: FoldKind) -> Callable[[AnySplit], AnySplit]:
    """Decorates a splitting rule with its kind, which `kind_of` reads."""

    def mark(split: AnySplit) -> AnySplit:
        split.kind = kind  # type: ignore[attr-defined]
        return split

    return mark


def kind_of(split: Split) -> FoldKind:
    """The kind of a splitting rule or of a partial call of it; k-fold unless `of_kind` says otherwise."""
    rule = split.func if isinstance(split, partial) else split
    return FoldKind(getattr(rule, "kind", FoldKind.K_FOLD))


# By `cv._target_`, in results and studies that do not store their kind.
_RECORDED_KINDS = {
    "fer3d.clips.folds.leave_one_subject_out": FoldKind.LOSO,
    "fer3d.clips.folds.range_folds": FoldKind.RANGES,
    "fer3d.clips.folds.nested_folds": FoldKind.NESTED,
    "fer3d.clips.folds.all_clips": FoldKind.ALL_CLIPS,
    "fer3d.clips.given_folds.given_folds": FoldKind.GIVEN,
}


def stored_kind(entries: Mapping[str, Any], cv: Mapping[str, Any]) -> FoldKind:
    """The kind of cross-validation of a result or a study.

    Args:
        entries: What it stores, with its kind as `cv_kind` unless it is an early one.
        cv: The section `cv` of its configuration, from which the kind of an early one follows.
    """
    return FoldKind(entries.get("cv_kind") or _RECORDED_KINDS.get(cv.get("_target_", ""), FoldKind.K_FOLD))


@dataclass(frozen=True, slots=True)
class Fold:
    """One split of the clips.

    Attributes:
        number: The fold's number, from 1.
        train: Indices of the training clips, ascending.
        held_out: Indices of the held-out clips, ascending.
        inner_val: Indices of the clips of training subjects that are kept back to choose an epoch, ascending.
    """

    number: int
    train: tuple[int, ...]
    held_out: tuple[int, ...]
    inner_val: tuple[int, ...] = ()


@of_kind(FoldKind.LOSO)
def leave_one_subject_out(subjects: Sequence[str], inner_val: float = 0.0) -> list[Fold]:
    """LOSO: one fold for each subject, in ascending order of subject id.

    Args:
        subjects: The subject of each clip.
        inner_val: Share of the training subjects that are kept back to choose an epoch.

    Raises:
        FoldError: There are fewer than two subjects, or `inner_val` leaves none for training or inner validation.
    """
    _check_num_subjects(subjects, 2)
    return _folds(LeaveOneGroupOut().split(subjects, groups=subjects), subjects, inner_val)


def step_folds(subjects: Sequence[str], num_folds: int = 10, inner_val: float = 0.0) -> list[Fold]:
    """Subject number i in ascending order of id (from 0) goes to fold `i % num_folds + 1`.

    Frame Attention Networks (Meng et al., ICIP 2019) and others use this rule on CK+, where it makes ten folds of 22 to
    40 clips.

    Args:
        subjects: The subject of each clip.
        num_folds: Number of folds.
        inner_val: Share of the training subjects that are kept back to choose an epoch.

    Raises:
        FoldError: There are fewer subjects than folds or fewer than two folds, or `inner_val` leaves no subjects for
            training or inner validation.
    """
    _check_num_subjects(subjects, num_folds)
    _, rank = np.unique(np.asarray(subjects), return_inverse=True)
    return dealt_folds((rank % num_folds).tolist(), subjects, inner_val)


def balanced_folds(subjects: Sequence[str], num_folds: int = 10, inner_val: float = 0.0) -> list[Fold]:
    """Folds with nearly equal numbers of clips: the largest subjects are assigned first.

    On CK+ it makes ten folds of 32 or 33 clips.

    Args:
        subjects: The subject of each clip.
        num_folds: Number of folds.
        inner_val: Share of the training subjects that are kept back to choose an epoch.

    Raises:
        FoldError: There are fewer subjects than folds or fewer than two folds, or `inner_val` leaves no subjects for
            training or inner validation.
    """
    _check_num_subjects(subjects, num_folds)
    return _folds(GroupKFold(num_folds).split(subjects, groups=subjects), subjects, inner_val)


@of_kind(FoldKind.RANGES)
def range_folds(subjects: Sequence[str], ranges: Sequence[tuple[int, int]], inner_val: float = 0.0) -> list[Fold]:
    """One fold for each range of subject numbers, as in the literature on RAVDESS and CREMA-D.

    Args:
        subjects: The subject of each clip; ids are whole numbers such as `01` or `1001`.
        ranges: The first and last number of each fold's held-out subjects.
        inner_val: Share of the training subjects that are kept back to choose an epoch.

    Raises:
        FoldError: The ranges are invalid or overlap; a subject is outside all ranges, or a range has no subject; or
            `inner_val` leaves no subjects for training or inner validation.
    """
    _check_ranges(ranges)
    people = sorted(set(subjects))
    other = f"choose other folds, such as cv=kfold10 cv.num_folds={min(len(ranges), len(people))}"
    if named := [subject for subject in people if not re.fullmatch(r"[0-9]{1,18}", subject)]:
        raise FoldError(f"cv.ranges need subjects with whole numbers as ids, got {name_some(named)}: {other}")
    fold_of = {
        subject: place
        for subject in people
        for place, (first, last) in enumerate(ranges)
        if first <= int(subject) <= last
    }
    if outside := [subject for subject in people if subject not in fold_of]:
        raise FoldError(f"cv.ranges leave out the subjects {name_some(outside)}: extend cv.ranges, or {other}")
    if empty := [_range_text(each) for place, each in enumerate(ranges) if place not in fold_of.values()]:
        raise FoldError(f"the corpus has {len(people)} subjects, but none in {name_some(empty)} (cv.ranges): {other}")
    return dealt_folds([fold_of[subject] for subject in subjects], subjects, inner_val)


@of_kind(FoldKind.NESTED)
def nested_folds(
    subjects: Sequence[str],
    outer: Split,
    inner: Split | None,
    outer_fold: int | None = None,
    splits: Sequence[str] = (),
) -> list[Fold]:
    """The folds of one search in a nested cross-validation: inner folds of an outer fold's training clips.

    They exclude the outer fold's held-out clips, which the search therefore never sees.

    Args:
        subjects: The subject of each clip.
        outer: Makes the outer folds.
        inner: Makes the inner folds; None for the outer folds, on which the best trials are tested.
        outer_fold: The number of the outer fold.
        splits: As of `make_folds`.

    Raises:
        FoldError: The outer fold does not exist, or the clips cannot be split as configured.
    """
    if inner is None:
        return make_folds(outer, subjects, splits)
    if outer_fold is None:
        raise FoldError(
            "cv=nested is for searches: python -m fer3d.train -m hydra/sweeper=optuna cv=nested. To train the inner "
            "folds of a single outer fold, set cv.outer_fold"
        )
    (chosen,) = select_folds(make_folds(outer, subjects, splits), outer_fold)
    there = chosen.train

    def outside(indices: tuple[int, ...]) -> tuple[int, ...]:
        return tuple(there[index] for index in indices)

    inside = [[texts[index] for index in there] if texts else [] for texts in (subjects, splits)]
    return [
        Fold(fold.number, outside(fold.train), outside(fold.held_out), outside(fold.inner_val))
        for fold in make_folds(inner, *inside)
    ]


def make_folds(split: Split, subjects: Sequence[str], splits: Sequence[str] = ()) -> list[Fold]:
    """Splits clips.

    Args:
        split: Makes the folds of `subjects`, and of `splits` if it has a parameter of that name.
        subjects: The subject of each clip.
        splits: The entry of each clip in the corpus's column `split`, an empty text if it has none; empty is the same.

    Raises:
        FoldError: The clips cannot be split as configured.
    """
    return split(subjects, splits=splits) if "splits" in inspect.signature(split).parameters else split(subjects)


@of_kind(FoldKind.ALL_CLIPS)
def all_clips(subjects: Sequence[str]) -> list[Fold]:
    """One fold that trains on every clip and holds out none: for transfer or prediction, not a cross-validation.

    Args:
        subjects: The subject of each clip.
    """
    return [Fold(1, tuple(range(len(subjects))), ())]


def select_folds(folds: Sequence[Fold], numbers: int | Iterable[int] | None) -> list[Fold]:
    """Returns the folds with the given numbers in that order, or all folds for None.

    Raises:
        FoldError: A number is not an integer in the range, or occurs twice, or the list is empty.
    """
    if numbers is None:
        return list(folds)
    wanted = list(numbers) if isinstance(numbers, Iterable) and not isinstance(numbers, str) else [numbers]
    span = f"folds are numbered from 1 to {len(folds)}"
    if not wanted:
        raise FoldError(f"fold={numbers} is empty: {span}")
    for number in wanted:
        if isinstance(number, bool) or not isinstance(number, int):
            raise FoldError(f"fold={number!r} is not a fold number: {span}; set +fold=3 or a list, +fold=[1,2,5]")
        if not 1 <= number <= len(folds):
            raise FoldError(f"fold={number} does not exist: {span}")
    if len(set(wanted)) < len(wanted):
        raise FoldError(f"fold={wanted} names a fold twice")
    return [folds[int(number) - 1] for number in wanted]


def dealt_folds(places: Sequence[int], subjects: Sequence[str], inner_val: float = 0.0) -> list[Fold]:
    """Folds by an assignment of clips.

    Args:
        places: The fold that holds out each clip, from 0; -1 for a clip that is never held out.
        subjects: The subject of each clip.
        inner_val: Share of the training subjects that are kept back to choose an epoch.

    Raises:
        FoldError: `inner_val` leaves no subjects for training or inner validation.
    """
    return _folds(PredefinedSplit(places).split(), subjects, inner_val)


def _folds(
    splits: Iterator[tuple[NDArray[Any], NDArray[Any]]], subjects: Sequence[str], inner_val: float
) -> list[Fold]:
    folds = [
        Fold(number, tuple(sorted(train.tolist())), tuple(sorted(held_out.tolist())))
        for number, (train, held_out) in enumerate(splits, start=1)
    ]
    return [_keep_back(fold, subjects, inner_val) for fold in folds] if inner_val else folds


def _keep_back(fold: Fold, subjects: Sequence[str], share: float) -> Fold:
    """Moves the clips of a share of the training subjects to `inner_val`; the fold's number seeds the draw."""
    people = [subjects[index] for index in fold.train]
    num_people = len(set(people))
    if not 0 <= share < 1 or not 1 <= round(share * num_people) < num_people:
        raise FoldError(
            f"cv.inner_val must be a share of the training subjects that leaves subjects for training and for inner "
            f"validation, got {share} of {num_people} subjects in fold {fold.number}"
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
    num_subjects = len(set(subjects))
    if num_subjects < 2:
        raise FoldError(f"subject-independent folds need at least 2 subjects, and the corpus has {num_subjects}")
    if num_subjects < num_folds:
        raise FoldError(
            f"{num_folds} subject-independent folds need as many subjects, the corpus has {num_subjects}: "
            f"set cv.num_folds to {num_subjects} or less"
        )


def _check_ranges(ranges: Sequence[tuple[int, int]]) -> None:
    if len(ranges) < 2 or not all(len(each) == 2 and 0 <= each[0] <= each[1] for each in ranges):
        raise FoldError(
            f"cv.ranges must be at least two pairs of a first and last subject number, such as [[1, 4], [5, 8]], got "
            f"{[list(each) for each in ranges]}"
        )
    for one, other in pairwise(sorted(tuple(each) for each in ranges)):
        if other[0] <= one[1]:
            raise FoldError(f"cv.ranges must not overlap, got {_range_text(one)} and {_range_text(other)}")


def _range_text(each: Sequence[int]) -> str:
    return f"{each[0]} to {each[1]}"
