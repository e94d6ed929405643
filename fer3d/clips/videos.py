"""Video files: the chosen frames of a file or of a part of it, upright, with their times.

FFmpeg does the decoding, through PyAV.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Container, Sequence
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
    """Frames of a video file, or of a part of it: the sequence.

    Attributes:
        pixels: The chosen frames, each once, in the order of time: BGR (H, W, 3), or grey (H, W) where the stream
            stores grey alone, uint8, turned upright. Their sizes differ where the size changes within the file.
        numbers: The place of each among all frames of the sequence; 0 is the first one.
        times: The second of each, counted from the first frame of the file.
        num_frames: The number of all frames of the sequence.
        damage: Where the file is damaged and what FFmpeg says about it. The sequence ends there. None where it was
            read to its end without a fault.
        format: The codec and the container, such as `H.264 in MP4`.
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

    What a container says of its length is not used: the file is decoded to `end` or to its end, with one thread, and
    nothing but the chosen frames is converted or kept. A choice is first made by the time stamps in the container,
    which are read without decoding. Where decoding shows other ones, it is made again by those, and what is missing
    is decoded in a second pass. Safe to call from several threads at once.

    A time is the stream's time stamp less that of its first frame. A frame without a stamp, or with one that is not
    after the frame before, is placed one frame interval after that. So times always rise, in the order that the decoder
    shows the frames in.

    A sequence ends before the first frame that FFmpeg cannot decode, or says is incomplete.

    Args:
        path: The file.
        choose: Gets the times of all frames of the sequence, in seconds, and returns places in it, maybe repeated.
        start: The second where the sequence begins; None for the first frame.
        end: The second where it ends, exclusive; None for the end of the file.

    Raises:
        UnreadableVideoError: The file is missing, holds no video, no frame of it can be decoded, or none lies between
            `start` and `end`.
    """
    part = _Part(-math.inf if start is None else start, math.inf if end is None else end)
    plan = _plan(path, part)
    wanted = set(choose(plan.times)) if plan.times else set()
    decoded = _decode(path, plan, part, wanted)
    if plan.origin is not None and decoded.times != plan.times:
        plan = dataclasses.replace(plan, first_packet=0, origin=None)
        decoded = _decode(path, plan, part, wanted)
    if not decoded.times:
        raise UnreadableVideoError(_nothing(path, plan, decoded, part))
    if decoded.times != plan.times:
        wanted = set(choose(decoded.times))
        if missing := wanted - decoded.images.keys():
            decoded.images.update(_decode(path, plan, part, missing).images)
    numbers = tuple(sorted(wanted))
    return VideoFrames(
        pixels=tuple(decoded.images[number] for number in numbers),
        numbers=numbers,
        times=tuple(decoded.times[number] for number in numbers),
        num_frames=len(decoded.times),
        damage=decoded.damage,
        format=plan.format,
    )


@dataclass(frozen=True, slots=True)
class _Part:
    start: float
    end: float


@dataclass(frozen=True, slots=True)
class _Plan:
    """What the packets of a file tell before anything is decoded.

    Attributes:
        times: The times of the frames of the sequence, unless decoding shows other ones.
        first_packet: The packet to decode from.
        origin: The stamp of second 0 where frames are left out before `first_packet`; None where none are.
        format: The codec and the container.
    """

    times: list[float]
    first_packet: int
    origin: int | None
    format: str


@dataclass(slots=True)
class _Decoded:
    """What one pass decodes.

    Attributes:
        times: The times of the frames of the sequence.
        images: The wanted ones of them by their numbers.
        damage: As of `VideoFrames`.
        length: Seconds from the first frame to the end of the last one seen.
        reached_end: Whether the file was read to its end or a fault, rather than to the end of the part.
    """

    times: list[float] = field(default_factory=list)
    images: dict[int, Image] = field(default_factory=dict)
    damage: str | None = None
    length: float = 0.0
    reached_end: bool = True


def _plan(path: Path, part: _Part) -> _Plan:
    with opened(path) as video:
        stamps: list[int | None] = []
        keys: list[tuple[int, int | None]] = []
        for number, packet in enumerate(video.packets()):
            if packet.is_keyframe:
                if not keys:  # A file may begin with packets that refer to frames before it.
                    stamps.clear()
                keys.append((number, stamp_of(packet)))
            if not packet.is_discard:
                stamps.append(stamp_of(packet))
        known = sorted(stamp for stamp in stamps if stamp is not None)
        times = [*map(video.clock().second, known if len(known) == len(stamps) else stamps)]
        first_packet = keys[0][0] if keys else 0
        return _Plan(
            times=[second for second in times if part.start <= second < part.end],
            first_packet=first_packet,
            origin=None,
            format=f"{video.codec} in {video.container}",
        )


def _decode(path: Path, plan: _Plan, part: _Part, wanted: Container[int]) -> _Decoded:
    decoded = _Decoded()
    with opened(path) as video, closing(video.frames(plan.first_packet)) as frames:
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
