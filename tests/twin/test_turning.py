from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from fer3d.twin.turning import film_turns


@pytest.mark.slow
def test_heads_turn_from_the_front_to_the_side_and_not_the_same_one(tmp_path: Path) -> None:
    from fer3d.clips.detectors import Res10Detector

    sequences = film_turns(tmp_path, 2, num_frames=5, farthest=120)
    assert [(one.subject, one.emotion, len(one.frames)) for one in sequences] == [
        ("T001", "neutral", 5),
        ("T002", "neutral", 5),
    ]
    detector = Res10Detector(confidence=0.1)
    for sequence in sequences:
        pictures = [cv2.imread(str(path)) for path in sequence.frames]
        assert {picture.shape for picture in pictures} == {(490, 640, 3)}
        confidences = [found.confidence if found else 0.0 for found in detector.detect(pictures)]
        # 0, 30 and 60 degrees are found, 120 are not.
        assert min(confidences[:3]) > 0.8
        assert confidences[4] < 0.5
    # The hair on the back of the head comes out on the left, and of the other person on the right.
    moved = [hair(one.frames[-1]) - hair(one.frames[0]) for one in sequences]
    assert moved[0] < -10
    assert moved[1] > 10


def hair(path: Path) -> float:
    """Returns the mean column of the darkest pixels of the upper half."""
    upper = np.asarray(cv2.imread(str(path), cv2.IMREAD_GRAYSCALE))[:250]
    return float(np.argwhere(upper < np.quantile(upper, 0.05))[:, 1].mean())
