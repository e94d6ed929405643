"""Trials as cross-validations, with jobs that make results up; nothing is lost, whenever the process is killed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sqlalchemy as sa
from killed import SIZES, SPACE, FoldFactory, make_result, search_once
from optuna.study import Study
from optuna.trial import TrialState

from fer3d.search.cross_validation import (
    ORDER,
    RUN,
    CrossValidationRun,
    CrossValidationSettings,
    job_folder,
    read_outcomes,
)
from fer3d.search.outcomes import FoldOutcome
from fer3d.search.pruning import ExactBound, NoPruning
from fer3d.search.storage import StudyError


def test_a_trial_keeps_its_folds_their_order_and_its_run(tmp_path: Path) -> None:
    study = search_once(tmp_path, FoldFactory())
    assert study is not None
    for trial in study.get_trials():
        outcomes = read_outcomes(trial.user_attrs)
        assert [outcome.fold for outcome in outcomes] == trial.user_attrs[ORDER][: len(outcomes)]
        assert sorted(trial.user_attrs[ORDER]) == sorted(SIZES)
        assert trial.user_attrs[RUN].startswith("run of ")
        num_wrong = sum(outcome.num_held_out - outcome.num_correct[-1] for outcome in outcomes)
        assert trial.value == (sum(SIZES.values()) - num_wrong) / sum(SIZES.values())
        assert (len(outcomes) < len(SIZES)) == (trial.state == TrialState.PRUNED)
        # Steps are numbers of folds, and so what TPE sorts pruned trials by.
        assert [*trial.intermediate_values] == [*range(1, len(outcomes) + 1)]


@pytest.mark.parametrize("folds_per_job", [1, 3, 9])
def test_blocks_of_folds_change_what_is_trained_and_not_what_passes(folds_per_job: int, tmp_path: Path) -> None:
    study = search_once(tmp_path, FoldFactory(), folds_per_job=folds_per_job, order="by_number", num_trials=6)
    assert study is not None
    for trial in study.get_trials():
        num_done = len(read_outcomes(trial.user_attrs))
        assert num_done % folds_per_job == 0 or num_done == len(SIZES)
        whole = [FoldOutcome.of(make_result(trial.user_attrs[RUN].removeprefix("run of "), fold)) for fold in SIZES]
        accuracy = sum(outcome.num_correct[-1] for outcome in whole) / sum(SIZES.values())
        # A trial whose last fold decides is complete, below the threshold as it is.
        assert accuracy < 0.7 if trial.state == TrialState.PRUNED else trial.value == accuracy


def test_trials_of_equal_settings_share_their_folds(tmp_path: Path) -> None:
    factory = FoldFactory()
    study = search_once(tmp_path, factory, num_trials=3)
    assert study is not None
    for number in range(2):
        study.enqueue_trial(study.get_trials()[number].params)
    again = search_once(tmp_path, factory, num_trials=5)
    assert again is not None
    trials = again.get_trials()
    assert [trial.params for trial in trials[3:]] == [trial.params for trial in trials[:2]]
    assert set(factory.trained.values()) == {1}


def test_a_fold_is_one_transaction(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[str] = []
    per_fold: list[list[str]] = []

    def note(connection: Any, cursor: Any, statement: str, *_: Any) -> None:
        if not statement.startswith(("SELECT", "PRAGMA")):
            written.append(statement.partition(" ")[0])

    def receive(run: CrossValidationRun, returned: Any) -> None:
        written.clear()
        received(run, returned)
        per_fold.append(list(written))

    received = CrossValidationRun.receive
    monkeypatch.setattr(CrossValidationRun, "receive", receive)
    sa.event.listen(sa.Engine, "before_cursor_execute", note)
    sa.event.listen(sa.Engine, "commit", commit := lambda _: written.append("commit"))
    try:
        study = search_once(tmp_path, FoldFactory())
    finally:
        sa.event.remove(sa.Engine, "before_cursor_execute", note)
        sa.event.remove(sa.Engine, "commit", commit)
    assert study is not None
    assert len(per_fold) == sum(len(read_outcomes(trial.user_attrs)) for trial in study.get_trials())
    # The folds, the run where it is new, and the bound.
    first, other = [*["INSERT"] * 3, "commit"], [*["INSERT"] * 2, "commit"]
    assert [statements for statements in per_fold if statements != other] == [first] * len(study.get_trials())


@pytest.mark.slow
def test_the_order_is_learned_from_the_trials_before(tmp_path: Path) -> None:
    study = search_once(tmp_path, FoldFactory(), num_trials=8)
    assert study is not None
    orders = [tuple(trial.user_attrs[ORDER]) for trial in study.get_trials()]
    assert len(set(orders)) > 1
    shuffled = search_once(tmp_path / "shuffled", FoldFactory(), num_trials=8, order="shuffled")
    assert shuffled is not None
    assert len({tuple(trial.user_attrs[ORDER]) for trial in shuffled.get_trials()}) > 4


class Changed(FoldFactory):
    """Its jobs return something else."""

    def __init__(self, change: Any) -> None:
        super().__init__()
        self.change = change

    def launch(self, *args: Any, **kwargs: Any) -> Any:
        returned = super().launch(*args, **kwargs)
        returned[0].return_value = self.change(returned[0].return_value)
        return returned


def test_a_job_that_returns_something_else_fails_its_trial(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match=r"a fold job must return fold results, got 0\.5"):
        search_once(tmp_path, Changed(lambda results: 0.5))


@pytest.mark.parametrize("change", [lambda fold: {"fold": fold + 1}, lambda fold: {"labels": np.zeros(99, np.int64)}])
def test_results_of_other_folds_stop_the_search_and_fail_no_trial(change: Any, tmp_path: Path) -> None:
    with pytest.raises(StudyError, match=r"fold \d of \d held-out clips.* fold \d of .*delete"):
        search_once(tmp_path, Changed(lambda results: [replace(one, **change(one.fold)) for one in results]))
    study = search_once(tmp_path, FoldFactory())
    assert study is not None
    assert not study.get_trials(states=(TrialState.FAIL,))


def test_job_folders_are_named_by_trial_and_fold() -> None:
    assert job_folder(7, [3]) == "trial_0007/fold_003"
    assert job_folder(12345, [118, 2, 5]) == "trial_12345/fold_118_and_2_more"


def test_settings_are_checked() -> None:
    for wrong in ({"protocol": "x"}, {"order": "x"}, {"folds_per_job": 0}, {"folds_per_job": 1.5}):
        settings = {"space": SPACE, "protocol": "last_epoch", "pruning": NoPruning(), **wrong}
        with pytest.raises(ValueError, match=rf"search\.{next(iter(wrong))} must be"):
            CrossValidationSettings(**settings)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"search\.pruning\.threshold"):
        ExactBound(1.5)


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
    more = search_once(tmp_path, again, num_trials=6)
    assert more is not None
    assert story(more)[:4] == before
    assert len(more.get_trials()) == 6
    draws = [tuple(trial.params.values()) for trial in more.get_trials()]
    assert len(set(draws)) == len(draws)
