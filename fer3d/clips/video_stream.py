"""The video stream of a file: opens it or reports why not, and decodes up to the first fault."""

from __future__ import annotations

import itertools
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import av
import av.error
import av.logging
from av.stream import Disposition

from fer3d.clips.images import UnreadableError
from fer3d.corpora.layout import LFS_POINTER, shown

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.packet import Packet
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

# FFmpeg prints nothing: its errors go to `av.logging.Capture` in `opened`. By default, PyAV drops a message that equals
# the previous one, even if that came from another file.
av.logging.set_level(av.logging.ERROR)
av.logging.set_skip_repeated(False)

_CODECS = {
    "av1": "AV1",
    "ffv1": "FFV1",
    "flv1": "FLV1",
    "h263": "H.263",
    "h264": "H.264",
    "hevc": "H.265",
    "mjpeg": "Motion JPEG",
    "mpeg1video": "MPEG-1",
    "mpeg2video": "MPEG-2",
    "mpeg4": "MPEG-4",
    "vp8": "VP8",
    "vp9": "VP9",
}
_CONTAINERS = {"avi": "AVI", "flv": "FLV", "asf": "WMV", "mpegts": "MPEG-TS", "mpeg": "MPEG-PS"}
# Formats that FFmpeg also opens: playlists, pictures and text.
_NO_VIDEOS = ("concat", "dash", "hls", "image2", "imf", "sdp", "tty")


class UnreadableVideoError(UnreadableError):
    """A video file is missing, contains no video, or has no frame in the requested part."""


class Clock:
    """Converts time stamps to strictly increasing seconds from 0.

    Attributes:
        interval: Seconds between frames at the file's stated rate.
        last: The last time returned; None before the first one.
    """

    def __init__(self, time_base: Fraction, interval: float, origin: int | None = None) -> None:
        self.interval = interval
        self.last: float | None = None
        self._time_base = time_base
        self._origin = origin

    def second(self, stamp: int | None) -> float:
        """Returns the time of the next frame; `read_video` describes missing and non-increasing stamps."""
        second = 0.0 if self.last is None else self.last + self.interval
        if stamp is not None:
            if self._origin is None:
                self._origin = stamp - round(second / self._time_base)
            stated = _seconds(stamp - self._origin, self._time_base)
            if self.last is None or stated > self.last:
                second = stated
        self.last = second
        return second


class OpenVideo:
    """One pass through the video stream of a file, up to the first fault.

    Attributes:
        fault: Description of the fault; None if there is none so far.
        codec: The codec's name.
        container: The container's name.
    """

    def __init__(self, container: InputContainer, stream: VideoStream, log: list[tuple[int, str, str]]) -> None:
        self.fault: str | None = None
        self.codec = _CODECS.get(stream.codec_context.codec.canonical_name, stream.codec_context.codec.canonical_name)
        self.container = _CONTAINERS.get(container.format.name, container.format.name)
        self._demuxed = container.demux(stream)
        self._stream = stream
        self._time_base = stream.time_base or Fraction(1, 1000)
        self._log = log
        self._limit: int | None = None
        # Several files are decoded in parallel; single-threaded decoding also makes every pass see the same frames.
        stream.codec_context.thread_count = 1

    def clock(self, origin: int | None = None) -> Clock:
        """Returns a clock for this stream's time stamps.

        Args:
            origin: The stamp of second 0; None: the first stamp passed to the clock.
        """
        return Clock(self._time_base, float(1 / (self._stream.average_rate or 25)), origin)

    def seconds(self, ticks: int) -> float:
        """Converts a difference of time stamps to seconds."""
        return _seconds(ticks, self._time_base)

    def packets(self) -> Iterator[Packet[VideoStream]]:
        """Yields intact packets."""
        while True:
            self._log.clear()
            try:
                packet = next(self._demuxed, None)
            except av.error.FFmpegError as error:
                self.fault = reason(error)
                return
            # The Matroska demuxer reports damage only in the log; other demuxers also log harmless messages.
            messages = [message.strip() for _, name, message in self._log if name == "matroska,webm"]
            if messages or (packet is not None and packet.is_corrupt):
                self.fault = messages[0] if messages else "a packet is truncated"
                self._limit = packet.pts if packet is not None else None
                return
            if packet is None:
                return
            if packet.size:  # An empty packet would signal the end of the stream to the decoder.
                yield packet

    def frames(self, first_packet: int = 0) -> Generator[VideoFrame, None, None]:
        """Yields frames in presentation order, decoding from packet `first_packet` on."""
        for packet in itertools.islice(self.packets(), first_packet, None):
            try:
                frames = packet.decode()
            except av.error.FFmpegError as error:
                self.fault, self._limit = reason(error), packet.pts
                break
            yield from self._sound(frames)
            if self.fault:
                return
        # Frames left in the decoder were decoded before the fault, but may be shown after it.
        try:
            yield from self._sound(self._stream.codec_context.decode(None))
        except av.error.FFmpegError as error:
            self.fault = self.fault or reason(error)

    def _sound(self, frames: Sequence[VideoFrame]) -> Iterator[VideoFrame]:
        for frame in frames:
            if frame.is_corrupt:
                self.fault = self.fault or "a frame is incomplete"
                return
            if self._limit is not None and frame.pts is not None and frame.pts >= self._limit:
                return
            yield frame


