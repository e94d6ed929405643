"""Which process carries out which trial, so that no two run the same one and none is lost with its process.

Optuna's own heartbeat marks a trial whose process died as failed and enqueues a copy of it; between the two a trial can
get lost, and its number changes. Here it goes on under its number, in the process that takes its lease over.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError, SQLAlchemyError

from fer3d.search.owner import Owner

# A process shows every few seconds that it lives; on another machine it counts as dead after a while of silence.
BEAT_SECONDS = 5.0
GRACE_SECONDS = 60.0
# For how long a process counts as alive that was seen to beat.
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
class _Sighting:
    owner: str
    beats: int
    since: float
    looked: float
    has_beaten: bool


@dataclass
class Leases:
    """The leases of a study, and this process's own ones, which it keeps alive from a thread.

    Attributes:
        engine: The study's database.
        study: The study's name.
        owner: This process.
        grace: Seconds of silence after which a process of another machine counts as dead.
    """

    engine: sa.Engine
    study: str
    owner: Owner = field(default_factory=Owner.me)
    grace: float = GRACE_SECONDS
    _seen: dict[str, _Sighting] = field(default_factory=dict)
    _closed: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> Leases:
        # Several processes may start at once.
        try:
            _METADATA.create_all(self.engine)
        except SQLAlchemyError:
            _METADATA.create_all(self.engine)
        threading.Thread(target=self._beat, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        """Gives all leases back, so that others can take the trials over at once."""
        self._closed.set()
        with self.engine.begin() as connection:
            connection.execute(sa.delete(_LEASES).where(_LEASES.c.study == self.study, self._mine))

    @contextmanager
    def mutex(self) -> Iterator[None]:
        """Lets one process at a time decide which trial is whose."""
        while not self._take(_MUTEX):
            time.sleep(_POLL_SECONDS)
        try:
            yield
        finally:
            self.give_back(_MUTEX)

    def take(self, trial: int) -> bool:
        """Takes a trial's lease if nobody alive has it; to be called within `mutex`."""
        return self._take(str(trial))

    def give_back(self, trial: int | str) -> None:
        """Gives a lease back."""
        with self.engine.begin() as connection:
            connection.execute(sa.delete(_LEASES).where(*self._is(str(trial)), self._mine))

    def holds(self, trial: int) -> bool:
        """Whether this process still has a lease: asleep for long, it may have lost it to another."""
        row = self._row(str(trial))
        return row is not None and row[0] == str(self.owner)

    def known_alive(self, trial: int) -> bool:
        """Whether the process that has a trial's lease is sure to be alive: one of this machine, or seen to beat."""
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
            # When its process takes the mutex again, no beat tells the two times apart.
            self._seen.pop(item, None)
            return self._insert(item)
        owner, beats = row
        if not self._is_dead(item, owner, beats):
            return False
        # Only one of several that find it dead changes the row that they all saw.
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
        """Remembers since when a lease has had its beats, by this process's clock: those of two machines differ."""
        now = time.monotonic()
        last = self._seen.get(item)
        if last is None or last.owner != owner:
            seen = _Sighting(owner, beats, now, now, has_beaten=False)
        elif last.beats != beats:
            # Of one that came while nobody looked, nobody knows how old it is.
            seen = _Sighting(owner, beats, now, now, now - last.looked < BEAT_SECONDS)
        else:
            seen = replace(last, looked=now)
        self._seen[item] = seen
        return seen

    def forget_silence(self) -> None:
        """Begins anew to count since when others are silent: while the database was away, nobody could beat."""
        self._seen.clear()

    def _beat(self) -> None:
        update = sa.update(_LEASES).where(_LEASES.c.study == self.study, self._mine)
        while not self._closed.wait(BEAT_SECONDS):
            try:
                with self.engine.begin() as connection:
                    connection.execute(update.values(beats=_LEASES.c.beats + 1))
            except SQLAlchemyError:
                continue  # a database that is away for a moment; the grace is long enough to try again
