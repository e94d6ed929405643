from __future__ import annotations

import numpy as np
import pytest
from drawn_texts import assert_legible, texts
from matplotlib.patches import Rectangle

from fer3d.evaluation.measures import HARDEST_FIRST, Score, hardest_first
from fer3d.reporting.subjects_chart import subjects_figure
from fer3d.reporting.theme import DARK, LIGHT, svg

MIXED = {"S001": Score(3, 3), "S002": Score(1, 2), "S003": Score(0, 1), "S004": Score(2, 4), "S005": Score(0, 3)}


def some_subjects(number: int, probability: float, num_clips: int | None = None) -> dict[str, Score]:
    """With as many clips a subject as CK+ has, where no number is given."""
    rng = np.random.default_rng(0)
    sizes = rng.choice([1, 2, 3, 4, 5, 6], number, p=[0.18, 0.19, 0.4, 0.16, 0.06, 0.01])
    sizes = sizes if num_clips is None else np.full(number, num_clips)
    return {f"S{i:03d}": Score(int(rng.binomial(size, probability)), int(size)) for i, size in enumerate(sizes)}


def test_the_hardest_come_first_as_in_the_table() -> None:
    found = [text for text in texts(subjects_figure(MIXED, "Subjects")) if text in MIXED]
    assert found == list(hardest_first(MIXED)) == ["S005", "S004", "S003", "S002"]


def test_subjects_with_missed_clips_have_a_name_and_the_others_a_number() -> None:
    found = texts(subjects_figure(MIXED, "Subjects", "SYNTHETIC data"))
    said = next(text for text in found if text.startswith("1 of 5"))
    assert " ".join(said.split()) == f"1 of 5 subjects have all clips right; the others, {HARDEST_FIRST}:"
    assert {"S002", "S003", "S004", "S005", "1/2", "0/1", "2/4", "0/3", "Subjects", "SYNTHETIC data"} <= set(found)
    assert "S001" not in found


def test_the_coloured_part_of_a_bar_is_what_was_right() -> None:
    figure = subjects_figure({"S001": Score(3, 4)}, "Subjects")
    bars = [patch for patch in figure.axes[0].patches if isinstance(patch, Rectangle)]
    track, right = bars[-2:]
    assert right.get_width() == pytest.approx(0.75 * track.get_width())


def test_all_right() -> None:
    found = texts(subjects_figure(some_subjects(118, 1.0), "Subjects"))
    assert "118 of 118 subjects have all clips right" in found
    assert not any("/" in text for text in found)


@pytest.mark.parametrize(
    "subjects",
    [
        some_subjects(10, 0.5),
        some_subjects(118, 0.96),
        some_subjects(118, 0.0),
        some_subjects(80, 0.84, num_clips=6),
        some_subjects(120, 0.9, num_clips=192),
        {f"somebody_with_a_long_name_{n}": Score(n, 20) for n in range(20)},
    ],
    ids=["few", "most right", "all wrong", "six clips each", "many clips", "long names"],
)
def test_any_number_of_subjects_is_legible(subjects: dict[str, Score]) -> None:
    figure = subjects_figure(subjects, "Subjects, last epoch", "SYNTHETIC data", DARK)
    assert_legible(figure)
    assert set(hardest_first(subjects)) <= set(texts(figure))


def test_the_usual_file_is_small() -> None:
    assert len(svg(subjects_figure(some_subjects(118, 0.94), "Subjects", "", LIGHT))) < 150_000


def test_no_subjects_are_refused() -> None:
    with pytest.raises(ValueError, match="no subjects"):
        subjects_figure({}, "Subjects")
