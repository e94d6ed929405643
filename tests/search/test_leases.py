from __future__ import annotations

import os
import subprocess
import threading
import time
from collections.abc import Callable
from dataclasses import replace

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import OperationalError

from fer3d.search import leases as module
from fer3d.search.leases import Leases, Owner


def test_a_lease_is_one_processs_until_it_gives_it_back(make_leases: Callable[..., Leases]) -> None:
    first, second = make_leases(), make_leases()
    assert first.take(3)
    assert first.holds(3)
    assert not first.take(3)
    assert not second.take(3)
    assert not second.holds(3)
    assert second.take(4)
    second.give_back(3)
    assert first.holds(3)
    first.give_back(3)
    assert not first.holds(3)
    assert second.take(3)


def test_two_studies_of_a_database_have_leases_of_their_own(make_leases: Callable[..., Leases]) -> None:
    first, second = make_leases("one"), make_leases("two")
    assert first.take(0)
    assert second.take(0)
    first.__exit__()
    assert second.holds(0)


def test_a_search_that_ends_gives_all_its_leases_back(make_leases: Callable[..., Leases]) -> None:
    first, second = make_leases(), make_leases()
    assert first.take(1)
    assert first.take(2)
    first.__exit__()
    assert second.take(1)
    assert second.take(2)


def test_a_killed_processs_lease_is_taken_over_at_once(
    make_leases: Callable[..., Leases], start_holder: Callable[..., subprocess.Popen[str]]
) -> None:
    leases, holder = make_leases(), start_holder()
    assert not leases.take(7)
    assert leases.known_alive(7)
    holder.kill()
    # Nobody has asked for it yet: it is a zombie.
    os.waitid(os.P_PID, holder.pid, os.WEXITED | os.WNOWAIT)
    assert not leases.known_alive(7)
    assert leases.take(7)
    assert leases.holds(7)


def test_a_process_that_is_killed_within_the_mutex_frees_it(
    make_leases: Callable[..., Leases], start_holder: Callable[..., subprocess.Popen[str]]
) -> None:
    leases, holder = make_leases(), start_holder("mutex")
    holder.kill()
    holder.wait()
    with leases.mutex():
        assert leases.take(7)


def test_a_process_of_the_same_number_that_started_later_is_another_one(make_leases: Callable[..., Leases]) -> None:
    assert make_leases(owner=replace(Owner.me(), started="1")).take(5)
    assert make_leases().take(5)


def test_of_several_that_find_a_process_dead_one_takes_its_lease(make_leases: Callable[..., Leases]) -> None:
    assert make_leases(owner=replace(Owner.me(), started="1")).take(5)
    searches = [make_leases() for _ in range(4)]
    took: list[bool] = []
    threads = [threading.Thread(target=lambda each=each: took.append(each.take(5))) for each in searches]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(took) == [False, False, False, True]
    assert sum(each.holds(5) for each in searches) == 1


def test_one_at_a_time_is_within_the_mutex(make_leases: Callable[..., Leases]) -> None:
    inside, most, turns = [0], [0], [0]

    def enter(leases: Leases) -> None:
        for _ in range(3):
            with leases.mutex():
                inside[0] += 1
                most[0] = max(most[0], inside[0])
                time.sleep(0.005)
                turns[0] += 1
                inside[0] -= 1

    threads = [threading.Thread(target=enter, args=[make_leases()]) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (most[0], turns[0]) == (1, 9)


def test_an_error_within_the_mutex_frees_it(make_leases: Callable[..., Leases]) -> None:
    leases = make_leases()
    with pytest.raises(KeyError), leases.mutex():
        raise KeyError
    with make_leases().mutex():
        pass


def test_a_search_beats_as_long_as_it_runs_though_the_database_is_away_for_a_moment(
    make_leases: Callable[..., Leases], engine: sa.Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "BEAT_SECONDS", 0.02)
    leases = make_leases()
    assert leases.take(5)
    assert leases.take(6)

    wait_for(lambda: min(beats(engine)) > 2)
    away = Away()
    leases.engine = away  # type: ignore[assignment]
    wait_for(lambda: away.num_asked > 2)
    before = beats(engine)
    leases.engine = engine
    wait_for(lambda: min(beats(engine)) > max(before) + 2)
    assert leases.holds(5)
    leases.__exit__()
    assert beats(engine) == []


class Away:
    """A database that is away."""

    def __init__(self) -> None:
        self.num_asked = 0

    def begin(self) -> None:
        self.num_asked += 1
        raise OperationalError("", None, Exception("away"))


def beats(engine: sa.Engine) -> list[int]:
    with engine.connect() as connection:
        return list(connection.execute(sa.select(module._LEASES.c.beats)).scalars())


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_process_is_known_by_what_it_writes() -> None:
    me = Owner.me()
    assert Owner.parse(str(me)) == me
    assert Owner.me() != me
    assert not me.known_dead
    assert replace(me, pid=2**22 + 1).known_dead
    assert me.is_local
    elsewhere = replace(me, machine="elsewhere")
    assert not elsewhere.is_local
    assert not replace(elsewhere, pid=2**22 + 1).known_dead
