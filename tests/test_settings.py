"""One typed check of the whole configuration, by the types of the code that the settings are for."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import pytest
from fixture_types import Compose
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig, OmegaConf

from fer3d.settings import SettingsError, check_arguments, checked


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("class_weights=no", 'class_weights must be true or false, got "no"'),
        ("clips.clahe=off", 'clips.clahe must be true or false, got "off"'),
        ("save_checkpoint=1", "save_checkpoint must be true or false or null, got 1"),
        ("batch_size=abc", 'batch_size must be a whole number of at least 1, got "abc"'),
        ("batch_size=0", "batch_size must be a whole number of at least 1, got 0"),
        ("learning_rate=null", "learning_rate must be a number of at least 0, got null"),
        ("learning_rate=nan", "learning_rate must be a number of at least 0, got NaN"),
        ("precision=8-bit", 'precision must be one of auto, 32-true, bf16-mixed, got "8-bit"'),
        ("seed=1.5", "seed must be a whole number of at least 0, got 1.5"),
        ("outputs=null", "outputs must be a text, got null"),
        ("name=''", 'name must be a text, got ""'),
        ("name=a/b", "name must be a text that can name a folder"),
        ("trainer.max_epochs=-1", "trainer.max_epochs must be a whole number of at least 1, got -1"),
        ("search.space=null", "search.space must be a group of settings, got null"),
        ("+cv._convert_=5", "cv._convert_ must be one of none, partial, object, all, got 5"),
        ("+_convert_=all", "_convert_ is not a setting"),
        ("+logger.x=5", "logger.x must be a group of settings, got 5"),
        ("+callbacks.x=5", "callbacks.x must be a group of settings, got"),
        ("faces.detector=null", "faces.detector must be FaceDetector, got null"),
        ("augment.operations.flip=5", "augment.operations.flip must be AugmentationBase2D, got 5"),
        ("clips=3", "clips must be a group of settings, got 3"),
        ("~batch_size", "batch_size is missing"),
        ("+folds=1", "folds is not a setting; did you mean fold?"),
        ("+model.dropuot=0.5", "model.dropuot is not a setting; did you mean model.dropout?"),
        ("+optimizer.beta=3", "optimizer.beta is not a setting; did you mean optimizer.betas?"),
        ("+model.num_classes=3", "model.num_classes cannot be set"),
        ("+logger.csv.fold=3", "logger.csv.fold cannot be set"),
        ("model.filters=[[a]]", 'model.filters must be [[a whole number, ...], ...], got [["a"]]'),
        ("+optimizer.betas=[0.9]", "optimizer.betas must be"),
        ("model._target_=nowhere.Net", "model._target_ must name a class or function"),
        ("~model._target_", "model must name its code by _target_"),
        ("data._target_=builtins.dict", "data._target_ must name a class with read"),
        ("faces.crop._target_=builtins.dict", "faces.crop._target_ must name a class with crop"),
        ("scheduler._target_=builtins.dict", "scheduler._target_ must name a class with step"),
        ("search._target_=builtins.dict", "search._target_ must name a class with protocol"),
        (
            "logger.csv._target_=builtins.print",
            "logger.csv._target_ must name a class or function that takes folder, run_folder, fold",
        ),
        ("+model.activation.approximate=1", "model.activation.approximate is not a setting"),
        ("augment.operations.rotation.degrees=wide", "augment.operations.rotation.degrees must be"),
        ("+trainer.precision=16-mixed", "trainer.precision cannot be set: .*; set precision"),
        ("+trainer.callbacks=[]", "trainer.callbacks cannot be set: .*callbacks=learning_rate"),
        ("+trainer.log_every_n_steps=5", "trainer.log_every_n_steps cannot be set"),
        ("+trainer.fast_dev_run=true", "trainer.fast_dev_run cannot be set: .*; debug=quick"),
        ("+trainer.limit_val_batches=1", "trainer.limit_val_batches cannot be set: .*; debug=quick"),
        ("+trainer.check_val_every_n_epoch=2", "trainer.check_val_every_n_epoch cannot be set"),
        ("+trainer.max_steps=5", "trainer.max_steps cannot be set: .*; set trainer.max_epochs"),
        ("trainer.devices=2", r"trainer.devices must be 1, or \[2\] for the third GPU, got 2"),
        ("trainer.devices=auto", 'trainer.devices must be 1, .* got "auto"'),
    ],
)
def test_a_setting_of_another_kind_or_that_does_not_exist_is_refused_by_name(
    setting: str, said: str, compose_config: Compose
) -> None:
    plain = said if ".*" in said or "\\" in said else said.replace("[", r"\[").replace("?", r"\?")
    with pytest.raises(SettingsError, match=plain):
        checked(compose_config(setting) if setting.startswith("~") else changed(compose_config(), setting))


def changed(config: DictConfig, setting: str) -> DictConfig:
    """Applies a setting as composing with it does, in a hundredth of the time."""
    parsed = OverridesParser.create().parse_override(setting)
    OmegaConf.update(config, parsed.key_or_group, parsed.value(), force_add=True)
    return config


@pytest.mark.parametrize(
    "settings",
    [
        [],
        ["cv=nested"],
        ["optimizer=lookahead", "+optimizer.inner.betas=[0.9,0.99]"],
        ["faces=yunet", "search/pruning=wilcoxon"],
        ["callbacks=learning_rate", "debug=quick", "+fold=[1,2]", "+trainer.gradient_clip_val=1"],
        ["model.activation._target_=torch.nn.GELU", "trainer.devices=[2]", "augment.copies.flip=3"],
    ],
)
def test_what_is_right_passes_unchanged(settings: list[str], compose_config: Compose) -> None:
    config = compose_config(*settings)
    assert OmegaConf.to_container(checked(config)) == OmegaConf.to_container(config, resolve=True)


def test_no_plain_value_of_the_configuration_goes_unchecked(compose_config: Compose) -> None:
    """A list of lists of texts is of the wrong kind everywhere, save in the search's space of whatever settings."""
    config = compose_config("augment=ckplus", "cv=nested")
    plain: Any = OmegaConf.to_container(config, resolve=True)
    keys = _leaves(plain)
    assert len(keys) > 70
    for key in keys:
        wrong = OmegaConf.create(plain)
        OmegaConf.update(wrong, key, [["x"]])
        with pytest.raises(SettingsError, match=re.escape(key)):
            checked(wrong)


