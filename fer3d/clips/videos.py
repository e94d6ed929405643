"""Reads chosen frames of a video file or a part of it, upright, with their times.

FFmpeg decodes, through PyAV. OpenCV, which also contains FFmpeg, gives the same time stamps and rotations on the same
files, but never reports damage: it returns half-decoded frames as whole ones, claims 52 frames for the 7 of a Matroska
file with a variable rate, turns grey streams into BGR, is less exact with 10 bits (off by 0.7 grey levels instead of
0.5) and prints to the terminal. torchcodec did not load without FFmpeg's libraries on the system. PyAV decodes about as
many frames per second and core as OpenCV (`benchmarks/decode.py`).
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Container, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from fer3d.clips.detectors import Image
from fer3d.clips.video_stream import UnreadableVideoError as UnreadableVideoError
from fer3d.clips.video_stream import opened, stamp_of
from fer3d.corpora.layout import shown

if TYPE_CHECKING:
    from av.video.frame import VideoFrame


@dataclass(frozen=True, slots=True, eq=False)
class VideoFrames:
    """Frames of a sequence, which is a video file or a part of it.

    Attributes:
        pixels: The distinct chosen frames in temporal order, upright: uint8, BGR (H, W, 3), or grey (H, W) if the
            stream stores grey only. Sizes differ if the size changes within the file.
        numbers: Index of each within the sequence, from 0.
        times: Time of each in seconds from the first frame of the file.
        num_frames: Number of frames in the sequence.
        damage: Where the file is damaged, with FFmpeg's message; the sequence ends there. None if the file was read to
            its end without a fault.
        format: Codec and container, such as `H.264 in MP4`.
    """

    pixels: tuple[Image, ...]
    numbers: tuple[int, ...]
    times: tuple[float, ...]
    num_frames: int
    damage: str | None
    format: str


def read_video(
    path: Path,
    choose: Callable[[Sequence[float]], Sequence[int]],
    start: float | None = None,
    end: float | None = None,
) -> VideoFrames:
    """Reads the frames that `choose` picks from a video file.

    The container's stated length is not used: the file is decoded, single-threaded, to `end` or to its end, and only
    chosen frames are converted and kept. Frames are first chosen by the container's time stamps, which are read without
    decoding. If decoding yields other times, they are chosen again, and missing ones are decoded in a second pass.
    Thread-safe.

    A time is the stream's time stamp minus that of its first frame. A frame without a stamp, or with one that does not
    exceed the previous frame's, is placed one frame interval after the previous frame. Times thus strictly increase in
    the order in which the decoder returns frames.

    A sequence ends before the first frame that FFmpeg cannot decode or reports as incomplete. Damage before the last
    key frame before `start`, or after `end`, does not matter. Of 440 damaged files of each kind (40 for each of 11
    pairs of codec and container), damage was found in 98 % of truncated ones (the others ended exactly between two
    frames), 86 % with bytes removed, 84 % with a stretch of zeros, 76 % with 512 bytes of noise, 70 % with 20 changed
    bytes, 41 % with one changed bit, and in no intact one. H.264 (94 to 99 % in MP4) and FLV1 (91 %) reveal the most,
    Motion JPEG (37 %) the least. Of the frames kept from truncated files, 0.1 % differed from the intact ones. FFmpeg's
    option `err_detect=explode` finds more in Motion JPEG (77 %) and H.265 (82 instead of 71 %), but is not used,
    because it also rejects unusual files that play everywhere.

    Args:
        path: The file.
        choose: Maps the times of all frames of the sequence, in seconds, to indices, possibly repeated.
        start: Start of the sequence in seconds; None: the first frame.
        end: End of the sequence in seconds, exclusive; None: the end of the file.

    Raises:
        UnreadableVideoError: The file is missing or not a video, no frame can be decoded, or none is between `start`
            and `end`.
    """
    part = _Part(-math.inf if start is None else start, math.inf if end is None else end)
    plan = _plan(path, part)
    wanted = set(choose(plan.times)) if plan.times else set()
    decoded = _decode(path, plan, part, wanted)
    if plan.late_packet is not None and decoded.times != plan.times:
        plan = dataclasses.replace(plan, late_packet=None, origin=None)
        decoded = _decode(path, plan, part, wanted)
    if not decoded.times:
        raise UnreadableVideoError(_nothing(path, plan, decoded, part))
    if decoded.times != plan.times:
        wanted = set(choose(decoded.times))
        decoded.images = {number: image for number, image in decoded.images.items() if number in wanted}
        if missing := wanted - decoded.images.keys():
            decoded.images.update(_decode(path, plan, part, missing).images)
        if wanted - decoded.images.keys():
            raise UnreadableVideoError(f"{shown(path)} changed while it was read")
    numbers = tuple(sorted(wanted))
    return VideoFrames(
        pixels=tuple(decoded.images[number] for number in numbers),
        numbers=numbers,
        times=tuple(decoded.times[number] for number in numbers),
        num_frames=len(decoded.times),
        damage=decoded.damage,
        format=plan.format,
    )


def stream_video(path: Path, on_damage: Callable[[str], None]) -> Iterator[tuple[float, Image]]:
    """Yields all frames of a video file with their times in seconds; see `read_video`.

    Args:
        path: The file.
        on_damage: Called with a description if the file is damaged and not read to its end.

    Raises:
        UnreadableVideoError: The file is missing or not a video, or no frame can be decoded.
    """
    first_packet = _first_key(path)
    with opened(path) as video, closing(video.frames(first_packet)) as frames:
        clock = video.clock()
        for frame in frames:
            yield clock.second(stamp_of(frame)), _upright(frame)
        if clock.last is None:
            raise UnreadableVideoError(
                f"no frame of {shown(path)} ({video.codec} in {video.container}) can be decoded: "
                f"{video.fault or 'its stream is empty'}"
            )
        if video.fault:
            on_damage(f"damaged after {clock.last:.2f} s: {video.fault}")


def _first_key(path: Path) -> int:
    """Index of the first packet that can be decoded by itself; a file may begin with others."""
    with opened(path) as video:
        keys = (number for number, packet in enumerate(video.packets()) if packet.is_keyframe)
        return next(keys, 0)


@dataclass(frozen=True, slots=True)
class _Part:
    start: float
    end: float


@dataclass(frozen=True, slots=True)
class _Plan:
    """What a file's packets reveal before decoding.

    Attributes:
        times: Expected times of the sequence's frames.
        first_packet: The first packet that can be decoded.
        format: Codec and container.
        late_packet: A later packet to decode from; None: `first_packet`.
        origin: The stamp of second 0 if there is a `late_packet`.
    """

    times: list[float]
    first_packet: int
    format: str
    late_packet: int | None = None
    origin: int | None = None


@dataclass(slots=True)
class _Decoded:
    """Result of one decoding pass.

    Attributes:
        times: Times of the sequence's frames.
        images: The wanted frames by index.
        damage: See `VideoFrames`.
        length: Seconds from the first frame to the end of the last one seen.
        reached_end: Whether the pass reached the end of the file or a fault, rather than the end of the part.
    """

    times: list[float] = field(default_factory=list)
    images: dict[int, Image] = field(default_factory=dict)
    damage: str | None = None
    length: float = 0.0
    reached_end: bool = True


def _plan(path: Path, part: _Part) -> _Plan:
    with opened(path) as video:
        stamps: list[int | None] = []
        keys: list[tuple[int, int]] = []
        for number, packet in enumerate(video.packets()):
            stamp = stamp_of(packet)
            if packet.is_keyframe and stamp is not None:
                if not keys:  # A file may begin with packets that refer to earlier, missing frames.
                    stamps.clear()
                keys.append((number, stamp))
            if not packet.is_discard:
                stamps.append(stamp)
            # A frame is never shown before it is decoded.
            if keys and packet.dts is not None and video.seconds(packet.dts - keys[0][1]) > part.end + 1:
                break
        known = sorted(stamp for stamp in stamps if stamp is not None)
        times = [*map(video.clock().second, known if len(known) == len(stamps) else stamps)]
        plan = _Plan(
            times=[second for second in times if part.start <= second < part.end],
            first_packet=keys[0][0] if keys else 0,
            format=f"{video.codec} in {video.container}",
        )
        # If the stamps are in order, a late part can be decoded from the last key frame before it.
        before = [number for number, stamp in keys if video.seconds(stamp - known[0]) <= part.start] if known else []
        in_order = len(set(known)) == len(stamps) and keys == sorted(keys, key=lambda key: key[1])
    if plan.times and in_order and before and before[-1] > plan.first_packet and _first_stamp(path, plan) == known[0]:
        return dataclasses.replace(plan, late_packet=before[-1], origin=known[0])
    return plan


def _first_stamp(path: Path, plan: _Plan) -> int | None:
    with opened(path) as video, closing(video.frames(plan.first_packet)) as frames:
        return next(map(stamp_of, frames), None)


def _decode(path: Path, plan: _Plan, part: _Part, wanted: Container[int]) -> _Decoded:
    decoded = _Decoded()
    first_packet = plan.first_packet if plan.late_packet is None else plan.late_packet
    with opened(path) as video, closing(video.frames(first_packet)) as frames:
        clock = video.clock(plan.origin)
        for frame in frames:
            second = clock.second(stamp_of(frame))
            if second >= part.end:
                decoded.reached_end = False
                break
            if second >= part.start:
                if len(decoded.times) in wanted:
                    decoded.images[len(decoded.times)] = _upright(frame)
                decoded.times.append(second)
        if clock.last is not None:
            decoded.length = clock.last + clock.interval
        if video.fault:
            where = "at its beginning" if clock.last is None else f"after {clock.last:.2f} s"
            decoded.damage = f"damaged {where}: {video.fault}"
    return decoded


def _upright(frame: VideoFrame) -> Image:
    is_grey = frame.format.name.startswith(("gray", "mono", "ya"))
    pixels = frame.to_ndarray(format="gray" if is_grey else "bgr24", threads=1)
    return np.ascontiguousarray(np.rot90(pixels, round(frame.rotation / 90)), dtype=np.uint8)


def _nothing(path: Path, plan: _Plan, decoded: _Decoded, part: _Part) -> str:
    if not decoded.length:
        return f"no frame of {shown(path)} ({plan.format}) can be decoded: {decoded.damage or 'its stream is empty'}"
    wanted = f"from {max(part.start, 0):g} s to {'its end' if part.end == math.inf else f'{part.end:g} s'}"
    damage = f" ({decoded.damage})" if decoded.damage else ""
    rest = f"it is {decoded.length:.2f} s long{damage}" if decoded.reached_end else "no frame begins there"
    return f"{shown(path)} has no frame {wanted}: {rest}"
