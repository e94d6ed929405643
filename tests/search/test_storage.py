from __future__ import annotations

import gc
import re
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
import sqlalchemy as sa
from optuna.exceptions import StorageInternalError
from optuna.pruners import NopPruner
from optuna.samplers import RandomSampler
from optuna.storages import RDBStorage

from fer3d.search import storage as module
from fer3d.search.storage import StudyError, one_transaction, open_storage, open_study, redacted, storage_url

# Opens a study as a search does, as soon as it is told to.
OPENER = """
import sys
from optuna.pruners import NopPruner
from optuna.samplers import RandomSampler
from fer3d.search.leases import Leases
from fer3d.search.storage import open_storage, open_study
print("ready", flush=True)
sys.stdin.readline()
storage = open_storage(sys.argv[1])
study = open_study("study", storage, ["maximize"], RandomSampler(), NopPruner())
with Leases(storage.engine, "study") as leases, leases.mutex():
    print(study.ask().number)
"""


# What Optuna opened before it raised, nobody can close.
unclosed = pytest.mark.filterwarnings("ignore:.* was deleted while still open:ResourceWarning")


def test_a_study_is_a_file_in_its_folder_unless_a_database_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert storage_url(Path("outputs/search/a"), None) == f"sqlite:///{tmp_path}/outputs/search/a/study.db"
    assert storage_url(Path("outputs/search/a"), "postgresql://host/b") == "postgresql://host/b"
    open_storage(storage_url(Path("outputs/search/a"), None)).engine.dispose()
    assert (tmp_path / "outputs/search/a/study.db").is_file()


def test_a_study_with_other_directions_is_refused(url: str) -> None:
    opened = open_storage(url)
    open_study("study", opened, ["maximize"], RandomSampler(), NopPruner())
    for others in (["minimize"], ["maximize", "minimize"]):
        with pytest.raises(StudyError, match=r"study study already exists with directions \['maximize'\]"):
            open_study("study", opened, others, RandomSampler(), NopPruner())
    open_study("another", opened, ["minimize"], RandomSampler(), NopPruner())
    opened.engine.dispose()


def test_what_is_written_in_one_transaction_is_seen_as_a_whole_or_never(url: str) -> None:
    storages = [open_storage(url) for _ in range(2)]
    here, there = (open_study("study", one, ["maximize"], RandomSampler(), NopPruner()) for one in storages)
    trial = here.ask()

    def seen() -> tuple[dict[str, object], dict[int, float]]:
        (found,) = there.get_trials()
        return found.user_attrs, found.intermediate_values

    with one_transaction(here):
        trial.set_user_attr("folds", [1])
        trial.report(0.5, 1)
        assert seen() == ({}, {})
        # This process sees what it has written.
        assert here.get_trials()[0].user_attrs == {"folds": [1]}
    assert seen() == ({"folds": [1]}, {1: 0.5})
    with suppress(KeyboardInterrupt), one_transaction(here):
        trial.set_user_attr("folds", [1, 2])
        raise KeyboardInterrupt
    assert seen() == ({"folds": [1]}, {1: 0.5})
    # From then on as before.
    trial.set_user_attr("folds", [1, 2])
    assert seen() == ({"folds": [1, 2]}, {1: 0.5})
    for storage in storages:
        storage.engine.dispose()


def test_processes_that_start_at_once_share_a_new_database(url: str) -> None:
    command = [sys.executable, "-c", OPENER, url]
    pipe = subprocess.PIPE
    processes = [subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True) for _ in range(2)]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    answers = [process.communicate(timeout=60) for process in processes]
    assert sorted(answers) == [("0\n", ""), ("1\n", "")]


