from __future__ import annotations

import numpy as np
import pytest
from drawn_texts import assert_legible, texts
from fake_studies import FakeTrial, fake_record, searched
from matplotlib.lines import Line2D
from optuna.distributions import CategoricalDistribution, FloatDistribution

from fer3d.reporting.study_parallel import parallel_figure
from fer3d.reporting.study_settings import read_settings
from fer3d.reporting.theme import DARK, LIGHT, WIDTH, Theme, svg
from fer3d.search.records import StudyRecord

ADAM, LOOKAHEAD = {"optimizer": "adam", "model.dropout": 0.2}, {"optimizer": "lookahead", "model.dropout": 0.9}
TRIALS = [
    FakeTrial("complete", [1] * 4 + [0] * 6, ADAM),
    FakeTrial("pruned", [1] * 6, ADAM),
    FakeTrial("complete", [1] * 2 + [0] * 8, LOOKAHEAD),
    FakeTrial("complete", [1] * 6 + [0] * 4, ADAM),
]


def long_lines(record: StudyRecord) -> list[Line2D]:
    """The lines of trials, without those of axes."""
    axes = parallel_figure(record, read_settings(record), "a title").axes[0]
    return [line for line in axes.lines if len(np.asarray(line.get_xdata())) > 2]


def test_the_best_line_runs_through_its_choices_to_the_highest_accuracy() -> None:
    others, best = long_lines(fake_record(TRIALS))
    xs = np.asarray(best.get_xdata())[1::3]
    assert len(xs) == 3
    # Its choice is the right one of two, its dropout nearly the greatest, its accuracy the greatest.
    assert xs[0] > WIDTH / 2
    assert xs[1] == pytest.approx(0.36 + 0.9 * (WIDTH - 0.72))
    assert xs[2] == pytest.approx(WIDTH - 0.36)
    assert best.get_linewidth() > 2 * others.get_linewidth()
    assert best.get_marker() == "D"
    # Two other complete trials, and a gap after each.
    assert np.isnan(np.asarray(others.get_xdata(), dtype=float)).sum() == 2


def test_from_ten_trials_on_the_best_tenth_stands_out() -> None:
    few = [FakeTrial("complete", [1] * number + [0] * (10 - number), ADAM) for number in range(9)]
    assert len(long_lines(fake_record(few))) == 2
    many = [FakeTrial("complete", [1] * number + [0] * (10 - number), ADAM) for number in range(10)] * 2
    rest, good, best = long_lines(fake_record(many))
    assert rest.get_linewidth() < good.get_linewidth() < best.get_linewidth()
    assert "best tenth" in texts(parallel_figure(fake_record(many), (), "a title"))


def test_a_line_has_a_gap_where_its_trial_lacks_a_setting() -> None:
    record = fake_record([FakeTrial("complete", [0] * 10, {"model.dropout": 0.2}), *TRIALS])
    best = long_lines(record)[-1]
    assert np.isnan(np.asarray(best.get_xdata(), dtype=float))[:3].all()


@pytest.mark.parametrize("theme", [LIGHT, DARK], ids=lambda theme: theme.name)
@pytest.mark.parametrize("num_trials", [60, 800])
def test_a_search_over_table_1_is_legible(num_trials: int, theme: Theme) -> None:
    record = fake_record(searched(num_trials), threshold=0.8)
    figure = parallel_figure(record, read_settings(record), "ckplus_loso_search-3f2a9b1c: choices", theme)
    assert_legible(figure)
    assert len(svg(figure)) < 400_000


def test_many_and_long_choices_are_legible() -> None:
    space = {
        "many": ("", CategoricalDistribution([f"choice_number_{number}" for number in range(30)])),
        "rate": ("", FloatDistribution(1e-5, 3e-2, log=True)),
    }
    trials = [FakeTrial("complete", [1] * 10, {"many": "choice_number_3", "rate": 1e-3}, space=space)]
    record = fake_record(trials)
    assert_legible(parallel_figure(record, read_settings(record), "a title"))


def test_nothing_to_draw_is_refused() -> None:
    with pytest.raises(ValueError, match="no trial is complete"):
        parallel_figure(fake_record([FakeTrial("pruned", [4], ADAM)]), (), "a title")
