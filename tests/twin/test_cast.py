from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest

from fer3d.corpora.sequences import CorpusError
from fer3d.twin import CKPLUS, CREMA_D, OULU, RAVDESS
from fer3d.twin.cast import EMOTIONS, OULU_FOLDERS, SEQUENCES_PER_EMOTION, SUBJECTS_PER_SIZE, PlannedSequence, Role
from fer3d.twin.layouts import Layout

LAYOUTS = (CKPLUS, OULU, RAVDESS, CREMA_D)


def plan(layout: Layout, num_subjects: int | None = None, seed: int = 0, **settings: int) -> list[Role]:
    return layout.plan_cast(seed, replace(layout.settings, **settings), num_subjects or layout.num_subjects)  # type: ignore[arg-type]


def sequences(cast: list[Role]) -> list[PlannedSequence]:
    return [sequence for role in cast for sequence in role.sequences]


def count_emotions(cast: list[Role]) -> Counter[str]:
    return Counter(sequence.emotion for sequence in sequences(cast))


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: layout.name)
def test_a_cast_is_sorted_says_nothing_twice_and_depends_on_the_seed_alone(layout: Layout) -> None:
    cast = plan(layout)
    subjects = [role.subject for role in cast]
    assert subjects == sorted(set(subjects))
    assert len(cast) == layout.num_subjects
    for role in cast:
        assert len({sequence.name for sequence in role.sequences}) == len(role.sequences)
    assert cast == plan(layout)
    assert sequences(cast) != sequences(plan(layout, seed=1))


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: layout.name)
@pytest.mark.parametrize("excess", [None, 1])
def test_an_impossible_number_of_people_is_refused_by_its_key(layout: Layout, excess: int | None) -> None:
    number = layout.num_subjects + excess if excess else 0
    with pytest.raises(CorpusError) as caught:
        layout.plan_cast(0, layout.settings, number)
    assert str(caught.value).startswith(f"data.num_subjects is {number}, ")
    assert f"of {layout.title} has 1 to {layout.num_subjects} " in str(caught.value)


def test_no_two_twins_share_a_random_stream() -> None:
    streams = [layout.stream + number for layout in LAYOUTS for number in range(3)]
    assert len(set(streams)) == len(streams)


@pytest.mark.parametrize("seed", [0, 1])
def test_the_full_cast_has_the_counts_of_ckplus(seed: int) -> None:
    cast = plan(CKPLUS, seed=seed)
    assert len(sequences(cast)) == 327
    assert count_emotions(cast) == SEQUENCES_PER_EMOTION
    assert Counter(len(role.sequences) for role in cast) == SUBJECTS_PER_SIZE
    for role in cast:
        assert len({sequence.emotion for sequence in role.sequences}) == len(role.sequences)
    # Who has which emotion does not depend on the number of sequences.
    assert len(count_emotions([role for role in cast if len(role.sequences) == 1])) >= 3


def test_subjects_and_sequences_are_named_and_as_long_as_in_ckplus() -> None:
    cast = plan(CKPLUS)
    for role in cast:
        assert len(role.subject) == 4
        assert role.subject[0] == "S"
        assert role.subject[1:].isdigit()
        names = [sequence.name for sequence in role.sequences]
        assert names == sorted(names)
        assert all(len(name) == 3 and name.isdigit() for name in names)
    lengths = [sequence.num_frames for sequence in sequences(cast)]
    # Some are shorter than a clip.
    assert sum(length < 10 for length in lengths) >= 12
    assert min(lengths) == 6
    assert max(lengths) <= CKPLUS.settings.max_frames
    assert 11 < sum(lengths) / len(lengths) < 14


@pytest.mark.parametrize("num_subjects", [3, 7, 20])
def test_a_reduced_cast_of_ckplus_still_has_every_emotion(num_subjects: int) -> None:
    counts = count_emotions(plan(CKPLUS, num_subjects))
    assert set(counts) == set(EMOTIONS)
    assert max(counts.values()) - min(counts.values()) <= 1


@pytest.mark.parametrize("num_subjects", [1, 20, 80])
def test_everybody_in_oulu_casia_performs_all_six_emotions_once(num_subjects: int) -> None:
    cast = plan(OULU, num_subjects)
    assert [role.subject for role in cast] == [f"P{number:03d}" for number in range(1, num_subjects + 1)]
    assert [role.index for role in cast] == list(range(num_subjects))
    for role in cast:
        assert {sequence.emotion: sequence.name for sequence in role.sequences} == OULU_FOLDERS


