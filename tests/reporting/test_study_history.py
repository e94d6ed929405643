from __future__ import annotations

import pytest
from drawn_texts import assert_legible, texts
from fake_studies import FakeTrial, fake_record, searched
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from fer3d.reporting.study_history import history_figure
from fer3d.reporting.theme import DARK, LIGHT, Theme, svg

# Of 28 clips.
TRIALS = [
    FakeTrial("complete", [1] * 4 + [0] * 6),
    FakeTrial("pruned", [1] * 6),
    FakeTrial("complete", [1] * 2 + [0] * 8),
    FakeTrial("failed", [1], error="ValueError: no"),
    FakeTrial("complete", [1] * 9 + [0]),
    FakeTrial("running", [1]),
]


def marked(axes: Axes, marker: str) -> list[tuple[float, float]]:
    lines = [line for line in axes.lines if line.get_marker() == marker]
    return [point for line in lines for point in zip(line.get_xdata(), line.get_ydata(), strict=True)]  # type: ignore[arg-type]


def test_complete_trials_stand_at_their_accuracy_and_pruned_ones_at_what_they_could_have_reached() -> None:
    figure = history_figure(fake_record(TRIALS), "a title")
    _, axes, _ = figure.axes
    assert marked(axes, "o") == [(0, pytest.approx(24 / 28)), (2, pytest.approx(26 / 28)), (4, pytest.approx(19 / 28))]
    assert marked(axes, "v") == [(1, pytest.approx(22 / 28))]
    assert "pruned: at most" in texts(figure)


def test_trials_without_an_accuracy_have_lanes_of_their_own() -> None:
    _, axes, lanes = history_figure(fake_record(TRIALS), "a title").axes
    assert [label.get_text() for label in lanes.get_yticklabels()] == ["failed", "running"]
    assert marked(lanes, "X") == [(3, 0)]
    assert marked(lanes, "s") == [(5, 1)]
    assert axes.get_xlim() == lanes.get_xlim()
    assert len(history_figure(fake_record(TRIALS[:3]), "a title").axes) == 2


def test_the_best_so_far_rises_with_complete_trials_alone() -> None:
    _, axes, _ = history_figure(fake_record(TRIALS), "a title").axes
    (best,) = (line for line in axes.lines if isinstance(line, Line2D) and line.get_drawstyle() == "steps-post")
    assert list(best.get_xdata()) == [0, 2, 4, 5]  # type: ignore[arg-type]
    assert list(best.get_ydata()) == pytest.approx([24 / 28, 26 / 28, 26 / 28, 26 / 28])  # type: ignore[arg-type]


def test_says_what_was_drawn_at_random_and_what_the_threshold_is() -> None:
    found = texts(history_figure(fake_record(TRIALS, num_startup_trials=10, threshold=0.8), "a title"))
    assert "first 10: drawn at random" in found
    assert "threshold 80.00%" in found
    found = texts(history_figure(fake_record(TRIALS, num_startup_trials=0), "a title"))
    assert not any("random" in text or "threshold" in text for text in found)


@pytest.mark.parametrize("theme", [LIGHT, DARK], ids=lambda theme: theme.name)
@pytest.mark.parametrize("num_trials", [1, 60, 800])
def test_is_legible_for_few_and_many_trials(num_trials: int, theme: Theme) -> None:
    record = fake_record(searched(num_trials), threshold=0.8, protocol="best_epoch")
    figure = history_figure(record, "ckplus_loso_search-3f2a9b1c: accuracy of each trial", theme)
    assert_legible(figure)
    assert len(svg(figure)) < 300_000
    assert any("optimistic" in text for text in texts(figure))
