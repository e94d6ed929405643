from __future__ import annotations

import numpy as np
import pytest
from drawn_texts import assert_legible, texts
from matplotlib.collections import QuadMesh

from fer3d.reporting.confusion import confusion_figure
from fer3d.reporting.theme import DARK, LIGHT, Theme, png, svg

EMOTIONS = ("anger", "contempt", "disgust", "fear", "happy", "sadness", "surprise")


def test_counts_become_shares_of_their_row() -> None:
    found = texts(confusion_figure(np.array([[3, 1], [0, 2]]), ("anger", "fear"), "Title"))
    assert [text for text in found if text in ("0.75", "0.25")] == ["0.75", "0.25"]
    assert {"anger\n4 clips", "fear\n2 clips", "anger", "fear", "predicted", "emotion"} <= set(found)


def test_printed_shares_stay_as_they_are() -> None:
    """The first row of the paper's Figure 5 adds up to 1.004."""
    shares = np.eye(7)
    shares[0] = [0.96, 0, 0, 0, 0.022, 0, 0.022]
    found = texts(confusion_figure(shares, EMOTIONS, "Title"))
    assert found.count("0.96") == 1
    assert found.count("0.022") == 2
    assert "anger" in found


def test_rows_are_the_emotions_and_the_first_is_on_top() -> None:
    figure = confusion_figure(np.array([[3, 1], [0, 2]]), ("anger", "fear"), "Title")
    axes, bar = figure.axes
    top = {text.get_text(): text.get_position() for text in axes.texts}["0.25"]
    assert top == (1.5, 0.5)
    assert axes.yaxis_inverted()
    assert bar.get_ylim() == (0, 1)


def test_an_emotion_without_clips_has_no_shares() -> None:
    figure = confusion_figure(np.array([[1, 0], [0, 0]]), ("anger", "fear"), "Title")
    assert texts(figure).count("-") == 2
    assert "anger\n1 clip" in texts(figure)
    assert "fear\n0 clips" in texts(figure)
    png(figure)


def test_shares_of_nothing_have_no_clips_either() -> None:
    assert texts(confusion_figure(np.zeros((2, 2)), ("anger", "fear"), "Title")).count("-") == 4


@pytest.mark.parametrize("theme", [LIGHT, DARK], ids=lambda theme: theme.name)
def test_seven_emotions_are_legible(theme: Theme) -> None:
    counts = np.random.default_rng(0).integers(0, 90, (7, 7)) * 10
    figure = confusion_figure(counts, EMOTIONS, "A run, last epoch", "SYNTHETIC data", theme)
    assert_legible(figure)
    assert "SYNTHETIC data" in texts(figure)
    assert len(svg(figure)) < 150_000
    (cells,) = [mesh for mesh in figure.axes[0].collections if isinstance(mesh, QuadMesh)]
    width, height = figure.axes[0].get_window_extent().size
    assert width == pytest.approx(height)
    assert cells.get_clim() == (0, 1)


@pytest.mark.parametrize(
    "confusion", [np.ones((2, 3)), np.ones((3, 3)), np.array([[1, -1], [0, 1]]), np.array([[np.nan, 0], [0, 1.0]])]
)
def test_what_is_no_confusion_matrix_is_refused(confusion: np.ndarray) -> None:
    with pytest.raises(ValueError, match="a confusion matrix"):
        confusion_figure(confusion, ("anger", "fear"), "Title")
