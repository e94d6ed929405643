"""The video with what is known of each face drawn on it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest
from made_steps import CAUTION, EMOTIONS, SOURCE, box_of, is_there, made_steps
from small_disk import SmallDisk

from fer3d.clips.detectors import Box, Image
from fer3d.clips.videos import read_video
from fer3d.disk import DiskError
from fer3d.prediction.pictures.drawing import draw_caution, draw_tag, place_bars, text_bitmap
from fer3d.prediction.pictures.overlay import Overlay
from fer3d.prediction.pictures.style import PictureInfo, bgr, emotion_colours, face_colour, text_on
from fer3d.prediction.pictures.video_writer import H264, Fit, VideoWriterError
from fer3d.prediction.steps import Step

GREY = 40


def written(path: Path, steps: Iterable[Step], **arguments: Any) -> tuple[list[Image], list[float]]:
    info: dict[str, Any] = {"emotions": EMOTIONS, "title": "x.mp4", "source": SOURCE}
    with Overlay(path, PictureInfo(**info | arguments), rate=30.0) as overlay:
        for step in steps:
            overlay.add(step)
    frames = read_video(path, lambda times: range(len(times)))
    assert frames.damage is None
    return list(frames.pixels), list(frames.times)


def grey(step: Step, height: int = 240, width: int = 320) -> Step:
    """The step over an even grey, so that all else is drawn."""
    return replace(step, frame=replace(step.frame, pixels=np.full((height, width, 3), GREY, np.uint8)))


def strayed(picture: Image) -> np.ndarray[Any, Any]:
    """How far each pixel is from the grey."""
    return np.asarray(np.abs(picture.astype(int) - GREY).max(axis=2))


@pytest.mark.parametrize(
    ("source", "shown"), [((48, 64), (48, 64)), ((49, 63), (50, 64)), ((2160, 3840), (1080, 1920)), ((1, 1), (2, 2))]
)
def test_size_is_the_source_s_made_even_and_at_most_1080p(source: tuple[int, int], shown: tuple[int, int]) -> None:
    fit = Fit.of(np.zeros((*source, 3), np.uint8), H264)
    assert (fit.height, fit.width) == shown
    assert fit.picture(np.zeros((*source, 3), np.uint8)).shape == (*shown, 3)


def test_an_odd_size_keeps_every_pixel_in_its_place() -> None:
    image = np.random.default_rng(0).integers(0, 255, (49, 63, 3), np.uint8)
    fit = Fit.of(image, H264)
    assert np.array_equal(fit.picture(image)[:49, :63], image)
    assert fit.box((1, 2, 30, 40)) == (1, 2, 30, 40)


def test_a_frame_of_another_size_stands_in_the_middle_with_its_boxes() -> None:
    fit = Fit.of(np.zeros((480, 640, 3), np.uint8), H264).again(np.zeros((960, 640), np.uint8))
    picture = fit.picture(np.full((960, 640), 200, np.uint8))
    assert picture.shape == (480, 640, 3)
    x1, y1, x2, y2 = map(round, fit.box((0, 0, 640, 960)))
    assert (x1, y1, x2, y2) == (160, 0, 480, 480)
    assert (picture[y1:y2, x1:x2] == 200).all()
    assert not np.delete(picture, slice(x1, x2), axis=1).any()


def test_frames_keep_their_varying_times(tmp_path: Path) -> None:
    times = [0.0, 0.04, 0.05, 0.2, 1.25, 1.2501, 7.0]
    steps = list(made_steps(len(times), 1, 48, 64, times=times))
    pixels, read = written(tmp_path / "out.mp4", steps)
    assert np.abs(np.subtract(read, times)).max() < 1e-4
    assert pixels[0].shape == (48, 64, 3)


def test_what_browsers_play(tmp_path: Path) -> None:
    written(tmp_path / "out.mp4", list(made_steps(3, 1, 48, 64)), caution=CAUTION, title="a video")
    with av.open(str(tmp_path / "out.mp4")) as container:
        stream = container.streams.video[0]
        assert (stream.codec_context.name, stream.codec_context.pix_fmt) == ("h264", "yuv420p")
        assert container.metadata["title"] == "a video"
        assert CAUTION in container.metadata["comment"]
        assert "sha256:3f9a" in container.metadata["comment"]
    # The index comes first, so that players begin at once.
    content = (tmp_path / "out.mp4").read_bytes()
    assert content.index(b"moov") < content.index(b"mdat")


def test_boxes_are_where_the_faces_are_and_only_there(tmp_path: Path) -> None:
    steps = [grey(step, 64, 64) for step in made_steps(40, 2, 64, 64)]
    pixels, _ = written(tmp_path / "out.mp4", steps)
    for number, picture in enumerate(pixels):
        drawn = strayed(picture) > 25
        for face in (1, 2):
            x1, y1, x2, y2 = map(round, box_of(face, number, 2, 64, 64))
            edges = [drawn[y1, x1:x2], drawn[y2, x1:x2], drawn[y1:y2, x1], drawn[y1:y2, x2]]
            assert (min(edge.mean() for edge in edges) > 0.8) == is_there(face, number, 40)
            assert not drawn[y1 + 4 : y2 - 4, x1 + 4 : x2 - 4].any()


def test_a_label_stands_until_the_next_one_and_a_face_that_was_away_has_none(tmp_path: Path) -> None:
    steps = [grey(step, 200, 480) for step in made_steps(30, 2, 200, 480)]
    pixels, _ = written(tmp_path / "out.mp4", steps)
    latest: dict[int, str] = {}
    seen = set()
    for step, picture in zip(steps, pixels, strict=True):
        here = {face.face: face.box for face in step.faces}
        latest |= {one.face: one.label or one.why for one in step.predictions if one.face is not None}
        latest = {face: text for face, text in latest.items() if face in here}
        for face, box in here.items():
            expected = f"{face}  {latest[face]}" if face in latest else f"{face}"
            seen.add(expected)
            texts = {f"{face}", f"{face}  too few frames", f"{face}  undecided", f"{face}  anger", expected}
            likeness = {text: likeness_of_tag(picture, box, text, face) for text in texts}
            assert max(likeness, key=likeness.__getitem__) == expected
    assert {"1", "1  too few frames", "2"} < seen


def likeness_of_tag(picture: Image, box: Box, text: str, face: int) -> float:
    drawn = np.full_like(picture, GREY)
    draw_tag(drawn, box, text, face_colour(face))
    top = round(box[1]) - 4
    return float(
        np.corrcoef(picture[:top, : round(box[0]) + 150].ravel(), drawn[:top, : round(box[0]) + 150].ravel())[0, 1]
    )


def test_bars_are_as_long_as_probabilities(tmp_path: Path) -> None:
    *_, step = made_steps(15, 1, 240, 320)
    shares = step.predictions[0].smoothed
    assert shares is not None
    pixels, _ = written(tmp_path / "out.mp4", [grey(step)], caution="")
    lengths = []
    for colour in emotion_colours(len(EMOTIONS), dark=True):
        near = np.abs(pixels[0].astype(int) - bgr(colour)).max(axis=2) < 60
        lengths.append(near.sum(axis=1).max())
    assert np.corrcoef(lengths, shares)[0, 1] > 0.9


@pytest.mark.parametrize("size", [(480, 640), (64, 64), (640, 360)])
def test_the_caution_is_in_every_frame(size: tuple[int, int], tmp_path: Path) -> None:
    steps = [grey(step, *size) for step in made_steps(8, 1, *size)]
    pixels, _ = written(tmp_path / "out.mp4", steps, caution=CAUTION)
    blank = np.full((*size, 3), GREY, np.uint8)
    area = draw_caution(blank, CAUTION)
    assert area is not None
    expected = blank[area[1] :, area[0] :]
    # Its letters are as bright as they were drawn.
    assert (expected.max(axis=2) > 200).sum() > 60
    for picture in pixels:
        assert np.corrcoef(picture[area[1] :].ravel(), expected.ravel())[0, 1] > 0.9


def test_a_long_caution_takes_lines_and_a_small_picture_gets_its_capitals() -> None:
    long = "SYNTHETIC: trained on rendered faces, SEEN IN TRAINING: of this subject"

    def drawn(text: str, height: int, width: int) -> tuple[Image, int]:
        picture = np.zeros((height, width, 3), np.uint8)
        area = draw_caution(picture, text)
        assert area is not None
        return picture, area[3] - area[1]

    assert drawn(long, 300, 300)[1] > 1.5 * drawn("SYNTHETIC", 300, 300)[1]
    assert drawn(long, 300, 900)[1] == drawn("SYNTHETIC", 300, 900)[1]
    assert np.array_equal(drawn(long, 64, 64)[0], drawn("SYNTHETIC, SEEN IN TRAINING", 64, 64)[0])
    assert draw_caution(np.zeros((64, 64, 3), np.uint8), "") is None


@pytest.mark.parametrize("text", ["Überraschung", "радость", "λύπη", "Zufriedenheit"])
def test_letters_beyond_ascii_are_drawn(text: str) -> None:
    bitmap = text_bitmap(text, 14, "#ffffff", "#000000")
    unknown = text_bitmap("?" * len(text), 14, "#ffffff", "#000000")
    boxes = text_bitmap("\U000f0000" * len(text), 14, "#ffffff", "#000000")
    assert bitmap.shape[0] == unknown.shape[0]
    for other in (unknown, boxes):
        assert bitmap.shape != other.shape or not np.array_equal(bitmap, other)


def test_bars_cover_no_face_and_stay_where_they_were() -> None:
    picture = np.zeros((480, 640, 3), np.uint8)
    box, other = (100.0, 100.0, 250.0, 300.0), (260, 0, 640, 480)
    first = place_bars(picture, box, EMOTIONS, [(100, 100, 250, 300), other])
    assert first is not None
    assert first.area[0] >= 0
    assert first.area[2] <= 260
    # With the other face gone there is a better place, which is not taken.
    again = place_bars(picture, box, EMOTIONS, [(100, 100, 250, 300)], first)
    assert again == first
    assert place_bars(picture, box, EMOTIONS, [(100, 100, 250, 300)]) != first
    assert place_bars(picture, box, EMOTIONS, [(0, 0, 640, 480)]) is None


# From linear RGB to what protanopes and deuteranopes see, by Machado et al. (2009).
_PROTANOPE = [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]
_DEUTERANOPE = [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]


def linear(colours: list[str]) -> np.ndarray[Any, Any]:
    channels = np.array([bgr(colour)[::-1] for colour in colours]) / 255
    return np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)


def contrast(one: str, other: str) -> float:
    dark, bright = sorted(linear([one, other]) @ (0.2126, 0.7152, 0.0722))
    return float((bright + 0.05) / (dark + 0.05))


@pytest.mark.parametrize("seen", [np.eye(3), _PROTANOPE, _DEUTERANOPE], ids=["all", "protanopes", "deuteranopes"])
def test_colours_stay_apart(seen: Any) -> None:
    for colours in (emotion_colours(8), emotion_colours(8, dark=True), [face_colour(face) for face in range(1, 9)]):
        light = np.clip(linear(colours) @ np.transpose(seen), 0, 1)
        rgb = np.where(light <= 0.0031308, light * 12.92, 1.055 * light ** (1 / 2.4) - 0.055).astype(np.float32)
        lab = cv2.cvtColor(rgb[None], cv2.COLOR_RGB2Lab)[0]
        assert np.linalg.norm(lab[:, None] - lab, axis=2)[~np.eye(8, dtype=bool)].min() > 19


def test_colours_can_be_told_from_the_page_and_text_be_read_on_them() -> None:
    for colours, paper in ((emotion_colours(8), "#ffffff"), (emotion_colours(8, dark=True), "#16181c")):
        assert min(contrast(colour, paper) for colour in colours) > 3
        assert min(contrast(colour, text_on(colour)) for colour in colours) > 4


def test_nothing_is_left_after_an_exception(tmp_path: Path) -> None:
    def broken() -> Iterator[Step]:
        yield from made_steps(5, 1, 48, 64)
        raise ZeroDivisionError

    (tmp_path / "out.mp4").write_text("an older one")
    with pytest.raises(ZeroDivisionError):
        written(tmp_path / "out.mp4", broken())
    assert [path.name for path in tmp_path.iterdir()] == ["out.mp4"]
    assert (tmp_path / "out.mp4").read_text() == "an older one"


def test_no_frame_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(VideoWriterError, match="no frame"), Overlay(tmp_path / "out.mp4", PictureInfo(EMOTIONS)):
        pass
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_named_and_nothing_is_left(small_disk: SmallDisk) -> None:
    generator = np.random.default_rng(0)
    noise = (
        replace(step, frame=replace(step.frame, pixels=generator.integers(0, 255, (240, 320, 3), np.uint8)))
        for step in made_steps(2000, 1, 240, 320)
    )
    with pytest.raises(DiskError, match=r"out\.mp4"):
        written(small_disk.folder / "out.mp4", noise)
    assert list(small_disk.folder.iterdir()) == []
