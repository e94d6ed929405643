from __future__ import annotations

import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.special import log_softmax, softmax

from fer3d.training.temperature import BOUNDS, PRIOR_WEIGHT, fit_temperature

Clips = tuple[NDArray[np.float64], NDArray[np.int64]]
seeds = st.integers(0, 2**32 - 1)


def calibrated(num_clips: int, seed: int = 0, num_classes: int = 7, spread: float = 2.5) -> Clips:
    """Logits that are right: a clip shows each class as often as its softmax says."""
    rng = np.random.default_rng(seed)
    logits = spread * rng.normal(size=(num_clips, num_classes))
    below = rng.random((num_clips, 1)) > softmax(logits, axis=-1).cumsum(-1)
    return logits, np.minimum(below.sum(-1), num_classes - 1)


def all_right(num_clips: int, margin: float = 4.0, num_classes: int = 7) -> Clips:
    labels = np.arange(num_clips) % num_classes
    return margin * np.eye(num_classes)[labels], labels


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("factor", [1 / 3, 1, 3])
def test_finds_by_how_much_a_network_is_too_sure(factor: float, seed: int) -> None:
    logits, labels = calibrated(4000, seed)
    assert fit_temperature(factor * logits, labels) == pytest.approx(factor, rel=0.06)


@pytest.mark.parametrize("factor", [0.001, 0.4, 1, 6])
def test_no_other_temperature_is_likelier(factor: float) -> None:
    logits, labels = calibrated(300)
    logits = factor * logits

    def posterior(temperature: float) -> float:
        said = log_softmax(logits / temperature, axis=-1)[np.arange(300), labels].sum()
        return float(said - PRIOR_WEIGHT * (1 / temperature + np.log(temperature) - 1))

    found = fit_temperature(logits, labels)
    assert BOUNDS[0] < found < BOUNDS[1]
    assert posterior(found) >= max(map(posterior, np.geomspace(*BOUNDS, 2001))) - 1e-9


def test_without_clips_the_network_stays_as_it_is() -> None:
    assert fit_temperature(np.empty((0, 7)), np.empty(0, dtype=np.int64)) == pytest.approx(1, abs=1e-6)


def test_clips_that_are_all_right_make_no_network_certain() -> None:
    """The likelihood alone would send the temperature to its lower bound, and what follows would be 1.000."""
    sharper = [fit_temperature(*all_right(number)) for number in (1, 5, 20, 100)]
    assert all(before > after for before, after in zip([1.0, *sharper], sharper, strict=False))
    assert sharper[2] > 0.5


def test_a_single_surprise_makes_no_network_clueless() -> None:
    logits, labels = all_right(8, margin=9.0)
    labels[0] = 6
    assert 1 < fit_temperature(logits, labels) < 4


@given(seeds, st.integers(1, 40), st.floats(0.01, 100))
def test_the_predicted_class_stays(seed: int, num_clips: int, scale: float) -> None:
    rng = np.random.default_rng(seed)
    logits, labels = scale * rng.normal(size=(num_clips, 5)), rng.integers(0, 5, num_clips)
    temperature = fit_temperature(logits, labels)
    assert BOUNDS[0] <= temperature <= BOUNDS[1]
    np.testing.assert_array_equal((logits / temperature).argmax(-1), logits.argmax(-1))


@given(seeds)
def test_only_differences_between_classes_count_and_no_order(seed: int) -> None:
    rng = np.random.default_rng(seed)
    logits, labels = calibrated(30, seed)
    found = fit_temperature(logits, labels)
    assert fit_temperature(logits, labels) == found
    assert fit_temperature(log_softmax(logits, axis=-1), labels) == pytest.approx(found, rel=1e-5)
    clips, classes = rng.permutation(30), rng.permutation(7)
    shuffled = fit_temperature(logits[clips][:, classes], np.argsort(classes)[labels[clips]])
    assert shuffled == pytest.approx(found, rel=1e-5)


@pytest.mark.parametrize(
    ("logits", "labels", "said"),
    [
        (np.zeros((3, 7)), np.zeros(2, dtype=int), "do not match"),
        (np.zeros(7), np.zeros(7, dtype=int), "do not match"),
        (np.zeros((1, 0)), np.zeros(1, dtype=int), "do not match"),
        (np.full((1, 7), np.nan), np.zeros(1, dtype=int), "must be finite"),
        (np.zeros((1, 7)), np.array([7]), "labels in 0..6"),
        (np.zeros((1, 7)), np.array([-1]), "labels in 0..6"),
    ],
)
def test_what_are_no_logits_and_labels_is_refused(logits: Any, labels: Any, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        fit_temperature(logits, labels)


@pytest.mark.slow
def test_needs_no_pytorch() -> None:
    code = "import sys, fer3d.training.temperature; assert 'torch' not in sys.modules"
    assert subprocess.run([sys.executable, "-c", code], timeout=60).returncode == 0
