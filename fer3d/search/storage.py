"""Study storage: a SQLite file in the study's folder, or any database URL that Optuna supports."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import optuna
import sqlalchemy as sa
from optuna.exceptions import StorageInternalError
from optuna.pruners import BasePruner
from optuna.samplers import BaseSampler
from optuna.storages import RDBStorage
from optuna.study import Study
from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, IntegrityError, NoSuchModuleError, SQLAlchemyError
from sqlalchemy.orm import Session

STUDY_FILE = "study.db"
_NUM_TRIES = 20
_PAUSE_SECONDS = 0.2
# How long a search waits for an unavailable database, and the longest pause between two attempts.
PATIENCE_SECONDS = 300.0
_MAX_PAUSE_SECONDS = 30.0


class StudyError(RuntimeError):
    """A study cannot be opened, continued or read."""


def lacking(study: str, what: str) -> StudyError:
    """The error for a study whose database has lost something."""
    return StudyError(
        f"the database of study {study} lacks {what}: restore a backup of the database, or set another "
        "hydra.sweeper.study_name; trained folds are reused"
    )


@contextmanager
def database_errors(study: str, engine: sa.Engine | None) -> Iterator[None]:
    """Converts errors of a study's database to `StudyError`; closes the database on any error.

    Raises:
        StudyError: The database failed.
    """
    try:
        yield
    except BaseException as error:
        if engine is not None:
            engine.dispose()
        if not isinstance(error, SQLAlchemyError | StorageInternalError):
            raise
        # Optuna's message guesses at the cause; the database's own message is in __cause__.
        cause = error.__cause__ if isinstance(error, StorageInternalError) else error
        said = " ".join(str(getattr(cause, "orig", None) or cause).split())
        raise StudyError(
            f"the database of study {study} failed: {said}; once it works again, the same command continues"
        ) from error


def storage_url(folder: Path, url: str | None) -> str:
    """The given URL, or by default that of the SQLite file in the study's folder."""
    return url or URL.create("sqlite", database=str(folder.absolute() / STUDY_FILE)).render_as_string()


def open_storage(url: str) -> RDBStorage:
    """Opens a database and creates Optuna's tables if they are missing.

    Raises:
        StudyError: The database cannot be reached, or its driver is not installed.
    """
    try:
        _make_sqlite_folder(make_url(url))
        return _opened(url)
    except (ArgumentError, NoSuchModuleError, ValueError) as error:
        raise StudyError(
            f"{redacted(url)} is not a database URL: {error}; expected something like sqlite:///study.db"
        ) from error
    except ImportError as error:
        raise StudyError(f"{redacted(url)} needs a driver that is not installed: {error}") from error
    except DBAPIError as error:
        raise StudyError(f"{redacted(url)} cannot be opened: {' '.join(str(error.orig).split())}") from error
    except StorageInternalError as error:
        # Creating the tables failed, such as on a full disk.
        said = " ".join(str(getattr(error.__cause__, "orig", None) or error).split())
        raise StudyError(f"{redacted(url)} cannot be opened: {said}") from error
    except RuntimeError as error:
        # The tables were written by another version of Optuna.
        raise StudyError(f"{redacted(url)} cannot be opened: {error}") from error


