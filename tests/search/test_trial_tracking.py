"""One W&B run a trial. They are real ones, kept offline and read back from their files."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from prepared import PreparedCKPlus
from wandb_files import of_kind, records, values

from fer3d.search.records import StudyRecord

SEARCH = [
    *("-m", "hydra/sweeper=optuna", "hydra.sweeper.study_name=n/s", "hydra.sweeper.max_failure_rate=1"),
    *("optimizer=adam", "model.temporal_kernel=3", "learning_rate=choice(1e-3,1e30)", "search.pruning.threshold=0.9"),
]


@pytest.fixture
def logged(wandb_folders: None, prepared: PreparedCKPlus, invoke: Callable[..., tuple[int, str, str]]) -> Path:
    """A study named as those of a nested search, whose trials were logged; returns its folder."""
    more = [f"outputs={prepared.outputs}", "logger=wandb", "logger.wandb.project=faces", "hydra.sweeper.n_trials=5"]
    status, _, err = invoke("train", *SEARCH, *prepared.settings, *more)
    assert status == 0, err
    return prepared.outputs / "search" / "n" / "s"


def summary(content: list[Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for part in of_kind(content, "summary"):
        found |= values(part.update)
    return found


@pytest.mark.slow
def test_a_trial_is_a_run_with_its_settings_its_folds_and_its_end(logged: Path, prepared: PreparedCKPlus) -> None:
    study = StudyRecord.read(str(logged))
    study.close()
    assert {trial.state for trial in study.trials} == {"pruned", "failed"}
    # Folds have no runs of their own.
    assert not [folder for folder in prepared.outputs.glob("*/wandb") if folder.parent.name != "search"]
    for trial in study.trials:
        (folder,) = (logged / "wandb").glob(f"offline-run-*-n-s-{trial.number}-????????")
        content = records(folder)
        (start,) = of_kind(content, "run")
        assert (start.project, start.run_group, start.job_type) == ("faces", "n/s", "trial")
        assert start.display_name == f"n/s/trial_{trial.number:04d}"
        assert list(start.tags) == [{"failed": "fail"}.get(trial.state, trial.state)]
        config = values(start.config.update)
        assert {name: config[name] for name in trial.params} == trial.params
        assert config["shared"]["trainer"]["max_epochs"] == 2
        told = summary(content)
        assert told["num_folds"] == len(trial.outcomes)
        assert ("error" in told) == (trial.state == "failed")
        (end,) = of_kind(content, "exit")
        assert end.exit_code == (trial.state == "failed")
        history = [values(row.item) for row in of_kind(content, "history")]
        curve = [row["attainable_accuracy"] for row in history if "attainable_accuracy" in row]
        assert curve[-1:] == ([trial.attainable] if trial.outcomes else [])
        assert ("folds/path" in told) == bool(trial.outcomes)
        if not trial.outcomes:
            continue
        table = json.loads((folder / "files" / told["folds/path"]).read_text(encoding="utf-8"))
        assert table["columns"] == ["fold", "num_held_out", "num_wrong", "accuracy", "seconds"]
        assert [row[0] for row in table["data"]] == [outcome.fold for outcome in trial.outcomes]


def test_a_quick_try_whose_folds_share_subjects_says_so(
    wandb_folders: None, prepared: PreparedCKPlus, invoke: Callable[..., tuple[int, str, str]]
) -> None:
    more = [f"outputs={prepared.outputs}", "logger=wandb", "hydra.sweeper.n_trials=1", "learning_rate=1e-3"]
    more += ["cv._target_=leaky_folds.leaky_folds", "num_batches=1", "search/pruning=none"]
    status, out, err = invoke("train", *SEARCH[:-1], *prepared.settings, *more)
    assert status == 0, err
    assert re.search(r"^study .* trials of 2 folds, \d+ NOT SUBJECT-INDEPENDENT held-out clips$", out, re.MULTILINE)
    assert re.search(r"^best: trial 0 .*NOT SUBJECT-INDEPENDENT.*DEBUG", out, re.MULTILINE)
    study = StudyRecord.read(str(prepared.outputs / "search" / "n" / "s"))
    study.close()
    assert study.caution == "NOT SUBJECT-INDEPENDENT, DEBUG: 1 batch an epoch"
    assert study.independence.num_shared > 0
    (folder,) = (prepared.outputs / "search" / "n" / "s" / "wandb").glob("offline-run-*")
    (start,) = of_kind(records(folder), "run")
    assert list(start.tags)[1:] == ["not subject-independent"]
    assert values(start.config.update)["shared"]["subject_independent"] is False


@pytest.mark.slow
def test_where_wandb_is_away_the_search_goes_on_offline_and_says_so_once(
    wandb_folders: None, prepared: PreparedCKPlus, invoke: Callable[..., tuple[int, str, str]], wandb_away: None
) -> None:
    more = [f"outputs={prepared.outputs}", "logger=wandb", "hydra.sweeper.n_trials=2", "learning_rate=1e-3"]
    long = f"hydra.sweeper.study_name={'s' * 150}"
    status, _, err = invoke("train", *SEARCH, *prepared.settings, *more, long)
    assert status == 0, err
    assert err.count("fer3d: W&B failed, and logging goes on offline: ") == 1
    assert "not logged" not in err
    folders = list((prepared.outputs / "search" / ("s" * 150) / "wandb").glob("offline-run-*"))
    assert len(folders) == 2
    for folder in folders:
        (start,) = of_kind(records(folder), "run")
        assert [len(name) for name in (start.run_id, start.run_group, start.display_name)] == [96, 128, 128]
