"""Where the configuration lies, and how it is composed."""

from __future__ import annotations

from pathlib import Path

import pytest
from hydra.errors import ConfigCompositionException

from fer3d.configuration import compose_train, config_folder


def test_the_configuration_of_a_checkout_is_found() -> None:
    assert (Path(config_folder()) / "train.yaml").is_file()


def test_settings_are_those_of_the_command_line() -> None:
    config = compose_train(["data=ckplus", "optimizer.lr=0.5"])
    assert config.optimizer.lr == 0.5
    assert config.augment.copies.flip.contempt == 1


def test_a_misspelt_setting_fails() -> None:
    with pytest.raises(ConfigCompositionException, match="dropuot"):
        compose_train(["dropuot=1"])
