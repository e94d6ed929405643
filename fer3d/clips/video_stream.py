"""The video stream of a file: opened, or refused with the reason, and decoded up to its first fault."""

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
from fer3d.corpora.layout import shown

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.packet import Packet
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

# FFmpeg prints nothing: its errors come to `av.logging.Capture`, in which `opened` runs. PyAV would leave out a message
# that equals the one before it, in whichever file that was.
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
# What FFmpeg opens as well: lists of other files, pictures and text.
_NO_VIDEOS = ("concat", "dash", "hls", "image2", "imf", "sdp", "tty")
_LFS_POINTER = b"version https://git-lfs"


class UnreadableVideoError(UnreadableError):
    """A video file that is missing, holds no video, or has no frame in the part that was asked for."""


class Clock:
    """Turns time stamps into seconds that start at 0 and rise.

    Attributes:
        interval: Seconds from one frame to the next by the rate that the file states.
        last: The last second; None before the first one.
    """

    def __init__(self, time_base: Fraction, interval: float, origin: int | None = None) -> None:
        self.interval = interval
        self.last: float | None = None
        self._time_base = time_base
        self._origin = origin

    def second(self, stamp: int | None) -> float:
        """Returns the second of the next frame; see `read_video` for what a stamp may be."""
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
        fault: What the fault is; None while there is none.
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
        # Several files are decoded at once; and with one thread each, every pass sees the same.
        stream.codec_context.thread_count = 1

    def clock(self, origin: int | None = None) -> Clock:
        """Returns a clock for this stream's stamps.

        Args:
            origin: The stamp of second 0; None for the first stamp that the clock is given.
        """
        return Clock(self._time_base, float(1 / (self._stream.average_rate or 25)), origin)

    def seconds(self, ticks: int) -> float:
        """Returns the seconds that a difference of stamps stands for."""
        return _seconds(ticks, self._time_base)

    def packets(self) -> Iterator[Packet[VideoStream]]:
        """Yields the packets that are whole."""
        while True:
            self._log.clear()
            try:
                packet = next(self._demuxed, None)
            except av.error.FFmpegError as error:
                self.fault = reason(error)
                return
            # For Matroska, damage is told in the log alone; other demuxers' logs name what is none, too.
            messages = [message.strip() for _, name, message in self._log if name == "matroska,webm"]
            if messages or (packet is not None and packet.is_corrupt):
                self.fault = messages[0] if messages else "a frame is cut short"
                self._limit = packet.pts if packet is not None else None
                return
            if packet is None:
                return
            if packet.size:  # An empty packet would tell the decoder that the stream ends.
                yield packet

    def frames(self, first_packet: int = 0) -> Generator[VideoFrame, None, None]:
        """Yields the frames in the order of presentation, decoded from a packet on."""
        for packet in itertools.islice(self.packets(), first_packet, None):
            try:
                frames = packet.decode()
            except av.error.FFmpegError as error:
                self.fault, self._limit = reason(error), packet.pts
                break
            yield from self._sound(frames)
            if self.fault:
                return
        # What the decoder still holds was decoded before the fault, and may be shown after it.
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
        UnreadableVideoError: It is missing, or no video.
    """
    head = read_head(path)
    with av.logging.Capture() as log:
        try:
            # The prefix keeps FFmpeg from taking a name such as `a:b.mp4` for an address.
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
    """Returns FFmpeg's words for an error."""
    return error.strerror or type(error).__name__


def stamp_of(source: Packet[VideoStream] | VideoFrame) -> int | None:
    """Returns when a packet or a frame is shown, by the file; where it does not say, when it is decoded."""
    return source.dts if source.pts is None else source.pts


def _seconds(ticks: int, time_base: Fraction) -> float:
    return ticks * time_base.numerator / time_base.denominator


def read_head(path: Path) -> bytes:
    """Returns the first bytes of a file that is there and may be a video.

    Raises:
        UnreadableVideoError: It cannot be opened, is empty, or is a pointer of Git LFS.
    """
    try:
        if path.exists() and not path.is_file() and not path.is_dir():
            raise UnreadableVideoError(f"{shown(path)} is no file")  # Opening a pipe would wait for a writer.
        with path.open("rb") as file:
            head = file.read(64)
    except OSError as error:
        raise UnreadableVideoError(f"{shown(path)} cannot be read: {error.strerror or error}") from error
    if not head:
        raise UnreadableVideoError(f"{shown(path)} is empty (0 bytes): copy or download it again")
    if head.startswith(_LFS_POINTER):
        raise UnreadableVideoError(
            f"{shown(path)} is not the video but a pointer of Git LFS to it: run `git lfs pull` in the folder it is in"
        )
    return head


def _stream(path: Path, container: InputContainer) -> VideoStream:
    names = container.format.name.split(",")
    if any(name in _NO_VIDEOS or name.endswith("_pipe") for name in names):
        raise UnreadableVideoError(f"{shown(path)} is no video: FFmpeg takes it for {container.format.long_name}")
    streams = [stream for stream in container.streams.video if not stream.disposition & Disposition.attached_pic]
    if not streams:
        kinds = sorted({stream.type for stream in container.streams})
        found = f"it has {' and '.join(kinds)} only" if kinds else "it has no stream at all"
        raise UnreadableVideoError(f"{shown(path)} ({container.format.long_name}) has no video stream: {found}")
    best = container.streams.best("video")
    stream = next((stream for stream in streams if stream is best), streams[0])
    if stream.codec_context is None:
        raise UnreadableVideoError(f"{shown(path)} has a video stream that FFmpeg has no decoder for")
    return stream


def _unopened(path: Path, error: av.error.FFmpegError, head: bytes) -> str:
    if head[4:8] == b"ftyp":
        return (
            f"{shown(path)} is an MP4 or MOV whose index (`moov`) is missing or damaged, so nothing of it can be read "
            f"({reason(error)}). Was it cut short, or its recording broken off? Copy or download it again"
        )
    return f"{shown(path)} is no video that FFmpeg can open ({path.stat().st_size:,} bytes): {reason(error)}"
