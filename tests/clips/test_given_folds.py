from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fer3d.clips.folds import Fold, FoldError
from fer3d.clips.given_folds import given_folds


@pytest.mark.parametrize("test", ["test", "TEST", " Test "])
def test_train_and_test_make_one_fold(test: str) -> None:
    assert given_folds(list("abc"), ["train", test, "Train"]) == [Fold(1, (0, 2), (1,))]


@pytest.mark.parametrize("val", ["val", "valid", "Validation"])
def test_val_chooses_the_epoch_beside_a_test_and_is_held_out_without_one(val: str) -> None:
    assert given_folds(list("abcd"), ["train", val, "test", "train"]) == [Fold(1, (0, 3), (2,), (1,))]
    assert given_folds(list("abc"), ["train", val, "train"]) == [Fold(1, (0, 2), (1,))]


def test_other_texts_are_folds_in_natural_order() -> None:
    splits = ["10", "2", "1", "2"]
    assert [fold.held_out for fold in given_folds(list("abcd"), splits)] == [(2,), (1, 3), (0,)]
    named = ["fold10", "fold9", "Final", "fold9"]
    assert [fold.held_out for fold in given_folds(list("abcd"), named)] == [(2,), (1, 3), (0,)]
    assert [fold.held_out for fold in given_folds(["a", "b"], ["9" * 5000, "10"])] == [(1,), (0,)]


@given(st.lists(st.sampled_from(["1", "2", "3", "10", "a", "b2", "b10"]), min_size=2, max_size=30))
def test_every_clip_of_named_folds_is_held_out_once(splits: list[str]) -> None:
    if len(set(splits)) < 2:
        return
    folds = given_folds([f"S{number}" for number in range(len(splits))], splits)
    assert [fold.number for fold in folds] == list(range(1, len(set(splits)) + 1))
    assert sorted(index for fold in folds for index in fold.held_out) == list(range(len(splits)))
    for fold in folds:
        assert len({splits[index] for index in fold.held_out}) == 1
        assert sorted(fold.train + fold.held_out) == list(range(len(splits)))


def test_training_subjects_can_be_kept_back_where_the_column_says_no_val() -> None:
    subjects, splits = list("aabbccd"), ["train"] * 6 + ["test"]
    (fold,) = given_folds(subjects, splits, inner_val=0.34)
    assert fold.held_out == (6,)
    assert len(fold.inner_val) == 2
    assert len({subjects[index] for index in fold.inner_val}) == 1
    assert [len(fold.inner_val) for fold in given_folds(subjects[:6], list("112233"), inner_val=0.5)] == [2] * 3
    with pytest.raises(FoldError, match=r"cv\.inner_val is 0\.34, but the column split"):
        given_folds(list("abc"), ["train", "val", "test"], inner_val=0.34)


@pytest.mark.parametrize(
    ("splits", "said"),
    [
        ([], "cv=given needs a column split"),
        (["", "", ""], "cv=given needs a column split"),
        (["train", "", "test"], "empty for 1 of 3 clips, of the subjects b"),
        (["1", " ", ""], "empty for 2 of 3 clips, of the subjects b, c"),
        (["train", "test", "3"], "mixes test, train with 3"),
        (["train", "testing", "test"], "mixes test, train with testing"),
        (["train", "train", "Train"], "only train, .* nothing to hold out"),
        (["test", "val", "test"], "only test and val, .* nothing to train on"),
        (["val", "val", "val"], "nothing to train on"),
        (["1", "1", "1"], "'1' for every clip"),
        (["1", "01", "2"], "one fold in two ways, '1' and '01'"),
        (["A", "a", "b"], "one fold in two ways, 'A' and 'a'"),
        (["\u00b2", "\u00b2", "\u00b2"], "for every clip"),
    ],
)
def test_what_is_no_split_is_refused(splits: list[str], said: str) -> None:
    with pytest.raises(FoldError, match=said):
        given_folds(["a", "b", "c"], splits)
