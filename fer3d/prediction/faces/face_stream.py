"""Streams frames with tracked faces: periodic detection, tracking in between, bounded memory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from fer3d.clips.detectors import Box, FaceDetector, detect_all
from fer3d.prediction.faces.cuts import CutFinder
from fer3d.prediction.faces.tracks import Sighting, Track, Tracker
from fer3d.prediction.steps import Frame, TrackedFace


@dataclass(frozen=True, slots=True, eq=False)
class SeenFrame:
    """A frame and the faces in it.

    Attributes:
        frame: The frame.
        faces: The faces, sorted by identity.
        is_cut: Whether this frame starts a new shot; earlier frames belong to another scene, even for a face in both.
    """

    frame: Frame
    faces: tuple[TrackedFace, ...]
    is_cut: bool


def face_stream(
    frames: Iterable[Frame],
    detector: FaceDetector,
    *,
    every: int = 5,
    max_faces: int | None = None,
    tracker: Tracker | None = None,
    cuts: CutFinder | None = None,
) -> Iterator[SeenFrame]:
    """Detects and tracks the faces in a stream of frames.

    The detector runs on frames whose number is a multiple of `every`, on the first and last frame, and before and after
    a cut. In between, boxes are interpolated linearly in time. A lost face keeps its box for `Tracker.keep` seconds.

    A frame is yielded once the next detection is known, so the stream lags by at most `every` frames and holds no more.
    A face that is confirmed by the second detection is therefore reported from the first; see `Tracker` for faces that
    need more.

    Args:
        frames: The frames in temporal order.
        detector: The face detector; one without `detect_all` finds one face per frame.
        every: Frames from one detection to the next; 1 for every frame.
        max_faces: Maximum number of faces tracked at a time; None for no limit.
        tracker: The tracker; None for the default.
        cuts: The cut detector; None for the default.

    Raises:
        ValueError: `every` or `max_faces` is below 1.
    """
    for name, number in (("every", every), ("max_faces", max_faces)):
        if number is not None and number < 1:
            raise ValueError(f"{name} must be at least 1, got {number}")
    return _Watcher(detector, every, max_faces, tracker or Tracker(), cuts or CutFinder()).watch(frames)


@dataclass(slots=True, eq=False)
class _Waiting:
    """A frame that was not yielded yet, with its faces if the detector ran on it."""

    frame: Frame
    is_cut: bool
    seen: dict[Track, Sighting] | None = None


class _Watcher:
    def __init__(
        self, detector: FaceDetector, every: int, max_faces: int | None, tracker: Tracker, cuts: CutFinder
    ) -> None:
        self._detector, self._every, self._max_faces = detector, every, max_faces
        self._tracker, self._cuts = tracker, cuts
        # The frames since the latest detection.
        self._waiting: list[_Waiting] = []

    def watch(self, frames: Iterable[Frame]) -> Iterator[SeenFrame]:
        for frame in frames:
            is_cut = self._cuts.is_cut(frame.pixels)
            if is_cut:
                yield from self._end_shot()
            is_due = not self._waiting or frame.number // self._every > self._waiting[-1].frame.number // self._every
            self._waiting.append(_Waiting(frame, is_cut))
            if is_due:
                yield from self._look()
        yield from self._end_shot()

    def _look(self) -> Iterator[SeenFrame]:
        """Runs the detector on the newest frame and yields those before it."""
        *before, newest = self._waiting
        (found,) = detect_all(self._detector, [newest.frame.pixels])
        newest.seen = self._tracker.look(newest.frame.pixels, found, newest.frame.time, self._max_faces)
        self._waiting = [newest]
        for waiting in before:
            yield _seen(waiting, _between(before[0], newest, waiting.frame.time))

    def _end_shot(self) -> Iterator[SeenFrame]:
        if self._waiting and self._waiting[-1].seen is None:
            yield from self._look()
        for waiting in self._waiting:
            yield _seen(waiting, waiting.seen or {})
        self._waiting = []
        self._tracker.end_shot()


def _between(before: _Waiting, after: _Waiting, time: float) -> Mapping[Track, Sighting]:
    """Interpolates the faces at a time between two detections, or returns those of the first."""
    seen, later = before.seen or {}, after.seen or {}
    if time == before.frame.time:
        return seen
    share = (time - before.frame.time) / (after.frame.time - before.frame.time)
    return {
        track: Sighting(_mixed(sighting.box, later[track].box, share), None)
        for track, sighting in seen.items()
        if track in later
    }


def _mixed(one: Box, other: Box, share: float) -> Box:
    x1, y1, x2, y2 = (a + share * (b - a) for a, b in zip(one, other, strict=True))
    return x1, y1, x2, y2


def _seen(waiting: _Waiting, faces: Mapping[Track, Sighting]) -> SeenFrame:
    known = [TrackedFace(track.face, at.box, at.confidence) for track, at in faces.items() if track.face is not None]
    return SeenFrame(waiting.frame, tuple(sorted(known, key=lambda face: face.face)), waiting.is_cut)
