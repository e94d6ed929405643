from __future__ import annotations

import pytest
from drawn_texts import assert_legible, texts
from fake_studies import FakeTrial, fake_record, searched
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from fer3d.reporting.study_settings import read_settings
from fer3d.reporting.study_slices import slices_figure
from fer3d.reporting.theme import DARK, LIGHT, Theme, svg
from fer3d.search.records import StudyRecord

ADAM, LOOKAHEAD = {"optimizer": "adam", "model.dropout": 0.2}, {"optimizer": "lookahead", "model.dropout": 0.4}
# Of 28 clips.
TRIALS = [
    FakeTrial("complete", [1] * 4 + [0] * 6, ADAM),
    FakeTrial("pruned", [1] * 6, LOOKAHEAD),
    FakeTrial("complete", [1] * 2 + [0] * 8, ADAM),
    FakeTrial("failed", [1], ADAM),
    FakeTrial("complete", [0] * 10, {"model.dropout": 0.6}),
]


def panels(record: StudyRecord, theme: Theme = LIGHT) -> list[Axes]:
    _, *panels = slices_figure(record, read_settings(record), "a title", theme).axes
    return panels


def marked(axes: Axes, marker: str) -> Line2D:
    (line,) = (line for line in axes.lines if line.get_marker() == marker)
    return line


def test_a_mark_stands_in_its_choices_lane_at_its_accuracy() -> None:
    optimizer, dropout = panels(fake_record(TRIALS))
    complete, pruned = marked(optimizer, "o"), marked(optimizer, "v")
    assert list(complete.get_xdata()) == pytest.approx([24 / 28, 26 / 28])  # type: ignore[arg-type]
    assert [round(y) for y in complete.get_ydata()] == [0, 0]  # type: ignore[union-attr]
    assert list(pruned.get_xdata()) == pytest.approx([22 / 28])  # type: ignore[arg-type]
    assert [round(y) for y in pruned.get_ydata()] == [1]  # type: ignore[union-attr]
    assert list(marked(dropout, "o").get_ydata()) == [0.2, 0.2, 0.6]  # type: ignore[arg-type]


@pytest.mark.parametrize("theme", [LIGHT, DARK], ids=lambda theme: theme.name)
def test_pruned_ones_are_hollow(theme: Theme) -> None:
    optimizer, _ = panels(fake_record(TRIALS), theme)
    assert marked(optimizer, "v").get_markerfacecolor() == theme.paper
    assert marked(optimizer, "o").get_markerfacecolor() == marked(optimizer, "o").get_markeredgecolor()


def test_the_median_of_complete_trials_is_marked_in_their_lane() -> None:
    optimizer, dropout = panels(fake_record(TRIALS))
    median = marked(optimizer, "|")
    assert (list(median.get_xdata()), list(median.get_ydata())) == ([pytest.approx(25 / 28)], [0])  # type: ignore[arg-type]
    assert not [line for line in dropout.lines if line.get_marker() == "|"]


@pytest.mark.parametrize("theme", [LIGHT, DARK], ids=lambda theme: theme.name)
@pytest.mark.parametrize("num_trials", [60, 800])
def test_a_search_over_table_1_is_legible(num_trials: int, theme: Theme) -> None:
    record = fake_record(searched(num_trials), threshold=0.8)
    figure = slices_figure(record, read_settings(record), "ckplus_loso_search-3f2a9b1c: slices", theme)
    assert_legible(figure)
    assert "threshold 80.00%" in texts(figure)
    assert len(svg(figure)) < 1_500_000


def test_nothing_to_draw_is_refused() -> None:
    record = fake_record([FakeTrial("failed", [1], ADAM)])
    with pytest.raises(ValueError, match="no trial is complete or pruned"):
        slices_figure(record, read_settings(record), "a title")
