"""The sweeper and its settings. Hydra loads this module at every start, hence the imports where they are used."""

from __future__ import annotations

from typing import Any

from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.plugins import Plugins
from hydra.plugins.search_path_plugin import SearchPathPlugin
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

from hydra_plugins.fer3d_sweeper.stock import stock_is_installed


class Fer3dSearchPath(SearchPathPlugin):
    """Makes `hydra/sweeper=optuna` known to every Hydra application, except where the stock one is installed."""

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        """Appends the folder of settings beside this module."""
        if not stock_is_installed():
            search_path.append("fer3d-sweeper", "pkg://hydra_plugins.fer3d_sweeper.conf")


class Fer3dSweeper(Sweeper):
    """Searches with Optuna; see `fer3d.search.sweep`.

    Args:
        settings: What `conf/hydra/sweeper/optuna.yaml` beside this module explains.
    """

    def __init__(self, **settings: Any) -> None:
        pass  # read from the configuration of each sweep, where the command line has had its say

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Keeps what Hydra knows."""
        launcher = Plugins.instance().instantiate_launcher(
            config=config, hydra_context=hydra_context, task_function=task_function
        )
        self._known = (config, hydra_context, launcher)

    def sweep(self, arguments: list[str]) -> Any:
        """Searches."""
        from fer3d.command import orderly_end, user_errors

        with orderly_end(), user_errors():
            from fer3d.search.sweep import sweep

            return sweep(*self._known, arguments)
