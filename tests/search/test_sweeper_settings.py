from __future__ import annotations

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig

from fer3d.configuration import config_folder
from fer3d.search.sweeper_settings import SweeperSettings


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


def test_a_setting_that_a_file_misspells_is_found() -> None:
    with pytest.raises(ValueError, match=r"hydra\.sweeper\.n_trails is not a setting; did you mean .*n_trials\?"):
        SweeperSettings.read(sweeper("+hydra.sweeper.n_trails=2"))
