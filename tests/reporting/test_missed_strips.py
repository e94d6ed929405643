from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from drawn_texts import assert_legible, texts

from fer3d.clips.store import ClipStore
from fer3d.evaluation.protocols import LAST_EPOCH, HeldOutPredictions
from fer3d.evaluation.run_results import EvaluationError
from fer3d.reporting.missed_strips import MissedClip, missed_clips, missed_figure
from fer3d.reporting.theme import DARK, LIGHT, svg

EMOTIONS = ("anger", "fear", "happy")
MakeStore = Callable[..., ClipStore]


def predictions(probabilities: list[list[float]], labels: list[int]) -> HeldOutPredictions:
    return HeldOutPredictions(
        protocol=LAST_EPOCH,
        epochs={1: 1},
        clip_ids=tuple(f"S001/{number + 1:03d}" for number in range(len(labels))),
        subjects=("S001",) * len(labels),
        folds=np.ones(len(labels), dtype=np.int64),
        labels=np.array(labels),
        probabilities=np.array(probabilities),
    )


def missed_of(store: ClipStore) -> list[MissedClip]:
    return [
        MissedClip(clip_id, emotion, "surprise", 0.9)
        for clip_id, emotion in zip(store.clip_ids, store.clip_emotions, strict=True)
    ]


def test_missed_clips_come_the_most_confident_first() -> None:
    said = [[0.1, 0.6, 0.3], [0.8, 0.1, 0.1], [0.0, 0.05, 0.95], [0.9, 0.1, 0.0]]
    assert missed_clips(predictions(said, [0, 0, 1, 2]), EMOTIONS) == [
        MissedClip("S001/003", "fear", "happy", 0.95),
        MissedClip("S001/004", "happy", "anger", 0.9),
        MissedClip("S001/001", "anger", "fear", 0.6),
    ]


def test_nothing_missed_is_no_figure(make_store: MakeStore) -> None:
    missed = missed_clips(predictions([[0.8, 0.1, 0.1]], [0]), EMOTIONS)
    assert missed == []
    assert missed_figure(make_store(num_subjects=1), missed, "Missed") is None


def test_a_strip_has_its_clip_and_what_was_said(make_store: MakeStore) -> None:
    figure = missed_figure(
        make_store(num_subjects=1), [MissedClip("S001/002", "contempt", "happy", 0.973)], "Missed", "SYNTHETIC data"
    )
    assert figure is not None
    found = texts(figure)
    assert {"S001/002", "contempt, predicted happy (0.97)", "SYNTHETIC data"} <= set(found)
    assert "1 missed clip; frames from first to last" in found


@pytest.mark.parametrize("num_channels", [1, 3])
def test_frames_stand_side_by_side_as_they_are_stored(num_channels: int, make_store: MakeStore) -> None:
    store = make_store(num_subjects=1, num_channels=num_channels)
    figure = missed_figure(store, missed_of(store)[2:3], "Missed")
    assert figure is not None
    (image,) = figure.axes[0].images
    strip = np.asarray(image.get_array())
    frames = [strip[:, left : left + 32] for left in range(0, strip.shape[1], 33)]
    assert len(frames) == 10
    want = np.broadcast_to(store.clips[2], (10, 32, 32, 3))
    assert (np.stack(frames) == want).all()
    assert (strip[:, 32] == 255).all()  # the light theme's paper
    left, right, bottom, top = image.get_extent()
    assert left < right
    assert top < bottom  # downwards, as the canvas counts


@pytest.mark.parametrize(("num_frames", "num_rows"), [(2, 1), (10, 1), (16, 2)])
def test_clips_of_any_length_are_legible(num_frames: int, num_rows: int, make_store: MakeStore) -> None:
    store = make_store(num_subjects=1, num_frames=num_frames)
    figure = missed_figure(store, missed_of(store)[:2], "Missed", "SYNTHETIC data", DARK)
    assert figure is not None
    assert_legible(figure)
    image = np.asarray(figure.axes[0].images[0].get_array())
    assert image.shape[0] == num_rows * 33 - 1


def test_only_so_many_are_shown_and_the_figure_says_how_many_there_are(make_store: MakeStore) -> None:
    store = make_store()
    figure = missed_figure(store, missed_of(store), "Missed", max_clips=3)
    assert figure is not None
    assert len(figure.axes[0].images) == 3
    assert "The 3 most confident of 28 missed clips; frames from first to last" in texts(figure)


def test_twelve_clips_of_the_usual_size_make_a_small_file(make_store: MakeStore) -> None:
    """Noise is the hardest to compress."""
    store = make_store(num_subjects=2, size=112)
    figure = missed_figure(store, missed_of(store), "Missed", "SYNTHETIC data", LIGHT)
    assert figure is not None
    assert len(svg(figure)) < 250_000


def test_a_clip_of_another_store_is_refused(make_store: MakeStore) -> None:
    with pytest.raises(EvaluationError, match="does not hold S999/001"):
        missed_figure(make_store(num_subjects=1), [MissedClip("S999/001", "fear", "happy", 0.9)], "Missed")
