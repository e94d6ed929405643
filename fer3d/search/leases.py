"""Trial leases: each running trial belongs to one live process; orphans are resumed.

Optuna's own heartbeat marks an orphan as failed and enqueues a copy under another number; a crash between the two steps
loses the trial. Here the process that takes over the lease resumes the trial under its own number.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from uuid import uuid4

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError, SQLAlchemyError

from fer3d.processes import machine, started

# Interval between heartbeats, and the silence after which a process on another machine counts as dead.
BEAT_SECONDS = 5.0
GRACE_SECONDS = 60.0
# How long an observed heartbeat proves that its process is alive.
_FRESH_SECONDS = 2 * BEAT_SECONDS
_POLL_SECONDS = 0.05

_METADATA = sa.MetaData()
_LEASES = sa.Table(
    "fer3d_leases",
    _METADATA,
    sa.Column("study", sa.String(255), primary_key=True),
    sa.Column("item", sa.String(32), primary_key=True),
    sa.Column("owner", sa.String(255), nullable=False),
    sa.Column("beats", sa.Integer, nullable=False),
)
_MUTEX = "mutex"


@dataclass(frozen=True)
class Owner:
    """Identifies a search process, so that others can tell whether it is alive.

    Attributes:
        machine: Boot and container identifier.
        pid: Process id on that machine.
        started: Start time, which distinguishes the process from a later one with the same id.
        token: Distinguishes several searches in one process.
    """

    machine: str
    pid: int
    started: str
    token: str

    @classmethod
    def me(cls) -> Owner:
        """This process."""
        return cls(machine(), os.getpid(), started(os.getpid()), uuid4().hex[:8])

    @classmethod
    def parse(cls, text: str) -> Owner:
        """Inverse of `str`."""
        machine, pid, started, token = text.split("|")
        return cls(machine, int(pid), started, token)

    def __str__(self) -> str:
        return f"{self.machine}|{self.pid}|{self.started}|{self.token}"

    @property
    def is_local(self) -> bool:
        """Whether the process runs, or ran, on this machine."""
        return self.machine == machine()

    @property
    def known_dead(self) -> bool:
        """Whether the process ran on this machine and has ended."""
        return self.is_local and started(self.pid) != self.started


@dataclass(frozen=True)
class _Sighting:
    owner: str
    beats: int
    since: float
    looked: float
    has_beaten: bool


@dataclass
class Leases:
    """The leases of a study. A thread sends the heartbeats of this process's own leases.

    Attributes:
        engine: The study's database.
        study: The study's name.
        owner: This process.
        grace: Seconds without a heartbeat after which a process on another machine counts as dead.
    """

    engine: sa.Engine
    study: str
    owner: Owner = field(default_factory=Owner.me)
    grace: float = GRACE_SECONDS
    _seen: dict[str, _Sighting] = field(default_factory=dict)
    _closed: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> Leases:
        # Another process may create the table at the same time.
        try:
            _METADATA.create_all(self.engine)
        except SQLAlchemyError:
            _METADATA.create_all(self.engine)
        threading.Thread(target=self._beat, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        """Releases all leases, so that other processes can resume the trials at once."""
        self._closed.set()
        with self.engine.begin() as connection:
            connection.execute(sa.delete(_LEASES).where(_LEASES.c.study == self.study, self._mine))

    @contextmanager
    def mutex(self) -> Iterator[None]:
        """Serialises the assignment of trials between processes."""
        while not self._take(_MUTEX):
            time.sleep(_POLL_SECONDS)
        try:
            yield
        finally:
            self.give_back(_MUTEX)

    def take(self, trial: int) -> bool:
        """Takes a trial's lease unless a live process holds it. Call within `mutex`."""
        return self._take(str(trial))

    def give_back(self, trial: int | str) -> None:
        """Releases a lease."""
        with self.engine.begin() as connection:
            connection.execute(sa.delete(_LEASES).where(*self._is(str(trial)), self._mine))

    def holds(self, trial: int) -> bool:
        """Whether this process still holds a lease; while it was suspended, another may have taken it over."""
        row = self._row(str(trial))
        return row is not None and row[0] == str(self.owner)

    def known_alive(self, trial: int) -> bool:
        """Whether a trial's lease is held by a live process: on this machine, or with a recent heartbeat."""
        row = self._row(str(trial))
        if row is None:
            return False
        owner = Owner.parse(row[0])
        if owner.is_local:
            return not owner.known_dead
        seen = self._look(str(trial), *row)
        return seen.has_beaten and seen.looked - seen.since < _FRESH_SECONDS

    @property
    def _mine(self) -> sa.ColumnElement[bool]:
        return _LEASES.c.owner == str(self.owner)

    def _is(self, item: str) -> tuple[sa.ColumnElement[bool], sa.ColumnElement[bool]]:
        return _LEASES.c.study == self.study, _LEASES.c.item == item

    def _row(self, item: str) -> tuple[str, int] | None:
        with self.engine.connect() as connection:
            row = connection.execute(sa.select(_LEASES.c.owner, _LEASES.c.beats).where(*self._is(item))).first()
        return None if row is None else (str(row[0]), int(row[1]))

    def _take(self, item: str) -> bool:
        row = self._row(item)
        if row is None:
            # If its owner takes the mutex again, the heartbeat count would not tell the two times apart.
            self._seen.pop(item, None)
            return self._insert(item)
        owner, beats = row
        if not self._is_dead(item, owner, beats):
            return False
        # Compare and swap: of several processes that find the owner dead, one succeeds.
        update = sa.update(_LEASES).where(*self._is(item), _LEASES.c.owner == owner, _LEASES.c.beats == beats)
        with self.engine.begin() as connection:
            return connection.execute(update.values(owner=str(self.owner), beats=0)).rowcount == 1

    def _insert(self, item: str) -> bool:
        row = {"study": self.study, "item": item, "owner": str(self.owner), "beats": 0}
        try:
            with self.engine.begin() as connection:
                connection.execute(sa.insert(_LEASES).values(**row))
        except IntegrityError:
            return False
        return True

    def _is_dead(self, item: str, owner: str, beats: int) -> bool:
        if Owner.parse(owner).known_dead:
            return True
        return time.monotonic() - self._look(item, owner, beats).since > self.grace

    def _look(self, item: str, owner: str, beats: int) -> _Sighting:
        """Records when the heartbeat count last changed, by this process's clock: clocks differ between machines."""
        now = time.monotonic()
        last = self._seen.get(item)
        if last is None or last.owner != owner:
            seen = _Sighting(owner, beats, now, now, has_beaten=False)
        elif last.beats != beats:
            # If we did not see this heartbeat arrive, its age is unknown.
            seen = _Sighting(owner, beats, now, now, now - last.looked < BEAT_SECONDS)
        else:
            seen = replace(last, looked=now)
        self._seen[item] = seen
        return seen

    def forget_silence(self) -> None:
        """Restarts the count of silence; during an outage of the database no process can send heartbeats."""
        self._seen.clear()

    def _beat(self) -> None:
        update = sa.update(_LEASES).where(_LEASES.c.study == self.study, self._mine)
        while not self._closed.wait(BEAT_SECONDS):
            try:
                with self.engine.begin() as connection:
                    connection.execute(update.values(beats=_LEASES.c.beats + 1))
            except SQLAlchemyError:
                continue  # the database is temporarily unavailable; the grace period allows another try
