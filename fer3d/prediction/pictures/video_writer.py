"""Writes videos for browsers, with the time of each frame."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self, cast

import av
import av.error
import cv2
import numpy as np

from fer3d.clips.detectors import Box, Image
from fer3d.clips.video_stream import reason
from fer3d.prediction.trained import PredictionError

if TYPE_CHECKING:
    from av.container import OutputContainer
    from av.video.stream import VideoStream


class VideoWriterError(PredictionError):
    """A video cannot be written: FFmpeg lacks the encoder or fails, or there are no frames."""


@dataclass(frozen=True, slots=True)
class VideoFormat:
    """Encoding settings of a video.

    Attributes:
        encoder: FFmpeg's name of the encoder.
        options: Options of the encoder.
        ticks: Resolution of the time stamps, per second.
        longer: Maximum length of the longer side in pixels.
        shorter: Maximum length of the shorter side.
        bit_rate: Bits per second; None for constant quality.
    """

    encoder: str
    options: Mapping[str, str]
    ticks: int
    longer: int
    shorter: int
    bit_rate: int | None = None


# The next slower preset of x264 halves the speed.
H264 = VideoFormat("libx264", {"preset": "veryfast", "crf": "21"}, ticks=90_000, longer=1920, shorter=1080)


@dataclass(frozen=True, slots=True)
class Fit:
    """Placement of a frame in a video, whose pictures all have one size.

    Attributes:
        width: Width of the video, even.
        height: Height of the video, even.
        scale: Scale factor from the frame to the video.
        left: Left edge of the frame in the video, in pixels.
        top: Top edge of the frame in the video.
    """

    width: int
    height: int
    scale: float
    left: int = 0
    top: int = 0

    @classmethod
    def of(cls, image: Image, form: VideoFormat) -> Fit:
        """Returns the placement of the first frame, whose size, limited and rounded to even, becomes the video's."""
        height, width = image.shape[:2]
        scale = min(1.0, form.longer / max(height, width), form.shorter / min(height, width))
        return cls(_even(width * scale), _even(height * scale), scale)

    def again(self, image: Image) -> Fit:
        """Returns the placement of a later frame; one of another size is scaled to fit and centred."""
        height, width = image.shape[:2]
        if (_even(width * self.scale), _even(height * self.scale)) == (self.width, self.height):
            return self
        scale = min(self.width / width, self.height / height)
        left, top = round((self.width - width * scale) / 2), round((self.height - height * scale) / 2)
        return Fit(self.width, self.height, scale, max(left, 0), max(top, 0))

    def picture(self, image: Image) -> Image:
        """Returns a frame as a picture of the video, BGR (height, width, 3); a copy."""
        if image.ndim == 2:
            image = np.asarray(cv2.cvtColor(image, cv2.COLOR_GRAY2BGR), dtype=np.uint8)
        if self.scale != 1:
            size = tuple(max(1, round(side * self.scale)) for side in image.shape[1::-1])
            image = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)
        height, width = min(image.shape[0], self.height - self.top), min(image.shape[1], self.width - self.left)
        bottom, right = self.height - self.top - height, self.width - self.left - width
        made_even = max(self.left, self.top, bottom, right) <= 1
        border = cv2.BORDER_REPLICATE if made_even else cv2.BORDER_CONSTANT
        return np.asarray(
            cv2.copyMakeBorder(image[:height, :width], self.top, bottom, self.left, right, border), dtype=np.uint8
        )

    def box(self, box: Box) -> Box:
        """Returns a box of the frame in pixels of the video."""
        x1, y1, x2, y2 = (side * self.scale for side in box)
        return x1 + self.left, y1 + self.top, x2 + self.left, y2 + self.top


class VideoWriter:
    """Writes a video with a variable frame rate, without sound.

    A context manager. The file is complete after the block; after an exception it is not a valid video.

    Args:
        path: The file; its suffix selects the container.
        rate: Approximate frames per second, for the encoder's rate control and the duration of the last frame.
        form: Encoding settings.
        metadata: Metadata of the file, such as its `title`.

    Raises:
        VideoWriterError: FFmpeg lacks the encoder.
    """

    def __init__(self, path: Path, rate: float, form: VideoFormat, metadata: Mapping[str, str] | None = None) -> None:
        self._path = path
        self._metadata = dict(metadata or {})
        self._rate = Fraction(rate if 1 <= rate <= 1000 else 25).limit_denominator(1001)
        self._form = form
        self._open: tuple[OutputContainer, VideoStream] | None = None
        self._last = -1  # time stamp of the last frame
        try:
            av.Codec(form.encoder, "w")
        except ValueError as error:
            raise VideoWriterError(
                f"this FFmpeg lacks the encoder {form.encoder}; install PyAV from its wheel: pip install av"
            ) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._open is None:
            return
        container, stream = self._open
        if kind is not None:
            with suppress(av.error.FFmpegError):  # Keep the original exception.
                container.close()
            return
        with _named(self._path):
            try:
                container.mux(stream.encode(None))
            finally:
                container.close()

    def add(self, picture: Image, time: float) -> None:
        """Adds a picture.

        Args:
            picture: BGR (H, W, 3), uint8, of the first one's size, which is even.
            time: Presentation time in seconds; increasing.

        Raises:
            VideoWriterError: FFmpeg cannot encode the picture.
            OSError: The file cannot be written.
        """
        planes = np.asarray(cv2.cvtColor(picture, cv2.COLOR_BGR2YUV_I420), dtype=np.uint8)
        frame = av.VideoFrame.from_ndarray(planes, format="yuv420p")
        self._last = frame.pts = max(round(time * self._form.ticks), self._last + 1)
        frame.time_base = Fraction(1, self._form.ticks)
        with _named(self._path):
            container, stream = self._open = self._open or self._begin(*picture.shape[:2])
            container.mux(stream.encode(frame))

    def _begin(self, height: int, width: int) -> tuple[OutputContainer, VideoStream]:
        # Lets players start before the file is complete.
        options = {"movflags": "+faststart"} if self._path.suffix == ".mp4" else {}
        container = av.open(str(self._path), "w", options=options)
        container.metadata.update(self._metadata)
        stream = cast("VideoStream", container.add_stream(self._form.encoder, self._rate, dict(self._form.options)))
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        context = stream.codec_context
        context.time_base = Fraction(1, self._form.ticks)
        context.thread_count = 0
        context.colorspace, context.color_range = 6, 1  # BT.601 with limited range, as OpenCV converts
        if self._form.bit_rate is not None:
            stream.bit_rate = self._form.bit_rate
        return container, stream


@contextmanager
def _named(path: Path) -> Iterator[None]:
    """Converts errors of FFmpeg, other than those of the disk, to `VideoWriterError`."""
    try:
        yield
    except OSError:
        raise
    except av.error.FFmpegError as error:
        raise VideoWriterError(f"{path.name} cannot be encoded: {reason(error)}") from error


def _even(length: float) -> int:
    return max(2, 2 * ((round(length) + 1) // 2))
