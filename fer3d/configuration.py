"""The configuration of a run: where it lies, and how it is composed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from omegaconf import DictConfig


def config_folder() -> str:
    """The folder `conf`: inside the package when installed from a wheel, beside it in a checkout."""
    package = Path(__file__).resolve().parent
    installed = package / "conf"
    return str(installed if installed.is_dir() else package.parent / "conf")


def compose_train(overrides: Sequence[str]) -> DictConfig:
    """Composes the configuration of `fer3d.train` from settings as on its command line.

    Raises:
        HydraException: There is no such setting.
    """
    from hydra import compose, initialize_config_dir

    with initialize_config_dir(config_folder(), version_base="1.3"):
        return compose("train", overrides=list(overrides))
