from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from known_networks import EMOTIONS, known

from fer3d.prediction.steps import Frame, Prediction
from fer3d.prediction.video_record import VideoRecord

# In 98 % of the training clips, and in the middle of them.
CLIPS = {"brightness": (80.0, 120.0, 160.0), "contrast": (30.0, 50.0, 70.0), "symmetry": (0.5, 0.8, 0.95)}
USUAL = {"brightness": 100.0, "contrast": 40.0, "symmetry": 0.7}


def predicted(face: int | None, *shares: float, label: str = "", why: str = "") -> Prediction:
    given = np.array(shares) / sum(shares) if shares else None
    return Prediction(face, 0, 0, 0, None, None, given, given, None, label, why)


def record(num_frames: int = 60, rate: float = 30, span: float | None = None, **fields: Any) -> VideoRecord:
    trained = known(training_clips=CLIPS, **fields)
    made = VideoRecord(trained, trained.span if span is None else span)
    for number in range(num_frames):
        made.see_frame(Frame(number, number / rate, np.zeros((48, 64, 3), np.uint8)))
    return made


def test_a_video_has_a_length_a_rate_and_a_size() -> None:
    made = record(61, 30)
    assert (made.num_frames, made.seconds, made.rate, made.size) == (61, pytest.approx(2), pytest.approx(30), (64, 48))
    assert (record(1).rate, record(1).seconds) == (0, 0)


def test_predictions_are_counted_by_face_and_by_reason() -> None:
    made = record()
    for face in (2, 1):
        made.see_face(face, USUAL)
    made.see_predictions([predicted(1, 8, 1, 1, label="anger"), predicted(2, 1, 1, 1, why="undecided: entropy 1")])
    made.see_predictions([predicted(1, 1, 8, 1, label="happy"), predicted(1, 8, 1, 1, label="anger")])
    made.see_predictions([predicted(2, why="too few frames: 3"), predicted(None, why="no face")])
    assert made.num_labelled == 3
    assert dict(made.reasons) == {"undecided": 1, "too few frames": 1, "no face": 1}
    one, two = made.summary()
    assert (one["face"], one["predictions"], one["labelled"], one["label"]) == (1, 3, 3, "anger")
    assert [one[emotion] for emotion in EMOTIONS] == pytest.approx([17 / 30, 10 / 30, 3 / 30])
    # A face that nothing could be said of has no label either.
    assert (two["predictions"], two["labelled"], two["label"]) == (2, 0, "")
    assert two["anger"] == pytest.approx(1 / 3)


def test_a_face_without_any_clip_has_no_probabilities() -> None:
    made = record()
    made.see_face(1, USUAL)
    made.see_predictions([predicted(1, why="too few frames: 1")])
    (entry,) = made.summary()
    assert entry == {"face": 1, "predictions": 1, "labelled": 0, "label": "", **dict.fromkeys(EMOTIONS)}


def test_a_video_like_the_training_clips_is_not_warned_of() -> None:
    made = record()
    for _ in range(5):
        made.see_face(1, USUAL)
    assert made.warnings() == []


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("brightness", 50, "brightness: face 2 is darker (50) than the training clips (80 to 160 in 98% of them"),
        ("brightness", 200, "brightness: face 2 is brighter (200)"),
        ("contrast", 10, "contrast: face 2 is of less contrast (10)"),
        ("symmetry", 0.1, "symmetry: face 2 is less frontal, or lit from the side (0.1)"),
    ],
)
def test_faces_of_another_light_or_pose_are_named(name: str, value: float, said: str) -> None:
    made = record()
    for _ in range(3):
        made.see_face(1, USUAL)
        made.see_face(2, {**USUAL, name: value})
        # What was hardly seen is not judged.
        if made.num_frames and len(made.faces) < 3:
            made.see_face(3, {**USUAL, name: value})
    (warning,) = made.warnings()
    assert warning.startswith(said)


@pytest.mark.parametrize(
    ("num_frames", "rate", "kinds"),
    [
        (60, 30, []),
        (60, 25, []),
        (600, 240, []),
        (20, 10, ["rate"]),
        (1, 30, ["rate"]),
        (3, 0.2, ["rate"]),
        (5, 30, ["length"]),
    ],
)
def test_other_rates_and_lengths_are_named(num_frames: int, rate: float, kinds: list[str]) -> None:
    assert [warning.partition(":")[0] for warning in record(num_frames, rate).warnings()] == kinds


def test_crops_that_a_stream_cannot_make_are_named() -> None:
    (warning,) = record(faces={"crop": {"size": 4, "box": "clip"}}).warnings()
    assert warning.startswith("box: ")


def test_a_video_that_nobody_looked_at_has_nothing_to_say() -> None:
    assert record(0).warnings() == []
    assert record(0).summary() == []
