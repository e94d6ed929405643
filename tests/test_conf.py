"""How the configuration is composed; and that every file of `conf` can be built, and says what its keys mean."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from composed import composed
from fixture_types import Compose
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import ConfigCompositionException
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from torch import nn

from fer3d.clips.augment import Augmentation
from fer3d.clips.detectors import DetectorError
from fer3d.clips.faces import FaceExtraction
from fer3d.clips.folds import make_folds
from fer3d.configuration import compose_train, config_folder
from fer3d.models.network import Task
from fer3d.search.space import SearchSpace
from fer3d.training.networks import make_network

CONF = Path(config_folder())
FILES = sorted(path.relative_to(CONF) for path in CONF.rglob("*.yaml"))
SWEEPER = CONF.parent / "hydra_plugins" / "fer3d_sweeper" / "conf"


def options(group: str) -> list[str]:
    # `own` names no code: test_extend.py runs what docs/extend.md puts there.
    found = sorted(path.stem for path in (CONF / group).glob("*.yaml") if path.stem != "own")
    assert found, f"no file in conf/{group}"
    return found


def build_network(config: DictConfig, num_classes: int = 7) -> nn.Module:
    """Builds it without memory, since the paper's has 78 million parameters."""
    with torch.device("meta"):
        network = make_network(config.model, Task(num_classes, num_frames=10, size=112, num_channels=1))
        assert network(torch.empty(2, 1, 10, 112, 112)).shape == (2, num_classes)
    return network


@pytest.mark.parametrize("search", options("search"))
def test_every_search_has_a_space_that_composes(search: str, compose_config: Compose) -> None:
    # A space with a network's name is for that network.
    model = [f"model={search}"] if search in options("model") else []
    config = compose_config(f"search={search}", *model)
    space = SearchSpace.parse(instantiate(config.search).space, [])
    assert space.distributions
    compose_config(*model, *space.fixed, *(f"{name}={space.examples(name)[0]}" for name in space.distributions))


@pytest.mark.parametrize(
    "override",
    [
        f"{group}={option}"
        for group in ("model", "model/activation", "model/pooling", "model/initializer")
        for option in options(group)
    ],
)
def test_every_network_can_be_built(override: str, compose_config: Compose) -> None:
    name = "model=cnn3d" if "/" in override else override
    build_network(compose_config(*{name, override}))


@pytest.mark.parametrize("option", options("optimizer"))
def test_every_optimizer_steps(option: str, compose_config: Compose) -> None:
    layer = nn.Linear(2, 1)
    before = layer.weight.detach().clone()
    optimizer = instantiate(compose_config(f"optimizer={option}").optimizer)(layer.parameters())
    layer(torch.ones(1, 2)).sum().backward()
    optimizer.step()
    assert not torch.equal(layer.weight, before)


@pytest.mark.parametrize("option", options("scheduler"))
def test_every_schedule_starts_at_the_learning_rate(option: str, compose_config: Compose) -> None:
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=0.5)
    schedule = instantiate(compose_config(f"scheduler={option}").scheduler)(optimizer, 10)
    assert schedule.get_last_lr() == [0.5]


@pytest.mark.parametrize("option", options("augment"))
def test_every_augmentation_can_be_made(option: str, compose_config: Compose) -> None:
    assert isinstance(instantiate(compose_config(f"augment={option}").augment), Augmentation)


@pytest.mark.parametrize("option", options("cv"))
def test_every_cross_validation_splits(option: str, compose_config: Compose) -> None:
    first, step = {"ravdess6": (1, 2), "crema_d5": (1001, 8)}.get(option, (1, 1))
    subjects = [f"{first + step * number:02d}" for number in range(12) for _ in range(2)]
    # The folds of a search, which sets the number of the outer one.
    more = ["cv.outer_fold=3"] if option == "nested" else []
    folds = make_folds(instantiate(compose_config(f"cv={option}", *more).cv), subjects, ["train", "test"] * 12)
    counts = {"loso": 12, "all_clips": 1, "nested": 5, "given": 1, "ravdess6": 6, "crema_d5": 5}
    assert len(folds) == counts.get(option, 10)


@pytest.mark.parametrize("option", options("data"))
def test_every_corpus_has_an_augmentation_for_its_emotions(option: str, compose_config: Compose) -> None:
    """Which is chosen without being named."""
    config = compose_config(f"data={option}")
    # A corpus of one's own says its emotions once its table is read.
    emotions = instantiate(config.data).emotions or ("bored", "keen")
    plan = instantiate(config.augment).plan([0], [0], emotions)
    assert len(plan) > 1


@pytest.mark.parametrize("option", options("faces"))
def test_every_face_detector_can_be_made(option: str, compose_config: Compose) -> None:
    config = compose_config(f"faces={option}").faces
    if option == "yunet":
        with pytest.raises(Exception, match="face_detection_yunet") as caught:
            instantiate(config)
        assert isinstance(caught.value.__cause__, DetectorError)
    else:
        assert isinstance(instantiate(config), FaceExtraction)


