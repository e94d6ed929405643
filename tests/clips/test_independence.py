from __future__ import annotations

import json

import pytest

from fer3d.clips.folds import Fold, all_clips, leave_one_subject_out
from fer3d.clips.independence import Independence

SUBJECTS = ["a", "a", "b", "c", "c"]


def test_folds_by_subject_are_independent() -> None:
    found = Independence.of(leave_one_subject_out(SUBJECTS), SUBJECTS, subjects_known=True)
    assert (found.holds, found.caution, found.mark) == (True, "", "")
    assert Independence.of(all_clips(SUBJECTS), SUBJECTS, subjects_known=True).holds


@pytest.mark.parametrize(
    ("folds", "num_shared"),
    [
        ([Fold(1, (0, 2), (1, 3, 4))], 1),
        ([Fold(1, (0, 2, 3), (1, 4))], 2),
        # One that chooses the epoch is as one that trains.
        ([Fold(1, (2,), (0, 1, 3), (4,))], 1),
        # What trains and what chooses the epoch may be of one subject: neither is held out.
        ([Fold(1, (0, 3), (2,), (1, 4))], 0),
        ([Fold(1, (0, 1), (2, 3, 4)), Fold(2, (0,), (1,)), Fold(3, (1,), (0,))], 1),
    ],
)
def test_a_subject_on_both_sides_is_found(folds: list[Fold], num_shared: int) -> None:
    found = Independence.of(folds, SUBJECTS, subjects_known=True)
    assert found == Independence(True, num_shared)
    assert found.holds == (not num_shared)
    assert bool(found.caution) == bool(num_shared)


def test_nothing_is_independent_where_nobody_knows_the_subjects() -> None:
    clips = ["1", "2", "3"]
    found = Independence.of(leave_one_subject_out(clips), clips, subjects_known=False)
    assert not found.holds
    assert "3" not in found.subjects_text(3)
    assert "unknown" in found.sentence


@pytest.mark.parametrize("one", [Independence(), Independence(False), Independence(True, 3)])
def test_it_is_read_back_as_it_was_written(one: Independence) -> None:
    entries = json.loads(json.dumps(one.entries))
    assert Independence.told(entries) == one
    assert entries["subject_independent"] is one.holds
    # Results of earlier versions say nothing.
    assert Independence.told({}).holds
