from __future__ import annotations

import numpy as np
import pytest
from fake_studies import fake_record

from fer3d.reporting.study_axes import (
    accuracy_limits,
    accuracy_threshold,
    crowding,
    fitted,
    spread,
    state_marks,
    threshold_entries,
)
from fer3d.reporting.theme import DARK, LIGHT, SMALL, Theme, contrast, text_width


@pytest.mark.parametrize("theme", [LIGHT, DARK], ids=lambda theme: theme.name)
def test_states_differ_in_shape_and_can_be_seen(theme: Theme) -> None:
    marks = state_marks(theme)
    assert len({mark.marker for mark in marks.values()}) == len(marks) == 4
    assert min(contrast(mark.colour, theme.paper) for mark in marks.values()) >= 3


def test_a_text_is_cut_only_where_it_does_not_fit() -> None:
    assert fitted("relu", 1) == "relu"
    cut = fitted("a choice with a long name", 0.8)
    assert cut.startswith("a choice")
    assert cut.endswith("…")
    assert text_width(cut, SMALL) <= 0.8


def test_marks_are_spread_over_a_lane_and_shrink_in_a_crowd() -> None:
    places = np.sort([spread(number) for number in range(50)])
    assert np.abs(places).max() <= 0.5
    assert np.diff(places).max() < 0.05
    assert crowding(10) == 1 > crowding(400) > crowding(700) > 0.5


@pytest.mark.parametrize(("threshold", "accuracy"), [(0.965, 0.965), (1, 1.0), ("best", None), (None, None)])
def test_a_threshold_is_drawn_where_it_is_an_accuracy(threshold: float | str | None, accuracy: float | None) -> None:
    record = fake_record([], threshold=threshold)
    assert accuracy_threshold(record) == accuracy
    assert len(threshold_entries(record, LIGHT)) == (accuracy is not None)


@pytest.mark.parametrize("values", [[0.5], [0.2, 0.9], [1.0, 1.0]])
def test_an_axis_holds_all_accuracies(values: list[float]) -> None:
    low, high = accuracy_limits(values)
    assert low < min(values) <= max(values) < high
