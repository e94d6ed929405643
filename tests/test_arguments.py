"""How command lines become Hydra's."""

from __future__ import annotations

from importlib import import_module

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser

from fer3d.arguments import hydra_arguments
from fer3d.settings import SettingsError

LONG = ["hydra/sweeper=optuna", "hydra.mode=MULTIRUN"]


@pytest.mark.parametrize(
    ("arguments", "rewritten"),
    [
        (["+fold=3"], ["+fold=3"]),
        (["-m", "hydra/sweeper=optuna"], ["-m", "hydra/sweeper=optuna"]),
        # Flags and their values come first.
        (["a=1", "-m", "~logger.wandb", "b=2"], ["-m", "a=1", "~logger.wandb", "b=2"]),
        (["a=1", "--cfg", "job", "-cd", "/x=y", "b=2"], ["--cfg", "job", "-cd", "/x=y", "a=1", "b=2"]),
        (["a=1", "--info", "defaults", "--config-dir=/x"], ["--info", "defaults", "--config-dir=/x", "a=1"]),
        # Ranges of folds are written out, unless a multirun starts a job for each.
        (["seed=1", "+fold=range(1,4)"], ["seed=1", "+fold=[1,2,3]"]),
        (["++fold=range( 1, 10, 4 )"], ["++fold=[1,5,9]"]),
        (["+fold=3", "seed=range(1,4)"], ["+fold=3", "seed=range(1,4)"]),
        (["+fold=range(1,4)", "--multirun"], ["--multirun", "+fold=range(1,4)"]),
        (["+fold=range(1,4)", "hydra.mode=MULTIRUN"], ["+fold=range(1,4)", "hydra.mode=MULTIRUN"]),
        # A search's name alone starts it.
        (["search=paper", "seed=1"], ["search=paper", "seed=1", *LONG]),
        (["-m", "search=paper"], ["-m", "search=paper", LONG[0]]),
        (["-m", "hydra/sweeper=optuna", "search=paper"], ["-m", "hydra/sweeper=optuna", "search=paper"]),
        (["-m", "hydra/sweeper=basic", "search=paper"], ["-m", "hydra/sweeper=basic", "search=paper"]),
        (["search.order_seed=1"], ["search.order_seed=1"]),
        (["hydra/sweeper=optuna"], ["hydra/sweeper=optuna"]),
    ],
)
def test_command_lines_become_hydras(arguments: list[str], rewritten: list[str]) -> None:
    assert hydra_arguments(arguments, searches=True) == rewritten
    assert hydra_arguments(rewritten, searches=True) == rewritten


def test_a_command_that_cannot_search_starts_none() -> None:
    assert hydra_arguments(["search=paper"]) == ["search=paper"]


@pytest.mark.parametrize(
    "text",
    ["{subject}/{emotion}/*.mp4", "**/{subject}_{emotion}_*.mp4", "/a b (1)/c", "plain.csv", "${seed}", "it's", "a\\"],
)
def test_paths_and_patterns_need_no_quotes(text: str) -> None:
    (argument,) = hydra_arguments([f"data.pattern={text}"])
    assert OverridesParser.create().parse_override(argument).value() == text
    assert hydra_arguments([argument]) == [argument]
    assert hydra_arguments([f"name={text}"]) == [f"name={text}"]


@pytest.mark.parametrize(
    ("setting", "told"),
    [
        ("search.space={}", "search.space={} changes nothing"),
        ("augment.copies={}", "~augment.copies.NAME"),
        ("+fold=range(1,9,0)", "a step of 0"),
        ("fold=1", r"write \+fold=3"),
        ("--out", "KEY=VALUE"),
    ],
)
def test_what_hydra_would_not_understand_is_refused(setting: str, told: str) -> None:
    with pytest.raises(SettingsError, match=told.replace("{", r"\{")):
        hydra_arguments([setting])


def test_the_sweeper_of_another_package_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    # By import, since Hydra's own loading of plugins sets no attribute on their package.
    monkeypatch.setattr(import_module("hydra_plugins.fer3d_sweeper.stock"), "stock_is_installed", lambda: True)
    for arguments in (["-m", "hydra/sweeper=optuna"], ["search=compact"]):
        with pytest.raises(SettingsError, match="pip uninstall hydra-optuna-sweeper"):
            hydra_arguments(arguments, searches=True)
    assert hydra_arguments(["+fold=1"], searches=True) == ["+fold=1"]
