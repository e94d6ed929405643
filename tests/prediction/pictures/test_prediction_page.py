"""The page of a prediction: what is in the file."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made_steps import CAUTION, EMOTIONS, SOURCE, made_steps

from fer3d.clips.videos import VideoFrames, read_video
from fer3d.prediction.pictures.page import MOST_BYTES, Page
from fer3d.prediction.pictures.style import PictureInfo
from fer3d.prediction.pictures.video_writer import Fit, VideoFormat
from fer3d.prediction.steps import Prediction, Step

EVIL = "</script><script>alert('x')</script><img src=x onerror=alert(1)>"


def written(path: Path, steps: Iterable[Step], most_bytes: int = MOST_BYTES, **arguments: Any) -> Path:
    info: dict[str, Any] = {"emotions": EMOTIONS, "caution": CAUTION, "title": "x.mp4", "source": SOURCE}
    with Page(path, PictureInfo(**info | arguments), rate=30.0, most_bytes=most_bytes) as page:
        for step in steps:
            page.add(step)
    return path


@dataclass
class Element:
    name: str
    attributes: dict[str, str | None]
    text: str = ""


class _Elements(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[Element] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append(Element(tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        self.found.append(Element("", {}))

    def handle_data(self, data: str) -> None:
        if self.found:
            self.found[-1].text += data


def elements(path: Path) -> list[Element]:
    return [one for one in _Elements(path.read_text(encoding="utf-8")).found if one.name]


def data(path: Path, name: str) -> bytes:
    blocks = [one for one in elements(path) if one.attributes.get("class") == f"data-{name}"]
    return b"".join(base64.b64decode(block.text) for block in blocks)


def facts_of(path: Path) -> dict[str, Any]:
    (facts,) = [json.loads(one.text) for one in elements(path) if one.attributes.get("id") == "facts"]
    return dict(facts)


def with_reasons(steps: Iterable[Step], why: Callable[[Prediction], str]) -> list[Step]:
    """The steps without a label."""
    return [
        replace(step, predictions=tuple(replace(one, label="", why=why(one)) for one in step.predictions))
        for step in steps
    ]


def embedded(path: Path, tmp_path: Path) -> VideoFrames:
    video = tmp_path / "embedded.webm"
    video.write_bytes(data(path, "video"))
    return read_video(video, lambda times: range(len(times)))


def test_the_page_holds_every_box_and_prediction(tmp_path: Path) -> None:
    steps = list(made_steps(40, 2, 60, 80))
    path = written(tmp_path / "out.html", steps)
    times = np.frombuffer(data(path, "times"), np.uint32)
    assert times.tolist() == [round(step.frame.time * 1000) for step in steps]
    boxes = np.frombuffer(data(path, "boxes"), np.uint16).reshape(-1, 7)
    faces = [(step.frame.number, face.face, face.box) for step in steps for face in step.faces]
    assert boxes[:, [0, 2]].tolist() == [[number, face] for number, face, _ in faces]
    drawn = boxes[:, 3:] / 65534 * [80, 60, 80, 60]
    assert np.abs(drawn - np.array([box for *_, box in faces])).max() < 0.01
    facts = facts_of(path)
    held = np.frombuffer(data(path, "predictions"), np.uint16).reshape(-1, 4 + 2 * len(EMOTIONS))
    predictions = [one for step in steps for one in step.predictions if one.face is not None]
    assert len(held) == len(predictions)
    for row, prediction in zip(held, predictions, strict=True):
        assert (row[0], row[2]) == (prediction.frame, prediction.face)
        assert facts["said"][row[3]] == [prediction.label, prediction.why]
        if prediction.smoothed is None or prediction.probabilities is None:
            assert (row[4:] == 65535).all()
        else:
            assert np.abs(row[4:] / 65534 - [*prediction.smoothed, *prediction.probabilities]).max() < 1e-4


def test_a_number_of_a_frame_may_be_large(tmp_path: Path) -> None:
    page = Page(tmp_path / "out.html", PictureInfo(EMOTIONS))
    with page:
        page._num_frames = 70_000
        for step in made_steps(2, 1, 16, 16):
            page.add(step)
    boxes = np.frombuffer(data(tmp_path / "out.html", "boxes"), np.uint16).reshape(-1, 7)
    assert (boxes[:, 0] + 65536 * boxes[:, 1].astype(int)).tolist() == [70_000, 70_001]


@pytest.mark.parametrize(("size", "shown"), [((60, 80), (60, 80)), ((90, 800), (72, 640)), ((1000, 90), (640, 58))])
def test_the_video_has_the_frames_times_and_at_most_640_pixels(
    size: tuple[int, int], shown: tuple[int, int], tmp_path: Path
) -> None:
    times = [0.0, 0.03, 0.04, 0.5, 2.25]
    path = written(tmp_path / "out.html", made_steps(5, 1, *size, times=times))
    video = embedded(path, tmp_path)
    assert video.format == "VP9 in WebM"
    assert video.pixels[0].shape[:2] == shown
    assert np.allclose(video.times, times, atol=1e-3)
    assert (np.frombuffer(data(path, "times"), np.uint32) / 1000).tolist() == pytest.approx(list(video.times), abs=1e-6)


def test_nothing_is_loaded_from_anywhere_and_one_script_may_run(tmp_path: Path) -> None:
    path = written(tmp_path / "out.html", made_steps(3, 1, 16, 16))
    found = elements(path)
    assert not [one for one in found if {"src", "href", "srcset"} & one.attributes.keys()]
    assert not [one for one in found if any(name.startswith("on") for name in one.attributes)]
    (policy,) = [one.attributes["content"] or "" for one in found if "http-equiv" in one.attributes]
    assert "default-src 'none'" in policy
    scripts = [one for one in found if one.name == "script" and "type" not in one.attributes]
    assert len(scripts) == 1
    digest = base64.b64encode(hashlib.sha256(scripts[0].text.encode()).digest()).decode()
    assert re.findall(r"script-src ([^;]*)", policy) == [f"'sha256-{digest}'"]
    assert "unsafe-eval" not in policy
    assert not re.search("https?:", path.read_text(encoding="utf-8"))


def test_names_are_text_whatever_is_in_them(tmp_path: Path) -> None:
    plain = [one.name for one in elements(written(tmp_path / "plain.html", made_steps(12, 1, 16, 16)))]
    emotions = (EVIL, *EMOTIONS[1:])
    source = {"checkpoint": EVIL, "corpus": EVIL, EVIL: "x", "warnings": [EVIL, "y"]}
    steps = with_reasons(made_steps(12, 1, 16, 16), lambda one: EVIL)
    path = written(tmp_path / "out.html", steps, title=EVIL, caution=EVIL, source=source, emotions=emotions)
    found = elements(path)
    assert sorted(one.name for one in found) == sorted(plain)
    assert "alert('x')" not in re.sub("&#39;|\\\\u0027", "", path.read_text(encoding="utf-8"))
    assert facts_of(path)["emotions"][0] == EVIL


def test_where_it_comes_from_is_told(tmp_path: Path) -> None:
    path = written(tmp_path / "out.html", made_steps(2, 1, 16, 16))
    plain = written(tmp_path / "plain.html", made_steps(2, 1, 16, 16), caution="")
    text = path.read_text(encoding="utf-8")
    for told in ("sha256:3f9a", "synthetic_ckplus", "onnxruntime 1.22", "trained on rendered faces"):
        assert f"{told}</" in text or f"{told}<" in text
    assert text.count(CAUTION) >= 3
    assert CAUTION not in plain.read_text(encoding="utf-8")


def test_warnings_may_come_while_it_is_written(tmp_path: Path) -> None:
    warnings: list[str] = []
    with Page(tmp_path / "out.html", PictureInfo(EMOTIONS, source={"warnings": warnings})) as page:
        for step in made_steps(2, 1, 16, 16):
            page.add(step)
        warnings.append("its faces are darker than those of the training clips")
    assert warnings[0] in (tmp_path / "out.html").read_text(encoding="utf-8")


def test_reasons_are_held_without_their_particulars(tmp_path: Path) -> None:
    steps = with_reasons(made_steps(20, 1, 16, 16), lambda one: f"few: {one.frame}")
    path = written(tmp_path / "out.html", steps)
    assert facts_of(path)["said"] == [["", "few"]]


def noise(num_frames: int) -> Iterator[Step]:
    generator = np.random.default_rng(0)
    for step in made_steps(num_frames, 1, 96, 128):
        yield replace(step, frame=replace(step.frame, pixels=generator.integers(0, 255, (96, 128, 3), np.uint8)))


def test_a_large_video_is_encoded_once_more(tmp_path: Path) -> None:
    path = written(tmp_path / "out.html", noise(30), most_bytes=60_000)
    assert 5_000 < len(data(path, "video")) <= 60_000
    assert "lower quality" in path.read_text(encoding="utf-8")
    video = embedded(path, tmp_path)
    assert 8 < len(video.times) < 30
    assert {round(time * 30) for time in video.times} <= set(range(30))
    assert video.times[-1] == pytest.approx(29 / 30, abs=0.07)


def test_a_video_that_no_quality_makes_small_enough_is_left_out_and_the_page_says_so(tmp_path: Path) -> None:
    times = [0.0, 1.0, 3600.0]
    path = written(tmp_path / "out.html", made_steps(3, 1, 16, 16, times=times), most_bytes=20_000)
    assert data(path, "video") == b""
    assert "left out" in path.read_text(encoding="utf-8")
    assert len(data(path, "times")) == 3 * 4


def test_a_page_without_a_frame_says_so(tmp_path: Path) -> None:
    assert "no frames" in written(tmp_path / "out.html", []).read_text(encoding="utf-8")


def test_nothing_is_left_after_an_exception(tmp_path: Path) -> None:
    def broken() -> Iterator[Step]:
        yield from made_steps(5, 1, 48, 64)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        written(tmp_path / "out.html", broken())
    assert list(tmp_path.iterdir()) == []


def test_a_box_of_a_frame_of_another_size_is_where_the_video_shows_it(tmp_path: Path) -> None:
    (small,), (tall,) = list(made_steps(1, 1, 60, 80)), list(made_steps(1, 1, 120, 80))
    later = replace(tall, frame=replace(tall.frame, number=1, time=0.1))
    path = written(tmp_path / "out.html", [small, later])
    box = np.frombuffer(data(path, "boxes"), np.uint16).reshape(-1, 7)[1, 3:] / 65534
    form = VideoFormat("libvpx-vp9", {}, 1000, 640, 640)
    expected = Fit.of(small.frame.pixels, form).again(tall.frame.pixels).box(tall.faces[0].box)
    assert np.allclose(box * [80, 60, 80, 60], expected, atol=0.01)
