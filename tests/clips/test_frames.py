from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from fer3d.clips.frames import FrameSampling, LastFrames, SegmentFrames, UniformFrames, WindowFrames

NUM_FRAMES = 4
SAMPLINGS: list[FrameSampling] = [
    LastFrames(),
    UniformFrames(stored=9),
    UniformFrames(stored=4),
    UniformFrames(stored=9, views=3),
    SegmentFrames(stored=9, views=2),
    WindowFrames(stride=2),
    WindowFrames(stride=3, stored=7, views=4),
]


def steady(num_frames: int, rate: float = 25.0) -> list[float]:
    return [number / rate for number in range(num_frames)]


def drawn(sampling: FrameSampling, num_rows: int = 500, seed: int = 0) -> torch.Tensor:
    return sampling.training(num_rows, NUM_FRAMES, torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("sampling", SAMPLINGS)
@given(gaps=st.lists(st.floats(0.001, 2), max_size=40))
def test_keeps_as_many_frames_as_it_says_in_order(sampling: FrameSampling, gaps: Sequence[float]) -> None:
    times = [0.0]
    for gap in gaps:
        times.append(times[-1] + gap)
    kept = sampling.kept(times, NUM_FRAMES)
    assert len(kept) == sampling.num_stored(NUM_FRAMES)
    assert kept == sorted(kept)
    assert set(kept) <= set(range(len(times)))


@pytest.mark.parametrize("sampling", SAMPLINGS)
def test_takes_frames_of_the_store_in_order(sampling: FrameSampling) -> None:
    num_stored = sampling.num_stored(NUM_FRAMES)
    views = sampling.prediction(NUM_FRAMES)
    assert views.shape == (sampling.views, NUM_FRAMES)
    assert torch.equal(drawn(sampling), drawn(sampling))
    for frames in (views, drawn(sampling)):
        assert frames.shape[1] == NUM_FRAMES
        assert int(frames.min()) >= 0
        assert int(frames.max()) < num_stored
        assert (frames.diff(dim=1) >= 0).all()


def test_last_frames_repeat_the_last_one() -> None:
    assert LastFrames().kept(steady(6), 4) == [2, 3, 4, 5]
    assert LastFrames().kept(steady(2), 4) == [0, 1, 1, 1]


def test_uniform_frames_are_the_middles_of_equal_parts() -> None:
    assert UniformFrames(stored=4).kept(steady(40), 4) == [5, 15, 25, 35]
    assert UniformFrames(stored=4).kept(steady(4), 4) == [0, 1, 2, 3]
    assert UniformFrames(stored=4).kept(steady(2), 4) == [0, 0, 1, 1]
    assert UniformFrames(stored=4).kept([0.0], 4) == [0, 0, 0, 0]
    assert UniformFrames(stored=12).prediction(4).tolist() == [[1, 4, 7, 10]]


def test_uniform_frames_are_uniform_in_time() -> None:
    # Four seconds of one frame each, then one of a hundred frames.
    times = [0.0, 1.0, 2.0, 3.0, *(4 + number / 100 for number in range(100))]
    kept = UniformFrames(stored=10).kept(times, 4)
    assert kept[:8] == [0, 0, 1, 1, 2, 2, 3, 3]
    assert times[kept[9]] == pytest.approx(4.75, abs=0.05)


def test_views_shift_the_sample_evenly() -> None:
    assert UniformFrames(stored=12, views=3).prediction(4).tolist() == [[0, 3, 6, 9], [1, 4, 7, 10], [2, 5, 8, 11]]


def test_segments_draw_every_frame_of_each_part_alike() -> None:
    frames = drawn(SegmentFrames(stored=12), num_rows=3000)
    for part in range(4):
        counts = torch.bincount(frames[:, part], minlength=12)
        assert (counts > 0).nonzero().flatten().tolist() == [3 * part, 3 * part + 1, 3 * part + 2]
        assert (counts[counts > 0] / 3000 - 1 / 3).abs().max() < 0.05


def test_segments_predict_and_store_what_uniform_does() -> None:
    segments, uniform = SegmentFrames(stored=9), UniformFrames(stored=9)
    assert torch.equal(segments.prediction(4), uniform.prediction(4))
    assert segments.kept(steady(50), 4) == uniform.kept(steady(50), 4)
    assert segments.settings() == uniform.settings()


def test_a_window_lies_in_the_middle() -> None:
    assert WindowFrames(stride=2).kept(steady(21), 5) == [6, 8, 10, 12, 14]
    assert WindowFrames(stride=2).kept(steady(3), 5) == [0, 0, 1, 2, 2]
    assert WindowFrames(stride=2, stored=7).prediction(5).tolist() == [[1, 2, 3, 4, 5]]
    assert WindowFrames(stride=2, stored=7, views=3).prediction(5)[:, 0].tolist() == [0, 1, 2]


def test_windows_begin_anywhere_in_training() -> None:
    starts = drawn(WindowFrames(stride=2, stored=7))[:, 0]
    assert sorted(set(starts.tolist())) == [0, 1, 2, 3]


@pytest.mark.parametrize("sampling", [UniformFrames(stored=3), SegmentFrames(stored=3), WindowFrames(stored=3)])
def test_a_store_of_fewer_frames_than_the_network_takes_is_refused(sampling: FrameSampling) -> None:
    with pytest.raises(ValueError, match=r"frames\.stored is 3.*clips\.num_frames=4"):
        sampling.num_stored(NUM_FRAMES)


@pytest.mark.parametrize("key", ["stored", "views"])
@pytest.mark.parametrize("kind", [UniformFrames, SegmentFrames, WindowFrames])
def test_numbers_below_one_are_refused(kind: type[UniformFrames], key: str) -> None:
    with pytest.raises(ValueError, match=rf"frames\.{key}"):
        kind(**{key: 0})
