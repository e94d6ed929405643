from __future__ import annotations

import itertools
import logging
import warnings
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import optuna
import pytest
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf
from optuna.distributions import CategoricalDistribution
from optuna.storages import BaseStorage, InMemoryStorage
from optuna.study import Study

import hydra_plugins.fer3d_sweeper
from fer3d.search.sampling import SeededSampler
from fer3d.search.space import SearchSpace, SpaceError

SETTINGS = Path(hydra_plugins.fer3d_sweeper.__file__).parent / "conf/hydra/sweeper/sampler"
NAMES = sorted(path.stem for path in SETTINGS.glob("*.yaml"))
SPACE = SearchSpace.parse(
    {"x": "interval(0,1)", "y": "tag(log,interval(1e-3,1))", "n": "int(interval(1,9))", "c": "choice(a,b)"}
)
GRID = SearchSpace.parse({"n": "range(1,3)", "x": "range(0.0,0.3,0.1)", "c": "choice(a,b)"})


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    yield
    optuna.logging.set_verbosity(before)


def settings(name: str, **changes: Any) -> dict[str, Any]:
    return {**_composed(name), **changes}


@cache
def _composed(name: str) -> dict[str, Any]:
    with initialize_config_dir(str(SETTINGS), version_base="1.3"):
        plain = OmegaConf.to_container(compose(name))
    assert isinstance(plain, dict)
    return {str(key): value for key, value in plain.items()}


def start(sampler: dict[str, Any], storage: BaseStorage, space: SearchSpace = SPACE) -> Study:
    """Opens a study as another process would."""
    return optuna.create_study(
        study_name="test", storage=storage, sampler=SeededSampler(sampler, space), load_if_exists=True
    )


def draw(study: Study, number: int, space: SearchSpace = SPACE) -> list[dict[str, Any]]:
    """Carries out a number of trials and returns their settings."""
    drawn = []
    for _ in range(number):
        trial = study.ask()
        space.draw(trial)
        study.tell(trial, (trial.params.get("x", 0) - 0.5) ** 2)
        drawn.append(dict(trial.params))
    return drawn