@pytest.mark.parametrize(
    ("error", "num_tries"),
    [
        (sa.exc.IntegrityError("", None, Exception("UNIQUE constraint failed")), 3),
        (sa.exc.OperationalError("", None, Exception("table studies already exists")), 3),
        (sa.exc.OperationalError("", None, Exception("Connection refused")), 1),
    ],
)
def test_tries_again_where_another_process_was_faster_and_only_there(
    error: Exception, num_tries: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried = []

    def make(url: str, **settings: object) -> RDBStorage:
        tried.append(url)
        if len(tried) < 3:
            raise error
        return RDBStorage(url)

    monkeypatch.setattr(module, "RDBStorage", make)
    monkeypatch.setattr(module, "_PAUSE_SECONDS", 0)
    url = storage_url(tmp_path, None)
    if num_tries == 1:
        with pytest.raises(StudyError, match="cannot be opened: Connection refused"):
            open_storage(url)
    else:
        open_storage(url).engine.dispose()
    assert len(tried) == num_tries


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql+psycopg://me:secret@host:5432/db", "postgresql+psycopg://me@host:5432/db"),
        ("postgresql+psycopg://me:se@c:ret@host/db", "postgresql+psycopg://me@host/db"),
        ("postgresql+psycopg://me@host/db", "postgresql+psycopg://me@host/db"),
        ("postgresql://host/db?user=me&password=secret&x=1", "postgresql://host/db?user=me&password=...&x=1"),
        ("sqlite:////data/a@b/study.db", "sqlite:////data/a@b/study.db"),
        ("sqlite:///study.db", "sqlite:///study.db"),
    ],
)
def test_passwords_are_not_shown(url: str, shown: str) -> None:
    assert redacted(url) == shown


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("study.db", "study.db is not a database URL: .* sqlite:///study.db"),
        ("foo://me:secret@host/db", "foo://me@host/db is not a database URL: .*foo"),
        ("postgresql+psycopg://me:secret@host:port/db", "postgresql.psycopg://me@host:port/db is not a database URL"),
        ("oracle+cx_oracle://me:secret@host/db", "oracle.cx_oracle://me@host/db needs a driver that is not installed"),
        ("postgresql+psycopg://me:secret@127.0.0.1:1/db", "postgresql.psycopg://me@127.0.0.1:1/db cannot be opened"),
    ],
)
def test_what_cannot_be_opened_is_a_sentence(url: str, message: str) -> None:
    with pytest.raises(StudyError, match=message) as caught:
        open_storage(url)
    assert "secret" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_no_database_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "study.db").write_bytes(b"no database" * 100)
    with pytest.raises(StudyError, match=r"study\.db cannot be opened: file is not a database"):
        open_storage(storage_url(tmp_path, None))


@unclosed
def test_a_database_of_another_version_of_optuna_is_a_sentence(url: str) -> None:
    opened = open_storage(url)
    with opened.engine.begin() as connection:
        connection.execute(sa.text("UPDATE alembic_version SET version_num = 'v0.9.0.a'"))
    opened.engine.dispose()
    assert re.search("cannot be opened: The runtime optuna version .* is no longer compatible", refusal(url))


@unclosed
def test_a_database_of_somebody_else_is_a_sentence(make_database: Callable[[], str]) -> None:
    url = make_database()
    engine = sa.create_engine(url)
    with engine.begin() as connection:
        connection.execute(sa.text("CREATE USER guest_of_fer3d"))
    engine.dispose()
    message = refusal(url.replace("fer3d@", "guest_of_fer3d@"))
    assert "guest_of_fer3d@" in message
    assert "cannot be opened: permission denied for schema public" in message


def refusal(url: str) -> str:
    with pytest.raises(StudyError) as caught:
        open_storage(url)
    message = str(caught.value)
    # Takes the connection with it while the warning is ignored.
    del caught
    gc.collect()
    return message


def test_tables_that_cannot_be_written_are_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        cause = sa.exc.OperationalError("INSERT", {}, Exception("database or disk is full"))
        raise StorageInternalError("An exception is raised during the commit.") from cause

    monkeypatch.setattr(module, "RDBStorage", full)
    with pytest.raises(StudyError, match=r"study\.db cannot be opened: database or disk is full"):
        open_storage(storage_url(tmp_path, None))
