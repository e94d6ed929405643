from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import pytest
from hydra.utils import instantiate
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from leaky_folds import leaky_folds
from omegaconf import DictConfig, OmegaConf

from fer3d.clips.folds import (
    Fold,
    FoldError,
    FoldKind,
    all_clips,
    balanced_folds,
    kind_of,
    leave_one_subject_out,
    make_folds,
    nested_folds,
    of_kind,
    range_folds,
    select_folds,
    step_folds,
    stored_kind,
)
from fer3d.clips.given_folds import given_folds
from fer3d.twin.cast import plan_cast
from fer3d.twin.settings import TwinSettings

Splitter = Callable[..., list[Fold]]
NUMBERED: tuple[Splitter, ...] = (step_folds, balanced_folds)
# The machine may be busy with a training.
unhurried = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
THREE_FOLDS = leave_one_subject_out(["S1", "S2", "S3"])


@st.composite
def clip_subjects(draw: st.DrawFn, min_subjects: int = 2) -> list[str]:
    """The subject of each clip: ids with gaps, any number of clips each, in any order."""
    ids = draw(st.lists(st.integers(0, 999), min_size=min_subjects, max_size=25, unique=True))
    clips = [f"S{number:03d}" for number in ids for _ in range(draw(st.integers(1, 6)))]
    return draw(st.permutations(clips))


@pytest.fixture(scope="module")
def ckplus_subjects() -> list[str]:
    """The subject of each of 327 clips, with CK+'s numbers of clips a subject."""
    subjects = [role.subject for role in plan_cast(0, TwinSettings()) for _ in role.sequences]
    assert (len(subjects), len(set(subjects))) == (327, 118)
    return subjects


def check_folds(folds: Sequence[Fold], subjects: Sequence[str]) -> None:
    """Checks what holds for every way of splitting."""
    assert [fold.number for fold in folds] == list(range(1, len(folds) + 1))
    assert sorted(index for fold in folds for index in fold.held_out) == list(range(len(subjects)))
    for fold in folds:
        assert fold.held_out
        assert sorted(fold.train + fold.held_out) == list(range(len(subjects)))
        assert not held_out_subjects(fold, subjects) & {subjects[index] for index in fold.train}
        assert list(fold.train) == sorted(fold.train)
        assert list(fold.held_out) == sorted(fold.held_out)
        # These go into JSON, which knows no NumPy.
        assert {type(index) for index in fold.train + fold.held_out} == {int}


def held_out_subjects(fold: Fold, subjects: Sequence[str]) -> set[str]:
    return {subjects[index] for index in fold.held_out}


@unhurried
@given(clip_subjects())
def test_loso_holds_out_one_subject_a_fold_in_ascending_order(subjects: list[str]) -> None:
    folds = leave_one_subject_out(subjects)
    check_folds(folds, subjects)
    assert [held_out_subjects(fold, subjects) for fold in folds] == [{subject} for subject in sorted(set(subjects))]


@pytest.mark.parametrize("split", NUMBERED)
@unhurried
@given(subjects=clip_subjects(min_subjects=6), num_folds=st.integers(2, 6))
def test_numbered_folds_share_no_subject(split: Splitter, subjects: list[str], num_folds: int) -> None:
    folds = split(subjects, num_folds)
    check_folds(folds, subjects)
    assert len(folds) == num_folds


@unhurried
@given(clip_subjects(min_subjects=10))
def test_kfold10_deals_sorted_subjects_out_in_turn(subjects: list[str]) -> None:
    held_out = [held_out_subjects(fold, subjects) for fold in step_folds(subjects)]
    # Subject number i, in ascending order of id, goes to fold i % 10 + 1.
    assert held_out == [set(sorted(set(subjects))[number::10]) for number in range(10)]


@pytest.mark.parametrize("split", [leave_one_subject_out, *NUMBERED])
@unhurried
@given(data=st.data())
def test_a_subjects_fold_does_not_depend_on_the_order_of_clips(split: Splitter, data: st.DataObject) -> None:
    subjects = data.draw(clip_subjects(min_subjects=10))
    shuffled = data.draw(st.permutations(subjects))
    folds = [held_out_subjects(fold, subjects) for fold in split(subjects)]
    assert [held_out_subjects(fold, shuffled) for fold in split(shuffled)] == folds


def test_balanced_folds_of_ckplus_have_32_or_33_clips(ckplus_subjects: list[str]) -> None:
    folds = balanced_folds(ckplus_subjects)
    check_folds(folds, ckplus_subjects)
    assert sorted(len(fold.held_out) for fold in folds) == [32] * 3 + [33] * 7


def test_loso_needs_two_subjects() -> None:
    with pytest.raises(FoldError, match="corpus has 1"):
        leave_one_subject_out(["S1", "S1"])


