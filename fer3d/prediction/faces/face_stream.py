"""From frames to faces with identities: detection now and then, tracking between, within bounded memory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from fer3d.clips.detectors import Box, FaceDetector, detect_all
from fer3d.prediction.faces.cuts import CutFinder
from fer3d.prediction.faces.tracks import Sighting, Track, Tracker
from fer3d.prediction.steps import Frame, TrackedFace


@dataclass(frozen=True, slots=True, eq=False)
class SeenFrame:
    """A frame and who is in it.

    Attributes:
        frame: The frame.
        faces: The faces in it, by their numbers.
        is_cut: Whether a new shot begins with this frame: what came before is of another scene, even of a face that is
            in both.
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
    """Finds the faces in each frame and follows them.

    The detector looks at the frames whose number is a multiple of `every`, at the first and the last frame, and at the
    frames before and after a cut. In between, a face's box is interpolated linearly in time. A face that is not found
    again keeps its box for the time that `tracker` says.

    A frame comes out once the next looked-at frame is known, so the stream lags behind by at most `every` frames and
    holds no more than these. So a face of which the second look tells that it is one is reported from the first on;
    which need more, and are reported later, see `Tracker`.

    Args:
        frames: The frames in the order of time.
        detector: Finds the faces; one without `detect_all` finds one a frame.
        every: Of how many frames one is looked at; with 1, every box is the detector's own.
        max_faces: How many faces are followed at a time; None for all.
        tracker: Follows the faces; None for one with its own settings.
        cuts: Finds the cuts; None for one with its own settings.

    Raises:
        ValueError: `every` or `max_faces` is below 1.
    """
    for name, number in (("every", every), ("max_faces", max_faces)):
        if number is not None and number < 1:
            raise ValueError(f"{name} must be at least 1, got {number}")
    return _Watcher(detector, every, max_faces, tracker or Tracker(), cuts or CutFinder()).watch(frames)


@dataclass(slots=True, eq=False)
class _Waiting:
    """A frame that has not come out yet, and the faces in it where it was looked at."""

    frame: Frame
    is_cut: bool
    seen: dict[Track, Sighting] | None = None


class _Watcher:
    def __init__(
        self, detector: FaceDetector, every: int, max_faces: int | None, tracker: Tracker, cuts: CutFinder
    ) -> None:
        self._detector, self._every, self._max_faces = detector, every, max_faces
        self._tracker, self._cuts = tracker, cuts
        # From the last looked-at frame on.
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
        """Looks at the newest frame, and lets those before it out."""
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
    """Returns the faces at a second between two looked-at frames, or at the first of them."""
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
