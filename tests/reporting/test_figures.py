"""What every figure about runs keeps to, over data of all sizes; and what the single ones show."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from drawn_texts import assert_legible, texts
from matplotlib.figure import Figure

from fer3d.evaluation.calibration import Calibration
from fer3d.evaluation.learning_curves import LearningCurves
from fer3d.evaluation.measures import Score, hardest_first
from fer3d.evaluation.protocols import BEST_COMMON_EPOCH, BEST_EPOCH, INNER_VAL, LAST_EPOCH
from fer3d.reporting.figures import (
    confusion_figure,
    curves_figure,
    protocols_figure,
    reliability_figure,
    subjects_figure,
)
from fer3d.reporting.theme import style, svg

EMOTIONS = ("anger", "contempt", "disgust", "fear", "happy", "sadness", "surprise", "neutral")
TITLE = "ckplus_kfold10_inner_val: what the figure shows, last epoch"
CAUTION = "SYNTHETIC data, PARTIAL: 2 of 10 folds missing"
ALL = {BEST_EPOCH: Score(319, 327), BEST_COMMON_EPOCH: Score(312, 327), LAST_EPOCH: Score(303, 327)}
LONG = "ckplus_loso_with_a_name_that_goes_on_and_on-1a2b3c4d [SYNTHETIC data, PARTIAL: 2 of 118 folds missing]"


def confusion(num_classes: int) -> Figure:
    counts = np.random.default_rng(0).integers(0, 2000, (num_classes, num_classes))
    return confusion_figure(counts, EMOTIONS[:num_classes], TITLE, CAUTION)


def curves(num_folds: int, num_epochs: int) -> Figure:
    rng = np.random.default_rng(0)
    good = 1 - np.exp(-np.arange(1, num_epochs + 1) / 4)
    noise = rng.normal(0, 0.05, (4, num_folds, num_epochs))
    drawn = LearningCurves(
        folds=tuple(range(1, num_folds + 1)),
        num_held_out=rng.integers(1, 6, num_folds),
        train_loss=abs(2 * (1 - good) + noise[0]),
        train_accuracy=np.clip(good + noise[1], 0, 1),
        held_out_loss=abs(2.2 - 2 * good + noise[2]),
        held_out_accuracy=np.clip(good - 0.05 + noise[3], 0, 1),
    )
    return curves_figure(drawn, TITLE, CAUTION)


def subjects(number: int, probability: float, num_clips: int, name: str = "S{:03d}") -> Figure:
    right = np.random.default_rng(0).binomial(num_clips, probability, number)
    scores = {name.format(subject): Score(int(correct), num_clips) for subject, correct in enumerate(right)}
    return subjects_figure(scores, TITLE, CAUTION)


def protocols(*labels: str) -> Figure:
    return protocols_figure({label: {**ALL, INNER_VAL: Score(300, 327)} for label in labels}, TITLE, CAUTION)


def reliability(num_clips: int) -> Figure:
    rng = np.random.default_rng(0)
    sure = 1 - 0.85 * rng.beta(1, 5, num_clips)
    return reliability_figure(Calibration.of(sure, rng.random(num_clips) < sure**2), TITLE, CAUTION)


FIGURES: dict[str, tuple[Callable[..., Figure], tuple[object, ...]]] = {
    "confusion of 2 emotions": (confusion, (2,)),
    "confusion of 8 emotions": (confusion, (8,)),
    "curves of 1 fold": (curves, (1, 50)),
    "curves of 1 epoch": (curves, (2, 1)),
    "curves of 118 folds": (curves, (118, 400)),
    "1 subject": (subjects, (1, 0.5, 3)),
    "10 subjects, many clips": (subjects, (10, 0.9, 192)),
    "118 subjects, all right": (subjects, (118, 1.0, 3)),
    "118 subjects, all wrong": (subjects, (118, 0.0, 6)),
    "20 subjects with long names": (subjects, (20, 0.5, 20, "somebody_with_a_long_name_{}")),
    "protocols of 1 run": (protocols, ("a",)),
    "protocols of 9 runs": (protocols, (*map("ckplus_loso_{}".format, range(8)), LONG)),
    "reliability of 1 clip": (reliability, (1,)),
    "reliability of 8000 clips": (reliability, (8000,)),
}
LARGEST = ("confusion of 8 emotions", "curves of 118 folds", "118 subjects, all wrong")


@pytest.mark.parametrize("kind", FIGURES)
def test_a_figure_is_legible_and_marked(kind: str) -> None:
    """Warnings are errors, so it is drawn without them, too."""
    make, arguments = FIGURES[kind]
    figure = make(*arguments)
    with style():
        found = " ".join(" ".join(assert_legible(figure)).split())
    assert TITLE in found
    assert CAUTION in found
    assert figure.get_label() == f"{TITLE} [{CAUTION}]"
    assert kind not in LARGEST or len(svg(figure)) < 200_000


def test_counts_become_shares_of_their_row() -> None:
    found = texts(confusion_figure(np.array([[3, 1], [0, 2]]), ("anger", "fear"), "Title"))
    assert {"0.75", "0.25", "1", "0", "anger\n4 clips", "fear\n2 clips"} <= set(found)


@pytest.mark.parametrize(("matrix", "num_empty"), [(np.array([[1, 0], [0, 0]]), 2), (np.zeros((2, 2)), 4)])
def test_an_emotion_without_clips_has_no_shares(matrix: np.ndarray, num_empty: int) -> None:
    assert texts(confusion_figure(matrix, ("anger", "fear"), "Title")).count("-") == num_empty


def test_subjects_with_missed_clips_have_a_bar_the_hardest_first_and_the_others_a_number() -> None:
    scores = {"S001": Score(3, 3), "S002": Score(1, 2), "S003": Score(0, 1), "S004": Score(2, 4), "S005": Score(0, 3)}
    found = texts(subjects_figure(scores, "Subjects"))
    assert [text for text in found if text in scores] == list(hardest_first(scores))
    assert {"all clips right", "1/5", "1/2", "0/1", "2/4", "0/3"} <= set(found)
    assert "S001" not in found


def test_every_run_and_protocol_has_its_numbers() -> None:
    found = texts(protocols_figure({"loso-1a2b": ALL, "kfold-3c4d": {INNER_VAL: Score(300, 327)}}))
    low, high = Score(319, 327).interval()
    assert f"97.6 % [{100 * low:.1f}, {100 * high:.1f}]" in found
    assert {"loso-1a2b", "kfold-3c4d", "last epoch", "best epoch of each fold\n(optimistic)"} <= set(found)


@pytest.mark.parametrize("score", [Score(0, 3), Score(3, 3), Score(1, 1), Score(326, 327)])
def test_dots_and_intervals_are_within_the_axis(score: Score) -> None:
    low, high = protocols_figure({"run": {LAST_EPOCH: score}}).axes[0].get_xlim()
    assert low <= score.interval()[0] <= score.accuracy <= score.interval()[1] <= high
