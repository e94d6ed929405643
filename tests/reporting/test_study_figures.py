from __future__ import annotations

import pytest
from drawn_texts import assert_legible, texts
from fake_studies import FakeTrial, fake_record, searched
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from fer3d.reporting.page import value_text
from fer3d.reporting.study_figures import (
    MAX_LANES,
    OTHERS,
    Setting,
    accuracy_range,
    figure2,
    figure2_trials,
    fixed_threshold,
    history_figure,
    read_settings,
)
from fer3d.reporting.theme import style

LOOKAHEAD = {"optimizer": "lookahead", "model.dropout": 0.25}
# Of 28 clips.
TRIALS = [
    FakeTrial("complete", [1] * 4 + [0] * 6, {**LOOKAHEAD, "optimizer": "adam"}),
    FakeTrial("pruned", [1] * 6, LOOKAHEAD),
    FakeTrial("complete", [1] * 2 + [0] * 8, LOOKAHEAD),
    FakeTrial("failed", [1], LOOKAHEAD, "ValueError: no"),
    FakeTrial("complete", [1] * 9 + [0], LOOKAHEAD),
    FakeTrial("running", [1], LOOKAHEAD),
]
CORRECT = {0: 24, 1: 22, 2: 26, 4: 19}
UNUSUAL: dict[str, tuple[str, BaseDistribution]] = {
    f"+a.setting.with.a.name/that_goes_on{'.and_on' * 5}": (
        "",
        CategoricalDistribution(["[1, 2, 3]", "a long choice " * 2]),
    ),
    "many": ("", CategoricalDistribution(list(range(30)))),
    "one": ("", CategoricalDistribution([None])),
    "rate": ("", FloatDistribution(1e-5, 3e-2, log=True)),
    "size": ("", IntDistribution(7, 4096, log=True)),
    "fixed": ("", FloatDistribution(0.5, 0.5)),
}


def points(axes: Axes, marker: str) -> list[tuple[float, float]]:
    lines = [line for line in axes.lines if line.get_marker() == marker]
    return [point for line in lines for point in zip(line.get_xdata(), line.get_ydata(), strict=True)]  # type: ignore[arg-type]


def settings_of(*params: dict[str, object], **distributions: BaseDistribution) -> dict[str, Setting]:
    space = {name: ("written", distribution) for name, distribution in distributions.items()}
    trials = [FakeTrial("complete", [0] * 10, each, space=space) for each in params]
    return {setting.name: setting for setting in read_settings(fake_record(trials))}


def test_settings_keep_the_order_of_the_space_and_choices_theirs() -> None:
    found = settings_of({"b": None}, {"a": 5}, b=CategoricalDistribution([True, None, "x"]), a=IntDistribution(1, 9))
    assert list(found) == ["b", "a"]
    assert found["b"].lanes == (True, None, "x")
    assert [found["b"].place(choice) for choice in (True, None, "x")] == [0, 1, 2]
    assert (found["a"].lanes, found["a"].place(5)) == ((), 5)
    assert settings_of({}) == {}


def test_of_many_choices_those_most_often_tried_have_a_lane() -> None:
    tried = [{"x": choice} for choice in (39, 39, 38, 38, *range(9))]
    setting = settings_of(*tried, x=CategoricalDistribution(list(range(40))))["x"]
    assert setting.lanes == (*range(9), 38, 39, OTHERS)
    assert len(setting.lanes) == MAX_LANES
    assert setting.place(39) == 10
    assert setting.place(20) == setting.place(30) == 11


def test_values_are_written_as_on_the_command_line() -> None:
    values = (None, True, False, 3, 4096.0, 0.30000001, 1e-5, "xavier_uniform", "[1, 2]")
    assert " ".join(map(value_text, values)) == "null true false 3 4096 0.3 1e-05 xavier_uniform [1, 2]"


@pytest.mark.parametrize(
    ("threshold", "accuracy", "numbers"),
    [(0.8, 0.8, [0, 2]), (24 / 28, 24 / 28, [0, 2]), (None, None, [0, 2, 4]), ("best", None, [0, 2, 4]), (1, 1, [])],
)
def test_figure_2_has_the_complete_trials_at_or_above_the_threshold(
    threshold: float | str | None, accuracy: float | None, numbers: list[int]
) -> None:
    record = fake_record(TRIALS, threshold=threshold)
    assert fixed_threshold(record) == accuracy
    assert [trial.number for trial in figure2_trials(record)] == numbers
    low, high = accuracy_range(record, record.complete)
    assert low < min(19 / 28, accuracy or 1) <= max(26 / 28, accuracy or 0) < high