def test_text_that_looks_like_a_number_is_text(compose_config: Compose) -> None:
    config = checked(compose_config("name=2024", "outputs=7", "data.root=3", "logger.wandb.project=5"))
    assert (config.name, config.outputs, config.data.root, config.logger.wandb.project) == ("2024", "7", "3", "5")
    # Which one was meant, 1e3 or 1000.0, nobody can tell.
    with pytest.raises(SettingsError, match=r"name must be a text, got 1000.0"):
        checked(compose_config("name=1e3"))


def test_the_classes_are_balanced_once(compose_config: Compose) -> None:
    assert checked(compose_config("class_sampler=true")).class_sampler
    with pytest.raises(SettingsError, match="class_weights and class_sampler cannot both be true"):
        checked(compose_config("class_sampler=true", "class_weights=true"))


def test_what_has_to_be_set_is_named(compose_config: Compose) -> None:
    with pytest.raises(SettingsError, match=r"^data._target_ and data.root must be set, such as data._target_="):
        checked(compose_config("data=own"))
    with pytest.raises(SettingsError, match=r"^model._target_ must be set"):
        checked(compose_config("model=own"))
    with pytest.raises(SettingsError, match=r"^data.root must be set, such as data.root="):
        checked(compose_config("data=own", "data._target_=fer3d.corpora.ckplus.CKPlus"))


class Network:
    """A network of a user's own."""

    def __init__(self, num_classes: int, width: int, names: Sequence[str] = (), **more: float) -> None: ...


def test_a_class_of_ones_own_is_checked_by_its_own_signature() -> None:
    assert check_arguments(Network, {"width": 8, "names": ["a"], "depth": 3}, "model")["depth"] == 3
    with pytest.raises(SettingsError, match=r"model.width must be a whole number, got true"):
        check_arguments(Network, {"width": True}, "model")
    # What is not there may come from a search.
    assert check_arguments(Network, {}, "model") == {}


def _leaves(node: dict[str, Any], prefix: str = "") -> list[str]:
    found = []
    for name, value in node.items():
        key = f"{prefix}{name}"
        if key in ("search.space", "fold", "trial"):
            continue
        if isinstance(value, dict):
            found += _leaves(value, f"{key}.")
        elif not str(name).startswith("_"):
            found.append(key)
    return found
