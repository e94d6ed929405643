"""What the tests of the search share: databases for studies."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import cache
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from alembic.script import ScriptDirectory
from postgres import BINARIES, Server, postgres_server

from fer3d.search.leases import Leases

# Takes trial 7 and whatever else it is told to, says so, and holds on until it is killed.
HOLDER = """
import sys, time
import sqlalchemy as sa
from fer3d.search.leases import Leases
leases = Leases(sa.create_engine(sys.argv[1]), "study").__enter__()
assert leases.take(7)
if sys.argv[2:] == ["mutex"]:
    leases.mutex().__enter__()
print("has it", flush=True)
time.sleep(600)
"""


@pytest.fixture(scope="session", autouse=True)
def _fast_databases() -> Iterator[None]:
    """SQLite does not wait for the disk, and Optuna's migration scripts are read once: half the time of these tests."""

    def relax(connection: Any, _: object) -> None:
        if type(connection).__module__ == "sqlite3":
            connection.executescript("pragma synchronous=off; pragma journal_mode=memory;")

    @cache
    def scripts(folder: str) -> ScriptDirectory:
        return ScriptDirectory(folder)

    sa.event.listen(sa.Engine, "connect", relax)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ScriptDirectory, "from_config", lambda config: scripts(config.get_main_option("script_location")))
        yield
    sa.event.remove(sa.Engine, "connect", relax)


@pytest.fixture(scope="session")
def postgres() -> Iterator[Server]:
    """A PostgreSQL server, where one is installed."""
    if BINARIES is None:
        pytest.skip("PostgreSQL is not installed")
    with postgres_server() as server:
        yield server


@pytest.fixture(scope="session")
def make_database(postgres: Server) -> Callable[[], str]:
    """Makes an empty PostgreSQL database and returns its URL."""
    numbers = count()
    return lambda: postgres.make_database(f"test_{next(numbers)}")


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty database, of either kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'study.db'}"
    made: str = request.getfixturevalue("make_database")()
    return made


@pytest.fixture
def engine(url: str) -> Iterator[sa.Engine]:
    """That database, opened."""
    opened = sa.create_engine(url)
    yield opened
    opened.dispose()


@pytest.fixture
def said() -> list[str]:
    """What searches say."""
    return []


@pytest.fixture
def make_leases(engine: sa.Engine) -> Iterator[Callable[..., Leases]]:
    """Makes leases as a search of their own has them."""
    made = []

    def enter(study: str = "study", **settings: Any) -> Leases:
        made.append(Leases(engine, study, **settings).__enter__())
        return made[-1]

    yield enter
    for leases in made:
        leases.__exit__()


@pytest.fixture
def start_holder(url: str) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Starts a process that holds the lease of trial 7."""
    started = []

    def run(*more: str) -> subprocess.Popen[str]:
        process = subprocess.Popen([sys.executable, "-c", HOLDER, url, *more], stdout=subprocess.PIPE, text=True)
        started.append(process)
        assert process.stdout is not None
        assert process.stdout.readline() == "has it\n"
        return process

    yield run
    for process in started:
        process.kill()
        with process:  # waits, and closes its output
            pass
