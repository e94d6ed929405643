"""Processes of other machines, of which only their beats tell; by a clock that goes where the test says so."""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Callable
from types import SimpleNamespace

import pytest
import sqlalchemy as sa

from fer3d.search import leases as module
from fer3d.search.leases import Leases, Owner

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
