"""Multi-face tracking: assigns detections to tracks, and tracks to identities.

SORT (Bewley, Ge, Ott, Ramos and Upcroft, *Simple online and realtime tracking*, ICIP 2016): a Kalman filter predicts
each face's box, and the Hungarian algorithm assigns detections by overlap. Where boxes contest a detection, and after a
face was lost, `appearance` decides, as in DeepSORT (Wojke, Bewley and Paulus, ICIP 2017).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from fer3d.clips.detectors import Box, Detection, Image, as_bgr, overlaps
from fer3d.prediction.faces.appearance import Looks, People, describe

# Overlap above which several boxes contest a detection.
_CONTESTED = 0.1
# Weight of the appearance distance against overlap: the difference between another person's distance (0.08) and one's
# own (0.03) counts as much as half a box.
_OVERLAP_FOR_LOOKS = 10.0
# Seconds between updates of a person's descriptor.
_DESCRIBE_EVERY = 0.5
# Minimum correlation of a box's pixels with those of the lost face. A head that turns beyond the profile stays above it
# for a sixth to a third of a second; one that leaves or is occluded does not.
_STILL_THERE = 0.6


_Pixels = NDArray[np.float32]


class Motion:
    """Constant-velocity Kalman filter of a box's centre, width and height, in pixels and seconds.

    As in SORT, but with time in seconds, and width and height instead of area and aspect ratio. The four coordinates
    share one covariance: noise is relative to the height of the face.

    Args:
        box: The first box.
        time: Its time in seconds.
        jitter: Measurement noise: standard deviation of the detector's boxes, in face heights.
        restless: Process noise: standard deviation of the velocity change per second, in face heights per second.
    """

    def __init__(self, box: Box, time: float, jitter: float = 0.05, restless: float = 2.0) -> None:
        self._place, self._velocity = _middle_and_sides(box), np.zeros(4)
        # The initial velocity is unknown.
        self._covariance = np.diag([jitter**2, restless**2])
        self._jitter, self._restless, self._time = jitter, restless, time

    def predict(self, time: float) -> Box:
        """Returns the predicted box at a later time."""
        x, y, width, height = (self._place + self._velocity * (time - self._time)).tolist()
        width, height = max(width, 1.0), max(height, 1.0)
        return x - width / 2, y - height / 2, x + width / 2, y + height / 2

    def update(self, box: Box, time: float) -> None:
        """Updates the filter with the box detected at a later time."""
        elapsed = time - self._time
        step = np.array([[1.0, elapsed], [0.0, 1.0]])
        # Process noise of white-noise acceleration.
        noise = np.array([[elapsed**3 / 3, elapsed**2 / 2], [elapsed**2 / 2, elapsed]]) * self._restless**2
        covariance = step @ self._covariance @ step.T + noise
        gain = covariance[:, 0] / (covariance[0, 0] + self._jitter**2)
        expected = self._place + self._velocity * elapsed
        surprise = _middle_and_sides(box) - expected
        self._place, self._velocity = expected + gain[0] * surprise, self._velocity + gain[1] * surprise
        self._covariance = covariance - np.outer(gain, covariance[0])
        self._time = time


def _middle_and_sides(box: Box) -> NDArray[np.float64]:
    x1, y1, x2, y2 = box
    return np.array([(x1 + x2) / 2, (y1 + y2) / 2, x2 - x1, y2 - y1])


@dataclass(frozen=True, slots=True)
class Sighting:
    """A face in a frame on which the detector ran.

    Attributes:
        box: Its box, within the frame.
        confidence: The detector's confidence; None if it was not detected and is held at its last box.
    """

    box: Box
    confidence: float | None


@dataclass(slots=True, eq=False)
class Track:
    """A track: one face, followed without interruption.

    Attributes:
        found: Its latest detection.
        first_seen: Time of its first detection in seconds.
        last_seen: Time of its latest detection.
        face: The identity, from 1; None while unconfirmed.
        pixels: Thumbnail of its box: grey values with mean 0 and unit length.
    """

    found: Detection
    first_seen: float
    last_seen: float
    pixels: _Pixels
    face: int | None = None
    motion: Motion = field(init=False)
    described: float = field(init=False)

    def __post_init__(self) -> None:
        self.motion = Motion(self.found.box, self.first_seen)

    def follow(self, found: Detection, time: float, pixels: _Pixels) -> None:
        """Adds the next detection."""
        self.motion.update(found.box, time)
        self.found, self.last_seen, self.pixels = found, time, pixels


class Tracker:
    """Assigns the detections of a video to identities.

    Args:
        people: The gallery; None for an empty one with default settings.
        min_overlap: Minimum intersection over union of a detection and the predicted box. SORT's 0.3 is for crowds; a
            face moves up to two thirds of its width between detections.
        keep: Seconds for which a lost face is held at its last box while the pixels there stay similar: a missed
            detection, or a head that turns away briefly.
        sure: A detection with this confidence is confirmed at once. Res10's false positives reach 0.8, rarely more.
        believe: Seconds for which a less confident detection must persist to be confirmed.
        settle: Seconds for which a face that enters during a shot may stay unreported if it matches no one in the
            gallery: a face that enters at the border, from behind someone, or by turning to the camera is only half
            visible at first and cannot be matched. With 0 it is a new person at once.
    """

    def __init__(
        self,
        *,
        people: People | None = None,
        min_overlap: float = 0.2,
        keep: float = 0.5,
        sure: float = 0.8,
        believe: float = 0.15,
        settle: float = 0.5,
    ) -> None:
        self._people = people or People()
        self._min_overlap, self._keep, self._sure = min_overlap, keep, sure
        self._believe, self._settle = believe, settle
        self._tracks: list[Track] = []
        self._shot_start = float("inf")

    def look(
        self, pixels: Image, detections: Sequence[Detection], time: float, max_faces: int | None = None
    ) -> dict[Track, Sighting]:
        """Processes the detections of the next frame and returns the faces in it.

        An unconfirmed track may get an identity later, or end without one as a false positive.

        Args:
            pixels: The frame.
            detections: Its detections, most confident first.
            time: Its time in seconds.
            max_faces: Maximum number of tracks; None for no limit. Beyond it, less confident new faces are ignored.
        """
        view = _View(pixels, detections)
        self._shot_start = min(self._shot_start, time)
        expected = {track: track.motion.predict(time) for track in self._tracks}
        owners = self._by_place(expected, view)
        owners |= self._by_looks([track for track in self._tracks if track not in owners.values()], view, owners)
        for number, track in owners.items():
            track.follow(detections[number], time, view.part(detections[number].box))
        lost = [track for track in self._tracks if track not in owners.values()]
        held = {track: self._hold(track, view, time) for track in lost}
        for number, found in enumerate(detections):
            if number not in owners and (max_faces is None or len(self._tracks) < max_faces):
                owners[number] = Track(found, time, time, view.part(found.box))
                self._tracks.append(owners[number])
        self._name(owners, view, time)
        seen = {track: Sighting(track.found.box, track.found.confidence) for track in owners.values()}
        return seen | {track: sighting for track, sighting in held.items() if sighting and track in self._tracks}

    def end_shot(self) -> None:
        """Ends all tracks at a cut."""
        self._tracks.clear()
        self._shot_start = float("inf")

    def _by_place(self, expected: dict[Track, Box], view: _View) -> dict[int, Track]:
        """Assigns detections to tracks by their predicted boxes."""
        tracks = list(expected)
        shared = overlaps(list(expected.values()), [found.box for found in view.detections])
        score = shared.copy()
        near = shared > _CONTESTED
        for i, j in np.argwhere(near & ((near.sum(axis=0) > 1) | (near.sum(axis=1, keepdims=True) > 1))).tolist():
            if (face := tracks[i].face) is not None:
                score[i, j] -= _OVERLAP_FOR_LOOKS * min(self._people.distance(face, view.looks(j)), 0.1)
        score[shared < self._min_overlap] = -10.0
        pairs = zip(*(places.tolist() for places in linear_sum_assignment(-score)), strict=True)
        return {j: tracks[i] for i, j in pairs if shared[i, j] >= self._min_overlap}

    def _by_looks(self, lost: Sequence[Track], view: _View, owners: dict[int, Track]) -> dict[int, Track]:
        """Assigns the remaining detections to lost tracks by appearance."""
        by_face = {track.face: track for track in lost if track.face is not None}
        rest = [number for number in range(len(view.detections)) if number not in owners]
        if not by_face or not rest:
            return {}
        found = self._people.recognise([view.looks(number) for number in rest], among=by_face.keys())
        return {rest[i]: by_face[face] for i, face in found.items()}

    def _hold(self, track: Track, view: _View, time: float) -> Sighting | None:
        """Holds a lost track at its last box if the pixels still fit, or ends it after `keep` seconds."""
        if track.face is None or time - track.last_seen > self._keep:
            self._tracks.remove(track)
            return None
        box = track.found.box
        return Sighting(box, None) if float(view.part(box) @ track.pixels) >= _STILL_THERE else None

    def _name(self, owners: dict[int, Track], view: _View, time: float) -> None:
        """Assigns identities to confirmed tracks, and updates the gallery."""
        present = {track.face for track in owners.values() if track.face is not None}
        someone_away = self._people.knows_others(present)
        unnamed = [
            number
            for number, track in owners.items()
            if track.face is None and (track.found.confidence >= self._sure or time - track.first_seen >= self._believe)
        ]
        # By first detection; ties from left to right.
        unnamed.sort(key=lambda number: (owners[number].first_seen, owners[number].found.box[0]))
        known = self._people.recognise([view.looks(number) for number in unnamed], but=present) if someone_away else {}
        for i, number in enumerate(unnamed):
            track = owners[number]
            came_in = track.first_seen > self._shot_start and time - track.first_seen < self._settle
            if i in known:
                # A track that was held for this person was wrong.
                self._tracks = [other for other in self._tracks if other.face != known[i]]
                track.face = known[i]
            elif not (someone_away and came_in):
                track.face = self._people.add(view.looks(number))
        for number, track in owners.items():
            if track.face is not None and (number in unnamed or time - track.described >= _DESCRIBE_EVERY):
                self._people.remember(track.face, view.looks(number))
                track.described = time


class _View:
    """A frame with its detections and their descriptors."""

    def __init__(self, pixels: Image, detections: Sequence[Detection]) -> None:
        self.pixels, self.detections = pixels, detections
        self._looks: dict[int, Looks] = {}

    def looks(self, number: int) -> Looks:
        """Returns the descriptor of a detection, computed on demand and cached."""
        if number not in self._looks:
            self._looks[number] = describe(self.pixels, self.detections[number].box)
        return self._looks[number]

    def part(self, box: Box) -> _Pixels:
        """Returns a thumbnail of a box: grey values with mean 0 and unit length."""
        x1, y1, x2, y2 = (round(side) for side in box)
        inside = self.pixels[y1 : max(y2, y1 + 1), x1 : max(x2, x1 + 1)]
        small = cv2.resize(as_bgr(inside), (16, 16), interpolation=cv2.INTER_AREA)
        grey = cv2.cvtColor(small, cv2.COLOR_BGR2GRAY).astype(np.float32).ravel()
        grey -= grey.mean()
        return np.asarray(grey / max(float(np.linalg.norm(grey)), 1e-6))
