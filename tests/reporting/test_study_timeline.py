from __future__ import annotations

import pytest
from drawn_texts import assert_legible, texts
from fake_studies import FakeTrial, fake_record, searched
from matplotlib.collections import PolyCollection

from fer3d.reporting.study_timeline import timeline_figure
from fer3d.reporting.theme import DARK, LIGHT, Theme, svg

# A trial begins every ten minutes.
TRIALS = [
    FakeTrial("complete", [1] * 10, seconds=90),
    FakeTrial("complete", [1] * 10, seconds=60),
    FakeTrial("pruned", [1] * 6, seconds=60),
    FakeTrial("failed", [1], error="ValueError: no"),
    FakeTrial("running", [1]),
]


def spans(trials: list[FakeTrial]) -> list[list[tuple[float, float, float]]]:
    """Of each row: start, end and height above the axis of every bar."""
    axes = timeline_figure(fake_record(trials), "a title").axes[0]
    rows = [bars for bars in axes.collections if isinstance(bars, PolyCollection)]
    boxes = [[path.get_extents() for path in bars.get_paths()] for bars in rows]
    return [[(round(box.x0, 2), round(box.x1, 2), box.y0) for box in row] for row in boxes]


def test_each_trial_has_a_bar_from_its_start_to_its_end() -> None:
    first, second, pruned, *_ = spans(TRIALS)
    assert [bar[:2] for bar in first] == [(0, 15)]
    assert [bar[:2] for bar in pruned] == [(20, 26)]
    assert [bar[:2] for bar in second] == [(10, 20)]


def test_trials_at_the_same_time_do_not_hide_each_other() -> None:
    first, second, *_ = spans(TRIALS)
    assert first[0][2] != second[0][2]
    (alone,) = spans([FakeTrial("complete", [1] * 10, seconds=60)] * 2)
    assert [bar[:2] for bar in alone] == [(0, 10), (10, 20)]


def test_states_are_told_apart_by_their_lanes() -> None:
    found = texts(timeline_figure(fake_record(TRIALS), "a title"))
    assert {"2 complete", "1 pruned", "1 failed", "1 running", "minutes since the study began"} <= set(found)


def test_a_trial_that_runs_ends_where_the_study_does() -> None:
    running = spans([FakeTrial("running"), FakeTrial("complete", [1] * 10, seconds=60)])[-1]
    assert [bar[:2] for bar in running] == [(0, 20)]


@pytest.mark.parametrize("theme", [LIGHT, DARK], ids=lambda theme: theme.name)
@pytest.mark.parametrize("num_trials", [1, 60, 800])
def test_is_legible_for_few_and_many_trials(num_trials: int, theme: Theme) -> None:
    figure = timeline_figure(fake_record(searched(num_trials)), "a title", theme)
    assert_legible(figure)
    assert len(svg(figure)) < 300_000


def test_nothing_to_draw_is_refused() -> None:
    with pytest.raises(ValueError, match="no trial has begun"):
        timeline_figure(fake_record([]), "a title")