@pytest.mark.parametrize("option", options("trainer"))
def test_every_trainer_can_be_made(option: str, compose_config: Compose, tmp_path: Path) -> None:
    config = compose_config(f"trainer={option}", "trainer.accelerator=cpu").trainer
    trainer = instantiate(config)(logger=False, enable_checkpointing=False, default_root_dir=tmp_path)
    assert trainer.max_epochs == config.max_epochs


@pytest.mark.parametrize("option", options("logger"))
def test_every_logger_keeps_the_csv(option: str, compose_config: Compose) -> None:
    makers = instantiate(compose_config(f"logger={option}").logger)
    assert "csv" in makers
    assert all(isinstance(make, partial) for make in makers.values())


@pytest.mark.parametrize("option", options("experiment"))
def test_every_experiment_is_complete(option: str) -> None:
    config = composed(f"experiment={option}", "data.root=/data")
    assert config.name == option
    OmegaConf.resolve(config)
    corpus = instantiate(config.data)
    build_network(config, len(corpus.emotions))
    # The augmentation follows a corpus that only the experiment names.
    assert len(instantiate(config.augment).plan([0], [0], corpus.emotions)) > 1
    optimizer = instantiate(config.optimizer)([nn.Parameter(torch.zeros(1))])
    assert optimizer.param_groups[0]["lr"] == 1e-4  # the paper's


def test_by_default_nothing_needs_a_compiler_or_an_account(compose_config: Compose) -> None:
    config = compose_config()
    assert config.compile == "auto"
    assert config.logger.wandb.mode is None


def keys(path: Path) -> Iterator[tuple[str, bool]]:
    """Yields each key of a file that has its value on its line, with its parents, and whether a comment explains it."""
    is_global = "@package _global_" in (CONF / path).read_text(encoding="utf-8")
    top = "" if is_global or len(path.parts) == 1 else f"{'.'.join(path.parts[:-1])}."
    parents: list[tuple[int, str]] = []
    commented = False
    for line in (CONF / path).read_text(encoding="utf-8").splitlines():
        text, indent = line.strip(), len(line) - len(line.lstrip())
        if text.startswith("#"):
            commented = True
            continue
        name, colon, value = text.partition(":")
        if colon and not text.startswith("-"):
            parents = [(place, parent) for place, parent in parents if place < indent]
            dotted = ".".join([*(parent for _, parent in parents), name])
            value, _, comment = value.partition(" #")
            if value.strip():
                yield top + dotted, commented or bool(comment)
            else:
                parents.append((indent, name))
        commented = False


# Hydra's own words; and tables whose rows the heading explains.
SELF_EXPLAINING = ("_target_", "_partial_")
EXPLAINED_BY_PARENT = ("augment.copies.", "search.space.")


@pytest.mark.parametrize("path", FILES, ids=str)
def test_every_file_and_every_key_says_what_it_is(path: Path) -> None:
    """A key may be explained in another file, such as the one that this one starts from."""
    explained = {key for file in FILES for key, commented in keys(file) if commented}
    assert (CONF / path).read_text(encoding="utf-8").startswith("#")
    silent = [
        key
        for key, _ in keys(path)
        if key not in explained
        and key.rpartition(".")[2] not in SELF_EXPLAINING
        and not key.startswith(EXPLAINED_BY_PARENT)
    ]
    assert silent == []


@pytest.mark.parametrize("path", sorted(SWEEPER.rglob("*.yaml")), ids=lambda path: path.stem)
def test_the_sweepers_settings_are_explained_too(path: Path) -> None:
    assert path.read_text(encoding="utf-8").startswith("#")
    silent = [key.rpartition(".")[2] for key, commented in keys(path) if not commented]
    assert set(silent) <= {*SELF_EXPLAINING}


def test_a_wheel_carries_the_configuration(tmp_path: Path) -> None:
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(tmp_path), str(CONF.parent)]
    subprocess.run(build, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("fer3d-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "installed")
    installed = tmp_path / "installed"
    found = sorted(path.relative_to(installed / "fer3d/conf") for path in installed.glob("fer3d/conf/**/*.yaml"))
    assert found == FILES
    # A namespace package, which other plugins of Hydra share.
    assert not (installed / "hydra_plugins/__init__.py").exists()
    assert (installed / "hydra_plugins/fer3d_sweeper/conf/hydra/sweeper/optuna.yaml").is_file()
    environment = {**os.environ, "PYTHONPATH": str(tmp_path / "installed")}

    def python(*arguments: str) -> str:
        command: list[Any] = [sys.executable, *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True, cwd=tmp_path, env=environment).stdout

    where = python("-c", "from fer3d.configuration import config_folder; print(config_folder())").strip()
    assert Path(where) == tmp_path / "installed/fer3d/conf"
    assert "oulu_casia" in python("-m", "fer3d.train", "--help")
    assert "n_trials: 20" in python("-m", "fer3d.train", "hydra/sweeper=optuna", "--cfg", "hydra")


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
