from __future__ import annotations

import errno
import pickle
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from fer3d.corpora.sequences import CorpusError
from fer3d.twin.layouts import CREMA_D, RAVDESS
from fer3d.twin.recording import Recorder

SMOOTH = np.linspace(40, 200, 64 * 48).reshape(48, 64, 1) * np.array([1.0, 0.8, 0.6])


def pictures(num_frames: int) -> list[np.ndarray]:
    return [(SMOOTH + 5 * number).clip(0, 255).astype(np.uint8) for number in range(num_frames)]


def decode(path: Path) -> tuple[list[np.ndarray], list[float]]:
    with av.open(str(path)) as container:
        frames = list(container.decode(video=0))
    return [frame.to_ndarray(format="bgr24") for frame in frames], [float(frame.time) for frame in frames]


@pytest.mark.parametrize(
    ("recorder", "suffix", "codec"), [(RAVDESS.recorder, "mp4", "h264"), (CREMA_D.recorder, "flv", "flv")]
)
def test_every_picture_is_a_frame_at_its_time(recorder: Recorder, suffix: str, codec: str, tmp_path: Path) -> None:
    path = tmp_path / f"video.{suffix}"
    recorder.record(path, iter(pictures(9)))
    with av.open(str(path)) as container:
        (stream,) = container.streams
        assert stream.codec_context.name == codec
        assert isinstance(stream, av.VideoStream)
        assert stream.format.name == "yuv420p"
    frames, times = decode(path)
    assert [frame.shape for frame in frames] == [(recorder.zoom * 48, recorder.zoom * 64, 3)] * 9
    # FLV counts milliseconds.
    assert times == pytest.approx([number * 1001 / 30_000 for number in range(9)], abs=6e-4)
    for frame, picture in zip(frames, pictures(9), strict=True):
        small = frame[recorder.zoom // 2 :: recorder.zoom, recorder.zoom // 2 :: recorder.zoom]
        assert np.abs(small.astype(int) - picture).mean() < 4


def test_a_disk_that_refuses_is_an_error_that_crosses_processes(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No such file or directory") as caught:
        RAVDESS.recorder.record(tmp_path / "nowhere" / "video.mp4", pictures(1))
    assert type(caught.value) is FileNotFoundError
    again = pickle.loads(pickle.dumps(caught.value))
    assert (again.errno, again.filename) == (errno.ENOENT, str(tmp_path / "nowhere" / "video.mp4"))


@pytest.mark.parametrize(("recorder", "suffix"), [(RAVDESS.recorder, "mp4"), (CREMA_D.recorder, "flv")])
def test_a_full_disk_is_not_taken_for_a_short_video(recorder: Recorder, suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"video.{suffix}"
    path.symlink_to("/dev/full")
    with pytest.raises(OSError, match="No space left on device"):
        recorder.record(path, pictures(3))


def test_what_ffmpeg_refuses_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match=r"Could not write .*video\.flv"):
        Recorder("libx264", {"crf": "nonsense"}, Fraction(25)).record(tmp_path / "video.flv", pictures(1))