@contextmanager
def opened(path: Path) -> Iterator[OpenVideo]:
    """Opens a video file.

    Raises:
        UnreadableVideoError: The file is missing or not a video.
    """
    head = read_head(path)
    with av.logging.Capture() as log:
        try:
            # The prefix keeps FFmpeg from parsing a name such as `a:b.mp4` as a URL.
            container = av.open(f"file:{path}", options={"protocol_whitelist": "file"}, metadata_errors="replace")
        except av.error.FFmpegError as error:
            raise UnreadableVideoError(_unopened(path, error, head)) from error
        with container:
            video = OpenVideo(container, _stream(path, container), log)
            if container.format.name.startswith("mov"):
                video.container = "MOV" if head[4:12] == b"ftypqt  " else "MP4"
            elif container.format.name.startswith("matroska"):
                video.container = "WebM" if b"webm" in head else "Matroska"
            yield video


def reason(error: av.error.FFmpegError) -> str:
    """Returns FFmpeg's message for an error."""
    return error.strerror or type(error).__name__


def stamp_of(source: Packet[VideoStream] | VideoFrame) -> int | None:
    """Returns the presentation time stamp of a packet or frame, or its decoding time stamp if there is none."""
    return source.dts if source.pts is None else source.pts


def _seconds(ticks: int, time_base: Fraction) -> float:
    return ticks * time_base.numerator / time_base.denominator


def read_head(path: Path) -> bytes:
    """Returns the first bytes of a file that may be a video.

    Raises:
        UnreadableVideoError: The file cannot be opened, is empty, or is a Git LFS pointer.
    """
    try:
        if path.exists() and not path.is_file() and not path.is_dir():
            raise UnreadableVideoError(f"{shown(path)} is not a file")  # Opening a pipe would wait for a writer.
        with path.open("rb") as file:
            head = file.read(64)
    except OSError as error:
        raise UnreadableVideoError(f"{shown(path)} cannot be read: {error.strerror or error}") from error
    if not head:
        raise UnreadableVideoError(f"{shown(path)} is empty (0 bytes): copy or download it again")
    if head.startswith(LFS_POINTER):
        raise UnreadableVideoError(
            f"{shown(path)} is a Git LFS pointer instead of the video: run `git lfs pull` in its folder"
        )
    return head


def _stream(path: Path, container: InputContainer) -> VideoStream:
    names = container.format.name.split(",")
    if any(name in _NO_VIDEOS or name.endswith("_pipe") for name in names):
        raise UnreadableVideoError(f"{shown(path)} is not a video: FFmpeg reads it as {container.format.long_name}")
    streams = [stream for stream in container.streams.video if not stream.disposition & Disposition.attached_pic]
    if not streams:
        kinds = sorted({stream.type for stream in container.streams})
        found = f"only {' and '.join(kinds)}" if kinds else "no stream at all"
        raise UnreadableVideoError(f"{shown(path)} ({container.format.long_name}) has no video stream, {found}")
    best = container.streams.best("video")
    stream = next((stream for stream in streams if stream is best), streams[0])
    if stream.codec_context is None:
        raise UnreadableVideoError(f"{shown(path)} has a video stream that FFmpeg cannot decode: it has no decoder")
    return stream


def _unopened(path: Path, error: av.error.FFmpegError, head: bytes) -> str:
    if head[4:8] == b"ftyp":
        return (
            f"{shown(path)} is an MP4 or MOV whose index (`moov`) is missing or damaged, so it cannot be read "
            f"({reason(error)}); it may be truncated, or its recording was interrupted. Copy or download it again"
        )
    return f"{shown(path)} is not a video that FFmpeg can open ({path.stat().st_size:,} bytes): {reason(error)}"
