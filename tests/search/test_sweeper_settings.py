from __future__ import annotations

import copy
from functools import cache
from typing import Any

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig, OmegaConf

from fer3d.configuration import config_folder
from fer3d.search.sweeper_settings import SweeperSettings


@cache
def sweeper(*overrides: str) -> DictConfig:
    with initialize_config_dir(config_folder(), version_base="1.3"):
        config = compose("train", overrides=["hydra/sweeper=optuna", *overrides], return_hydra_config=True)
    read: DictConfig = config.hydra.sweeper
    return read


@pytest.mark.parametrize("sampler", ["tpe", "tpe_2020", "random", "cmaes", "nsgaii", "qmc", "gp", "grid"])
def test_every_sampler_that_is_offered_is_valid(sampler: str) -> None:
    read = SweeperSettings.read(sweeper(f"hydra/sweeper/sampler={sampler}"))
    assert (read.num_trials, read.max_job_retries, read.retry_failed) == (20, 3, False)


@pytest.mark.parametrize(("name", "text"), [("2024", "2024"), ("'a b'", "a b"), ("null", None)])
def test_a_study_name_is_text(name: str, text: str | None) -> None:
    assert SweeperSettings.read(sweeper(f"hydra.sweeper.study_name={name}")).study_name == text


@pytest.mark.parametrize(
    ("name", "value", "facts"),
    [
        ("n_trials", 0, ["hydra.sweeper.n_trials", "at least 1, got 0"]),
        ("n_jobs", True, ["hydra.sweeper.n_jobs", "got true"]),
        ("n_trails", 9, ["hydra.sweeper.n_trails", "hydra.sweeper.n_trials"]),
        ("max_failure_rate", 2, ["hydra.sweeper.max_failure_rate", "at most 1, got 2"]),
        ("retry_failed", "perhaps", ["hydra.sweeper.retry_failed", "true or false"]),
        ("study_name", "../../x", ["hydra.sweeper.study_name", "outputs/search"]),
        ("direction", "up", ["hydra.sweeper.direction", "minimize, maximize"]),
        ("params", 3, ["hydra.sweeper.params"]),
        ("sampler", None, ["hydra.sweeper.sampler"]),
        ("sampler.nix", 1, ["hydra.sweeper.sampler.nix"]),
        ("sampler.seed", "abc", ["hydra.sweeper.sampler.seed", "abc"]),
        ("sampler._target_", "builtins.dict", ["hydra.sweeper.sampler._target_"]),
    ],
)
def test_a_wrong_setting_is_named(name: str, value: Any, facts: list[str]) -> None:
    wrong = copy.deepcopy(sweeper())
    OmegaConf.update(wrong, name, value, force_add=True)
    with pytest.raises(ValueError) as raised:  # noqa: PT011
        SweeperSettings.read(wrong)
    assert [fact for fact in facts if fact not in str(raised.value)] == []
