"""Where the configuration lies, and how it is composed."""

from __future__ import annotations

from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
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


@pytest.mark.parametrize(
    ("settings", "name"),
    [
        ([], "synthetic-kfold10-compact"),
        (["data=ckplus", "cv=loso", "model=cnn3d"], "ckplus-loso-cnn3d"),
        (["experiment=ckplus_loso"], "ckplus_loso"),
        (["name=mine"], "mine"),
    ],
)
def test_the_name_is_that_of_the_command_line(settings: list[str], name: str) -> None:
    assert compose_train(settings).name == name
    assert "hydra" not in compose_train(settings)


def test_hydra_may_be_initialized_already(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "theirs.yaml").write_text("a: 1\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    before = HydraConfig.instance().cfg
    with initialize_config_dir(str(tmp_path), version_base="1.2"):
        hydra = GlobalHydra.instance().hydra
        assert compose_train([]).name == "synthetic-kfold10-compact"
        with pytest.raises(ConfigCompositionException):
            compose_train(["dropuot=1"])
        assert GlobalHydra.instance().hydra is hydra
        assert compose("theirs").a == 1
    assert not GlobalHydra.instance().is_initialized()
    assert HydraConfig.instance().cfg is before
