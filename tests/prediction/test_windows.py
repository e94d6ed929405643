from __future__ import annotations

import weakref
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from known_networks import LAST, UNIFORM, WINDOW, known

from fer3d.prediction.trained import Trained
from fer3d.prediction.windows import FaceWindow, SeenCrop, Window

SPAN = 0.3


def seen(number: int, time: float) -> SeenCrop:
    return SeenCrop(time, number, (0, 0, 4, 4), 0.9, np.full((4, 4, 1), number, np.uint8))


def window_of(times: Sequence[float], trained: Trained | None = None, span: float = SPAN) -> FaceWindow:
    window = FaceWindow(trained or known(), span)
    for number, time in enumerate(times):
        window.add(seen(number, time))
    return window


def numbers(window: Window) -> list[int]:
    """The frames that a clip is made of."""
    assert window.clip is not None
    assert window.clip.shape[1:] == (4, 4, 1)
    return [int(frame[0, 0, 0]) for frame in window.clip]


def test_a_clip_at_the_rate_of_training_is_its_last_frames() -> None:
    window = window_of([k / 30 for k in range(25)]).clip()
    assert numbers(window) == list(range(15, 25))
    assert window.time_from == pytest.approx(15 / 30)
    assert (window.last.frame, window.last.time, window.why) == (24, pytest.approx(24 / 30), "")


@pytest.mark.parametrize("rate", [240, 120, 60, 50, 30, 25, 24, 20])
@pytest.mark.parametrize("num_stored", [10, 32])
def test_frames_are_equally_far_apart_in_time_at_any_rate(rate: int, num_stored: int) -> None:
    times = [k / rate for k in range(rate)]
    found = numbers(window_of(times, known(num_stored=num_stored)).clip())
    wanted = times[-1] - SPAN * np.linspace(1, 0, num_stored)
    assert found[-1] == rate - 1
    assert np.abs(np.array(times)[found] - wanted).max() <= 0.5 / rate + 1e-9


@settings(max_examples=50)
@given(st.lists(st.floats(0.001, 0.06), min_size=20, max_size=80))
def test_of_frames_at_a_rate_that_varies_the_nearest_are_taken(gaps: list[float]) -> None:
    times = np.cumsum(gaps)
    window = window_of(times.tolist()).clip()
    if times[-1] - times[0] < SPAN:
        return
    wanted = times[-1] - SPAN * np.linspace(1, 0, 10)
    if window.clip is None:
        assert len({int(np.abs(times - at).argmin()) for at in wanted}) < 5
        return
    for number, at in zip(numbers(window), wanted, strict=True):
        assert abs(times[number] - at) == pytest.approx(np.abs(times - at).min(), abs=1e-9)


@pytest.mark.parametrize(("rate", "number"), [(10, 4), (0.2, 1)])
def test_frames_that_are_too_far_apart_make_no_clip(rate: float, number: int) -> None:
    face = window_of([k / rate for k in range(20)])
    for window in (face.clip(), face.clip(is_over=True)):
        assert window.clip is None
        assert window.why == f"too few frames: {number} in 0.30 s"
        assert window.last.frame == 19
    assert not face.has_been_full


def test_a_longer_span_makes_clips_of_frames_that_are_far_apart() -> None:
    assert numbers(window_of([k / 10 for k in range(20)], span=0.9).clip()) == list(range(10, 20))


def test_a_face_gets_no_clip_before_it_was_seen_for_the_span() -> None:
    face = FaceWindow(known(), SPAN)
    for number in range(9):
        face.add(seen(number, number / 30))
        window = face.clip()
        assert window.clip is None
        assert window.why == f"too few frames: {number + 1} in {number / 30:.2f} s of 0.30"
        assert window.time_from == 0
    face.add(seen(9, 9 / 30))
    assert numbers(face.clip()) == list(range(10))


@pytest.mark.parametrize("frames", [LAST, UNIFORM, WINDOW], ids=["last", "uniform", "window"])
@pytest.mark.parametrize("num_frames", [5, 6, 8])
def test_a_face_that_is_gone_early_becomes_a_clip_as_a_short_sequence_does(
    frames: dict[str, object], num_frames: int
) -> None:
    trained = known(frames=frames, num_stored={"UniformFrames": 12}.get(str(frames["_target_"]).rpartition(".")[2], 10))
    times = [k / 30 for k in range(num_frames)]
    face = window_of(times, trained)
    assert face.clip().clip is None
    gone = face.clip(is_over=True)
    if times[-1] < 0.5 * SPAN - 1e-9:
        assert gone.why.startswith("too few frames: 5 in 0.13 s")
    else:
        assert numbers(gone) == trained.sampling.kept(times, 10)


@settings(max_examples=50)
@given(st.lists(st.floats(0.001, 0.2), min_size=1, max_size=60))
def test_what_no_clip_needs_is_forgotten(gaps: list[float]) -> None:
    face = FaceWindow(known(), SPAN)
    alive: list[tuple[float, weakref.ref[np.ndarray]]] = []  # type: ignore[type-arg]
    for number, time in enumerate(np.cumsum(gaps).tolist()):
        crop = seen(number, time)
        alive.append((time, weakref.ref(crop.crop)))
        face.add(crop)
        del crop
        left = [then for then, pixels in alive if pixels() is not None]
        # One before the span may be the nearest to its beginning.
        assert sum(then <= time - SPAN for then in left) <= 1
        assert [then for then, _ in alive if then > time - SPAN] == [then for then in left if then > time - SPAN]


def test_a_clip_keeps_its_pixels_when_the_face_moves_on() -> None:
    face = window_of([k / 30 for k in range(12)])
    window = face.clip()
    before = numbers(window)
    for number in range(12, 40):
        face.add(seen(number, number / 30))
    assert numbers(window) == before
