"""The stock sweeper, hydra-optuna-sweeper, which has the same name: `hydra/sweeper=optuna`."""

from __future__ import annotations

from importlib.util import find_spec


def stock_is_installed() -> bool:
    """Whether hydra-optuna-sweeper is installed."""
    return find_spec("hydra_plugins.hydra_optuna_sweeper") is not None
