"""Faces found one by one become people: which detection shows whom.

SORT (Bewley, Ge, Ott, Ramos and Upcroft, *Simple online and realtime tracking*, ICIP 2016): a Kalman filter expects
where each face will be (`motion`), and the Hungarian method gives each detection to the box that it overlaps. Where
faces are so near each other that overlap does not decide, and where a face was lost, the looks do (`appearance`), as in
DeepSORT (Wojke, Bewley and Paulus, ICIP 2017).
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
from fer3d.prediction.faces.motion import Motion

# Boxes that overlap by more get in each other's way.
_CONTESTED = 0.1
# How much less overlap a difference in looks makes good: that of two people (0.08) instead of one's own (0.03) as much
# as half a box.
_OVERLAP_FOR_LOOKS = 10.0
# Seconds after which a person's looks are described anew.
_DESCRIBE_EVERY = 0.5
# The least correlation of a box's pixels with those of the face that was found there. A head that turns on beyond the
# profile stays above for a sixth to a third of a second; one that walks away or behind somebody does not.
_STILL_THERE = 0.6


_Pixels = NDArray[np.float32]


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
        found: Its last detection.
        first_seen: The second of its first one.
        last_seen: The second of its last one.
        face: The person's number, from 1; None while it is open who this is, or whether it is a face at all.
        pixels: What its box shows, few grey values of mean 0 and length 1.
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
        """Takes in the next detection."""
        self.motion.update(found.box, time)
        self.found, self.last_seen, self.pixels = found, time, pixels


class Tracker:
    """Gives each detection of one video after the other to a person.

    Args:
        people: Who is known; None for nobody, and its own settings.
        min_overlap: The least intersection over union of a detection and the box that was expected. SORT's 0.3 is for
            crowds; a face moves up to two thirds of its width from one look to the next.
        keep: For how many seconds a face that is not found any more is believed to be where it was, while the picture
            there stays alike: a blink of the detector, or a head that turns away for a moment.
        sure: A detection of this confidence is a face at once, and is reported from its first frame. Res10 takes other
            things for faces up to 0.8, and seldom beyond.
        believe: For how many seconds one of less has to be found to be a face.
        settle: For how many seconds a face that comes in during a shot may go unreported, if there are people to
            recognise and it looks like none of them: who comes in at the border, from behind somebody, or turns back to
            the camera, shows half a face first, and by that nobody is recognised. With 0 it is a new person at once.
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
        """Takes in what was found in the next frame, and returns which faces are in it.

        A track without a number may get one later, or end without: then it was no face.

        Args:
            pixels: The frame.
            detections: What was found in it, most confident first.
            time: Its second.
            max_faces: How many faces are followed at a time; None for all. Beyond, the less confident new ones are left
                out.
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
        """Ends all tracks: what comes next is another picture."""
        self._tracks.clear()
        self._shot_start = float("inf")

    def _by_place(self, expected: dict[Track, Box], view: _View) -> dict[int, Track]:
        """Returns the track of each detection that is where a face was expected."""
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
        """Returns the track of each other detection that shows a face that was lost somewhere else."""
        by_face = {track.face: track for track in lost if track.face is not None}
        rest = [number for number in range(len(view.detections)) if number not in owners]
        if not by_face or not rest:
            return {}
        found = self._people.recognise([view.looks(number) for number in rest], among=by_face.keys())
        return {rest[i]: by_face[face] for i, face in found.items()}

    def _hold(self, track: Track, view: _View, time: float) -> Sighting | None:
        """Ends a track that was lost too long ago, or returns where its face is believed to be, if it still can be."""
        if track.face is None or time - track.last_seen > self._keep:
            self._tracks.remove(track)
            return None
        box = track.found.box
        return Sighting(box, None) if float(view.part(box) @ track.pixels) >= _STILL_THERE else None

    def _name(self, owners: dict[int, Track], view: _View, time: float) -> None:
        """Says who the tracks are that have no number yet, and remembers the looks of those that have."""
        present = {track.face for track in owners.values() if track.face is not None}
        someone_away = self._people.knows_others(present)
        unnamed = [
            number
            for number, track in owners.items()
            if track.face is None and (track.found.confidence >= self._sure or time - track.first_seen >= self._believe)
        ]
        # The first one first, and of several the left one.
        unnamed.sort(key=lambda number: (owners[number].first_seen, owners[number].found.box[0]))
        known = self._people.recognise([view.looks(number) for number in unnamed], but=present) if someone_away else {}
        for i, number in enumerate(unnamed):
            track = owners[number]
            came_in = track.first_seen > self._shot_start and time - track.first_seen < self._settle
            if i in known:
                # Wherever that person was believed to be, it was a mistake.
                self._tracks = [other for other in self._tracks if other.face != known[i]]
                track.face = known[i]
            elif not (someone_away and came_in):
                track.face = self._people.add(view.looks(number))
        for number, track in owners.items():
            if track.face is not None and (number in unnamed or time - track.described >= _DESCRIBE_EVERY):
                self._people.remember(track.face, view.looks(number))
                track.described = time


class _View:
    """A frame that was looked at, and what was found in it."""

    def __init__(self, pixels: Image, detections: Sequence[Detection]) -> None:
        self.pixels, self.detections = pixels, detections
        self._looks: dict[int, Looks] = {}

    def looks(self, number: int) -> Looks:
        """Returns what a detection looks like; worked out once, and only where it is needed."""
        if number not in self._looks:
            self._looks[number] = describe(self.pixels, self.detections[number].box)
        return self._looks[number]

    def part(self, box: Box) -> _Pixels:
        """Returns what a box shows, as few grey values of mean 0 and length 1."""
        x1, y1, x2, y2 = (round(side) for side in box)
        inside = self.pixels[y1 : max(y2, y1 + 1), x1 : max(x2, x1 + 1)]
        small = cv2.resize(as_bgr(inside), (16, 16), interpolation=cv2.INTER_AREA)
        grey = cv2.cvtColor(small, cv2.COLOR_BGR2GRAY).astype(np.float32).ravel()
        grey -= grey.mean()
        return np.asarray(grey / max(float(np.linalg.norm(grey)), 1e-6))
