"""Nothing is lost, whenever the process is killed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from killed import FoldFactory, search_once
from optuna.study import Study
from optuna.trial import TrialState

NUM_TRIALS = 4


def story(study: Study) -> list[tuple[Any, ...]]:
    """What a study says of each trial: its settings, its end, its folds."""
    return [
        (trial.number, trial.state, trial.params, trial.value, trial.user_attrs, trial.intermediate_values)
        for trial in study.get_trials()
    ]


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[Any, ...]]:
    study = search_once(tmp_path_factory.mktemp("whole"), FoldFactory())
    assert study is not None
    told = story(study)
    assert {trial[1] for trial in told} == {TrialState.COMPLETE, TrialState.PRUNED}
    return told


# Opening the study takes the first statements; the last ones are reached by no search of this size.
@pytest.mark.slow
def test_a_search_that_is_killed_anywhere_ends_as_one_that_is_not(
    uninterrupted: list[tuple[Any, ...]], tmp_path: Path
) -> None:
    killed = 0
    for kill_after in range(20, 400, 3):
        folder, factory = tmp_path / str(kill_after), FoldFactory()
        study = search_once(folder, factory, kill_after=kill_after)
        killed += study is None
        study = study or search_once(folder, factory)
        assert study is not None
        assert story(study) == uninterrupted, kill_after
        assert set(factory.trained.values()) == {1}, kill_after
    assert killed > 5


def test_a_search_that_is_killed_again_and_again_gets_there(
    uninterrupted: list[tuple[Any, ...]], tmp_path: Path
) -> None:
    factory = FoldFactory()
    for start in range(200):
        # Each start comes a little further than it takes to open the study.
        study = search_once(tmp_path, factory, kill_after=90 + start)
        if study is not None:
            break
    assert study is not None
    assert start > 2
    assert story(study) == uninterrupted
    assert set(factory.trained.values()) == {1}


def test_a_study_that_is_done_trains_nothing_and_one_that_is_to_have_more_goes_on(tmp_path: Path) -> None:
    first = FoldFactory()
    study = search_once(tmp_path, first)
    assert study is not None
    before = story(study)
    again = FoldFactory()
    search_once(tmp_path, again)
    assert not again.trained
    more = search_once(tmp_path, again, num_trials=NUM_TRIALS + 2)
    assert more is not None
    assert story(more)[:NUM_TRIALS] == before
    assert len(more.get_trials()) == NUM_TRIALS + 2
    draws = [tuple(trial.params.values()) for trial in more.get_trials()]
    assert len(set(draws)) == len(draws)
