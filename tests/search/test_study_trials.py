from __future__ import annotations

from collections.abc import Callable, Iterator

import optuna
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from optuna.pruners import NopPruner
from optuna.samplers import RandomSampler
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from fer3d.search.storage import open_storage, open_study
from fer3d.search.study_trials import RETRY_OF, KnownTrials, StudyTrials

ENDS = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL)


@pytest.fixture
def start(url: str) -> Iterator[Callable[..., Study]]:
    """Opens a study as another process would."""
    storages = []

    def open_it(name: str = "study") -> Study:
        storages.append(open_storage(url))
        return open_study(name, storages[-1], ["maximize"], RandomSampler(0), NopPruner())

    yield open_it
    for storage in storages:
        storage.engine.dispose()


def told(trials: list[FrozenTrial]) -> list[tuple[int, TrialState]]:
    return [(trial.number, trial.state) for trial in trials]


def test_what_another_process_begins_and_ends_is_seen(start: Callable[..., Study]) -> None:
    here, there = StudyTrials(start()), start()
    assert (here.now.num_begun, here.now.best_value) == (0, 0.0)
    trial = there.ask()
    assert (here.now.num_begun, here.now.num_finished) == (1, 0)
    assert told(here.now.running) == [(0, TrialState.RUNNING)]
    there.tell(trial, 0.75)
    assert (here.now.num_begun, here.now.num_finished, here.now.best_value) == (1, 1, 0.75)
    assert here.now.running == []
    # A pruned trial's value is no accuracy.
    pruned = there.ask()
    pruned.report(0.9, 1)
    there.tell(pruned, state=TrialState.PRUNED)
    assert (here.now.num_finished, here.now.best_value) == (2, 0.75)


def test_a_retried_trial_does_not_count(start: Callable[..., Study]) -> None:
    here, there = StudyTrials(start()), start()
    for _ in range(2):
        there.tell(there.ask(), state=TrialState.FAIL)
    assert told(here.now.failed) == [(0, TrialState.FAIL), (1, TrialState.FAIL)]
    there.enqueue_trial({}, user_attrs={RETRY_OF: 0})
    assert told(here.now.failed) == [(1, TrialState.FAIL)]
    assert told(here.now.counted) == [(1, TrialState.FAIL), (2, TrialState.WAITING)]
    assert (here.now.num_begun, here.now.num_finished) == (1, 1)


def test_nothing_is_read_again_for_what_a_running_trial_keeps(start: Callable[..., Study]) -> None:
    here, there, another = StudyTrials(start()), start(), start("another")
    there.tell(there.ask(), 0.5)
    trial = there.ask()
    known = here.now
    trial.set_user_attr("folds", {"1": 4})
    trial.report(0.5, 1)
    another.tell(another.ask(), 0.9)
    assert here.now is known
    there.tell(trial, 0.5)
    assert here.now is not known


@pytest.mark.parametrize("url", ["sqlite"], indirect=True)
@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    names=st.integers(0, 10**9),
    steps=st.lists(st.sampled_from(["ask", "enqueue", "end first", "end last", "ask here", "look"]), max_size=12),
)
def test_whatever_happens_is_seen(names: int, steps: list[str], start: Callable[..., Study]) -> None:
    study, there = start(str(names)), start(str(names))
    here = StudyTrials(study)
    running = [trial.number for trial in here.now.running]
    for place, step in enumerate(steps):
        if step.startswith("ask"):
            running.append((study if step == "ask here" else there).ask().number)
        elif step == "enqueue":
            there.enqueue_trial({})
        elif step.startswith("end") and running:
            end = ENDS[place % 3]
            number = running.pop(0 if step == "end first" else -1)
            there.tell(number, 0.5 if end == TrialState.COMPLETE else None, end)
        if step == "look":
            assert told(list(here.now.trials)) == told(there.get_trials(deepcopy=False))
    assert told(list(here.now.trials)) == told(there.get_trials(deepcopy=False))


def test_a_study_in_memory_is_read_each_time() -> None:
    study = optuna.create_study(direction="maximize")
    here = StudyTrials(study)
    for number in range(3):
        study.tell(study.ask(), number / 4)
        assert (here.now.num_finished, here.now.best_value) == (number + 1, number / 4)
    assert KnownTrials.of(study).num_finished == 3
