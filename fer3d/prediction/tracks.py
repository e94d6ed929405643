"""Faces found one by one become people: which detection shows whom.

SORT (Bewley, Ge, Ott, Ramos and Upcroft, *Simple online and realtime tracking*, ICIP 2016): a Kalman filter of constant
velocity expects where each face will be, and the Hungarian method gives each detection to the box that it overlaps.
What differs: the filter runs in seconds and in heights of the face, so that any frame rate and size of picture has the
same numbers; and who has left is recognised by the looks (`appearance`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from fer3d.clips.detectors import Box, Detection, Image, overlaps
from fer3d.prediction.appearance import Descriptor, describe, distance

_FloatArray = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Sighting:
    """A face in a frame that was looked at.

    Attributes:
        box: Where it is, within the frame.
        confidence: The detector's; None where the face was not found and is believed to be where it was.
    """

    box: Box
    confidence: float | None


@dataclass(slots=True, eq=False)
class Track:
    """One face, followed without a break.

    Attributes:
        face: The person's number, from 1; None while it is open whether this is a face at all.
        last_seen: The second of its last detection.
        box: Its box in that frame.
        num_found: In how many frames it was found.
        looks: What the person looks like.
    """

    face: int | None
    last_seen: float
    box: Box
    looks: Descriptor
    num_found: int = 1
    motion: Motion = field(init=False)

    def __post_init__(self) -> None:
        self.motion = Motion(self.box, self.last_seen)


class Motion:
    """A Kalman filter of constant velocity for a box's middle and sides, in seconds and in heights of the face.

    The four coordinates have the same noise, and so share one covariance.

    Args:
        box: The first box.
        time: Its second.
        jitter: Standard deviation of the detector's boxes, in heights.
        restless: Standard deviation of what a face's velocity changes by within a second, in heights a second.
    """

    def __init__(self, box: Box, time: float, jitter: float = 0.05, restless: float = 2.0) -> None:
        self._position, self._velocity = _middle_and_sides(box), np.zeros(4)
        # A face that was just found may move at any speed.
        self._covariance = np.diag([jitter**2, restless**2])
        self._jitter, self._restless, self._time = jitter, restless, time

    def predict(self, time: float) -> Box:
        """Returns the box that is expected at a later second."""
        x, y, width, height = (self._position + self._velocity * (time - self._time)).tolist()
        width, height = max(width, 1.0), max(height, 1.0)
        return x - width / 2, y - height / 2, x + width / 2, y + height / 2

    def update(self, box: Box, time: float) -> None:
        """Takes in the box that was found at a later second."""
        elapsed = time - self._time
        step = np.array([[1.0, elapsed], [0.0, 1.0]])
        # White noise of the acceleration.
        noise = np.array([[elapsed**3 / 3, elapsed**2 / 2], [elapsed**2 / 2, elapsed]]) * self._restless**2
        covariance = step @ self._covariance @ step.T + noise
        gain = covariance[:, 0] / (covariance[0, 0] + self._jitter**2)
        expected = self._position + self._velocity * elapsed
        surprise = _middle_and_sides(box) - expected
        self._position = expected + gain[0] * surprise
        self._velocity = self._velocity + gain[1] * surprise
        self._covariance = covariance - np.outer(gain, covariance[0])
        self._time = time


class Tracker:
    """Gives each detection of one video after the other to a person.

    Args:
        min_overlap: The least intersection over union of a detection with the box that was expected; SORT's.
        keep: For how many seconds a face that is not found any more is believed to be where it was.
        sure: A detection of this confidence is a face at once; of a lower one, when it is found a second time.
        max_distance: How unlike a person may look to be recognised as one seen before.
        max_people: How many people are remembered; beyond, who was not seen for the longest time is forgotten.
        max_faces: How many faces are followed at a time; None for all. New ones beyond are left out.
    """

    def __init__(
        self,
        *,
        min_overlap: float = 0.3,
        keep: float = 0.5,
        sure: float = 0.8,
        max_distance: float = 0.35,
        max_people: int = 50,
        max_faces: int | None = None,
    ) -> None:
        self._min_overlap, self._keep, self._sure = min_overlap, keep, sure
        self._max_distance, self._max_people, self._max_faces = max_distance, max_people, max_faces
        self._tracks: list[Track] = []
        self._people: dict[int, Descriptor] = {}
        self._num_people = 0

    def look(self, pixels: Image, detections: Sequence[Detection], time: float) -> dict[Track, Sighting]:
        """Takes in what was found in the next frame, and returns which faces are in it.

        Args:
            pixels: The frame.
            detections: What was found in it, most confident first.
            time: Its second.
        """
        expected = [track.motion.predict(time) for track in self._tracks]
        pairs = self._assign(expected, [detection.box for detection in detections])
        seen: dict[Track, Sighting] = {}
        for track_number, number in pairs:
            track, found = self._tracks[track_number], detections[number]
            track.motion.update(found.box, time)
            track.last_seen, track.box = time, found.box
            track.looks = describe(pixels, found.box)
            track.num_found += 1
            seen[track] = Sighting(found.box, found.confidence)
        for track in [track for track in self._tracks if track not in seen]:
            if track.face is None or time - track.last_seen > self._keep:
                self._end(track)
            else:
                seen[track] = Sighting(track.box, None)
        taken = {number for _, number in pairs}
        for number, found in enumerate(detections):
            if number not in taken and (self._max_faces is None or len(self._tracks) < self._max_faces):
                track = Track(None, time, found.box, describe(pixels, found.box))
                self._tracks.append(track)
                seen[track] = Sighting(found.box, found.confidence)
        for track, sighting in seen.items():
            if track.face is None and (track.num_found > 1 or (sighting.confidence or 0) >= self._sure):
                track.face = self._recognise(track.looks)
            if track.face is not None:
                self._remember(track.face, track.looks)
        return seen

    def end_shot(self) -> None:
        """Ends all tracks: what comes next is another picture."""
        for track in list(self._tracks):
            self._end(track)

    def _assign(self, expected: Sequence[Box], found: Sequence[Box]) -> list[tuple[int, int]]:
        shared = overlaps(expected, found)
        rows, columns = linear_sum_assignment(-shared)
        return [
            (i, j) for i, j in zip(rows.tolist(), columns.tolist(), strict=True) if shared[i, j] >= self._min_overlap
        ]

    def _end(self, track: Track) -> None:
        self._tracks.remove(track)

    def _recognise(self, looks: Descriptor) -> int:
        present = {track.face for track in self._tracks}
        away = {face: distance(looks, known) for face, known in self._people.items() if face not in present}
        nearest = min(away, key=lambda face: away[face], default=None)
        if nearest is not None and away[nearest] <= self._max_distance:
            return nearest
        self._num_people += 1
        return self._num_people

    def _remember(self, face: int, looks: Descriptor) -> None:
        self._people.pop(face, None)
        self._people[face] = looks
        if len(self._people) > self._max_people:
            del self._people[next(iter(self._people))]


def _middle_and_sides(box: Box) -> _FloatArray:
    x1, y1, x2, y2 = box
    return np.array([(x1 + x2) / 2, (y1 + y2) / 2, x2 - x1, y2 - y1])