@pytest.mark.parametrize("split", NUMBERED)
def test_folds_need_as_many_subjects(split: Splitter) -> None:
    nine = [f"S{number}" for number in range(9)] * 2
    with pytest.raises(FoldError, match=r"10 .* need as many subjects.* 9: set cv\.num_folds to 9 or less"):
        split(nine)
    assert len(split(nine, 9)) == 9
    with pytest.raises(FoldError, match="at least 2 subjects, and the corpus has 1"):
        split(["S1", "S1"])


@pytest.mark.parametrize("split", NUMBERED)
@pytest.mark.parametrize("num_folds", [1, 0, -3])
def test_fewer_than_two_folds_are_refused(split: Splitter, num_folds: int) -> None:
    with pytest.raises(FoldError, match=rf"cv\.num_folds must be at least 2, got {num_folds}"):
        split(["S1", "S2", "S3"], num_folds)


@pytest.mark.parametrize(
    ("numbers", "selected"),
    [(None, [1, 2, 3]), (2, [2]), ([3, 1], [3, 1]), (range(1, 3), [1, 2]), (OmegaConf.create([2, 3]), [2, 3])],
)
def test_folds_are_selected_by_number_in_the_order_asked_for(numbers: object, selected: list[int]) -> None:
    assert [fold.number for fold in select_folds(THREE_FOLDS, numbers)] == selected  # type: ignore[arg-type]


@pytest.mark.parametrize("numbers", [0, 4, -1, [1, 4]])
def test_a_fold_that_does_not_exist_is_an_error_that_gives_the_range(numbers: object) -> None:
    with pytest.raises(FoldError, match=r"fold=(0|4|-1) does not exist: folds are numbered from 1 to 3"):
        select_folds(THREE_FOLDS, numbers)  # type: ignore[arg-type]


@pytest.mark.parametrize("numbers", [True, [True], "2", ["2"], 1.0, [1, None]])
def test_what_is_no_whole_number_is_an_error_that_says_what_to_write(numbers: object) -> None:
    with pytest.raises(FoldError, match=r"is not a fold number: folds are numbered from 1 to 3; .*\+fold=3"):
        select_folds(THREE_FOLDS, numbers)  # type: ignore[arg-type]


def test_a_fold_named_twice_is_an_error() -> None:
    with pytest.raises(FoldError, match=r"fold=\[2, 1, 2\] names a fold twice"):
        select_folds(THREE_FOLDS, [2, 1, 2])


@unhurried
@given(clip_subjects(min_subjects=4), st.sampled_from([leave_one_subject_out, *NUMBERED]), st.floats(0.34, 0.6))
def test_inner_validation_keeps_back_whole_training_subjects(
    subjects: list[str], splitter: Splitter, share: float
) -> None:
    settings = {} if splitter is leave_one_subject_out else {"num_folds": 3}
    plain, kept = splitter(subjects, **settings), splitter(subjects, **settings, inner_val=share)
    assert kept == splitter(subjects, **settings, inner_val=share)
    for without, fold in zip(plain, kept, strict=True):
        assert (without.held_out, without.inner_val) == (fold.held_out, ())
        assert sorted(fold.train + fold.inner_val) == list(without.train)
        train, inner_val = ({subjects[index] for index in indices} for indices in (fold.train, fold.inner_val))
        assert not train & inner_val
        assert len(inner_val) == round(share * len(train | inner_val)) >= 1
        assert list(fold.inner_val) == sorted(fold.inner_val)
        assert {type(index) for index in fold.inner_val} == {int}


def test_folds_keep_back_different_people(ckplus_subjects: list[str]) -> None:
    folds = leave_one_subject_out(ckplus_subjects, inner_val=0.1)
    assert len({frozenset(ckplus_subjects[index] for index in fold.inner_val) for fold in folds}) == 118


@pytest.mark.parametrize("share", [-0.1, 0.01, 0.99, 1.0])
def test_inner_validation_needs_somebody_on_both_sides(share: float) -> None:
    with pytest.raises(FoldError, match=r"cv\.inner_val must be a share of the training subjects"):
        step_folds([f"S{number:03d}" for number in range(12)], num_folds=3, inner_val=share)


def test_all_clips_train_and_none_is_held_out() -> None:
    assert all_clips(["S1", "S2", "S2"]) == [Fold(1, (0, 1, 2), ())]


@pytest.mark.parametrize(
    ("option", "actors", "sizes"),
    [
        ("ravdess6", [f"{actor:02d}" for actor in range(1, 25)], [4] * 6),
        ("crema_d5", [str(actor) for actor in range(1001, 1092)], [18, 18, 18, 18, 19]),
    ],
)
def test_the_literatures_folds_hold_out_consecutive_actors(
    option: str, actors: list[str], sizes: list[int], compose_config: Callable[..., DictConfig]
) -> None:
    subjects = [actor for actor in reversed(actors) for _ in range(2)]
    folds = instantiate(compose_config(f"cv={option}").cv)(subjects)
    check_folds(folds, subjects)
    held_out = [sorted(held_out_subjects(fold, subjects)) for fold in folds]
    assert [len(people) for people in held_out] == sizes
    assert [actor for people in held_out for actor in people] == actors


