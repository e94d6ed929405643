"""The configuration of a run: where it lies, and how it is composed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from omegaconf import DictConfig


def config_folder() -> str:
    """The folder `conf`: inside the package when installed from a wheel, beside it in a checkout."""
    package = Path(__file__).resolve().parent
    installed = package / "conf"
    return str(installed if installed.is_dir() else package.parent / "conf")


def list_groups() -> dict[str, list[str]]:
    """The configuration groups of fer3d, such as `model/activation`, and the options of each."""
    folder = Path(config_folder())
    groups: dict[str, list[str]] = {}
    for file in sorted(folder.rglob("*.yaml")):
        if file.parent != folder:
            groups.setdefault(file.parent.relative_to(folder).as_posix(), []).append(file.stem)
    return dict(sorted(groups.items()))


def compose_train(overrides: Sequence[str]) -> DictConfig:
    """Composes the configuration of `fer3d.train` from settings as on its command line.

    Works wherever it is called, also where Hydra is initialized already.

    Raises:
        HydraException: There is no such setting.
    """
    from hydra import compose, initialize_config_dir
    from hydra.core.hydra_config import HydraConfig
    from omegaconf import OmegaConf, open_dict

    with hydra_set_aside(), initialize_config_dir(config_folder(), version_base="1.3"):
        config = compose("train", overrides=list(overrides), return_hydra_config=True)
        # The default name refers to Hydra's part of the configuration, which is there only now.
        HydraConfig.instance().set_config(config)
        if not OmegaConf.is_missing(config, "name"):
            config.name = config.name
        with open_dict(config):
            del config["hydra"]
    return config


@contextmanager
def hydra_set_aside() -> Iterator[None]:
    """Makes room for another Hydra application; Hydra keeps one per process."""
    from hydra.core.global_hydra import GlobalHydra
    from hydra.core.hydra_config import HydraConfig
    from hydra.version import VersionBase

    hydra, base, config = GlobalHydra.instance().hydra, VersionBase.instance().version_base, HydraConfig.instance().cfg
    GlobalHydra.instance().clear()
    try:
        yield
    finally:
        # By name: Hydra replaces the instance when `initialize_config_dir` ends.
        GlobalHydra.instance().hydra = hydra
        VersionBase.instance().version_base, HydraConfig.instance().cfg = base, config
