from __future__ import annotations

from dataclasses import replace

import pytest

from fer3d.corpora.sequences import CorpusError
from fer3d.twin import CKPLUS, OULU
from fer3d.twin.cast import plan_oulu_cast

FOLDERS = ("Anger", "Disgust", "Fear", "Happiness", "Sadness", "Surprise")
EMOTIONS = ("anger", "disgust", "fear", "happy", "sadness", "surprise")


@pytest.mark.parametrize("num_subjects", [1, 20, 80])
def test_everybody_performs_all_six_emotions_once(num_subjects: int) -> None:
    cast = plan_oulu_cast(0, OULU.settings, num_subjects)
    assert [role.subject for role in cast] == [f"P{number:03d}" for number in range(1, num_subjects + 1)]
    assert [role.index for role in cast] == list(range(num_subjects))
    for role in cast:
        assert tuple(sequence.name for sequence in role.sequences) == FOLDERS
        assert tuple(sequence.emotion for sequence in role.sequences) == EMOTIONS


def test_sequences_have_9_to_20_frames() -> None:
    lengths = [sequence.num_frames for role in plan_oulu_cast(0, OULU.settings) for sequence in role.sequences]
    assert (len(lengths), min(lengths), max(lengths)) == (480, 9, 20)
    assert 12 < sum(lengths) / len(lengths) < 14


@pytest.mark.parametrize("max_frames", [5, 9])
def test_no_setting_makes_a_sequence_shorter_than_9_frames(max_frames: int) -> None:
    (role,) = plan_oulu_cast(0, replace(OULU.settings, max_frames=max_frames), 1)
    assert {sequence.num_frames for sequence in role.sequences} == {9}


def test_the_cast_depends_on_the_seed_alone() -> None:
    assert plan_oulu_cast(0, OULU.settings) == plan_oulu_cast(0, OULU.settings)
    assert plan_oulu_cast(0, OULU.settings) != plan_oulu_cast(1, OULU.settings)


@pytest.mark.parametrize("num_subjects", [0, 81])
def test_an_impossible_number_of_people_is_refused(num_subjects: int) -> None:
    with pytest.raises(CorpusError, match=rf"data\.num_subjects is {num_subjects}, but .* Oulu-CASIA has 1 to 80"):
        plan_oulu_cast(0, OULU.settings, num_subjects)


def test_the_two_twins_share_no_random_stream() -> None:
    assert {CKPLUS.stream + number for number in range(3)}.isdisjoint(OULU.stream + number for number in range(3))
