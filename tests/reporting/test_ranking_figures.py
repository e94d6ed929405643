"""What the figures of many entries show, over entries of all numbers, names and costs."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest
from drawn_texts import assert_legible, texts
from fake_entries import chance_entries

from fer3d.evaluation.protocols import BEST_EPOCH, LAST_EPOCH
from fer3d.evaluation.ranking import Ranking
from fer3d.reporting.ranking_figures import cost_figure, ranking_figure, ranks_figure, unpriced_text
from fer3d.reporting.theme import style

NETWORKS = (
    "compact", "cnn3d", "factorised_compact", "frame_compact", "frame_mean_compact", "frame_attention_compact",
    "cnn_lstm_compact", "cnn_gru_compact", "c3d_lstm_compact", "transformer_compact", "r3d_18_compact",
    "mc3_18_compact", "videomae_compact", "model.temporal_kernel=1 model.dropout=0.4",
)  # fmt: skip


def networks(number: int, spread: float, best: float = 0.95) -> Ranking:
    names = NETWORKS[-number:]
    accuracies = {name: best - spread * index / number for index, name in enumerate(names)}
    # Many networks over frames cost nearly the same.
    costs = [(0.2, 18.1, 18.2, 18.15, 0.21)[index % 5] for index in range(number)]
    return Ranking.of(chance_entries(accuracies, costs, seeds=2), LAST_EPOCH)


def three(costs: Sequence[float | None]) -> Ranking:
    return Ranking.of(chance_entries({"first": 0.9, "second": 0.5, "third": 0.8}, costs), BEST_EPOCH)


RANKINGS: dict[str, tuple[Callable[..., Ranking], tuple[object, ...]]] = {
    "2 entries": (networks, (2, 0.5)),
    "14 entries": (networks, (14, 0.8)),
    "14 entries that are hardly different": (networks, (14, 0.02)),
    "all right": (networks, (4, 0.0, 1.0)),
    "without a cost": (three, ([],)),
    "one without a cost": (three, ([0.1, None, 30],)),
}


@pytest.mark.parametrize("kind", RANKINGS)
def test_a_figure_is_legible_and_marked(kind: str) -> None:
    """Warnings are errors, so it is drawn without them, too."""
    make, arguments = RANKINGS[kind]
    ranking = make(*arguments)
    for draw in (ranking_figure, ranks_figure, *([] if kind == "without a cost" else [cost_figure])):
        figure = draw(ranking)
        with style():
            found = " ".join(" ".join(assert_legible(figure)).split())
        assert "SYNTHETIC data" in found
        assert ranking.protocol.title in found
        assert str(figure.get_label()).endswith("[SYNTHETIC data]")
        assert draw is cost_figure or all(standing.label in found for standing in ranking.standings)


def test_bars_join_what_is_not_shown_to_differ() -> None:
    ranking = three([0.1, 5, 30])
    (axes,) = ranks_figure(ranking).axes
    ranks = {standing.label: standing.mean_rank for standing in ranking.standings}
    drawn = [sorted(line.get_xdata()) for line in axes.lines if line.get_linestyle() == "None"]
    assert ranking.groups == (("first", "third"),)
    assert drawn == [sorted([ranks["first"], ranks["third"]])]


def test_points_are_cost_and_accuracy_and_what_lacks_a_cost_is_named() -> None:
    ranking = three([0.1, None, 30])
    (axes,) = cost_figure(ranking).axes
    points = {(line.get_xdata()[0], line.get_ydata()[0]) for line in axes.lines if line.get_marker() == "o"}
    assert points == {(it.entry.gflop, it.accuracy) for it in ranking.standings if it.label != "second"}
    assert "do not tell GFLOP: second." in " ".join(" ".join(texts(ranking_figure(ranking))).split())
    assert unpriced_text(three([1, 2, 3])) == ""
