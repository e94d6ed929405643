from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest

from fer3d.corpora.sequences import CorpusError
from fer3d.twin import CKPLUS, CREMA_D, OULU, RAVDESS
from fer3d.twin.actors import plan_crema_d_cast, plan_ravdess_cast
from fer3d.twin.cast import Role


def names(cast: list[Role]) -> list[str]:
    return [sequence.name for role in cast for sequence in role.sequences]


def test_ravdess_has_24_actors_who_show_everything_twice() -> None:
    cast = plan_ravdess_cast(0, RAVDESS.settings)
    assert [role.subject for role in cast] == [f"{actor:02d}" for actor in range(1, 25)]
    assert [role.female for role in cast] == [False, True] * 12
    assert sorted(names(cast)) == sorted(
        f"02-01-{emotion:02d}-01-01-{repetition:02d}-{actor:02d}"
        for emotion in range(1, 9)
        for repetition in (1, 2)
        for actor in range(1, 25)
    )
    shown = {sequence.name[6:8]: sequence.emotion for role in cast for sequence in role.sequences}
    assert (shown["01"], shown["02"], shown["05"], shown["08"]) == ("neutral", "calm", "anger", "surprise")


@pytest.mark.parametrize("num_subjects", [6, 12, 18])
def test_a_small_cast_of_ravdess_is_spread_over_its_folds(num_subjects: int) -> None:
    cast = plan_ravdess_cast(0, RAVDESS.settings, num_subjects)
    folds = Counter((int(role.subject) - 1) // 4 for role in cast)
    assert folds == dict.fromkeys(range(6), num_subjects // 6)
    assert sum(role.female is True for role in cast) == num_subjects // 2
    assert [role.subject for role in cast] == sorted(role.subject for role in cast)


def test_crema_d_names_actor_sentence_emotion_and_level() -> None:
    (role,) = plan_crema_d_cast(0, replace(CREMA_D.settings, num_takes=2), 1)
    assert set(names([role])) == {
        *(f"1001_IEO_{code}_HI" for code in ("ANG", "DIS", "FEA", "HAP", "SAD")),
        *(f"1001_DFA_{code}_XX" for code in ("ANG", "DIS", "FEA", "HAP", "NEU", "SAD")),
        "1001_IEO_NEU_XX",
    }
    assert Counter(sequence.emotion for sequence in role.sequences)["neutral"] == 2


@pytest.mark.parametrize("num_subjects", [5, 15, 91])
def test_a_small_cast_of_crema_d_is_spread_over_its_folds(num_subjects: int) -> None:
    actors = [int(role.subject) for role in plan_crema_d_cast(0, CREMA_D.settings, num_subjects)]
    assert len(set(actors)) == num_subjects
    assert min(actors) == 1001
    assert max(actors) <= 1091
    folds = Counter(min((actor - 1001) // 18, 4) for actor in actors)
    assert max(folds.values()) - min(folds[fold] for fold in range(5)) <= 1


@pytest.mark.parametrize(("plan", "layout"), [(plan_ravdess_cast, RAVDESS), (plan_crema_d_cast, CREMA_D)])
def test_fewer_people_and_takes_are_a_part_of_the_full_cast(plan, layout) -> None:  # type: ignore[no-untyped-def]
    full = {role.subject: role for role in plan(0, replace(layout.settings, num_takes=2))}
    for role in plan(0, replace(layout.settings, num_takes=1), 5):
        assert role.index == full[role.subject].index
        # In the same places, since a place decides what is drawn for a video.
        assert role.sequences == full[role.subject].sequences[: len(role.sequences)]


def test_videos_have_three_quarters_to_all_of_the_longest_length() -> None:
    lengths = {s.num_frames for role in plan_ravdess_cast(0, RAVDESS.settings) for s in role.sequences}
    assert (min(lengths), max(lengths)) == (36, 48)
    (role,) = plan_ravdess_cast(0, replace(RAVDESS.settings, max_frames=1), 1)
    assert {sequence.num_frames for sequence in role.sequences} == {1}


def test_the_cast_depends_on_the_seed_alone() -> None:
    assert plan_crema_d_cast(0, CREMA_D.settings) == plan_crema_d_cast(0, CREMA_D.settings)
    assert plan_crema_d_cast(0, CREMA_D.settings) != plan_crema_d_cast(1, CREMA_D.settings)


def test_what_the_corpus_does_not_have_is_refused_by_its_key() -> None:
    with pytest.raises(CorpusError, match=r"data\.num_subjects is 25, but .* RAVDESS has 1 to 24"):
        plan_ravdess_cast(0, RAVDESS.settings, 25)
    with pytest.raises(CorpusError, match=r"data\.num_subjects is 0, but .* CREMA-D has 1 to 91"):
        plan_crema_d_cast(0, CREMA_D.settings, 0)
    with pytest.raises(CorpusError, match=r"data\.num_repetitions is 3, but .* RAVDESS has 1 or 2"):
        plan_ravdess_cast(0, replace(RAVDESS.settings, num_takes=3))
    with pytest.raises(CorpusError, match=r"data\.num_sentences is 0, but .* CREMA-D has 1 to 12"):
        plan_crema_d_cast(0, replace(CREMA_D.settings, num_takes=0))


def test_no_two_twins_share_a_random_stream() -> None:
    streams = [layout.stream + number for layout in (CKPLUS, OULU, RAVDESS, CREMA_D) for number in range(3)]
    assert len(set(streams)) == len(streams)