def test_sequences_of_oulu_casia_have_9_to_20_frames_whatever_the_settings() -> None:
    lengths = [sequence.num_frames for sequence in sequences(plan(OULU))]
    assert (len(lengths), min(lengths), max(lengths)) == (480, 9, 20)
    assert 12 < sum(lengths) / len(lengths) < 14
    assert {sequence.num_frames for sequence in sequences(plan(OULU, 1, max_frames=5))} == {9}


def test_ravdess_has_24_actors_who_show_everything_twice() -> None:
    cast = plan(RAVDESS)
    assert [role.subject for role in cast] == [f"{actor:02d}" for actor in range(1, 25)]
    assert [role.female for role in cast] == [False, True] * 12
    assert sorted(sequence.name for sequence in sequences(cast)) == sorted(
        f"02-01-{emotion:02d}-01-01-{repetition:02d}-{actor:02d}"
        for emotion in range(1, 9)
        for repetition in (1, 2)
        for actor in range(1, 25)
    )
    shown = {sequence.name[6:8]: sequence.emotion for sequence in sequences(cast)}
    assert (shown["01"], shown["02"], shown["05"], shown["08"]) == ("neutral", "calm", "anger", "surprise")


def test_crema_d_names_actor_sentence_emotion_and_level() -> None:
    cast = plan(CREMA_D, 1, num_takes=2)
    assert {sequence.name for sequence in sequences(cast)} == {
        *(f"1001_IEO_{code}_HI" for code in ("ANG", "DIS", "FEA", "HAP", "SAD")),
        *(f"1001_DFA_{code}_XX" for code in ("ANG", "DIS", "FEA", "HAP", "NEU", "SAD")),
        "1001_IEO_NEU_XX",
    }
    assert count_emotions(cast)["neutral"] == 2


@pytest.mark.parametrize("num_subjects", [6, 12, 18])
def test_a_small_cast_of_ravdess_is_spread_over_its_folds(num_subjects: int) -> None:
    cast = plan(RAVDESS, num_subjects)
    folds = Counter((int(role.subject) - 1) // 4 for role in cast)
    assert folds == dict.fromkeys(range(6), num_subjects // 6)
    assert sum(role.female is True for role in cast) == num_subjects // 2


@pytest.mark.parametrize("num_subjects", [5, 15, 91])
def test_a_small_cast_of_crema_d_is_spread_over_its_folds(num_subjects: int) -> None:
    actors = [int(role.subject) for role in plan(CREMA_D, num_subjects)]
    assert min(actors) == 1001
    assert max(actors) <= 1091
    folds = Counter(min((actor - 1001) // 18, 4) for actor in actors)
    assert max(folds.values()) - min(folds[fold] for fold in range(5)) <= 1


@pytest.mark.parametrize("layout", [RAVDESS, CREMA_D], ids=lambda layout: layout.name)
def test_fewer_people_and_takes_are_a_part_of_the_full_cast(layout: Layout) -> None:
    full = {role.subject: role for role in plan(layout, num_takes=2)}
    for role in plan(layout, 5, num_takes=1):
        assert role.index == full[role.subject].index
        # In the same places, since a place decides what is drawn for a video.
        assert role.sequences == full[role.subject].sequences[: len(role.sequences)]


def test_videos_have_three_quarters_to_all_of_the_longest_length() -> None:
    lengths = {sequence.num_frames for sequence in sequences(plan(RAVDESS))}
    assert (min(lengths), max(lengths)) == (36, 48)
    assert {sequence.num_frames for sequence in sequences(plan(RAVDESS, 1, max_frames=1))} == {1}


@pytest.mark.parametrize(
    ("layout", "num_takes", "named"),
    [
        (RAVDESS, 3, "data.num_repetitions is 3, but the synthetic twin of RAVDESS has 1 or 2 "),
        (CREMA_D, 0, "data.num_sentences is 0, but the synthetic twin of CREMA-D has 1 to 12 "),
    ],
    ids=["ravdess", "crema_d"],
)
def test_takes_that_the_corpus_does_not_have_are_refused_by_their_key(
    layout: Layout, num_takes: int, named: str
) -> None:
    with pytest.raises(CorpusError) as caught:
        plan(layout, num_takes=num_takes)
    assert str(caught.value).startswith(named)
