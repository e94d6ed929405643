"""The sweeper on a function that has nothing to do with folds, as users of hydra-optuna-sweeper write it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

APPLICATION = """
import hydra


@hydra.main(version_base=None, config_path="conf", config_name="config")
def sphere(cfg):
    if cfg.error and cfg.x > 0:
        raise RuntimeError("x is positive")
    if cfg.two:
        return cfg.x**2, (cfg.x - 2) ** 2
    return cfg.x**2 + cfg.y**2 + (cfg.z != "foo")


def more(cfg, trial):
    if trial.params["z"] == "foo":
        trial.suggest_float("+w", 0, 1)


if __name__ == "__main__":
    sphere()
"""
CONFIG = """
defaults:
  - _self_
  - override hydra/sweeper: optuna
  - override hydra/sweeper/sampler: tpe
  - override hydra/job_logging: none
  - override hydra/hydra_logging: none
hydra:
  sweep:
    dir: sweep
  sweeper:
    sampler:
      seed: 123
    direction: minimize
    study_name: sphere
    storage: null
    n_trials: 6
    n_jobs: 1
    params:
      x: range(-5.5, 5.5, step=0.5)
      y: choice(-5, 0, 5)
      z: choice(foo, bar)
x: 1
y: 1
z: foo
two: false
error: false
"""


@pytest.fixture
def application(tmp_path: Path) -> Path:
    (tmp_path / "conf").mkdir()
    (tmp_path / "conf" / "config.yaml").write_text(CONFIG, encoding="utf-8")
    (tmp_path / "sphere.py").write_text(APPLICATION, encoding="utf-8")
    return tmp_path


def run(application: Path, *arguments: str, status: int = 0, path: Path | None = None) -> str:
    """Runs the application and returns its output, or its errors where it fails."""
    environment = {**os.environ, **({"PYTHONPATH": str(path)} if path else {})}
    command = [sys.executable, "sphere.py", "-m", *arguments]
    done = subprocess.run(command, cwd=application, capture_output=True, text=True, env=environment, timeout=120)
    assert done.returncode == status, done.stderr
    return done.stderr if status else done.stdout


def results(application: Path) -> dict[str, object]:
    content: dict[str, object] = yaml.safe_load((application / "sweep" / "optimization_results.yaml").read_text())
    return content


@pytest.mark.slow
def test_it_minimizes_in_folders_numbered_by_trial_and_goes_on(application: Path) -> None:
    out = run(application)
    found = results(application)
    assert found.keys() == {"name", "best_params", "best_value"}
    assert f"best_value: {found['best_value']}" in out
    folders = {path.name for path in (application / "sweep").iterdir() if path.is_dir()}
    assert folders == {str(number) for number in range(6)}
    more = run(application, "hydra.sweeper.n_trials=8").splitlines()
    assert len([line for line in more if line.startswith("trial ")]) == 2
    assert results(application)["best_value"] <= found["best_value"]  # type: ignore[operator]
    assert (application / "sweep" / "7").is_dir()


@pytest.mark.slow
def test_several_directions_and_settings_of_the_users_own(application: Path) -> None:
    directions = "hydra.sweeper.direction=[minimize,minimize]"
    run(application, "two=true", directions, "hydra/sweeper/sampler=nsgaii", "y=0", "z=foo")
    found = results(application)
    assert found.keys() == {"name", "solutions"}
    assert all(len(one["values"]) == 2 and one["params"].keys() == {"x"} for one in found["solutions"])  # type: ignore[attr-defined]
    more = ["hydra.sweep.dir=more", "hydra.sweeper.custom_search_space=sphere.more", "z=choice(foo)"]
    assert "+w:" in run(application, *more)


@pytest.mark.slow
def test_a_function_that_fails_fails_its_trial(application: Path) -> None:
    error = ["error=true", "hydra.sweeper.max_job_retries=0"]
    out = run(application, *error, "hydra.sweeper.max_failure_rate=1")
    failed = [line for line in out.splitlines() if line.endswith("failed: RuntimeError: x is positive")]
    assert 0 < len(failed) < 6
    assert results(application)["best_params"]["x"] <= 0  # type: ignore[index]
    err = run(application, *error, "hydra.sweep.dir=strict", "hydra.sweeper.max_failure_rate=0", status=1)
    assert "and hydra.sweeper.max_failure_rate=0 allows 0 of 6" in err
    assert "Traceback" not in err.rpartition("fer3d: ")[2]


@pytest.mark.slow
def test_a_grid_is_gone_through_once(application: Path) -> None:
    out = run(application, "hydra/sweeper/sampler=grid", "x=choice(1,2)", "hydra.sweeper.n_trials=100")
    drawn = [line for line in out.splitlines() if line.startswith("trial ")]
    assert len(drawn) == 2 * 3 * 2


def test_where_the_stock_sweeper_is_installed_too_it_keeps_its_applications(application: Path) -> None:
    stock = application / "site" / "hydra_plugins" / "hydra_optuna_sweeper"
    stock.mkdir(parents=True)
    (stock / "__init__.py").touch()
    (stock / "config.py").write_text(
        "from hydra.core.config_store import ConfigStore\n"
        "ConfigStore.instance().store(group='hydra/sweeper', name='optuna', node={'_target_': 'stock.Sweeper'})\n"
        "ConfigStore.instance().store(group='hydra/sweeper/sampler', name='tpe', node={})\n",
        encoding="utf-8",
    )
    (application / "conf" / "config.yaml").write_text("defaults: [{override hydra/sweeper: optuna}]\n")
    assert "stock" in run(application, status=1, path=application / "site")
    train = [sys.executable, "-m", "fer3d.train", "-m", "hydra/sweeper=optuna"]
    environment = {**os.environ, "PYTHONPATH": str(application / "site")}
    done = subprocess.run(train, cwd=application, capture_output=True, text=True, env=environment, timeout=120)
    assert done.returncode == 1
    assert done.stderr.startswith("fer3d: hydra/sweeper=optuna is ")
    assert done.stderr.endswith("pip uninstall hydra-optuna-sweeper\n")