def open_study(
    name: str, storage: RDBStorage, directions: Sequence[str], sampler: BaseSampler, pruner: BasePruner
) -> Study:
    """Opens a study, or creates it.

    Raises:
        StudyError: The study exists with other directions, or its database lacks a part of it.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        study = optuna.create_study(
            study_name=name,
            storage=storage,
            directions=list(directions),  # type: ignore[arg-type]
            sampler=sampler,
            pruner=pruner,
            load_if_exists=True,
        )
    except KeyError as error:
        raise lacking(name, "the record of the study itself") from error
    if not study.directions:
        raise lacking(name, "its directions")
    there = [direction.name.lower() for direction in study.directions]
    if there != list(directions):
        raise StudyError(
            f"study {name} already exists with directions {there}, not {list(directions)}: set another "
            "hydra.sweeper.study_name"
        )
    return study


def database(study: Study) -> RDBStorage | None:
    """The database of a study; None for a study in memory."""
    # Optuna wraps it in a cache.
    storage = getattr(study._storage, "_backend", None)
    return storage if isinstance(storage, RDBStorage) else None


@contextmanager
def one_transaction(study: Study) -> Iterator[None]:
    """Collects what this thread writes to a study through Optuna, which would make a transaction of each value.

    SQLite waits for the disk in each transaction. Write nothing else to the database meanwhile: it would wait for this
    one.
    """
    storage = database(study)
    if storage is None:
        yield
        return
    with storage.engine.begin() as connection:
        # Optuna's commits leave the transaction open, which `engine.begin` commits; a rollback takes all of it back.
        storage.scoped_session.registry.set(Session(connection, join_transaction_mode="rollback_only"))
        try:
            yield
        finally:
            storage.scoped_session.remove()


def redacted(url: str) -> str:
    """A database's URL without its password."""
    head, at, tail = url.rpartition("@")
    scheme, slashes, user = head.partition("://")
    bare = f"{scheme}{slashes}{user.partition(':')[0]}{at}{tail}" if at else url
    return re.sub(r"([?&]password=)[^&]*", r"\1...", bare)


def _opened(url: str) -> RDBStorage:
    for _ in range(_NUM_TRIES - 1):
        try:
            return RDBStorage(url, engine_kwargs=_engine_settings(url))
        except DBAPIError as error:
            # Another process may create the same table at the same time.
            if not isinstance(error, IntegrityError) and "already exists" not in str(error.orig):
                raise
        time.sleep(_PAUSE_SECONDS)
    return RDBStorage(url, engine_kwargs=_engine_settings(url))


def _make_sqlite_folder(url: URL) -> None:
    if url.get_backend_name() == "sqlite" and url.database:
        Path(url.database).parent.mkdir(parents=True, exist_ok=True)


def _engine_settings(url: str) -> dict[str, object]:
    # By default SQLite gives up after 5 seconds while another process writes.
    return {"connect_args": {"timeout": 60}} if url.startswith("sqlite") else {"pool_pre_ping": True}


@contextmanager
def bridged_outages(engine: sa.Engine, say: Callable[[str], None], came_back: Callable[[], None]) -> Iterator[None]:
    """Waits for the database to come back whenever a connection fails, for example during a restart.

    The pool detects a dead connection at checkout and replaces it; only a statement that is running when the database
    goes down fails.

    Args:
        engine: The database. A SQLite file has no server, so nothing is done.
        say: Receives messages for the user.
        came_back: Called before the first connection after an outage is used.
    """
    if engine.dialect.name == "sqlite":
        yield
        return
    outage = _Outage(engine, say, came_back)
    sa.event.listen(engine, "do_connect", outage.connect)
    try:
        yield
    finally:
        # Statements during clean-up should not wait again.
        sa.event.remove(engine, "do_connect", outage.connect)


class _Outage:
    def __init__(self, engine: sa.Engine, say: Callable[[str], None], came_back: Callable[[], None]) -> None:
        self._where = engine.url.render_as_string()
        self._say = say
        self._came_back = came_back
        self._lock = threading.Lock()
        self._is_away = False

    def connect(self, dialect: Any, record: Any, arguments: Any, settings: Any) -> Any:
        """Connects as SQLAlchemy would, retrying until the deadline."""
        deadline, pause = time.monotonic() + PATIENCE_SECONDS, 0.5
        while True:
            try:
                connection = dialect.connect(*arguments, **settings)
                break
            except dialect.loaded_dbapi.Error as error:
                if time.monotonic() + pause > deadline:
                    raise
                self._went_away(error)
            time.sleep(pause)
            pause = min(2 * pause, _MAX_PAUSE_SECONDS)
        self._is_back()
        return connection

    def _went_away(self, error: Exception) -> None:
        with self._lock:
            if not self._is_away:
                self._is_away = True
                said = " ".join(str(error).split())
                self._say(f"{self._where} does not answer, retrying for {PATIENCE_SECONDS:.0f} s: {said}")

    def _is_back(self) -> None:
        with self._lock:
            if self._is_away:
                self._is_away = False
                self._came_back()
                self._say(f"{self._where} answers again")
