"""A database that is away for a moment, such as one that is restarted: a search waits for it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import sqlalchemy as sa

# For how long a search waits before it gives up, and between two looks at most.
PATIENCE_SECONDS = 300.0
_MAX_PAUSE_SECONDS = 30.0


@contextmanager
def bridged_outages(engine: sa.Engine, say: Callable[[str], None], came_back: Callable[[], None]) -> Iterator[None]:
    """Waits wherever a connection cannot be made, until the database answers again.

    A connection of the pool that is dead is found out about when it is taken, and made anew; only what is under way in
    the very moment that a database goes fails.

    Args:
        engine: The database; a SQLite file, which nobody restarts, is left alone.
        say: Where sentences for people go.
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
        # Whatever is still to be said to the database at the end should not wait again.
        sa.event.remove(engine, "do_connect", outage.connect)


class _Outage:
    def __init__(self, engine: sa.Engine, say: Callable[[str], None], came_back: Callable[[], None]) -> None:
        self._where = engine.url.render_as_string()
        self._say = say
        self._came_back = came_back
        self._lock = threading.Lock()
        self._is_away = False

    def connect(self, dialect: Any, record: Any, arguments: Any, settings: Any) -> Any:
        """Makes a connection as SQLAlchemy would, as soon as that is possible."""
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
                self._say(f"{self._where} does not answer, is tried for {PATIENCE_SECONDS:.0f} s: {said}")

    def _is_back(self) -> None:
        with self._lock:
            if self._is_away:
                self._is_away = False
                self._came_back()
                self._say(f"{self._where} answers again")
