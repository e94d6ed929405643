"""Where a study is kept: a SQLite file in its folder, or any database that Optuna knows by its URL."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import optuna
import sqlalchemy as sa
from optuna.exceptions import StorageInternalError
from optuna.pruners import BasePruner
from optuna.samplers import BaseSampler
from optuna.storages import RDBStorage
from optuna.study import Study
from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, IntegrityError, NoSuchModuleError, SQLAlchemyError

STUDY_FILE = "study.db"
_NUM_TRIES = 20
_PAUSE_SECONDS = 0.2


class StudyError(RuntimeError):
    """A study that cannot be opened, continued or read: which, why, and what to do."""


def lacking(study: str, what: str) -> StudyError:
    """The error to raise where a study's database lacks what it must hold."""
    return StudyError(
        f"the database of the study {study} lacks {what}: put a copy of the database back, or search under another "
        "hydra.sweeper.study_name, which finds the folds that are trained"
    )


@contextmanager
def database_errors(study: str, engine: sa.Engine | None) -> Iterator[None]:
    """Makes sentences of what a study's database raises, and closes it then.

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
        # Optuna's own sentence guesses; what the database said is behind it.
        cause = error.__cause__ if isinstance(error, StorageInternalError) else error
        said = " ".join(str(getattr(cause, "orig", None) or cause).split())
        raise StudyError(
            f"the database of the study {study} failed: {said}; once that is mended, the same command continues"
        ) from error


def storage_url(folder: Path, url: str | None) -> str:
    """The URL of a study's database: the given one, else that of the SQLite file in the study's folder."""
    return url or URL.create("sqlite", database=str(folder.absolute() / STUDY_FILE)).render_as_string()


def open_storage(url: str) -> RDBStorage:
    """Opens a database, and makes Optuna's tables where there are none.

    Raises:
        StudyError: It cannot be reached, or its driver is missing.
    """
    try:
        _make_sqlite_folder(make_url(url))
        return _opened(url)
    except (ArgumentError, NoSuchModuleError, ValueError) as error:
        raise StudyError(
            f"{redacted(url)} is no database's URL: {error}; write one such as sqlite:///study.db"
        ) from error
    except ImportError as error:
        raise StudyError(f"{redacted(url)} needs a driver that is not installed: {error}") from error
    except DBAPIError as error:
        raise StudyError(f"{redacted(url)} cannot be opened: {' '.join(str(error.orig).split())}") from error
    except RuntimeError as error:
        # Tables of another version of Optuna.
        raise StudyError(f"{redacted(url)} cannot be opened: {error}") from error


def open_study(
    name: str, storage: RDBStorage, directions: Sequence[str], sampler: BaseSampler, pruner: BasePruner
) -> Study:
    """Opens a study, or makes it.

    Raises:
        StudyError: It is there, with other directions, or its database lacks a part of it.
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
        raise lacking(name, "the study's own record, though there are others of it") from error
    if not study.directions:
        raise lacking(name, "its directions")
    there = [direction.name.lower() for direction in study.directions]
    if there != list(directions):
        raise StudyError(
            f"the study {name} is there already, with directions {there} instead of {list(directions)}: give another "
            "hydra.sweeper.study_name"
        )
    return study


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
            # Of several processes that start at once, only one can make each of Optuna's tables.
            if not isinstance(error, IntegrityError) and "already exists" not in str(error.orig):
                raise
        time.sleep(_PAUSE_SECONDS)
    return RDBStorage(url, engine_kwargs=_engine_settings(url))


def _make_sqlite_folder(url: URL) -> None:
    if url.get_backend_name() == "sqlite" and url.database:
        Path(url.database).parent.mkdir(parents=True, exist_ok=True)


def _engine_settings(url: str) -> dict[str, object]:
    # SQLite gives up after 5 seconds where another process writes.
    return {"connect_args": {"timeout": 60}} if url.startswith("sqlite") else {"pool_pre_ping": True}
