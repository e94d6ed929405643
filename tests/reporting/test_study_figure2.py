from __future__ import annotations

import pytest
from drawn_texts import assert_legible, texts
from fake_studies import FakeTrial, fake_record, searched
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from fer3d.reporting.study_figure2 import figure2, figure2_trials
from fer3d.reporting.study_settings import read_settings
from fer3d.reporting.theme import DARK, LIGHT, Theme, svg
from fer3d.search.records import StudyRecord

PARAMS = {"optimizer": "lookahead", "model.dropout": 0.25}
# Of 28 clips.
TRIALS = [
    FakeTrial("complete", [1] * 4 + [0] * 6, {**PARAMS, "optimizer": "adam"}),
    FakeTrial("pruned", [1] * 6, PARAMS),
    FakeTrial("complete", [1] * 2 + [0] * 8, PARAMS),
    FakeTrial("failed", [1], PARAMS, "ValueError: no"),
    FakeTrial("complete", [1] * 9 + [0], PARAMS),
]


def crosses(axes: Axes) -> list[tuple[float, float]]:
    (line,) = (line for line in axes.lines if line.get_marker() == "x")
    return list(zip(line.get_xdata(), line.get_ydata(), strict=True))  # type: ignore[arg-type]


def rings(axes: Axes) -> list[Line2D]:
    return [line for line in axes.lines if line.get_marker() == "o"]


def panels(record: StudyRecord, theme: Theme = LIGHT) -> list[Axes]:
    _, *panels = figure2(record, read_settings(record), "a title", theme).axes
    return panels


@pytest.mark.parametrize(
    ("threshold", "numbers"), [(0.8, [0, 2]), (24 / 28, [0, 2]), (None, [0, 2, 4]), ("best", [0, 2, 4])]
)
def test_a_cross_for_each_complete_trial_at_or_above_the_threshold(
    threshold: float | str | None, numbers: list[int]
) -> None:
    record = fake_record(TRIALS, threshold=threshold)
    assert [trial.number for trial in figure2_trials(record)] == numbers
    accuracies = {0: 24 / 28, 2: 26 / 28, 4: 19 / 28}
    assert crosses(panels(record)[0]) == [(number, pytest.approx(accuracies[number])) for number in numbers]


def test_rows_show_which_choice_each_of_them_made() -> None:
    record = fake_record(TRIALS, threshold=0.8)
    _, optimizer, dropout = panels(record)
    assert [label.get_text() for label in optimizer.get_yticklabels()] == ["adam", "lookahead"]
    assert crosses(optimizer) == [(0, 0), (2, 1)]
    assert crosses(dropout) == [(0, 0.25), (2, 0.25)]


def test_the_best_one_is_named_and_found_in_every_row() -> None:
    record = fake_record(TRIALS, threshold=0.8)
    for axes in panels(record):
        (ring,) = rings(axes)
        assert list(ring.get_xdata()) == [2]  # type: ignore[arg-type]
    found = texts(figure2(record, read_settings(record), "a title"))
    assert "best: trial 2, 92.86%" in found
    assert "threshold 80.00%" in found
    assert "SYNTHETIC data" in found


def test_how_many_made_a_choice_stands_beside_it() -> None:
    record = fake_record([TRIALS[0], TRIALS[2], TRIALS[2], TRIALS[2]], threshold=0.8)
    found = texts(figure2(record, read_settings(record), "a title"))
    assert [text for text in found if text in ("1", "3")][:2] == ["1", "3"]


def test_no_threshold_is_drawn_where_there_is_none() -> None:
    record = fake_record(TRIALS, threshold="best", synthetic=False)
    found = texts(figure2(record, read_settings(record), "a title"))
    assert not any("threshold" in text or "SYNTHETIC" in text for text in found)
    assert "complete trial" in found


@pytest.mark.parametrize("theme", [LIGHT, DARK], ids=lambda theme: theme.name)
@pytest.mark.parametrize("num_trials", [60, 800])
def test_a_search_over_table_1_is_legible(num_trials: int, theme: Theme) -> None:
    record = fake_record(searched(num_trials), threshold=0.8, name="ckplus_loso_search-3f2a9b1c")
    figure = figure2(record, read_settings(record), "ckplus_loso_search-3f2a9b1c: trials that passed", theme)
    assert_legible(figure)
    assert len(svg(figure)) < 600_000


def test_unusual_settings_are_legible() -> None:
    space: dict[str, tuple[str, BaseDistribution]] = {
        "+a.setting.with.a.name/that_goes_on.and_on.and_on.and_on.and_on.and_on": (
            "",
            CategoricalDistribution(["[1, 2, 3]", "a choice with a long name"]),
        ),
        "many": ("", CategoricalDistribution(list(range(30)))),
        "one": ("", CategoricalDistribution([None])),
        "rate": ("", FloatDistribution(1e-5, 3e-2, log=True)),
        "size": ("", IntDistribution(7, 4096, log=True)),
        "fixed": ("", FloatDistribution(0.5, 0.5)),
    }
    params = dict(zip(space, ("[1, 2, 3]", 3, None, 1e-3, 16, 0.5), strict=True))
    trials = [FakeTrial("complete", [1] * 10, params, space=space), FakeTrial("complete", [1] * 10, {}, space=space)]
    record = fake_record(trials)
    assert_legible(figure2(record, read_settings(record), "a title"))
    assert_legible(figure2(record, (), "a title"))


def test_nothing_to_draw_is_refused() -> None:
    with pytest.raises(ValueError, match="no trial passed"):
        figure2(fake_record(TRIALS, threshold=0.99), (), "a title")
