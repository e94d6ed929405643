from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace

import pytest
import sqlalchemy as sa
from processes import wait_until
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

    wait_until(lambda: min(beats(engine)) > 2)
    away = Away()
    leases.engine = away  # type: ignore[assignment]
    wait_until(lambda: away.num_asked > 2)
    before = beats(engine)
    leases.engine = engine
    wait_until(lambda: min(beats(engine)) > max(before) + 2)
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


# Processes of other machines, of which only their beats tell.
ELSEWHERE = Owner("elsewhere/1", 1, "17", "there")


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """The observer's clock, which goes only where the test says so."""
    fake = SimpleNamespace(now=1000.0, sleep=time.sleep)
    fake.monotonic = lambda: fake.now
    monkeypatch.setattr(module, "time", fake)
    return fake


def beat(leases: Leases) -> None:
    with leases.engine.begin() as connection:
        row = sa.update(module._LEASES).where(module._LEASES.c.owner == str(leases.owner))
        connection.execute(row.values(beats=module._LEASES.c.beats + 1))


def test_a_process_that_stands_still_is_not_taken_for_dead(
    make_leases: Callable[..., Leases], start_holder: Callable[..., subprocess.Popen[str]], clock: SimpleNamespace
) -> None:
    leases, holder = make_leases(), start_holder()
    holder.send_signal(signal.SIGSTOP)
    assert not leases.take(7)
    clock.now += 59
    assert not leases.take(7)
    clock.now += 2
    assert leases.take(7)


def test_a_process_of_another_machine_is_dead_after_a_while_of_silence(
    make_leases: Callable[..., Leases], clock: SimpleNamespace
) -> None:
    here, there = make_leases(grace=60), make_leases(owner=ELSEWHERE)
    assert there.take(5)
    # How long it was silent before it was seen counts for nothing: its clock may be wrong.
    clock.now += 1000
    assert not here.take(5)
    clock.now += 59
    assert not here.take(5)
    clock.now += 2
    assert here.take(5)
    assert here.holds(5)


def test_a_process_of_another_machine_that_beats_is_never_taken_for_dead(
    make_leases: Callable[..., Leases], clock: SimpleNamespace
) -> None:
    here, there = make_leases(grace=60), make_leases(owner=ELSEWHERE)
    assert there.take(5)
    for _ in range(10):
        assert not here.take(5)
        beat(there)
        clock.now += 59
    assert not here.take(5)
    assert there.holds(5)


def test_a_process_notices_that_it_has_lost_a_lease_and_leaves_it(
    make_leases: Callable[..., Leases], clock: SimpleNamespace
) -> None:
    here, asleep = make_leases(grace=60), make_leases(owner=ELSEWHERE)
    assert asleep.take(5)
    assert not here.take(5)
    clock.now += 61
    assert here.take(5)
    assert not asleep.holds(5)
    asleep.give_back(5)
    asleep.__exit__()
    assert here.holds(5)


def test_the_mutex_of_a_live_process_is_not_taken_for_the_one_it_had_long_ago(
    make_leases: Callable[..., Leases], clock: SimpleNamespace
) -> None:
    here, there = make_leases(grace=60), make_leases(owner=ELSEWHERE)
    assert there._take("mutex")
    assert not here._take("mutex")
    there.give_back("mutex")
    with here.mutex():
        pass
    clock.now += 1000
    # Held for less than a beat, both times.
    assert there._take("mutex")
    assert not here._take("mutex")


def test_who_is_known_to_be_alive(make_leases: Callable[..., Leases], clock: SimpleNamespace) -> None:
    here, there = make_leases(), make_leases(owner=ELSEWHERE)
    assert not here.known_alive(5)
    assert there.take(5)
    assert not here.known_alive(5)
    clock.now += 2
    assert not here.known_alive(5)
    beat(there)
    clock.now += 2
    assert here.known_alive(5)
    # It may have died since.
    clock.now += 30
    assert not here.known_alive(5)
    # That it beat at all meanwhile says little, too.
    beat(there)
    clock.now += 8
    assert not here.known_alive(5)
    clock.now += 2
    beat(there)
    assert here.known_alive(5)
