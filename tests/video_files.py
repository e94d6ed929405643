"""Tiny videos, written with PyAV."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from fer3d.clips.detectors import Image

# The encoder and the pixel format that `write_video` takes for a file's ending.
CODECS = {
    ".mp4": ("libx264", "yuv420p"),
    ".mov": ("libx264", "yuv420p"),
    ".mkv": ("libx264", "yuv420p"),
    ".flv": ("flv", "yuv420p"),
    ".avi": ("mpeg4", "yuv420p"),
    ".webm": ("libvpx", "yuv420p"),
}


def scenes(num_frames: int, height: int = 48, width: int = 64, seed: int = 0) -> list[Image]:
    """Frames that no two are alike: BGR (height, width, 3), a bright square that moves over a background of squares.

    The mean grey level of frame k rises with k, so that a decoded frame tells its number.
    """
    generator = np.random.default_rng(seed)
    coarse = generator.integers(0, 60, (4, 4, 3))
    background = coarse.repeat(-(-height // 4), axis=0).repeat(-(-width // 4), axis=1)[:height, :width]
    frames = []
    for k in range(num_frames):
        frame = background + 120 * k // max(num_frames - 1, 1)
        x, y = (3 * k) % max(width - 12, 1), (2 * k) % max(height - 12, 1)
        frame[y : y + 12, x : x + 12] += 70
        frames.append(np.asarray(frame, dtype=np.uint8))
    return frames


def write_video(
    path: Path,
    frames: Sequence[Image],
    *,
    rate: int = 25,
    times: Sequence[float] | None = None,
    codec: str = "",
    pix_fmt: str = "",
    rotation: int = 0,
    options: Mapping[str, str] | None = None,
    container: Mapping[str, str] | None = None,
    color_range: int = 0,
) -> Path:
    """Writes frames as a video whose container follows from the path's ending, and returns the path.

    Frames are BGR (H, W, 3) or grey (H, W), uint8; or grey, uint16, for a pixel format of 16 bits. `times` is the
    second of each frame, at a resolution of a millisecond, where the rate varies. `codec` and `pix_fmt` are FFmpeg's
    names; by default those of the ending. A player must turn the frames by `rotation` degrees, counter-clockwise.
    `options`, such as `{"g": "5"}`, are the encoder's; `container`, such as `{"movflags": "faststart"}`, the
    container's. `color_range` is 1 for limited, 2 for full, 0 for none stated.
    """
    default_codec, default_pix_fmt = CODECS.get(path.suffix, ("", ""))
    time_base = Fraction(1, 1000) if times is not None else Fraction(1, rate)
    with av.open(str(path), "w", options=dict(container or {})) as output:
        stream = output.add_stream(codec or default_codec, rate=rate, options=dict(options or {}))
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt = pix_fmt or default_pix_fmt
        stream.codec_context.time_base = time_base
        stream.codec_context.thread_count = 1
        if "26" not in stream.codec_context.name:  # x264 and x265 have a fair quality by default.
            stream.bit_rate = 4_000_000
        if color_range:
            stream.codec_context.color_range = color_range
        if rotation:
            stream.set_display_rotation(rotation)
        for k, image in enumerate(frames):
            source = {"uint16": "gray16le", "uint8": "gray"}[image.dtype.name] if image.ndim == 2 else "bgr24"
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format=source)
            frame.pts = round(times[k] * 1000) if times is not None else k
            frame.time_base = time_base
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    return path
