from __future__ import annotations

import json
from functools import partial

import pytest
from fixture_types import Invoke
from hypothesis import given
from hypothesis import strategies as st
from prepared import AWKWARD, NARROW, PreparedCKPlus

from fer3d.clips.folds import FoldError, leave_one_subject_out, nested_folds, step_folds
from fer3d.evaluation.run_results import RunResults
from fer3d.overrides import override
from fer3d.search.records import StudyRecord

SUBJECTS = [f"S{subject:03d}" for subject in (1, 1, 2, 3, 3, 3, 4, 5, 6, 6, 7, 8)]


@given(st.integers(2, 4), st.integers(2, 3), st.sampled_from([0.0, 0.4]), st.data())
def test_inner_folds_know_nothing_of_their_outer_folds_held_out_subjects(
    num_outer: int, num_inner: int, inner_val: float, data: st.DataObject
) -> None:
    outer = partial(step_folds, num_folds=num_outer)
    inner = partial(step_folds, num_folds=num_inner, inner_val=inner_val)
    number = data.draw(st.integers(1, num_outer))
    hidden = {SUBJECTS[index] for index in outer(SUBJECTS)[number - 1].held_out}
    folds = nested_folds(SUBJECTS, outer, inner, number)
    for fold in folds:
        everything = [*fold.train, *fold.held_out, *fold.inner_val]
        assert len(set(everything)) == len(everything)
        assert {SUBJECTS[index] for index in everything} == set(SUBJECTS) - hidden
        sides = [{SUBJECTS[index] for index in side} for side in (fold.train, fold.held_out, fold.inner_val)]
        assert not sides[0] & sides[1] | sides[0] & sides[2] | sides[1] & sides[2]
    held_out = [index for fold in folds for index in fold.held_out]
    assert sorted(held_out) == [index for index, subject in enumerate(SUBJECTS) if subject not in hidden]


def test_without_inner_folds_it_is_the_outer_ones() -> None:
    assert nested_folds(SUBJECTS, leave_one_subject_out, None) == leave_one_subject_out(SUBJECTS)


def test_outer_folds_that_do_not_exist_are_refused() -> None:
    with pytest.raises(FoldError, match="fold=9 does not exist"):
        nested_folds(SUBJECTS, leave_one_subject_out, leave_one_subject_out, 9)


def test_training_without_a_search_is_refused(prepared: PreparedCKPlus, invoke: Invoke) -> None:
    settings = [setting for setting in prepared.settings if setting != "cv.num_folds=2"]
    status, _, err = invoke("train", *settings, f"outputs={prepared.outputs}", "cv=nested")
    assert status == 1
    assert "cv=nested is for searches: python -m fer3d.train -m hydra/sweeper=optuna cv=nested" in err


@pytest.mark.slow
def test_a_nested_search_tests_what_each_outer_fold_chose_on_clips_that_its_search_never_saw(
    prepared: PreparedCKPlus, invoke: Invoke
) -> None:
    outputs = prepared.outputs.rename(prepared.outputs.with_name(AWKWARD))
    settings = [setting for setting in prepared.settings if setting != "cv.num_folds=2"]
    nested = ["cv=nested", "cv.outer.num_folds=2", "cv.inner.num_folds=2", "hydra.sweeper.study_name=n"]
    search = ["-m", "hydra/sweeper=optuna", *nested, "hydra.sweeper.n_trials=1", *NARROW, "model/activation=relu"]
    status, _, err = invoke("train", *search, *settings, override("outputs", str(outputs)))
    assert status == 0, err
    (folder,) = (outputs / "search" / "n").glob("nested-*")
    run = RunResults.read(folder)
    assert run.is_nested
    assert not run.is_selected
    assert run.cross_validation == "nested 2-fold"
    assert len({clip for fold in run.folds for clip in fold.clip_ids}) == 8
    for fold in run.folds:
        study = StudyRecord.read(str(outputs / "search" / "n" / f"outer_{fold.fold:02d}"))
        study.close()
        (trial,) = study.trials
        assert fold.info["chosen"]["params"] == trial.params
        inner = RunResults.read(outputs / str(trial.run))
        assert not {subject for one in inner.folds for subject in one.subjects} & set(fold.subjects)
        tested = json.loads((folder / f"fold_{fold.fold:03d}" / "result.json").read_text(encoding="utf-8"))["config"]
        assert tested["model"]["dropout"] == trial.params["model.dropout"]
    # A second start has nothing to do; the report tells what was chosen.
    assert "== outer fold" not in invoke("train", *search, *settings, override("outputs", str(outputs)))[1]
    status, _, err = invoke("report", str(folder))
    assert status == 0, err
    assert "own search chose" in (folder / "report" / "report.html").read_text(encoding="utf-8")
