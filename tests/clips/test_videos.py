from __future__ import annotations

import os
import re
import tracemalloc
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from video_files import CODECS, scenes, write_video

from fer3d.clips.detectors import Image
from fer3d.clips.videos import UnreadableVideoError, VideoFrames, read_video, stream_video


def everything(times: Sequence[float]) -> list[int]:
    return list(range(len(times)))


def difference(image: Image, other: Image) -> float:
    """Mean absolute difference in grey levels."""
    return float(np.abs(image.astype(int) - other.astype(int)).mean())


def assert_same(images: Iterable[Image], expected: Iterable[Image]) -> None:
    for one, other in zip(images, expected, strict=True):
        np.testing.assert_array_equal(one, other)


def assert_equal(video: VideoFrames, other: VideoFrames) -> None:
    assert (video.numbers, video.times, video.num_frames) == (other.numbers, other.times, other.num_frames)
    assert video.damage == other.damage
    assert_same(video.pixels, other.pixels)


@pytest.mark.parametrize("suffix", list(CODECS))
def test_a_video_is_its_frames_and_their_times(tmp_path: Path, suffix: str) -> None:
    frames = scenes(12, 47, 63)
    pix_fmt = "yuv444p" if CODECS[suffix][0] == "libx264" else ""  # Its other formats take even sizes only.
    video = read_video(write_video(tmp_path / f"a{suffix}", frames, pix_fmt=pix_fmt), everything)
    assert video.num_frames == len(frames)
    assert video.numbers == tuple(range(12))
    assert video.times == pytest.approx([k / 25 for k in range(12)], abs=0.0011)
    assert video.damage is None
    for image, frame in zip(video.pixels, frames, strict=True):
        assert image.shape == frame.shape
        assert image.dtype == np.uint8
        assert difference(image, frame) < 6


@pytest.mark.parametrize(
    ("name", "codec", "pix_fmt", "expected"),
    [
        ("a.mp4", "libx264", "yuv420p", "H.264 in MP4"),
        ("a.mov", "libx264", "yuv420p", "H.264 in MOV"),
        ("a.mp4", "libx265", "yuv420p", "H.265 in MP4"),
        ("a.mkv", "libvpx", "yuv420p", "VP8 in Matroska"),
        ("a.webm", "libvpx-vp9", "yuv420p", "VP9 in WebM"),
        ("a.flv", "flv", "yuv420p", "FLV1 in FLV"),
        ("a.avi", "mpeg4", "yuv420p", "MPEG-4 in AVI"),
        ("a.avi", "mjpeg", "yuvj420p", "Motion JPEG in AVI"),
    ],
)
def test_the_format_has_a_plain_name(tmp_path: Path, name: str, codec: str, pix_fmt: str, expected: str) -> None:
    options = {"x265-params": "log-level=none"} if codec == "libx265" else {}
    color_range = 2 if pix_fmt == "yuvj420p" else 0
    path = write_video(
        tmp_path / name, scenes(3), codec=codec, pix_fmt=pix_fmt, options=options, color_range=color_range
    )
    video = read_video(path, everything)
    assert (video.format, video.num_frames) == (expected, 3)


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".webm"])
def test_times_come_from_the_stream_where_the_rate_varies(tmp_path: Path, suffix: str) -> None:
    times = [0, 0.04, 0.1, 0.5, 0.52, 2, 2.033]
    video = read_video(write_video(tmp_path / f"a{suffix}", scenes(7), times=times), everything)
    assert video.times == pytest.approx(times, abs=0.0011)


