"""A search whose PostgreSQL server is stopped, and started again or not."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fake_launchers import FakeLauncher, states, sweeper_settings
from postgres import BINARIES, Server, postgres_server

from fer3d.search import storage
from fer3d.search.objective import FunctionObjective
from fer3d.search.records import dispose
from fer3d.search.session import run_search
from fer3d.search.space import SearchSpace
from fer3d.search.storage import StudyError


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