@pytest.mark.parametrize("name", NAMES)
def test_every_sampler_drives_a_study_without_a_warning(
    name: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(logging.getLogger("optuna"), "propagate", True)
    space = GRID if name == "grid" else SPACE
    # Few to learn from, so that what was learnt is used.
    few = {"n_startup_trials": 2} if "n_startup_trials" in settings(name) else {}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        drawn = draw(start(settings(name, **few), InMemoryStorage(), space), 6, space)
    assert len({tuple(params.items()) for params in drawn}) == 6
    # That is about speed, and depends on what else is installed.
    assert [record for record in caplog.records if "greenlet" not in record.getMessage()] == []


@pytest.mark.parametrize("name", NAMES)
def test_a_study_that_goes_on_draws_what_it_would_have_drawn_without_a_break(name: str) -> None:
    space = GRID if name == "grid" else SPACE
    whole = draw(start(settings(name), InMemoryStorage(), space), 6, space)
    storage = InMemoryStorage()
    parts = [params for _ in range(3) for params in draw(start(settings(name), storage, space), 2, space)]
    assert parts == whole
    assert draw(start(settings(name, seed=1), InMemoryStorage(), space), 6, space) != whole


@pytest.mark.parametrize("name", ["tpe", "tpe_2020", "cmaes"])
def test_a_sampler_that_learns_draws_the_same_whoever_drew_before(name: str) -> None:
    learns = settings(name, n_startup_trials=2)
    space = SearchSpace.parse({"x": "interval(0,1)", "y": "interval(0,1)", "n": "int(interval(1,9))"})
    whole = draw(start(learns, InMemoryStorage(), space), 9, space)
    storage = InMemoryStorage()
    assert [params for _ in range(9) for params in draw(start(learns, storage, space), 1, space)] == whole


@pytest.mark.parametrize("name", ["random", "tpe", "nsgaii", "gp"])
def test_without_a_seed_two_searches_differ(name: str) -> None:
    first, second = (draw(start(settings(name, seed=None), InMemoryStorage()), 2) for _ in range(2))
    assert first != second


def test_trials_side_by_side_differ_whoever_asks_for_them() -> None:
    storage = InMemoryStorage()
    studies = [start(settings("tpe"), storage) for _ in range(2)]
    trials = [studies[place % 2].ask() for place in range(8)]
    drawn = []
    for trial in trials:
        # As a process does: the sampler is that of the trial that it began last.
        trial.study.sampler.before_trial(trial.study, trial.study.trials[trial.number])
        SPACE.draw(trial)
        drawn.append(tuple(trial.params.values()))
    assert len(set(drawn)) == 8


def test_draws_in_turn_are_uniform_and_independent() -> None:
    space = SearchSpace.parse({"x": "interval(0,1)"})
    drawn = [params["x"] for params in draw(start(settings("random"), InMemoryStorage(), space), 200, space)]
    shares = [sum(low <= x < low + 0.25 for x in drawn) / 200 for low in (0, 0.25, 0.5, 0.75)]
    assert all(0.15 < share < 0.35 for share in shares)
    rises = sum(after > before for before, after in itertools.pairwise(drawn))
    assert 80 < rises < 120


def test_a_grid_has_each_point_once_across_starts() -> None:
    assert SeededSampler(settings("grid"), GRID).num_trials == 24
    storage = InMemoryStorage()
    points = []
    for _ in range(6):
        points += [tuple(params.values()) for params in draw(start(settings("grid"), storage, GRID), 4, GRID)]
    assert len(points) == len(set(points)) == 24
    assert {point[1] for point in points} == {0, 0.1, 0.2, 0.3}
    # Not in the order of their numbers.
    assert points != sorted(points)


def test_a_grid_goes_on_with_the_point_of_a_trial_that_was_interrupted() -> None:
    storage = InMemoryStorage()
    first = start(settings("grid"), storage, GRID)
    interrupted = first.ask()
    draw(first, 5, GRID)
    second = start(settings("grid"), storage, GRID)
    again = optuna.trial.Trial(second, interrupted._trial_id)
    GRID.draw(again)
    second.tell(again, 0.0)
    draw(second, 18, GRID)
    assert len({tuple(trial.params.values()) for trial in second.trials}) == 24


def test_a_grid_needs_finitely_many_values() -> None:
    with pytest.raises(SpaceError, match="x is drawn from an interval"):
        SeededSampler(settings("grid"), SPACE)


def test_only_a_grid_has_an_end() -> None:
    assert [name for name in NAMES if SeededSampler(settings(name), GRID).num_trials is not None] == ["grid"]


def test_a_quasi_random_sequence_is_one_whoever_draws_and_without_a_seed() -> None:
    space = SearchSpace.parse({"x": "interval(0,1)", "y": "interval(0,1)"})
    for seed in (0, None):
        storage = InMemoryStorage()
        xs = [
            params["x"]
            for _ in range(17)
            for params in draw(start(settings("qmc", seed=seed), storage, space), 1, space)
        ][1:]
        # Of 16 points of a Sobol sequence, each sixteenth of the interval has one.
        assert sorted(int(x * 16) for x in xs) == list(range(16))


def test_the_tpe_of_2020_models_one_setting_at_a_time() -> None:
    assert settings("tpe_2020") == {**settings("tpe"), "multivariate": False, "constant_liar": False}
    assert (settings("tpe")["multivariate"], settings("tpe")["constant_liar"]) == (True, True)


def test_a_sampler_that_learns_comes_closer() -> None:
    drawn = draw(start(settings("tpe"), InMemoryStorage()), 40)
    # At random, the distance is a quarter on average.
    assert sum(abs(params["x"] - 0.5) for params in drawn[-20:]) / 20 < 0.15


def test_a_choice_may_be_anything_that_stands_on_the_command_line() -> None:
    space = SearchSpace.parse({"c": "null,true,1,0.5,[1,2],'a b'"})
    drawn = draw(start(settings("tpe"), InMemoryStorage(), space), 40, space)
    distribution = space.distributions["c"]
    assert isinstance(distribution, CategoricalDistribution)
    assert {params["c"] for params in drawn} == set(distribution.choices)
