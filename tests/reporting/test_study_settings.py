from __future__ import annotations

import pytest
from fake_studies import FakeTrial, fake_record
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from fer3d.reporting.study_settings import MAX_LANES, OTHERS, Setting, read_settings, value_text


def settings_of(*params: dict[str, object], **distributions: BaseDistribution) -> dict[str, Setting]:
    space = {name: ("written", distribution) for name, distribution in distributions.items()}
    trials = [FakeTrial("complete", [0] * 10, each, space=space) for each in params]
    return {setting.name: setting for setting in read_settings(fake_record(trials))}


def test_settings_keep_the_order_of_the_space_and_choices_theirs() -> None:
    found = settings_of(
        {"b": None, "a": 5},
        b=CategoricalDistribution([True, None, "x"]),
        a=IntDistribution(1, 9, step=2),
    )
    assert list(found) == ["b", "a"]
    assert found["b"].labels == ("true", "null", "x")
    assert [found["b"].place(choice) for choice in (True, None, "x")] == [0, 1, 2]
    assert (found["a"].choices, found["a"].labels, found["a"].place(5)) == (None, (), 5)


def test_a_setting_that_only_some_trials_have_is_one_too() -> None:
    found = settings_of({}, {"x": 0.5}, x=FloatDistribution(0, 1))
    assert list(found) == ["x"]
    assert settings_of({}) == {}


def test_of_many_choices_those_most_often_tried_have_a_lane() -> None:
    choices = list(range(40))
    tried = [{"x": choice} for choice in (39, 39, 38, 38, *range(9))]
    setting = settings_of(*tried, x=CategoricalDistribution(choices))["x"]
    assert len(setting.labels) == MAX_LANES
    assert setting.labels == (*map(str, range(9)), "38", "39", OTHERS)
    assert setting.place(39) == 10
    assert setting.place(20) == setting.place(30) == 11


@pytest.mark.parametrize(
    ("distribution", "value", "share"),
    [
        (FloatDistribution(0, 2), 0.5, 0.25),
        (FloatDistribution(1e-4, 1e-2, log=True), 1e-3, 0.5),
        (IntDistribution(4, 4), 4, 0.5),
    ],
)
def test_a_number_has_its_place_on_its_own_scale(distribution: BaseDistribution, value: float, share: float) -> None:
    setting = settings_of({"x": value}, x=distribution)["x"]
    assert setting.share(value) == pytest.approx(share)


def test_values_are_written_as_on_the_command_line() -> None:
    values = (None, True, False, 3, 4096.0, 0.30000001, 1e-5, "xavier_uniform", "[1, 2]")
    assert [value_text(value) for value in values] == [
        "null", "true", "false", "3", "4096", "0.3", "1e-05", "xavier_uniform", "[1, 2]"
    ]  # fmt: skip
