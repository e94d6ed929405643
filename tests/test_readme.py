"""Every command that the README and the pages under docs show must at least be understood."""

from __future__ import annotations

import re
import shlex
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from composed import composed
from hydra import initialize_config_dir
from hydra.core.config_loader import ConfigLoader
from hydra.core.global_hydra import GlobalHydra
from hydra.types import RunMode
from hydra.utils import get_class, instantiate
from omegaconf import OmegaConf

from fer3d.arguments import hydra_arguments
from fer3d.configuration import config_folder
from fer3d.search.sampling import SeededSampler
from fer3d.search.space import SearchSpace
from fer3d.search.sweeper_settings import SweeperSettings

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
# Without files, such as those of docs/extend.md, which hold no commands.
TEXT = re.sub(
    r"^```.*?^```$", "", "\n".join(page.read_text(encoding="utf-8") for page in PAGES), flags=re.MULTILINE | re.DOTALL
)
LINKS = [
    (page, link) for page in PAGES for link in re.findall(r"\]\(((?!http)[^)]+)\)", page.read_text(encoding="utf-8"))
]
COMMANDS = [shlex.split(line, comments=True) for line in re.findall(r"^    (\S.*)$", TEXT, flags=re.MULTILINE)]
PYTHON = [words for words in COMMANDS if words[:2] == ["python", "-m"]]
SCRIPTS = [words for words in COMMANDS if words[0] == "python" and words[1] != "-m"]
HYDRAS = [words for words in PYTHON if words[2] in ("fer3d.train", "fer3d.prepare")]
# A reader's own configuration is made by test_extend.py.
COMPOSED = [words for words in HYDRAS if not any(word.startswith("--config-dir") for word in words)]
PARSED = [words for words in PYTHON if words not in HYDRAS]
MAKE = [words for words in COMMANDS if words[0] == "make"]


def test_the_commands_are_found() -> None:
    assert ["make", "demo"] in MAKE
    assert ["make", "test"] in MAKE
    assert ["python", "-m", "fer3d.train", "+fold=3"] in PYTHON


@pytest.mark.parametrize("words", SCRIPTS, ids=" ".join)
def test_scripts_are_there(words: list[str]) -> None:
    assert (ROOT / words[1]).is_file()


@pytest.mark.parametrize("words", COMPOSED, ids=" ".join)
def test_python_commands_compose(words: list[str]) -> None:
    assert (ROOT / f"{words[2].replace('.', '/')}.py").is_file()
    # What a study's best trial adds, only the study knows.
    known = [word for word in words[3:] if not word.startswith(("from_study=", "study_storage=", "--describe"))]
    arguments = hydra_arguments(known, searches=words[2] == "fer3d.train")
    overrides = [word for word in arguments if "=" in word]
    assert {word for word in words[3:] if "=" not in word} <= {"--cfg", "job", "hydra", "-m", "--describe"}
    if not {"-m", "hydra.mode=MULTIRUN"} & set(arguments):
        composed(*overrides)
        return
    with initialize_config_dir(config_folder(), version_base="1.3"):
        check_sweep(GlobalHydra.instance().config_loader(), overrides)


def check_sweep(loader: ConfigLoader, overrides: list[str]) -> None:
    """Composes the first job of a sweep, with its launcher and its sampler."""
    master = loader.load_configuration("train", overrides, run_mode=RunMode.MULTIRUN)
    get_class(master.hydra.launcher._target_)
    if master.hydra.runtime.choices["hydra/sweeper"] != "optuna":
        return
    arguments = OmegaConf.to_object(master.hydra.overrides.task)
    assert isinstance(arguments, list)
    sweeper = SweeperSettings.read(master.hydra.sweeper)
    base = loader.load_sweep_config(master, list(SearchSpace.parse({}, arguments).fixed))
    space = SearchSpace.parse({**base.search.space, **sweeper.params}, arguments)
    SeededSampler(sweeper.sampler, space)
    drawn = [f"{name}={space.examples(name)[0]}" for name in space.distributions]
    instantiate(loader.load_sweep_config(master, [*space.fixed, *drawn]).search)


@pytest.mark.parametrize("words", PARSED, ids=" ".join)
def test_options_exist(words: list[str], invoke: Callable[..., tuple[int, str, str]]) -> None:
    status, help_text, _ = invoke(words[2].removeprefix("fer3d."), "--help")
    assert status == 0
    assert [word for word in words if word.startswith("--") and word not in help_text] == []


@pytest.mark.parametrize("words", MAKE, ids=" ".join)
def test_make_targets_exist(words: list[str]) -> None:
    done = subprocess.run([*words, "--dry-run"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(("page", "link"), LINKS)
def test_links_lead_somewhere(page: Path, link: str) -> None:
    assert (page.parent / link).is_file()


@pytest.mark.parametrize("path", re.findall(r"^\| `([^`*]+?/)` ", TEXT, flags=re.MULTILINE))
def test_the_map_names_what_is_there(path: str) -> None:
    assert path == "outputs/" or (ROOT / path).is_dir()
