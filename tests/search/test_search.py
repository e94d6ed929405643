from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from fake_launchers import Function, opened_search, square, states
from optuna.trial import FrozenTrial, Trial

from fer3d.search import search as module
from fer3d.search.leases import Leases, Owner
from fer3d.search.search import ERROR, Search
from fer3d.search.space import SearchSpace, SpaceError
from fer3d.search.storage import StudyError

SPACE = SearchSpace.parse({"x": "interval(0,1)", "c": "choice(a,b)"})
Open = Callable[..., list[FrozenTrial]]


@pytest.fixture
def run(tmp_path: Path, said: list[str]) -> Open:
    """Runs a search to its end, as one process, and returns the trials of its study."""

    def search(function: Function = square, **settings: Any) -> list[FrozenTrial]:
        with opened_search(function, folder=tmp_path, say=said.append, **settings) as opened:
            opened.run()
            return opened.study.trials

    return search


def test_ends_with_the_number_of_finished_trials_those_of_earlier_starts_included(run: Open, said: list[str]) -> None:
    first = run(num_trials=3)
    assert states(first) == ["complete"] * 3
    assert [trial.value for trial in first] == [trial.params["x"] ** 2 for trial in first]
    assert said == [f"trial {trial.number}: {trial.value:.6g}" for trial in first]
    second = run(num_trials=5)
    assert [trial.params for trial in second[:3]] == [trial.params for trial in first]
    assert len({trial.params["x"] for trial in second}) == 5
    assert len(said) == 5
    assert run(num_trials=5) == second
    assert run(num_trials=2) == second
    assert len(said) == 5


def test_jobs_are_given_the_fixed_and_the_drawn_settings(run: Open) -> None:
    given: list[Mapping[str, Any]] = []

    def keep(trial: int, settings: Mapping[str, Any]) -> float:
        given.append(settings)
        return 0.0

    space = SearchSpace.parse({"a": 1, "x": "interval(0,1)", "c": "choice('a b',d)"}, ["b=text"])
    trials = run(keep, num_trials=4, space=space, extend=lambda trial: trial.suggest_int("+n", 1, 9))
    drawn = [{name.lstrip("+"): value for name, value in trial.params.items()} for trial in trials]
    assert given == [{"a": 1, "b": "text", **settings} for settings in drawn]
    assert drawn[0].keys() == {"x", "c", "n"}


@pytest.mark.parametrize(
    ("returned", "message"),
    [
        (float("nan"), "ValueError: the function must return a number, got nan"),
        ("much", "ValueError: the function must return a number, got 'much'"),
        (None, "ValueError: the function must return a number, got None"),
        ((1.0, 2.0), "ValueError: the function must return a number, got (1.0, 2.0)"),
        (KeyError("gone"), "KeyError: 'gone'"),
    ],
)
def test_a_trial_that_gives_no_number_fails_and_the_search_goes_on(
    returned: Any, message: str, run: Open, said: list[str]
) -> None:
    def second_fails(trial: int, settings: Mapping[str, Any]) -> Any:
        if trial == 1 and isinstance(returned, Exception):
            raise returned
        return returned if trial == 1 else 1.0

    trials = run(second_fails, num_trials=4, max_failure_rate=0.25)
    assert states(trials) == ["complete", "fail", "complete", "complete"]
    assert trials[1].user_attrs[ERROR] == message
    assert said[1] == f"trial 1: failed: {message}"


@pytest.mark.parametrize(
    ("num_trials", "rate", "num_allowed"), [(8, 0.25, 2), (8, 0.374, 2), (5, 0.1, 0), (10, 0.1, 1), (3, 1.0, 3)]
)
def test_as_many_trials_may_fail_as_the_rate_allows(num_trials: int, rate: float, num_allowed: int, run: Open) -> None:
    def first_fail(trial: int, settings: Mapping[str, Any]) -> float:
        if trial < num_allowed:
            raise RuntimeError(f"no {trial}")
        return 0.0

    trials = run(first_fail, num_trials=num_trials, max_failure_rate=rate)
    assert states(trials) == ["fail"] * num_allowed + ["complete"] * (num_trials - num_allowed)


def test_too_many_failures_end_the_search_with_the_last_ones_reason(run: Open) -> None:
    def fail(trial: int, settings: Mapping[str, Any]) -> float:
        raise RuntimeError(f"no {trial}")

    message = r"3 trials of study study failed, .*max_failure_rate=0.25 .*2 of 8; .*trial 2, .*RuntimeError: no 2"
    with pytest.raises(StudyError, match=message):
        run(fail, num_trials=8, max_failure_rate=0.25)
    # Nor does the next start begin a fourth.
    with pytest.raises(StudyError, match=message):
        run(num_trials=8, max_failure_rate=0.25)
    assert states(run(num_trials=8, max_failure_rate=0.5)) == ["fail"] * 3 + ["complete"] * 5


