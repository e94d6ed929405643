"""Emotions over time as a figure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from made_steps import CAUTION, EMOTIONS, SOURCE, is_there, made_steps
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from fer3d.prediction.pictures.style import PictureInfo
from fer3d.prediction.pictures.timeline import MOST_FACES, MOST_POINTS, Timeline, TimelineError
from fer3d.prediction.steps import Frame, Prediction, Step, TrackedFace


def fed(steps: Iterable[Step], **arguments: Any) -> Figure:
    timeline = Timeline(Path("unwritten.svg"), PictureInfo(**{"emotions": EMOTIONS, "source": SOURCE} | arguments))
    for step in steps:
        timeline.add(step)
    return timeline.figure()


def bands(figure: Figure) -> list[Axes]:
    return [axes for axes in figure.axes if axes.get_title(loc="left")]


def curves(axes: Axes) -> list[np.ndarray[Any, Any]]:
    """Times and heights of the smoothed curve of each emotion, (num_emotions, num_points, 2)."""
    lines = [line for line in axes.lines if line.get_linewidth() == 1.5 and line.get_marker() == "None"]
    return [np.asarray(line.get_xydata()) for line in lines]


def texts(figure: Figure) -> str:
    return "\n".join(text.get_text() for axes in figure.axes for text in axes.texts)


def even_steps(num_frames: int, labels: str = "", faces: Iterable[int] = (1,), seconds: float = 1.0) -> Iterator[Step]:
    """Yields steps with a prediction each, whose first probability is 0.7, without pixels."""
    shares = np.array([0.7] + [0.05] * 6)
    pixels = np.empty((0, 0), np.uint8)
    for k in range(num_frames):
        label = EMOTIONS[int(labels[k % len(labels)])] if labels else ""
        why = "" if label else "undecided: entropy 0.9"
        box = (0.0, 0.0, 1.0, 1.0)
        yield Step(
            Frame(k, k * seconds, pixels),
            tuple(TrackedFace(face, box, None) for face in faces),
            tuple(
                Prediction(face, 0, k * seconds, k, box, None, shares, shares, 0.5, label=label, why=why)
                for face in faces
            ),
        )


@pytest.mark.parametrize(("ending", "head"), [(".svg", b"<?xml"), (".PNG", b"\x89PNG"), (".pdf", b"%PDF")])
def test_the_ending_says_what_it_is(ending: str, head: bytes, tmp_path: Path) -> None:
    with Timeline(tmp_path / f"out{ending}", PictureInfo(EMOTIONS, CAUTION, "x.mp4")):
        pass
    assert (tmp_path / f"out{ending}").read_bytes().startswith(head)


@pytest.mark.slow
@pytest.mark.parametrize("ending", [".svg", ".png", ".pdf"])
def test_the_same_steps_give_the_same_bytes(ending: str, tmp_path: Path) -> None:
    written = []
    for name in ("one", "two"):
        with Timeline(tmp_path / f"{name}{ending}", PictureInfo(EMOTIONS, CAUTION, "x.mp4")) as timeline:
            for step in made_steps(30, 1, 48, 64):
                timeline.add(step)
        written.append((tmp_path / f"{name}{ending}").read_bytes())
    assert written[0] == written[1]


def test_another_ending_is_refused_before_anything_is_drawn() -> None:
    with pytest.raises(TimelineError, match=r"\.gif"):
        Timeline(Path("out.gif"), PictureInfo(EMOTIONS))


def test_curves_hold_the_predictions_with_gaps_where_a_face_is_away() -> None:
    steps = list(made_steps(100, 2, 48, 64))
    figure = fed(steps)
    assert len(bands(figure)) == 2
    for face, axes in enumerate(bands(figure), 1):
        predictions = [
            one for step in steps for one in step.predictions if one.face == face and one.smoothed is not None
        ]
        drawn = np.stack(curves(axes))
        known = ~np.isnan(drawn[0, :, 1])
        assert np.allclose(drawn[0, known, 0], [prediction.time_to for prediction in predictions])
        expected = np.array([prediction.smoothed for prediction in predictions])
        assert np.allclose(drawn[:, known, 1], expected.T, atol=1e-6)
        # Between two points with a line, the face is always there.
        frames = np.rint(drawn[0, :, 0] * 30).astype(int)
        for k in np.flatnonzero(known[:-1] & known[1:]):
            assert all(is_there(face, frame, 100) for frame in range(frames[k], frames[k + 1] + 1))


def test_title_caution_names_and_reasons_are_in_the_picture(tmp_path: Path) -> None:
    path = tmp_path / "out.svg"
    title, emotions = 'a "$x$" <b> & --.mp4', ("anger", "Überraschung", "радость", "d", "e", "f", "g")
    with Timeline(path, PictureInfo(emotions, CAUTION, title, SOURCE)) as timeline:
        for step in made_steps(30, 1, 48, 64, emotions=emotions):
            timeline.add(step)
    ElementTree.parse(path)
    written = path.read_text(encoding="utf-8")
    for text in (
        "SYNTHETIC: trained on rendered faces",
        emotions[1],
        emotions[2],
        "too few frames",
        "sha256:3f9a",
        "$x$",
    ):
        assert any(text in comment for comment in re.findall("<!--(.*?)-->", written, re.DOTALL)), text


def test_a_long_video_is_averaged_and_says_so() -> None:
    figure = fed(even_steps(2500, labels="0001"))
    (axes,) = bands(figure)
    drawn = np.stack(curves(axes))
    assert drawn.shape[1] <= MOST_POINTS + 1
    known = ~np.isnan(drawn[0, :, 1])
    assert known.sum() >= MOST_POINTS / 2
    assert np.allclose(drawn[0, known, 1], 0.7)
    assert np.allclose(drawn[1:, known, 1], 0.05)
    stated = float(re.findall(r"mean over ([\d.]+) s", texts(figure))[0])
    assert stated == pytest.approx(np.diff(drawn[0, known, 0]).mean(), rel=0.05)
    # What is said most often stands alone in the strip.
    assert texts(figure).split("\n").count(EMOTIONS[0]) == 2
    assert "mean over" not in texts(fed(even_steps(100)))


def test_reasons_are_named_without_their_particulars() -> None:
    said = texts(fed(even_steps(10)))
    assert "Hatched, no label: undecided." in said
    assert "0.9" not in said


@pytest.mark.slow
def test_of_many_faces_those_seen_longest_are_drawn() -> None:
    few, all_of_them = range(1, MOST_FACES + 1), range(1, MOST_FACES + 3)
    figure = fed([*even_steps(20, faces=few), *list(even_steps(21, faces=all_of_them))[20:]])
    assert len(bands(figure)) == MOST_FACES
    assert "2 more faces" in texts(figure)


def test_no_face_and_a_single_frame_are_figures_too() -> None:
    assert "in 0.333 s" in texts(fed(made_steps(10, 0, 48, 64)))
    assert "No face" in texts(fed([]))
    (axes,) = bands(fed(even_steps(1)))
    # A point without neighbours is a dot.
    dots = [line for line in axes.lines if line.get_marker() == "." and len(line.get_xdata())]
    assert len(dots) == len(EMOTIONS)


def test_names_of_lines_do_not_touch() -> None:
    (axes,) = bands(fed(even_steps(10)))
    names = {text.get_text(): text.get_position()[1] for text in axes.texts}
    assert set(names) == set(EMOTIONS)
    heights = np.sort([*names.values()])
    assert np.diff(heights).min() > 0.05
    assert heights[0] > 0
    assert names[EMOTIONS[0]] == pytest.approx(0.7, abs=0.02)


def test_nothing_is_left_after_an_exception(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), Timeline(tmp_path / "out.svg", PictureInfo(EMOTIONS)):
        raise ZeroDivisionError
    assert list(tmp_path.iterdir()) == []
