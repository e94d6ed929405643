from __future__ import annotations

from types import SimpleNamespace

import pytest
from drawn_texts import assert_legible, texts
from matplotlib.lines import Line2D

from fer3d.evaluation.measures import Score
from fer3d.evaluation.own_protocols import OwnProtocol
from fer3d.evaluation.protocols import BEST_COMMON_EPOCH, BEST_EPOCH, INNER_VAL, LAST_EPOCH, EpochProtocol
from fer3d.reporting.protocol_chart import protocols_figure
from fer3d.reporting.theme import DARK, LIGHT, Theme, svg

ALL = {BEST_EPOCH: Score(319, 327), BEST_COMMON_EPOCH: Score(312, 327), LAST_EPOCH: Score(303, 327)}


def markers(scores: dict[str, dict[EpochProtocol, Score]], theme: Theme = LIGHT) -> list[Line2D]:
    return [line for line in protocols_figure(scores, theme=theme).axes[0].lines if line.get_marker() != "None"]


def test_every_run_and_protocol_has_its_numbers() -> None:
    found = " ".join(texts(protocols_figure({"loso-1a2b": ALL, "kfold-3c4d": {INNER_VAL: Score(300, 327)}})))
    low, high = Score(319, 327).interval()
    assert f"97.6 % [{100 * low:.1f}, {100 * high:.1f}]" in found
    assert "91.7 %" in found
    for text in ("loso-1a2b", "kfold-3c4d", "last epoch", "epoch chosen on inner", "Wilson's 95 % interval"):
        assert text in found


@pytest.mark.parametrize("theme", [LIGHT, DARK], ids=lambda theme: theme.name)
def test_an_optimistic_protocol_looks_and_is_called_so(theme: Theme) -> None:
    best, common, last = markers({"run": ALL}, theme)
    assert best.get_markerfacecolor() == common.get_markerfacecolor() == theme.paper
    assert last.get_markerfacecolor() == last.get_markeredgecolor() != theme.paper
    assert len({line.get_marker() for line in (best, common, last)}) == 3
    found = texts(protocols_figure({"run": ALL}, theme=theme))
    assert "best epoch of each fold\n(optimistic)" in found
    assert any("Hollow" in text and "optimistic" in text for text in found)


@pytest.mark.parametrize("score", [Score(0, 3), Score(3, 3), Score(1, 1), Score(326, 327)])
def test_dots_and_intervals_are_within_the_axis(score: Score) -> None:
    figure = protocols_figure({"run": {LAST_EPOCH: score}})
    low, high = figure.axes[0].get_xlim()
    assert low <= score.interval()[0] <= score.accuracy <= score.interval()[1] <= high
    assert_legible(figure)


def test_many_runs_with_long_names_are_legible() -> None:
    scores = {f"ckplus_loso_with_a_name_that_goes_on_and_on_{n}-1a2b3c4d (LOSO, seed {n})": ALL for n in range(6)}
    figure = protocols_figure(scores, "SYNTHETIC data, PARTIAL: 2 of 118 folds missing", DARK)
    assert_legible(figure)
    assert "SYNTHETIC data, PARTIAL: 2 of 118 folds missing" in texts(figure)
    assert len(svg(protocols_figure({"a": ALL, "b": ALL}))) < 150_000


def test_a_protocol_of_ones_own_can_be_drawn() -> None:
    mine = OwnProtocol(SimpleNamespace(name="by_dice", meaning="Rolled.", looks_at="nothing"), "dice.Dice")
    assert "by dice" in texts(protocols_figure({"run": {mine: Score(1, 2)}}))


@pytest.mark.parametrize("scores", [{}, {"run": {}}])
def test_nothing_to_draw_is_refused(scores: dict[str, dict[EpochProtocol, Score]]) -> None:
    with pytest.raises(ValueError, match="no scores"):
        protocols_figure(scores)
