from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest
from known_networks import EMOTIONS
from numpy.typing import NDArray

from fer3d.prediction.steps import Frame, Prediction
from fer3d.prediction.verdicts import Verdicts
from fer3d.prediction.windows import SeenCrop, Window

CLIP = np.zeros((1, 4, 4, 1), np.uint8)


def window(time: float, clip: NDArray[np.uint8] | None = CLIP, why: str = "") -> Window:
    crop = SeenCrop(time, round(time * 30), (1, 2, 3, 4), 0.9, CLIP[0])
    return Window(crop, time - 0.3, clip, why)


def given(*shares: float) -> NDArray[np.float64]:
    return np.array(shares) / sum(shares)


def verdicts(smooth: float = 0.5, max_entropy: float = 0.8) -> Verdicts:
    return Verdicts(EMOTIONS, smooth, max_entropy)


def smoothed(times: Sequence[float], values: Sequence[NDArray[np.float64]], smooth: float = 0.5) -> list[Prediction]:
    made = verdicts(smooth)
    return [made.of(1, window(time), value) for time, value in zip(times, values, strict=True)]


def test_the_likeliest_emotion_is_the_label() -> None:
    found = verdicts().of(3, window(1.0), given(1, 8, 1))
    assert (found.face, found.label, found.why) == (3, "happy", "")
    assert (found.time_from, found.time_to, found.frame) == (0.7, 1.0, 30)
    assert (found.box, found.confidence) == ((1, 2, 3, 4), 0.9)


def test_without_an_average_the_probabilities_stay_as_they_are() -> None:
    values = [given(1, 2, 3), given(3, 2, 1)]
    for found, value in zip(smoothed([0, 1], values, 0), values, strict=True):
        np.testing.assert_array_equal(found.smoothed, value)
        np.testing.assert_array_equal(found.probabilities, value)


def test_the_past_weighs_less_the_longer_ago_it_is() -> None:
    first, second = given(1, 0, 0), given(0, 1, 0)
    for gap in (0.01, 0.5, 2.0):
        left = math.exp(-gap / 0.5)
        np.testing.assert_allclose(smoothed([0, gap], [first, second])[1].smoothed, left * first + (1 - left) * second)


def test_an_average_does_not_depend_on_how_often_the_same_is_said() -> None:
    """What was said until second 1 weighs the same at second 1.5, whatever the stride."""
    before, after = given(1, 0, 0), given(0, 1, 0)
    ends = [
        smoothed([k * gap for k in range(round(1 / gap) + 1)] + [1.5], [before] * (round(1 / gap) + 1) + [after])[-1]
        for gap in (1 / 30, 0.1, 0.5)
    ]
    for end in ends[1:]:
        np.testing.assert_allclose(end.smoothed, ends[0].smoothed)


def test_averages_are_causal_and_add_up_to_1() -> None:
    generator = np.random.default_rng(0)
    times = np.cumsum(generator.uniform(0.01, 0.5, 40)).tolist()
    values = list(generator.dirichlet([0.5] * 3, 40))
    whole = smoothed(times, values)
    for found, early in zip(smoothed(times[:25], values[:25]), whole, strict=False):
        np.testing.assert_array_equal(found.smoothed, early.smoothed)
    for found in whole:
        assert found.smoothed is not None
        assert found.smoothed.sum() == pytest.approx(1, abs=1e-12)
        assert found.smoothed.min() >= 0


def test_faces_have_averages_of_their_own() -> None:
    made = verdicts()
    alone = smoothed([0, 0.1], [given(1, 2, 3), given(3, 2, 1)])
    made.of(1, window(0), given(1, 2, 3))
    made.of(2, window(0), given(9, 1, 1))
    np.testing.assert_array_equal(made.of(1, window(0.1), given(3, 2, 1)).smoothed, alone[1].smoothed)


def test_who_was_away_for_long_starts_afresh() -> None:
    found = smoothed([0, 3], [given(1, 0, 0), given(0, 1, 0)])
    np.testing.assert_array_equal(found[1].smoothed, given(0, 1, 0))


def test_what_cannot_be_said_has_a_reason_and_leaves_the_average_alone() -> None:
    made = verdicts()
    made.of(1, window(0), given(1, 0, 0))
    found = made.of(1, window(0.1, None, "too few frames: 3 in 0.10 s of 0.30"), None)
    assert (found.label, found.why) == ("", "too few frames: 3 in 0.10 s of 0.30")
    assert found.probabilities is found.smoothed is found.entropy is None
    np.testing.assert_array_equal(
        made.of(1, window(0.2), given(0, 1, 0)).smoothed,
        smoothed([0, 0.2], [given(1, 0, 0), given(0, 1, 0)])[1].smoothed,
    )


@pytest.mark.parametrize(
    ("shares", "entropy"), [((1, 0, 0), 0), ((1, 1, 1), 1), ((1, 1, 0), math.log(2) / math.log(3))]
)
def test_entropy_is_a_share_of_the_largest_possible(shares: tuple[float, ...], entropy: float) -> None:
    found = verdicts(0, 1).of(1, window(0), given(*shares))
    assert found.entropy == pytest.approx(entropy)
    assert 0 <= (found.entropy or 0) <= 1
    # The largest possible one is not above itself.
    assert found.label == EMOTIONS[0]


def test_there_is_no_label_where_the_entropy_is_above_what_is_allowed() -> None:
    undecided = given(5, 4, 4)
    found = verdicts(0, 0.9).of(1, window(0), undecided)
    assert (found.label, found.why) == ("", f"undecided: entropy {found.entropy:.2f} is above 0.9")
    assert found.probabilities is not None
    assert found.entropy is not None
    assert verdicts(0, found.entropy).of(1, window(0), undecided).label == "anger"
    # It is that of the average.
    assert smoothed([0, 0.01], [given(1, 0, 0), undecided])[1].label == "anger"


def test_a_frame_without_a_face_says_so() -> None:
    found = verdicts().no_face(Frame(7, 0.25, np.zeros((2, 2), np.uint8)))
    assert (found.face, found.frame, found.time_from, found.time_to) == (None, 7, 0.25, 0.25)
    assert (found.label, found.why) == ("", "no face")
