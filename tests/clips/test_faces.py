from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pytest
from pictures import astronaut, carphone, grey, no_face, portrait

from fer3d.clips.detectors import Detection, Res10Detector
from fer3d.clips.faces import FaceCropper, FaceExtraction, NoFaceError

SIZE = (200, 100)


def face(x1: float, y1: float, x2: float, y2: float, confidence: float = 0.9) -> Detection:
    return Detection((x1, y1, x2, y2), confidence)


@pytest.fixture(scope="module")
def detector() -> Res10Detector:
    return Res10Detector()


def test_each_frame_keeps_its_own_box() -> None:
    faces = FaceCropper().locate([SIZE, SIZE], [face(10, 20, 30, 50), face(11.6, 20.4, 30, 50, 0.8)])
    assert [f.box for f in faces] == [(10, 20, 30, 50), (12, 20, 30, 50)]
    assert [f.confidence for f in faces] == [0.9, 0.8]
    assert [f.source for f in faces] == ["detected", "detected"]


def test_frame_without_a_face_takes_the_nearest_box_and_the_earlier_of_two() -> None:
    first, last = face(10, 10, 20, 20), face(50, 50, 70, 70)
    faces = FaceCropper().locate([SIZE] * 7, [None, first, None, None, None, last, None])
    a, b = (10, 10, 20, 20), (50, 50, 70, 70)
    assert [f.box for f in faces] == [a, a, a, a, b, b, b]
    assert [f.source == "detected" for f in faces] == [False, True, False, False, False, True, False]
    assert {f.source for f in faces} == {"detected", "nearest"}
    assert faces[3].confidence is None


def test_nearest_box_is_scaled_to_an_image_of_another_size() -> None:
    faces = FaceCropper().locate([(200, 100), (400, 300)], [face(10, 20, 30, 50), None])
    assert faces[1].box == (20, 60, 60, 150)


def test_one_median_box_for_the_clip() -> None:
    found = [face(10, 10, 30, 30), None, face(12, 11, 33, 30), face(90, 90, 99, 99)]
    faces = FaceCropper(box="clip").locate([SIZE] * 4, found)
    assert {f.box for f in faces} == {(12, 11, 33, 30)}
    assert [f.source for f in faces] == ["detected", "nearest", "detected", "detected"]


def test_margin_is_a_fraction_of_the_box_and_stops_at_the_image() -> None:
    cropper = FaceCropper(margin=0.5)
    assert cropper.locate([SIZE], [face(40, 40, 60, 50)])[0].box == (30, 35, 70, 55)
    assert cropper.locate([SIZE], [face(2, 40, 196, 96)])[0].box == (0, 12, 200, 100)


def test_a_box_never_vanishes() -> None:
    assert FaceCropper().locate([SIZE], [face(199.6, 40.1, 200, 40.3)])[0].box == (199, 40, 200, 41)


def test_no_face_at_all() -> None:
    with pytest.raises(NoFaceError, match="no face in any of 2 frames"):
        FaceCropper().locate([SIZE, SIZE], [None, None])


def test_crop_is_the_box_of_the_image() -> None:
    image = np.arange(100 * 200, dtype=np.uint32).astype(np.uint8).reshape(100, 200)
    cropper = FaceCropper(size=16)
    crops = cropper.crop([image], cropper.locate([SIZE], [face(32, 8, 48, 24)]), 1).crops
    np.testing.assert_array_equal(crops[0, :, :, 0], image[8:24, 32:48])


def test_aspect_ratio_is_not_kept() -> None:
    image = np.zeros((100, 200), dtype=np.uint8)
    image[:, 100:] = 200
    cropper = FaceCropper(size=8)
    crop = cropper.crop([image], cropper.locate([SIZE], [face(0, 0, 200, 100)]), 1).crops[0, :, :, 0]
    np.testing.assert_array_equal(crop, np.repeat([[0] * 4 + [200] * 4], 8, axis=0))


def test_shrinking_averages() -> None:
    stripes = np.tile(np.array([0, 200], dtype=np.uint8), (100, 100))
    cropper = FaceCropper(size=10)
    crops = cropper.crop([stripes], cropper.locate([SIZE], [face(0, 0, 200, 100)]), 1).crops
    assert set(crops.ravel().tolist()) == {100}


def test_channels_from_colour_and_grey_files() -> None:
    colour = np.zeros((100, 200, 3), dtype=np.uint8)
    colour[:] = (10, 20, 250)
    flat = np.full((100, 200), 77, dtype=np.uint8)
    cropper = FaceCropper(size=4)
    faces = cropper.locate([SIZE, SIZE], [face(0, 0, 50, 50)] * 2)
    rgb = cropper.crop([colour, flat], faces, 3).crops
    assert rgb.shape == (2, 4, 4, 3)
    assert rgb[0, 0, 0].tolist() == [250, 20, 10]
    assert rgb[1, 0, 0].tolist() == [77, 77, 77]
    luminance = cropper.crop([colour, flat], faces, 1).crops
    assert luminance.shape == (2, 4, 4, 1)
    assert luminance[0, 0, 0, 0] == round(0.299 * 250 + 0.587 * 20 + 0.114 * 10)
    assert luminance[1, 0, 0, 0] == 77