def test_figure_2_shows_accuracies_and_choices_and_rings_the_best() -> None:
    record = fake_record(TRIALS, threshold=0.8)
    figure = figure2(record, read_settings(record), "a title")
    top, optimizer, dropout = figure.axes
    assert points(top, "x") == [(number, pytest.approx(CORRECT[number] / 28)) for number in (0, 2)]
    assert points(optimizer, "x") == [(0, 0), (2, 1)]
    assert points(dropout, "x") == [(0, 0.25), (2, 0.25)]
    assert [points(axes, "o") for axes in figure.axes] == [[(2, pytest.approx(26 / 28))], [(2, 1)], [(2, 0.25)]]
    assert {"adam", "lookahead", "best: trial 2, 92.86%", "threshold 80.00%"} <= set(texts(figure))


def test_figure_2_counts_the_trials_of_each_choice() -> None:
    record = fake_record([TRIALS[0], *[TRIALS[2]] * 3, FakeTrial("complete", [0] * 10)])
    _, optimizer, _ = figure2(record, read_settings(record), "a title").axes
    assert [text.get_text() for text in optimizer.texts] == ["1", "3"]


def test_history_shows_accuracies_and_the_bounds_of_pruned_trials() -> None:
    figure = history_figure(fake_record(TRIALS), "a title")
    axes, lanes = figure.axes
    assert points(axes, "o") == [(number, pytest.approx(CORRECT[number] / 28)) for number in (0, 2, 4)]
    assert points(axes, "v") == [(1, pytest.approx(22 / 28))]
    assert [label.get_text() for label in lanes.get_yticklabels()] == ["failed", "running"]
    assert (points(lanes, "X"), points(lanes, "s")) == ([(3, 0)], [(5, 1)])
    assert axes.get_xlim() == lanes.get_xlim()
    assert len(history_figure(fake_record(TRIALS[:3]), "a title").axes) == 1


def test_the_best_so_far_rises_with_complete_trials_alone() -> None:
    axes, _ = history_figure(fake_record(TRIALS), "a title").axes
    (best,) = (line for line in axes.lines if isinstance(line, Line2D) and line.get_drawstyle() == "steps-post")
    assert list(best.get_xdata()) == [0, 2, 4, 5]  # type: ignore[arg-type]
    assert list(best.get_ydata()) == pytest.approx([24 / 28, 26 / 28, 26 / 28, 26 / 28])  # type: ignore[arg-type]


def test_figures_carry_their_marks_and_no_others() -> None:
    marked = fake_record(TRIALS, threshold=0.8, protocol="best_epoch", num_startup_trials=3)
    plain = fake_record(TRIALS[1:2], synthetic=False, num_startup_trials=0)
    heading = " ".join(texts(history_figure(marked, "a title")))
    for mark in ("a title", "SYNTHETIC", "CHOSEN BY A SEARCH", "optimistic", "threshold 80.00%", "first 3"):
        assert mark in heading
    heading = " ".join(texts(history_figure(plain, "a title")))
    for mark in ("SYNTHETIC", "CHOSEN", "optimistic", "threshold", "random"):
        assert mark not in heading
    assert "CHOSEN BY A SEARCH" in " ".join(texts(figure2(marked, (), "a title")))


@pytest.mark.parametrize("num_trials", [1, 300])
def test_figures_of_small_and_large_searches_are_legible(num_trials: int) -> None:
    record = fake_record(searched(num_trials), threshold=0.8, name="ckplus_loso_search-3f2a9b1c")
    with style():
        assert_legible(history_figure(record, f"{record.name}: accuracy of each trial"))
        if record.complete:
            assert_legible(figure2(record, read_settings(record), f"{record.name}: trials that passed"))


def test_unusual_settings_are_legible() -> None:
    params = dict(zip(UNUSUAL, ("[1, 2, 3]", 3, None, 1e-3, 16, 0.5), strict=True))
    trials = [FakeTrial("complete", [1] * 10, each, space=UNUSUAL) for each in (params, {})]
    record = fake_record(trials)
    with style():
        assert_legible(figure2(record, read_settings(record), "a title"))