def test_the_first_frame_is_second_0(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mkv", scenes(4), times=[7, 7.5, 8, 8.25])
    assert read_video(path, everything).times == pytest.approx([0, 0.5, 1, 1.25], abs=0.0011)
    assert read_video(path, everything, start=0.4, end=1.1).times == pytest.approx([0.5, 1])


@pytest.mark.parametrize("rotation", [90, 180, -90])
def test_frames_are_turned_upright(tmp_path: Path, rotation: int) -> None:
    upright = scenes(2, 48, 64)
    stored = [np.ascontiguousarray(np.rot90(frame, -rotation // 90)) for frame in upright]
    path = write_video(tmp_path / "a.mp4", stored, rotation=rotation)
    image = read_video(path, everything).pixels[0]
    assert image.shape == upright[0].shape
    assert difference(image, upright[0]) < 6
    # OpenCV turns them, too.
    assert difference(image, np.asarray(cv2.VideoCapture(str(path)).read()[1])) < 2


@pytest.mark.parametrize(
    ("codec", "pix_fmt", "color_range"),
    [("libx264", "yuv420p10le", 0), ("libx264", "yuv420p", 1), ("libx264", "yuvj420p", 2), ("ffv1", "yuv444p10le", 0)],
)
def test_colour_of_10_bits_and_of_either_range(tmp_path: Path, codec: str, pix_fmt: str, color_range: int) -> None:
    frames = scenes(3)
    path = write_video(tmp_path / "a.mkv", frames, codec=codec, pix_fmt=pix_fmt, color_range=color_range)
    for image, frame in zip(read_video(path, everything).pixels, frames, strict=True):
        assert image.shape == frame.shape
        assert difference(image, frame) < 6
        assert abs(float(image.mean()) - float(frame.mean())) < 2.5


@pytest.mark.parametrize("pix_fmt", ["gray", "gray16le"])
def test_grey_streams_stay_grey(tmp_path: Path, pix_fmt: str) -> None:
    grey = [frame[..., 0] for frame in scenes(3, 47, 63)]
    frames = [frame.astype(np.uint16) * 257 for frame in grey] if pix_fmt == "gray16le" else grey
    video = read_video(write_video(tmp_path / "a.mkv", frames, codec="ffv1", pix_fmt=pix_fmt), everything)
    assert_same(video.pixels, grey)


def decoded_plainly(path: Path) -> tuple[list[Image], list[float]]:
    """All frames of a file and their times, by what PyAV's documentation shows first."""
    with av.open(str(path)) as container:
        frames = list(container.decode(video=0))
    images = [frame.to_ndarray(format="bgr24") for frame in frames]
    return images, [float((frame.pts - frames[0].pts) * frame.time_base) for frame in frames]


STREAMS = {
    "closed.mp4": {"g": "6", "bf": "2"},
    "open.mp4": {"x264-params": "keyint=6:bframes=2:open-gop=1"},
    "refresh.mkv": {"x264-params": "keyint=6:intra-refresh=1"},
    "irregular.mkv": {"g": "5", "bf": "3"},
    "flash.flv": {"g": "6"},
    "old.avi": {"g": "6", "bf": "2"},
    "web.webm": {"g": "6", "auto-alt-ref": "1", "lag-in-frames": "10"},
}


def write_stream(path: Path, **more: Any) -> Path:
    times = [(k + k % 3 / 4) / 25 for k in range(20)] if path.stem == "irregular" else None
    return write_video(path, scenes(20), times=times, options=STREAMS.get(path.name), **more)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_part_holds_the_frames_from_start_to_end(tmp_path: Path, data: st.DataObject) -> None:
    path = tmp_path / data.draw(st.sampled_from(list(STREAMS)))
    if not path.exists():
        write_stream(path)
    images, times = decoded_plainly(path)
    seconds = st.none() | st.integers(0, 900).map(lambda milliseconds: milliseconds / 1000) | st.sampled_from(times)
    start, end = data.draw(seconds), data.draw(seconds)
    inside = [k for k, time in enumerate(times) if (start or 0) <= time < (1 if end is None else end)]
    if not inside:
        with pytest.raises(UnreadableVideoError, match="has no frame from"):
            read_video(path, everything, start, end)
        return
    video = read_video(path, everything, start, end)
    assert video.num_frames == len(inside)
    assert video.numbers == tuple(range(len(inside)))
    assert video.times == pytest.approx([times[k] for k in inside])
    assert_same(video.pixels, [images[k] for k in inside])


def test_a_late_part_does_not_depend_on_what_is_long_before_it(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", scenes(30), options={"g": "5"})
    late = read_video(path, everything, 0.8)
    data = bytearray(path.read_bytes())
    place = data.index(b"mdat") + 1200
    data[place : place + 100] = bytes(100)
    path.write_bytes(data)
    whole = read_video(path, everything)
    assert whole.damage is not None
    assert whole.times[-1] < 0.8
    assert_equal(read_video(path, everything, 0.8), late)


def damaged(data: bytes, draw: st.DataObject) -> bytes:
    """Cut short, changed in some bytes, with bytes taken out, or as it was."""
    kind = draw.draw(st.sampled_from(["cut", "bytes", "gone", "intact"]))
    place = draw.draw(st.integers(len(data) // 5, len(data) - 1))
    if kind == "cut":
        return data[:place]
    if kind == "bytes":
        changed = bytearray(data)
        for k in draw.draw(st.lists(st.integers(len(data) // 5, len(data) - 1), min_size=1, max_size=8)):
            changed[k] ^= 0x55
        return bytes(changed)
    return data[:place] + data[place + 37 :] if kind == "gone" else data


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_choice_is_made_among_the_frames_that_can_be_decoded(tmp_path: Path, data: st.DataObject) -> None:
    suffix = data.draw(st.sampled_from(list(CODECS)))
    intact = tmp_path / f"intact{suffix}"
    if not intact.exists():
        options = {"g": "8", "bf": "2"} if CODECS[suffix][0] == "libx264" else {"g": "8"}
        container = {"movflags": "faststart"} if suffix in (".mp4", ".mov") else {}
        write_video(intact, scenes(20), options=options, container=container)
    path = tmp_path / f"damaged{suffix}"
    path.write_bytes(damaged(intact.read_bytes(), data))
    step = data.draw(st.integers(1, 7))

    def choose(times: Sequence[float]) -> list[int]:
        return [len(times) - 1, *range(len(times) // 3, len(times), step), len(times) - 1]

    try:
        naive = read_video(path, everything)
    except UnreadableVideoError:
        with pytest.raises(UnreadableVideoError):
            read_video(path, choose)
        return
    chosen = sorted(set(choose(naive.times)))
    video = read_video(path, choose)
    assert (video.num_frames, video.damage) == (naive.num_frames, naive.damage)
    assert video.numbers == tuple(chosen)
    assert video.times == tuple(naive.times[k] for k in chosen)
    assert_same(video.pixels, [naive.pixels[k] for k in chosen])


def peak_memory(work: Callable[[], object]) -> int:
    work()  # Once before, since a first call imports.
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("suffix", [".flv", ".webm"])
def test_memory_holds_the_chosen_frames_only(tmp_path: Path, suffix: str) -> None:
    path = write_video(tmp_path / f"a{suffix}", scenes(60, 96, 128))
    path.write_bytes(path.read_bytes()[:-300])  # So that there are two passes.
    peak = peak_memory(lambda: read_video(path, lambda times: [0, len(times) // 2, len(times) - 1]))
    assert peak < 8 * 96 * 128 * 3


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".flv", ".webm", ".avi"])
def test_a_file_cut_short_keeps_the_frames_before_and_says_so(tmp_path: Path, suffix: str) -> None:
    container = {"movflags": "faststart"} if suffix == ".mp4" else {}
    path = write_video(tmp_path / f"a{suffix}", scenes(40), container=container)
    whole = read_video(path, everything)
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 7 // 10])
    cut = read_video(path, everything)
    assert 1 < cut.num_frames < whole.num_frames
    assert cut.damage is not None
    assert cut.damage.startswith(f"damaged after {cut.times[-1]:.2f} s: ")
    assert cut.times == whole.times[: cut.num_frames]
    assert_same(cut.pixels, whole.pixels[: cut.num_frames])


def test_frames_whose_size_changes_keep_their_own(tmp_path: Path) -> None:
    path = tmp_path / "a.h264"
    data = b""
    for height, width in ((48, 64), (32, 48)):
        data += write_video(path, scenes(6, height, width), codec="libx264", pix_fmt="yuv420p").read_bytes()
    path.write_bytes(data)
    video = read_video(path, lambda times: [0, 5, 6, len(times) - 1])
    assert [image.shape for image in video.pixels] == [(48, 64, 3)] * 2 + [(32, 48, 3)] * 2
    # Such a stream has no time stamps.
    assert video.times == pytest.approx([0, 5 / 25, 6 / 25, 11 / 25])


@pytest.mark.parametrize("name", [*STREAMS, "cut.mp4", "cut.mkv", "turned.mov"])
def test_a_stream_of_frames_is_what_is_read_at_once(tmp_path: Path, name: str) -> None:
    container = {"movflags": "faststart"} if name == "cut.mp4" else {}
    path = write_stream(tmp_path / name, container=container, rotation=90 if name == "turned.mov" else 0)
    if path.stem == "cut":
        path.write_bytes(path.read_bytes()[: path.stat().st_size * 7 // 10])
    damages: list[str] = []
    frames = list(stream_video(path, damages.append))
    whole = read_video(path, everything)
    assert tuple(second for second, _ in frames) == whole.times
    assert damages == ([whole.damage] if whole.damage else [])
    assert (path.stem == "cut") == bool(damages)
    assert_same([image for _, image in frames], whole.pixels)


def test_a_stream_of_frames_keeps_none_and_may_be_left(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", scenes(60, 96, 128))
    for _ in stream_video(path, print):
        break
    assert peak_memory(lambda: sum(1 for _ in stream_video(path, print))) < 8 * 96 * 128 * 3
    assert sum(1 for _ in stream_video(path, print)) == 60


def test_threads_read_the_same(tmp_path: Path) -> None:
    paths = [write_video(tmp_path / f"{k}.mp4", scenes(15, seed=k)) for k in range(4)]
    paths.append(write_video(tmp_path / "cut.mkv", scenes(40)))
    paths[-1].write_bytes(paths[-1].read_bytes()[: paths[-1].stat().st_size // 2])
    alone = [read_video(path, everything) for path in paths]
    with ThreadPoolExecutor(5) as pool:
        together = list(pool.map(lambda path: read_video(path, everything), paths * 4))
    for video, expected in zip(together, alone * 4, strict=True):
        assert_equal(video, expected)


def sound(path: Path) -> Path:
    with av.open(str(path), "w", format="wav") as output:
        stream = output.add_stream("pcm_s16le", rate=8000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), format="s16", layout="mono")
        frame.sample_rate = 8000
        output.mux(stream.encode(frame))
    return path


def test_files_that_are_no_video_are_named(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    def refusal(name: str, data: bytes | None = None) -> str:
        path = tmp_path / name
        if data is not None:
            path.write_bytes(data)
        with pytest.raises(UnreadableVideoError) as raised:
            read_video(path, everything)
        assert name in str(raised.value)
        with pytest.raises(UnreadableVideoError, match=re.escape(str(raised.value))):
            next(stream_video(path, print))
        return str(raised.value)

    (tmp_path / "folder.mp4").mkdir()
    assert "No such file" in refusal("missing.mp4")
    assert "Is a directory" in refusal("folder.mp4")
    assert "0 bytes" in refusal("empty.mp4", b"")
    pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 12\n"
    assert "git lfs pull" in refusal("pointer.flv", pointer)
    assert "not a video" in refusal("text.mp4", b"not a video, but a text\n" * 30)
    assert "not a video" in refusal("noise.avi", np.random.default_rng(0).bytes(5000))
    sound(tmp_path / "sound.mp4")
    assert "no video stream" in refusal("sound.mp4")
    assert "not a video" in refusal("picture.mp4", cv2.imencode(".png", scenes(1)[0])[1].tobytes())
    playlist = f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{tmp_path}/a.ts\n#EXT-X-ENDLIST\n"
    assert "not a video" in refusal("list.mp4", playlist.encode())
    data = write_video(tmp_path / "a.mp4", scenes(20)).read_bytes()
    assert "moov" in refusal("cut.mp4", data[: len(data) // 2])
    os.mkfifo(tmp_path / "pipe.mp4")
    assert "not a file" in refusal("pipe.mp4")
    assert capfd.readouterr() == ("", "")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read_is_named(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", scenes(2))
    path.chmod(0)
    with pytest.raises(UnreadableVideoError, match=r"a\.mp4 cannot be read: Permission denied"):
        read_video(path, everything)


def test_a_part_without_a_frame_says_how_long_the_video_is(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", scenes(20))
    with pytest.raises(UnreadableVideoError, match=r"from 3 s to 4 s: it is 0\.80 s long"):
        read_video(path, everything, 3, 4)
    with pytest.raises(UnreadableVideoError, match=r"from 0\.05 s to 0\.06 s"):
        read_video(path, everything, 0.05, 0.06)


@pytest.mark.parametrize("name", ["a:b.mp4", "100%d.mp4", "größe .mp4", os.fsdecode(b"\xff.mp4"), "http:x.mp4"])
def test_any_name_is_a_name(tmp_path: Path, name: str) -> None:
    path = write_video(tmp_path / "plain.mp4", scenes(3)).rename(tmp_path / name)
    assert read_video(path, everything).num_frames == 3
