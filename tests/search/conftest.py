"""What the tests of the search share: databases for studies."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import pytest
import sqlalchemy as sa
from postgres import BINARIES, Server, postgres_server


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
