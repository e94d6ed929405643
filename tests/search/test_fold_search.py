"""`python -m fer3d.train -m hydra/sweeper=optuna` on a tiny corpus, in this process."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from prepared import NARROW, PreparedCKPlus

from fer3d.evaluation.evaluation import Evaluation
from fer3d.evaluation.protocols import BEST_COMMON_EPOCH, BEST_EPOCH, LAST_EPOCH, EpochProtocol
from fer3d.evaluation.run_results import RunResults
from fer3d.search.records import StudyRecord

Invoke = Callable[..., tuple[int, str, str]]
Searching = Callable[..., str]

SEARCH = [
    *("-m", "hydra/sweeper=optuna", "hydra.sweeper.study_name=s", "hydra.sweeper.n_trials=2"),
    "model/activation=relu,elu",  # each choice is composed before a search starts
]


@pytest.fixture
def settings(prepared: PreparedCKPlus) -> list[str]:
    return [*prepared.settings, "name=test", f"outputs={prepared.outputs}"]


@pytest.fixture
def search(settings: list[str], invoke: Invoke) -> Searching:
    """Searches and returns what was said."""

    def run(*arguments: str) -> str:
        status, out, err = invoke("train", *SEARCH, *settings, *NARROW, *arguments)
        assert status == 0, err
        return out

    return run


@pytest.fixture
def record(prepared: PreparedCKPlus) -> Iterator[Callable[[], StudyRecord]]:
    opened = []

    def read() -> StudyRecord:
        opened.append(StudyRecord.read(str(prepared.outputs / "search" / "s")))
        return opened[-1]

    yield read
    for study in opened:
        study.close()


Record = Callable[[], StudyRecord]


@pytest.mark.parametrize("protocol", [LAST_EPOCH, BEST_EPOCH, BEST_COMMON_EPOCH], ids=lambda protocol: protocol.name)
@pytest.mark.slow
def test_a_trials_value_is_the_accuracy_that_its_run_evaluates_to(
    protocol: EpochProtocol, search: Searching, record: Record, prepared: PreparedCKPlus
) -> None:
    out = search(f"search.protocol={protocol.name}", "search/pruning=none")
    study = record()
    assert [trial.state for trial in study.trials] == ["complete", "complete"]
    for trial in study.trials:
        run = RunResults.read(prepared.outputs / str(trial.run))
        assert run.selected_by == {"study": "s", "trial": trial.number, "corpus": "ckplus"}
        assert run.caution == "CHOSEN BY A SEARCH on these clips"
        evaluation = Evaluation.of(run)
        assert trial.accuracy == evaluation.under(protocol).measures.pooled.accuracy
    assert re.search(r"^best: trial \d with .*selected on these same folds.*optimistic", out, re.MULTILINE)


@pytest.mark.slow
def test_a_search_and_a_single_run_of_the_same_settings_share_their_folds(
    search: Searching, record: Record, settings: list[str], invoke: Invoke
) -> None:
    search("hydra.sweeper.n_trials=1")
    (trial,) = record().trials
    chosen = [f"{name}={value}" for name, value in trial.params.items()]
    status, out, err = invoke("train", *settings, *NARROW, *chosen)
    assert status == 0, err
    assert [line.split(":")[0] for line in out.splitlines()[1:]] == ["done already, fold 1", "done already, fold 2"]
    assert f"/{trial.run}: " in out


@pytest.mark.slow
def test_jobs_have_folders_named_by_trial_and_fold_with_their_settings(
    search: Searching, record: Record, prepared: PreparedCKPlus
) -> None:
    out = search("cv.num_folds=4", "search.folds_per_job=3", "hydra.sweeper.n_trials=1", "search.order=by_number")
    assert re.search(
        r"^trial 0: folds 1, 2, 3, 3 of 4, [\d.]+% at most; 0 of 1 trials finished, .* left$", out, re.MULTILINE
    )
    folder = prepared.outputs / "search" / "s" / "trial_0000"
    assert sorted(path.name for path in folder.iterdir()) == ["fold_001_and_2_more", "fold_004"]
    assert "- +fold=[1,2,3]" in (folder / "fold_001_and_2_more" / ".hydra" / "overrides.yaml").read_text()
    assert [outcome.fold for outcome in record().trials[0].outcomes] == [1, 2, 3, 4]


def test_a_trial_is_pruned_as_soon_as_the_threshold_is_out_of_reach(search: Searching, record: Record) -> None:
    out = search("search.pruning.threshold=1.0")
    pruned = [trial for trial in record().trials if trial.state == "pruned"]
    assert pruned
    assert all(len(trial.outcomes) == 1 and trial.attainable < 1 for trial in pruned)
    assert "pruned after 1 of 2 folds" in out
    assert "no trial is complete: search.pruning.threshold" in out


@pytest.mark.slow
def test_a_fold_that_diverges_fails_its_trial_and_the_search_goes_on(search: Searching, record: Record) -> None:
    out = search("learning_rate=choice(1e-3,1e30)", "hydra.sweeper.n_trials=5", "hydra.sweeper.max_failure_rate=1")
    states = {trial.number: trial.state for trial in record().trials}
    assert {*states.values()} >= {"failed", "complete"}
    for trial in record().trials:
        # Such steps may also end in a network that is wrong, and nothing worse.
        assert trial.state != "failed" or trial.params["learning_rate"] == 1e30
        assert (trial.state == "failed") == str(trial.error).startswith("DivergedError: ")
    assert len(re.findall(r"^trial \d: failed: DivergedError", out, re.MULTILINE)) == [*states.values()].count("failed")


@pytest.mark.slow
def test_the_papers_search_starts(prepared: PreparedCKPlus, invoke: Invoke, record: Record) -> None:
    """On a tiny corpus and with a tiny network, but otherwise as the README has it."""
    tiny = [setting for setting in prepared.settings if not setting.startswith(("data=", "cv."))]
    settings = [*tiny, f"outputs={prepared.outputs}", "experiment=ckplus_loso", "search=paper"]
    status, out, err = invoke("train", *SEARCH, *settings)
    assert status == 0, err
    study = record()
    assert (study.threshold, study.protocol, study.num_folds) == (0.965, BEST_EPOCH, 4)
    assert len(study.space) == 10
    assert len(study.trials) == 2
    assert "study" in out


def test_the_first_trial_may_have_the_settings_that_the_search_starts_from(search: Searching, record: Record) -> None:
    searched = ["model.dropout=interval(0,0.5)", "learning_rate=tag(log,interval(1e-5,1e-2))", "batch_size=choice(5,6)"]
    search(*searched, "search.base_first=true", "hydra.sweeper.n_trials=2")
    first, second = record().trials
    assert first.params | {"batch_size": None} == {
        **{"model/activation": "relu", "model.dropout": 0.25, "learning_rate": 1e-3},
        "batch_size": None,  # 8 is none of its choices
    }
    assert second.params["model.dropout"] != 0.25
    # It is the first once.
    search(*searched, "search.base_first=true", "hydra.sweeper.n_trials=3")
    assert [trial.params["model.dropout"] for trial in record().trials].count(0.25) == 1


def test_the_expected_time_is_said_at_the_start_of_a_study(search: Searching) -> None:
    said = r"a trial takes about \d+ s here without pruning, .*; 1 trials take \d+ s"
    assert re.search(said, search("hydra.sweeper.n_trials=1"))
    # Then from the folds that are done.
    assert not re.search(said, search("hydra.sweeper.n_trials=1"))


def test_an_experiment_and_a_space_that_holds_settings_are_refused(
    prepared_session: PreparedCKPlus, tmp_path: Path, invoke: Invoke
) -> None:
    tiny = [each for each in prepared_session.settings if not each.startswith(("data=", "cv.", "trainer.max_epochs"))]
    settings = [*SEARCH, *tiny, f"outputs={tmp_path}", "experiment=ckplus_loso"]
    status, _, err = invoke("train", *settings)
    assert status == 1
    assert "experiment=ckplus_loso" in err
    assert "holds trainer.max_epochs" in err


def test_too_many_failures_end_it_with_the_last_error(settings: list[str], invoke: Invoke) -> None:
    status, _, err = invoke("train", *SEARCH, *settings, *NARROW, "learning_rate=1e30")
    assert status == 1
    assert re.search(r"1 trials .* failed, and hydra.sweeper.max_failure_rate=0.1 allows 0 of 2; .*loss became", err)


@pytest.mark.slow
def test_another_folds_result_is_not_believed(
    search: Searching, record: Record, settings: list[str], invoke: Invoke, prepared: PreparedCKPlus
) -> None:
    search("hydra.sweeper.n_trials=1")
    run = prepared.outputs / str(record().trials[0].run)
    shutil.rmtree(run / "fold_001")
    shutil.copytree(run / "fold_002", run / "fold_001")
    again = ["hydra.sweeper.study_name=again", "hydra.sweeper.n_trials=1", "hydra.sweeper.max_failure_rate=0"]
    status, _, err = invoke("train", *SEARCH, *settings, *NARROW, *again)
    assert status != 0
    assert f"{run / 'fold_001'} holds another result" in err
    assert "fold number is 2 instead of 1" in err


@pytest.mark.parametrize(
    ("argument", "facts"),
    [
        ("model.dropuot=interval(0,1)", ["model.dropuot"]),
        ("model/activation=choice(relu,rleu)", ["model/activation/rleu"]),
        ("cv=choice(loso,kfold10)", ["cv cannot be searched"]),
        ("+fold=99", ["fold=99"]),
        ("search.protocol=inner_val", ["search.protocol=inner_val", "cv.inner_val"]),
        ("+search.pruning.treshold=0.9", ["search.pruning.treshold"]),
        ("search.space=null", ["search.space", "null"]),
        ("hydra.sweeper.direction=minimize", ["hydra.sweeper.direction", "minimize"]),
        ("hydra.sweeper.custom_search_space=nix.nix", ["hydra.sweeper.custom_search_space=nix.nix"]),
    ],
)
def test_wrong_input_is_one_sentence(
    argument: str, facts: list[str], prepared_session: PreparedCKPlus, tmp_path: Path, invoke: Invoke
) -> None:
    # No clips are read, so an empty folder serves.
    settings = [*prepared_session.settings, "name=test", f"outputs={tmp_path}"]
    status, _, err = invoke("train", *SEARCH, *settings, *NARROW, argument)
    assert status == 1
    assert [fact for fact in facts if fact not in err] == []
    assert "Traceback" not in err


@pytest.mark.slow
def test_a_study_goes_on_with_its_own_settings_alone(
    search: Searching, settings: list[str], invoke: Invoke, prepared: PreparedCKPlus
) -> None:
    search("hydra.sweeper.n_trials=1")
    status, _, err = invoke("train", *SEARCH, *settings, *NARROW, "trainer.max_epochs=3")
    assert status == 1
    assert "trainer.max_epochs was 2, now 3" in err
    # Unless it is named by hand, other settings make another study.
    for epochs in (1, 2):
        out = search("hydra.sweeper.study_name=null", "hydra.sweeper.n_trials=1", f"trainer.max_epochs={epochs}")
        assert "1 trials complete" in out
    assert len(list((prepared.outputs / "search").glob("test-*"))) == 2
