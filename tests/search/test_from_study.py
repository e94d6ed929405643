from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from fixture_types import Invoke
from killed import FoldFactory, search_once
from prepared import AWKWARD, PreparedCKPlus

from fer3d.evaluation.run_results import RunResults
from fer3d.overrides import override
from fer3d.search.from_study import expand_from_study
from fer3d.search.records import StudyRecord, dispose, load_study
from fer3d.search.storage import StudyError


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study of made-up folds with the attributes of a real one."""
    folder = tmp_path_factory.mktemp("search") / "s"
    study = search_once(folder, FoldFactory())
    assert study is not None
    told = {"settings": {"space": {"model/activation": "choice(relu,elu,mish)", "model.dropout": "interval(0,1)"}}}
    told |= {"overrides": ["data=ckplus", "data.root=/data/ck"], "protocol": "last_epoch", "threshold": 0.7}
    told |= {"num_folds": 4, "num_clips": 18, "corpus": "ckplus", "synthetic": False, "cv": "step_folds"}
    told |= {"sampler": "TPESampler", "num_startup_trials": 2}
    for key, value in told.items():
        study.set_user_attr(key, value)
    dispose(study)
    return folder


@pytest.fixture
def folder(searched: Path, tmp_path: Path) -> Path:
    """A copy of it."""
    return Path(shutil.copytree(searched, tmp_path / "search" / "s"))


def test_it_stands_for_the_settings_of_the_best_trial(folder: Path) -> None:
    record = StudyRecord.read(str(folder))
    best = record.best
    record.close()
    assert best is not None
    assert best.attainable == max(trial.attainable for trial in record.complete)
    expanded = expand_from_study(["seed=0,1", f"from_study={folder}", "batch_size=3"])
    assert expanded == [
        "data=ckplus",
        "data.root=/data/ck",
        f"model/activation={best.params['model/activation']}",
        f"model.dropout={best.params['model.dropout']}",
        "name=best_of_s",
        f"selected_by={{study:s,trial:{best.number},corpus:ckplus}}",
        "seed=0,1",
        "batch_size=3",
    ]


def test_a_study_elsewhere_goes_by_its_name(folder: Path) -> None:
    url = f"sqlite:///{folder / 'study.db'}"
    assert expand_from_study(["from_study=s", f"study_storage={url}"]) == expand_from_study([f"from_study={folder}"])
    with pytest.raises(StudyError, match=r"study t .*study\.db.* s$"):
        expand_from_study(["from_study=t", f"study_storage={url}"])


def test_other_command_lines_stay_as_they_are() -> None:
    assert expand_from_study(["+fold=3", "seed=1"]) == ["+fold=3", "seed=1"]
    assert expand_from_study([]) == []


def test_no_such_study_is_one_sentence(invoke: Invoke, tmp_path: Path) -> None:
    status, _, err = invoke("train", f"from_study={tmp_path / 'nix'}")
    assert status == 1
    assert err.startswith(f"fer3d: {tmp_path / 'nix'}")
    assert "study.db" in err


def test_a_study_of_a_function_is_refused(tmp_path: Path) -> None:
    search_once(tmp_path, FoldFactory(), num_trials=1)
    with pytest.raises(StudyError, match=r"not created by fer3d\.train"):
        StudyRecord.read(str(tmp_path))
    dispose(load_study(str(tmp_path)))


@pytest.mark.parametrize(
    "statement",
    [
        "delete from studies",
        "drop table studies",
        "delete from study_user_attributes where key = 'num_clips'",
        "delete from study_user_attributes",
        "delete from trials where number = 1",
        "delete from trial_user_attributes",
        "drop table trial_user_attributes",
        "update trial_user_attributes set value_json = '{\"1\": {}}' where key = 'folds'",
        "delete from trial_values",
        "update trial_values set value = 0.5",
        "delete from trial_params where param_name = 'model.dropout'",
    ],
)
def test_a_database_that_lost_a_part_is_refused_by_whoever_reads_it(folder: Path, statement: str) -> None:
    with closing(sqlite3.connect(folder / "study.db")) as connection, connection:
        connection.execute(statement)
    with pytest.raises(StudyError, match=r"lacks|has lost|does not exist"):
        expand_from_study([f"from_study={folder}"])
    # A search writes down again what the study says of itself.
    if "study_user_attributes" not in statement:
        with pytest.raises(StudyError, match=r"study s lacks .*hydra\.sweeper\.study_name"):
            search_once(folder, FoldFactory())


def test_a_study_whose_trials_were_deleted_is_no_new_one(folder: Path) -> None:
    (folder / "trial_0000").mkdir()  # left by its jobs
    with closing(sqlite3.connect(folder / "study.db")) as connection, connection:
        connection.execute("delete from trials")
    with pytest.raises(StudyError, match="study s lacks all of its trials"):
        StudyRecord.read(str(folder))


def test_a_trial_whose_fold_is_lost_is_not_complete(folder: Path) -> None:
    with closing(sqlite3.connect(folder / "study.db")) as connection, connection:
        connection.execute(
            "update trial_user_attributes set value_json = json_remove(value_json, '$.\"2\"') where key = 'folds'"
        )
    with pytest.raises(StudyError, match=r"folds of trial 3, .* 3 of 4"):
        StudyRecord.read(str(folder))


@pytest.mark.slow
def test_its_run_says_that_it_was_chosen(prepared: PreparedCKPlus, invoke: Invoke) -> None:
    outputs = prepared.outputs.rename(prepared.outputs.with_name(AWKWARD))
    settings = [*prepared.settings, override("outputs", str(outputs))]
    search = ["-m", "hydra/sweeper=optuna", "hydra.sweeper.n_trials=1", "hydra.sweeper.study_name=s", "optimizer=adam"]
    status, _, err = invoke("train", *search, *settings)
    assert status == 0, err
    status, _, err = invoke("train", override("from_study", str(outputs / "search" / "s")))
    assert status == 0, err
    (folder,) = outputs.glob("best_of_s-*")
    run = RunResults.read(folder)
    assert run.selected_by == {"study": "s", "trial": 0, "corpus": "ckplus"}
    assert run.caution == "CHOSEN BY A SEARCH on these clips"
    (trial,) = StudyRecord.read(str(outputs / "search" / "s")).trials
    # The same settings, and so the same numbers.
    assert folder.name.rpartition("-")[2] == str(trial.run).rpartition("-")[2]
    assert {fold.fold: fold.num_correct.tolist() for fold in run.folds} == {
        outcome.fold: list(outcome.num_correct) for outcome in trial.outcomes
    }
    status, _, err = invoke("report", str(folder))
    assert status == 0, err
    assert "CHOSEN BY A SEARCH: best_of_s" in (folder / "report" / "report.html").read_text(encoding="utf-8")