def test_the_last_trials_failure_counts_too(run: Open) -> None:
    def last_fails(trial: int, settings: Mapping[str, Any]) -> float:
        return 1 / (2 - trial)

    with pytest.raises(StudyError, match=r"1 trials .* ZeroDivisionError"):
        run(last_fails, num_trials=3)


def test_a_slow_trial_holds_up_nobody(run: Open) -> None:
    others_are_done = threading.Event()

    def first_waits_for_the_last(trial: int, settings: Mapping[str, Any]) -> float:
        if trial == 0:
            assert others_are_done.wait(60)
        if trial == 6:
            others_are_done.set()
        return 0.0

    assert states(run(first_waits_for_the_last, num_trials=7, num_at_once=2)) == ["complete"] * 7


def test_as_many_trials_run_at_a_time_as_asked(run: Open) -> None:
    together = threading.Barrier(3)

    def meet(trial: int, settings: Mapping[str, Any]) -> float:
        # Breaks where fewer than three, and is never passed by a fourth before the others.
        together.wait(60)
        return 0.0

    assert states(run(meet, num_trials=6, num_at_once=3)) == ["complete"] * 6


def test_a_failure_side_by_side_leaves_the_others_to_end(run: Open) -> None:
    def odd_ones_fail(trial: int, settings: Mapping[str, Any]) -> float:
        if trial % 2:
            raise RuntimeError("odd")
        return 0.0

    trials = run(odd_ones_fail, num_trials=6, num_at_once=2, max_failure_rate=0.5)
    assert states(trials) == ["complete", "fail"] * 3


def interrupt(trial: int, settings: Mapping[str, Any]) -> float:
    if trial == 2:
        raise KeyboardInterrupt
    return 0.0


def test_an_interrupted_trial_goes_on_under_its_number_with_its_settings(
    run: Open, tmp_path: Path, said: list[str]
) -> None:
    with (
        pytest.raises(KeyboardInterrupt),
        opened_search(interrupt, folder=tmp_path, num_trials=5, space=SPACE) as search,
    ):
        search.run()
    with opened_search(square, folder=tmp_path, num_trials=5, space=SPACE) as search:
        left = search.study.trials
        assert states(left) == ["complete", "complete", "running"]
        assert search.leases._row("2") is None
        assert "c" in left[2].params
    trials = run(num_trials=5, space=SPACE)
    assert states(trials) == ["complete"] * 5
    assert trials[2].params == left[2].params
    assert trials[2].value == left[2].params["x"] ** 2
    assert said[0].startswith("trial 2: resumed")
    assert len({trial.params["x"] for trial in trials}) == 5


def test_an_error_before_a_trials_first_job_leaves_the_trial_to_the_next_start(run: Open, tmp_path: Path) -> None:
    def broken(trial: Trial) -> None:
        raise LookupError("of the custom search space")

    with opened_search(square, folder=tmp_path, num_trials=2, extend=broken) as search:
        with pytest.raises(LookupError):
            search.run()
        # Another process need not wait for this one's end.
        assert search.leases._row("0") is None
    assert states(run(num_trials=2)) == ["complete"] * 2


@pytest.mark.parametrize(("params", "line"), [({}, ["+z=5"]), ({"z": 5}, [])])
def test_a_setting_that_is_held_fixed_cannot_be_drawn_too(
    params: dict[str, int], line: list[str], run: Open, tmp_path: Path
) -> None:
    space = SearchSpace.parse({"x": "interval(0,1)", **params}, line)
    with pytest.raises(SpaceError, match=r"custom_search_space .* z,"):
        run(num_trials=2, space=space, extend=lambda trial: trial.suggest_int("z", 1, 9))
    # Without it, the same trial goes on.
    free = SearchSpace.parse({"x": "interval(0,1)"})
    assert states(run(num_trials=2, space=free, extend=lambda trial: trial.suggest_int("z", 1, 9))) == ["complete"] * 2


def test_what_the_user_enqueued_comes_first(run: Open, tmp_path: Path) -> None:
    with opened_search(square, folder=tmp_path, num_trials=1) as search:
        search.study.enqueue_trial({"x": 0.5})
        search.study.enqueue_trial({"x": 0.25})
    trials = run(num_trials=3)
    assert [trial.params["x"] for trial in trials[:2]] == [0.5, 0.25]
    assert states(trials) == ["complete"] * 3


def test_several_directions_take_several_numbers(run: Open) -> None:
    trials = run(
        lambda trial, settings: (settings["x"], trial if trial else "none"),
        num_trials=3,
        directions=["minimize", "maximize"],
        max_failure_rate=0.5,
    )
    assert states(trials) == ["fail", "complete", "complete"]
    assert "must return 2 numbers, one for each direction, got (" in trials[0].user_attrs[ERROR]
    assert trials[2].values == [trials[2].params["x"], 2.0]


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
