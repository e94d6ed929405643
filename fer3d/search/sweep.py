"""Entry point of the Hydra sweeper: searches over cross-validations or over any function."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext
from omegaconf import DictConfig, OmegaConf
from optuna.study import Study

from fer3d.atomic_file import write_file
from fer3d.search.objective import FunctionObjective
from fer3d.search.session import run_search
from fer3d.search.space import SearchSpace, SpaceError
from fer3d.search.sweeper_settings import SweeperSettings

_logger = logging.getLogger(__name__)
RESULTS_NAME = "optimization_results.yaml"


def sweep(config: DictConfig, context: HydraContext, launcher: Launcher, arguments: Sequence[str]) -> Any:
    """Runs a search.

    Args:
        config: Hydra's master configuration.
        context: Hydra's context.
        launcher: Hydra's launcher, which runs the jobs.
        arguments: The command-line settings.

    Returns:
        The best value; for several directions, the Pareto-optimal trials.

    Raises:
        ValueError: A setting is out of range, or the space cannot be searched.
        StudyError: The study cannot be opened or continued, or too many trials failed.
    """
    given = SearchSpace.parse({}, arguments)

    @cache
    def composed(overrides: tuple[str, ...]) -> DictConfig:
        return context.config_loader.load_sweep_config(config, list(overrides))

    def compose(overrides: Sequence[str]) -> DictConfig:
        return composed(tuple(overrides))

    base = compose(given.fixed)
    # Resolves `${hydra:...}` outside of jobs.
    HydraConfig.instance().set_config(base)
    settings = SweeperSettings.read(base.hydra.sweeper)
    if "_target_" in (OmegaConf.select(base, "search") or {}):
        # Imported on demand: a search over a plain function should not import PyTorch.
        from fer3d.search.fold_search import FoldSearch
        from fer3d.search.nested import NestedSearch, is_nested

        kind = NestedSearch if is_nested(base) else FoldSearch
        return kind.of(compose, settings, arguments).run(launcher)
    return _search_function(base, settings, launcher, arguments)


def _search_function(base: DictConfig, settings: SweeperSettings, launcher: Launcher, arguments: Sequence[str]) -> Any:
    space = SearchSpace.parse(settings.params, arguments)
    if not space.distributions and settings.custom_search_space is None:
        raise SpaceError("nothing is searched: set hydra.sweeper.params, or pass a sweep such as name=interval(0,1)")
    folder = Path(base.hydra.sweep.dir)
    study = run_search(
        FunctionObjective(settings.directions or ("minimize",)),
        space,
        settings,
        launcher,
        name=settings.study_name or str(base.hydra.job.name),
        folder=folder,
        extend=settings.extend(OmegaConf.masked_copy(base, [str(key) for key in base if key != "hydra"])),
    )
    results = _results(study)
    text = OmegaConf.to_yaml(OmegaConf.create(results))
    write_file(folder / RESULTS_NAME, text)
    _logger.info("%s", text.rstrip())
    return results.get("best_value", results.get("solutions"))


def _results(study: Study) -> dict[str, Any]:
    """The best trial, or the Pareto-optimal ones, in the format of hydra-optuna-sweeper."""
    if len(study.directions) > 1:
        solutions = [{"params": dict(trial.params), "values": list(trial.values)} for trial in study.best_trials]
        return {"name": "optuna", "solutions": solutions}
    best = study.best_trial
    return {"name": "optuna", "best_params": dict(best.params), "best_value": best.value}
