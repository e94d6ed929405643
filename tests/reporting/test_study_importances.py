from __future__ import annotations

import optuna
import pytest
from drawn_texts import assert_legible, texts
from fake_studies import FakeTrial, fake_record, searched

from fer3d.reporting.study_importances import Importances, importances_figure, read_importances
from fer3d.reporting.study_settings import read_settings
from fer3d.reporting.theme import DARK, LIGHT, Theme


def read(trials: list[FakeTrial]) -> Importances | str:
    record = fake_record(trials)
    return read_importances(record, read_settings(record))


def trial(num_wrong: int, optimizer: str, dropout: float, clahe: bool = True) -> FakeTrial:
    params = {"optimizer": optimizer, "model.dropout": dropout, "clips.clahe": clahe}
    return FakeTrial("complete", [1] * num_wrong + [0] * (10 - num_wrong), params)


# The optimizer decides nearly everything, dropout a little, and clahe is always the same.
DECIDED = [
    trial(1 + (4 if optimizer == "adam" else 0) + (dropout > 0.5), optimizer, dropout)
    for optimizer in ("adam", "lookahead")
    for dropout in (0.1, 0.3, 0.5, 0.7, 0.9)
]


def test_what_decides_comes_first_and_what_does_not_vary_says_so() -> None:
    found = read(DECIDED)
    assert isinstance(found, Importances)
    assert list(found.shares) == ["optimizer", "model.dropout"]
    assert found.shares["optimizer"] > 0.8
    assert sum(found.shares.values()) == pytest.approx(1)
    assert found.constant == ("clips.clahe",)
    drawn = texts(importances_figure(found, "a title"))
    assert {"optimizer", "model.dropout", "clips.clahe", "alike in all of them"} <= set(drawn)
    assert any("10 complete trials" in text for text in drawn)


def test_the_same_study_gives_the_same_importances() -> None:
    assert read(searched(60)) == read(searched(60))


def test_a_search_that_goes_on_meanwhile_changes_nothing() -> None:
    record, alone = fake_record(DECIDED), read(DECIDED)
    settings = read_settings(record)
    for number in range(3):
        record.study.add_trial(optuna.trial.create_trial(value=number / 3, params={}, distributions={}))
    assert read_importances(record, settings) == alone


@pytest.mark.parametrize(
    ("trials", "reason"),
    [
        ([], "0 of 0 trials are complete"),
        ([*DECIDED[:3], FakeTrial("pruned", [4])], "3 of 4 trials are complete, and fewer than 4"),
        ([trial(2, "adam", dropout / 10) for dropout in range(5)], "all 5 complete trials have the same accuracy"),
        ([trial(wrong, "adam", 0.5) for wrong in range(5)], "share no setting in which they differ"),
        ([FakeTrial("complete", [wrong] * 10) for wrong in (0, 0, 1, 1)], "share no setting in which they differ"),
    ],
)
def test_says_why_there_are_none(trials: list[FakeTrial], reason: str) -> None:
    found = read(trials)
    assert isinstance(found, str)
    assert found.startswith("No importances: ")
    assert reason in found


@pytest.mark.parametrize("theme", [LIGHT, DARK], ids=lambda theme: theme.name)
def test_is_legible(theme: Theme) -> None:
    found = read(searched(60))
    assert isinstance(found, Importances)
    assert_legible(importances_figure(found, "ckplus_loso_search-3f2a9b1c: importances", "SYNTHETIC data", theme))
    long = Importances({"a/setting.with_a_name.that_goes_on_and_on_and_on": 0.9996, "b": 0.0004}, ("c",), 4)
    figure = importances_figure(long, "a title", "SYNTHETIC data", theme)
    assert_legible(figure)
    assert "<0.01" in texts(figure)
