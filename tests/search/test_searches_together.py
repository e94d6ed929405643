from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from fake_launchers import opened_search, square, states
from optuna.trial import FrozenTrial

from fer3d.search import search as module
from fer3d.search.leases import Leases, Owner
from fer3d.search.search import Search
from fer3d.search.space import SearchSpace

SPACE = SearchSpace.parse({"x": "interval(0,1)", "c": "choice(a,b)"})
Open = Callable[..., list[FrozenTrial]]


def test_two_searches_share_a_study(url: str) -> None:
    lines: list[list[str]] = [[], []]

    def search(place: int) -> None:
        with opened_search(square, url=url, num_trials=8, space=SPACE, say=lines[place].append) as opened:
            together.wait(60)
            opened.run()

    with opened_search(square, url=url, num_trials=8):
        pass  # makes the tables
    together = threading.Barrier(2)
    threads = [threading.Thread(target=search, args=[place]) for place in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with opened_search(square, url=url, num_trials=8) as opened:
        trials = opened.study.trials
    assert states(trials) == ["complete"] * 8
    assert len({trial.params["x"] for trial in trials}) == 8
    done = [line for line in lines[0] + lines[1] if not line.startswith("other processes")]
    assert sorted(done) == [f"trial {trial.number}: {trial.value:.6g}" for trial in trials]


def hand_over(search: Search, trial: int, owner: Owner) -> Leases:
    """Gives a trial's lease to somebody else, as where this process was silent for too long."""
    search.leases.give_back(trial)
    other = Leases(search.leases.engine, "study", owner).__enter__()
    assert other.take(trial)
    return other


def test_a_trial_that_another_process_took_over_is_left_to_it(tmp_path: Path, said: list[str]) -> None:
    others: list[Leases] = []

    def asleep(trial: int, settings: Mapping[str, Any]) -> Any:
        if trial == 1:
            others.append(hand_over(search, 1, Owner.me()))
            # Done by now, so that nothing can be written.
            search.study.tell(1, 7.0)
            return "nonsense"
        if trial == 2:
            others.append(hand_over(search, 2, Owner.me()))
        return 0.0

    with opened_search(asleep, folder=tmp_path, num_trials=4, say=said.append) as search:
        search.run()
        trials = search.study.trials
        assert search.leases._row("2") is not None
        for other in others:
            other.__exit__()
    assert states(trials) == ["complete", "complete", "running", "complete"]
    assert trials[1].value == 7.0
    assert (said[0], said[3]) == ("trial 0: 0", "trial 3: 0")
    assert [line.partition(" by")[0] for line in said[1:3]] == ["trial 1: taken over", "trial 2: taken over"]
    assert said[4].startswith("other processes")
    assert said[4].endswith(": 2")


def test_a_trial_that_ends_while_its_lease_is_taken_is_not_run_again(
    tmp_path: Path, said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with opened_search(square, folder=tmp_path, num_trials=2, say=said.append) as search:
        trial = search.study.ask()
        take = search.leases.take

        def late(number: int) -> bool:
            if number == trial.number:
                # Its process was about to tell, and to give the lease back.
                search.study.tell(trial, 5.0)
            return take(number)

        monkeypatch.setattr(search.leases, "take", late)
        search.run()
        assert [trial.value for trial in search.study.trials] == [5.0, search.study.trials[1].params["x"] ** 2]
        assert search.leases._row("0") is None
    assert [line.partition(":")[0] for line in said] == ["trial 1"]


def test_a_dead_processs_trial_is_finished_before_the_search_ends(
    tmp_path: Path, said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_POLL_SECONDS", 0.05)
    with opened_search(square, folder=tmp_path, num_trials=2) as search:
        trial = search.study.ask()
        other = hand_over(search, trial.number, Owner("elsewhere", 1, "1", "there"))
        other._closed.set()
    with opened_search(square, folder=tmp_path, num_trials=2, say=said.append) as search:
        search.leases.grace = 0.5
        search.run()
        assert states(search.study.trials) == ["complete"] * 2
    # The new one first; the silent one only after a while.
    assert [line.partition(":")[0] for line in said] == ["trial 1", "trial 0", "trial 0"]
    assert said[1].startswith("trial 0: resumed")


def test_waits_for_the_others_where_it_is_asked_to(
    tmp_path: Path, said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_POLL_SECONDS", 0.01)
    with opened_search(square, folder=tmp_path, num_trials=2, say=said.append, wait_for_others=True) as search:
        trial = search.study.ask()
        search.space.draw(trial)
        other = hand_over(search, trial.number, Owner.me())

        def finish() -> None:
            search.study.tell(trial, 5.0)
            other.__exit__()

        timer = threading.Timer(0.5, finish)
        timer.start()
        search.run()
        assert states(search.study.trials) == ["complete"] * 2
        timer.join()