def test_ranges_read_ids_as_whole_numbers() -> None:
    folds = range_folds(["1", "10", "02", "0009"], [(9, 10), (1, 2)])
    assert [fold.held_out for fold in folds] == [(1, 3), (0, 2)]


@pytest.mark.parametrize(
    ("subjects", "ranges", "said"),
    [
        (["1", "5", "9"], [(1, 4), (5, 8)], r"the subjects 9: .*cv\.ranges"),
        (["1", "anna", "5"], [(1, 4), (5, 8)], "got anna:"),
        (["1", "\u0661", "5"], [(1, 4), (5, 8)], "whole numbers"),
        (["1", "-2", "5"], [(1, 4), (5, 8)], "got -2:"),
        (["1", "9" * 5000, "5"], [(1, 4), (5, 8)], "whole numbers"),
        (["1", "2", "9"], [(1, 4), (5, 8), (9, 12)], r"none in 5 to 8 .*cv=kfold10 cv\.num_folds=3"),
        (["1", "2"], [(1, 4), (5, 8), (9, 12)], r"2 subjects.* 5 to 8, 9 to 12 .*cv\.num_folds=2"),
        (["1", "5"], [(5, 8), (1, 5)], "overlap.* 1 to 5 and 5 to 8"),
        (["1", "5"], [(1, 4)], "at least two pairs"),
        (["1", "5"], [(4, 1), (5, 8)], r"at least two pairs .* got \[\[4, 1\], \[5, 8\]\]"),
        (["1", "5"], [(1, 4), (5, 8, 9)], "at least two pairs"),
    ],
)
def test_ranges_that_do_not_fit_the_subjects_are_refused(subjects: list[str], ranges: list[Any], said: str) -> None:
    with pytest.raises(FoldError, match=said):
        range_folds(subjects, ranges)


def test_ranges_keep_back_training_subjects() -> None:
    subjects = [str(number) for number in range(1, 13) for _ in range(2)]
    for fold in range_folds(subjects, [(1, 4), (5, 8), (9, 12)], inner_val=0.25):
        assert len(fold.inner_val) == 4
        assert not {subjects[index] for index in fold.inner_val} & {subjects[index] for index in fold.train}


def test_only_what_asks_for_the_splits_gets_them() -> None:
    subjects, splits = ["a", "b", "c"], ["1", "2", "1"]
    assert make_folds(leave_one_subject_out, subjects, splits) == leave_one_subject_out(subjects)
    assert make_folds(partial(given_folds, inner_val=0.0), subjects, splits) == given_folds(subjects, splits)


def test_a_search_within_given_folds_takes_other_folds_from_their_training_clips() -> None:
    subjects = ["a", "a", "b", "b", "c", "d"]
    splits = ["train", "train", "train", "train", "train", "test"]
    inner = nested_folds(subjects, given_folds, partial(step_folds, num_folds=3), outer_fold=1, splits=splits)
    assert [fold.held_out for fold in inner] == [(0, 1), (2, 3), (4,)]
    assert nested_folds(subjects, given_folds, None, splits=splits) == [Fold(1, (0, 1, 2, 3, 4), (5,))]


def test_given_folds_within_others_are_those_of_the_clips_that_train() -> None:
    subjects, splits = ["a", "b", "c", "a", "b", "c"], ["2", "1", "1", "1", "2", "2"]
    inner = nested_folds(subjects, leave_one_subject_out, given_folds, outer_fold=1, splits=splits)
    assert inner == [Fold(1, (4, 5), (1, 2)), Fold(2, (1, 2), (4, 5))]


@pytest.mark.parametrize(
    ("option", "kind"),
    [
        ("loso", FoldKind.LOSO),
        ("kfold10", FoldKind.K_FOLD),
        ("kfold10_balanced", FoldKind.K_FOLD),
        ("ravdess6", FoldKind.RANGES),
        ("crema_d5", FoldKind.RANGES),
        ("given", FoldKind.GIVEN),
        ("nested", FoldKind.NESTED),
        ("all_clips", FoldKind.ALL_CLIPS),
    ],
)
def test_each_option_has_a_kind(option: str, kind: FoldKind, compose_config: Callable[..., DictConfig]) -> None:
    cv = compose_config(f"cv={option}").cv
    assert kind_of(instantiate(cv)) is kind
    # Results that do not store their kind have the same one.
    assert stored_kind({}, cv) is kind


def test_a_stored_kind_counts() -> None:
    assert stored_kind({"cv_kind": "loso"}, {"_target_": "own.folds"}) is FoldKind.LOSO
    assert stored_kind({}, {"_target_": "own.folds"}) is FoldKind.K_FOLD


def test_a_rule_of_ones_own_says_its_kind() -> None:
    @of_kind(FoldKind.LOSO)
    def mine(subjects: Sequence[str], num_folds: int = 2) -> list[Fold]:
        return step_folds(subjects, num_folds)

    assert kind_of(partial(partial(mine, num_folds=3))) is FoldKind.LOSO
    assert kind_of(leaky_folds) is FoldKind.K_FOLD
