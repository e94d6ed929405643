from __future__ import annotations

from collections import Counter

import pytest

from fer3d.corpora.sequences import CorpusError
from fer3d.twin import TwinSettings
from fer3d.twin.cast import (
    EMOTIONS,
    SEQUENCES_PER_EMOTION,
    SUBJECTS_PER_SIZE,
    Role,
    plan_cast,
)


def count_emotions(cast: list[Role]) -> Counter[str]:
    return Counter(sequence.emotion for role in cast for sequence in role.sequences)


@pytest.mark.parametrize("seed", [0, 1])
def test_the_full_cast_has_the_counts_of_ckplus(seed: int) -> None:
    cast = plan_cast(seed, TwinSettings())
    assert len({role.subject for role in cast}) == 118
    assert sum(len(role.sequences) for role in cast) == 327
    assert count_emotions(cast) == SEQUENCES_PER_EMOTION
    assert Counter(len(role.sequences) for role in cast) == SUBJECTS_PER_SIZE


@pytest.mark.parametrize("num_subjects", [1, 5, 118])
def test_nobody_has_an_emotion_or_a_sequence_name_twice(num_subjects: int) -> None:
    for role in plan_cast(3, TwinSettings(), num_subjects):
        assert len({sequence.emotion for sequence in role.sequences}) == len(role.sequences)
        assert len({sequence.name for sequence in role.sequences}) == len(role.sequences)


def test_subjects_and_sequences_are_sorted_and_named_as_in_ckplus() -> None:
    cast = plan_cast(0, TwinSettings())
    subjects = [role.subject for role in cast]
    assert subjects == sorted(subjects)
    assert all(len(subject) == 4 and subject[0] == "S" and subject[1:].isdigit() for subject in subjects)
    for role in cast:
        names = [sequence.name for sequence in role.sequences]
        assert names == sorted(names)
        assert all(len(name) == 3 and name.isdigit() for name in names)


def test_some_sequences_are_shorter_than_a_clip() -> None:
    lengths = [sequence.num_frames for role in plan_cast(0, TwinSettings()) for sequence in role.sequences]
    assert sum(length < 10 for length in lengths) >= 12
    assert min(lengths) == 6
    assert max(lengths) <= TwinSettings().max_frames
    assert 11 < sum(lengths) / len(lengths) < 14


def test_who_has_which_emotion_is_not_a_matter_of_the_number_of_sequences() -> None:
    singles = [role for role in plan_cast(0, TwinSettings()) if len(role.sequences) == 1]
    assert len(count_emotions(singles)) >= 3


@pytest.mark.parametrize("num_subjects", [3, 7, 20])
def test_a_reduced_cast_still_has_every_emotion(num_subjects: int) -> None:
    cast = plan_cast(0, TwinSettings(), num_subjects)
    counts = count_emotions(cast)
    assert len(cast) == num_subjects
    assert set(counts) == set(EMOTIONS)
    assert max(counts.values()) - min(counts.values()) <= 1


def test_the_cast_depends_on_the_seed_alone() -> None:
    assert plan_cast(0, TwinSettings()) == plan_cast(0, TwinSettings())
    assert plan_cast(0, TwinSettings()) != plan_cast(1, TwinSettings())


@pytest.mark.parametrize("num_subjects", [0, 119])
def test_an_impossible_number_of_subjects_is_refused(num_subjects: int) -> None:
    with pytest.raises(CorpusError, match="1 to 118"):
        plan_cast(0, TwinSettings(), num_subjects)
