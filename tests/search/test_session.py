from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from fake_launchers import FakeLauncher, square, states, sweeper_settings
from optuna.trial import FrozenTrial
from postgres import BINARIES, Server, postgres_server

from fer3d.search import storage
from fer3d.search.objective import FunctionObjective
from fer3d.search.records import dispose
from fer3d.search.session import run_search
from fer3d.search.space import SearchSpace
from fer3d.search.storage import StudyError

SPACE = SearchSpace.parse({"x": "interval(0,1)", "c": "choice(a,b)"})


def session(
    folder: Path,
    launcher: FakeLauncher,
    space: SearchSpace = SPACE,
    sampler: Mapping[str, Any] | None = None,
    *,
    num_trials: int = 4,
    attributes: Mapping[str, Any] | None = None,
) -> list[FrozenTrial]:
    """Carries a search out as a command does."""
    settings = sweeper_settings(num_trials=num_trials, **({"sampler": sampler} if sampler else {}))
    objective = FunctionObjective(settings.directions)
    return run_search(objective, space, settings, launcher, name="study", folder=folder, attributes=attributes).trials


def test_ctrl_c_passes_and_leaves_the_trial_to_the_next_start(tmp_path: Path) -> None:
    def interrupt(trial: int, settings: Mapping[str, Any]) -> float:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        session(tmp_path, FakeLauncher(interrupt))
    launcher = FakeLauncher(square)
    session(tmp_path, launcher)
    assert launcher.jobs == [0, 1, 2, 3]


def test_a_grid_ends_with_its_last_point_across_starts(tmp_path: Path) -> None:
    space = SearchSpace.parse({"x": "range(1,3)", "c": "choice(a,b)"})
    sampler = {"_target_": "optuna.samplers.GridSampler", "seed": 0}
    launcher = FakeLauncher(square)
    for num_trials in (2, 20, 20):
        study = session(tmp_path, launcher, space, sampler, num_trials=num_trials)
    points = [(trial.params["x"], trial.params["c"]) for trial in study]
    assert sorted(points) == [(x, c) for x in (1, 2, 3) for c in "ab"]
    assert launcher.jobs == [0, 1, 2, 3, 4, 5]


def test_a_database_that_is_gone_ends_a_search_with_a_sentence(tmp_path: Path) -> None:
    def lose(trial: int, settings: Mapping[str, Any]) -> float:
        if trial == 1:
            with closing(sqlite3.connect(tmp_path / "study.db")) as connection:
                connection.execute("DROP TABLE fer3d_leases")
        return 0.0

    with pytest.raises(StudyError, match=r"study study failed: no such table: fer3d_leases; "):
        session(tmp_path, FakeLauncher(lose))


def test_a_study_whose_settings_are_lost_is_not_gone_on_with(tmp_path: Path) -> None:
    session(tmp_path, FakeLauncher(square), attributes={"settings": {"seed": 0}}, num_trials=1)
    with closing(sqlite3.connect(tmp_path / "study.db")) as connection, connection:
        connection.execute("DELETE FROM study_user_attributes")
    with pytest.raises(StudyError, match=r"study study lacks the settings that its trials share: "):
        session(tmp_path, FakeLauncher(square), attributes={"settings": {"seed": 0}})


def test_a_study_of_other_settings_is_not_gone_on_with(tmp_path: Path) -> None:
    first = {"settings": {"seed": 0, "model": {"dropout": 0.5}}, "corpus": "test"}
    assert len(session(tmp_path, FakeLauncher(square), attributes=first)) == 4
    assert len(session(tmp_path, FakeLauncher(square), attributes=first, num_trials=5)) == 5
    second = {"settings": {"seed": 0, "model": {"dropout": 0.1}}}
    with pytest.raises(StudyError, match=r"study study .*model\.dropout was 0\.5, now 0\.1\. "):
        session(tmp_path, FakeLauncher(square), attributes=second)


@pytest.fixture
def server() -> Iterator[Server]:
    """A server of the test's own, to be stopped."""
    if BINARIES is None:
        pytest.skip("PostgreSQL is not installed")
    with postgres_server() as started:
        yield started


def search(url: str, function: Any, folder: Path) -> list[str]:
    settings = sweeper_settings(storage=url, num_trials=3)
    space, objective = SearchSpace.parse({"x": "interval(0,1)"}), FunctionObjective(["minimize"])
    study = run_search(objective, space, settings, FakeLauncher(function), name="study", folder=folder)
    ended = states(study.trials)
    dispose(study)
    return ended


@pytest.mark.slow
@pytest.mark.usefixtures("shown_messages")
def test_a_restart_is_bridged_and_told_once_and_what_stays_away_ends_the_search(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    starter = threading.Timer(1.0, server.start)

    def restart(trial: int, settings: Any) -> float:
        if trial == 1:
            server.stop("fast")
            starter.start()
        return 0.0

    url = server.make_database("study")
    assert search(url, restart, tmp_path) == ["complete"] * 3
    starter.join()
    out = capsys.readouterr().out
    assert out.count("does not answer") == out.count("answers again") == 1

    monkeypatch.setattr(storage, "PATIENCE_SECONDS", 1.0)
    gone = server.make_database("another")

    def stop(trial: int, settings: Any) -> float:
        server.stop("fast")
        return 0.0

    try:
        with pytest.raises(StudyError, match=r"study study failed: .*, the same command continues"):
            search(gone, stop, tmp_path)
    finally:
        server.start()