def test_repeats_the_last_crop_and_says_so() -> None:
    cropper = FaceCropper(size=8)
    images = [portrait(), portrait(4)]
    crops = cropper.crop(images, cropper.locate([(200, 240)] * 2, [face(60, 40, 150, 150)] * 2), 1)
    longer = crops.arranged([0, 1, 1, 1, 1])
    assert longer.crops.shape == (5, 8, 8, 1)
    assert (longer.crops[1:] == crops.crops[1]).all()
    assert (longer.crops[0] != longer.crops[1]).any()
    assert [f.source for f in longer.faces] == ["detected"] * 2 + ["repeated"] * 3
    assert longer.faces[4].confidence is None
    assert longer.faces[4].box == crops.faces[1].box
    same = crops.arranged([0, 1])
    assert same.faces == crops.faces
    assert (same.crops == crops.crops).all()


def test_boxes_of_frames_that_are_not_looked_at_lie_in_between() -> None:
    found = [face(0, 0, 40, 40), None, None, None, face(8, 4, 48, 44), None, face(8, 4, 48, 44)]
    faces = FaceCropper(size=8).locate([(200, 200)] * 7, found, every=4)
    assert [f.source for f in faces] == ["detected", *["interpolated"] * 3, "detected", "interpolated", "detected"]
    assert [f.box for f in faces[:5]] == [(2 * k, k, 40 + 2 * k, 40 + k) for k in range(5)]
    assert {f.confidence for f in faces if f.source == "interpolated"} == {None}


def test_a_frame_that_was_looked_at_in_vain_takes_the_nearest_box() -> None:
    found = [None, None, face(0, 0, 40, 40), None, None, None, face(8, 4, 48, 44)]
    faces = FaceCropper(size=8).locate([(200, 200)] * 7, found, every=2)
    assert [f.source[0] for f in faces] == list("nndinid")
    assert faces[1].box == faces[0].box == (0, 0, 40, 40)


@pytest.mark.parametrize("every", [2, 5, 100])
def test_looking_at_fewer_frames_moves_no_box_of_a_face_that_stands_still(every: int, detector: Res10Detector) -> None:
    all_frames = FaceExtraction(detector, FaceCropper(size=16)).extract([portrait()] * 7, 1)
    some = FaceExtraction(detector, FaceCropper(size=16), every=every).extract([portrait()] * 7, 1)
    assert [f.box for f in some.faces] == [f.box for f in all_frames.faces]
    assert sum(f.source == "detected" for f in some.faces) == len({*range(0, 7, every), 6})


def test_every_belongs_to_the_settings_only_where_it_changes_something(detector: Res10Detector) -> None:
    assert "every" not in FaceExtraction(detector, FaceCropper()).settings()
    assert FaceExtraction(detector, FaceCropper(), every=3).settings()["every"] == 3
    with pytest.raises(ValueError, match=r"faces\.every"):
        FaceExtraction(detector, FaceCropper(), every=0)


def test_extraction_centres_a_real_face(detector: Res10Detector) -> None:
    crops = FaceExtraction(detector, FaceCropper(size=112)).extract([astronaut()], 3)
    x1, y1, x2, y2 = crops.faces[0].box
    want = cv2.cvtColor(astronaut()[y1:y2, x1:x2], cv2.COLOR_BGR2RGB)
    assert crops.crops.shape == (1, 112, 112, 3)
    np.testing.assert_allclose(crops.crops[0].mean(axis=(0, 1)), want.mean(axis=(0, 1)), atol=1)
    np.testing.assert_allclose((x1, y1, x2, y2), (179, 58, 272, 177), atol=6)


def test_extraction_of_mixed_sizes_and_modes(detector: Res10Detector) -> None:
    frames = [portrait(), grey(astronaut()), no_face(), carphone()[0]]
    crops = FaceExtraction(detector, FaceCropper(size=32)).extract(frames, 1)
    assert crops.crops.shape == (4, 32, 32, 1)
    assert [f.source for f in crops.faces] == ["detected", "detected", "nearest", "detected"]
    # The same face, in colour and in grey, cut out of two images of different size.
    assert np.corrcoef(crops.crops[0].ravel(), crops.crops[1].ravel())[0, 1] > 0.9


def test_clip_without_a_face_may_use_full_frames(detector: Res10Detector) -> None:
    crops = FaceExtraction(detector, FaceCropper(size=20), "full_frame").extract([no_face(), no_face(9)], 1)
    assert [(f.box, f.confidence, f.source) for f in crops.faces] == [((0, 0, 200, 240), None, "full_frame")] * 2
    want = cv2.resize(grey(no_face()), (20, 20), interpolation=cv2.INTER_AREA)
    np.testing.assert_array_equal(crops.crops[0, :, :, 0], want)


def test_settings_tell_every_choice_apart(detector: Res10Detector) -> None:
    choices = [
        FaceExtraction(detector, FaceCropper()),
        FaceExtraction(detector, FaceCropper(size=96)),
        FaceExtraction(detector, FaceCropper(margin=0.1)),
        FaceExtraction(detector, FaceCropper(box="clip")),
        FaceExtraction(detector, FaceCropper(), "skip"),
        FaceExtraction(Res10Detector(confidence=0.7), FaceCropper()),
    ]
    assert len({repr(choice.settings()) for choice in choices}) == len(choices)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"size": 0}, r"faces\.crop\.size must be >= 1, got 0"),
        ({"margin": -0.1}, r"faces\.crop\.margin must be >= 0, got -0\.1"),
        ({"margin": float("inf")}, r"faces\.crop\.margin must be >= 0, got inf"),
        ({"box": "video"}, r"faces\.crop\.box must be one of frame, clip, got video"),
    ],
)
def test_bad_crop_settings_are_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        FaceCropper(**arguments)


def test_bad_policy_is_refused(detector: Res10Detector) -> None:
    policy: Any = "ignore"
    with pytest.raises(ValueError, match=r"faces\.on_no_face must be one of error, skip, full_frame, got ignore"):
        FaceExtraction(detector, FaceCropper(), policy)
