"""Appearance descriptors for re-identifying people within one video; not face recognition.

No trained weights are needed. A head is described by histograms of oriented gradients (Dalal and Triggs, CVPR 2005)
after illumination normalisation similar to Tan and Triggs (*Enhanced local texture feature sets for face recognition*,
TIP 2010): logarithm of the grey levels, difference of Gaussians. Averaging with the mirror image reduces the dependence
on the direction of the light and of the head. A colour histogram of hair and skin shows whether the light is the same.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from fer3d.clips.detectors import Box, Image, as_bgr

_Vector = NDArray[np.float32]

# Width and height of the crops that are described.
_HEAD, _SKIN = (64, 80), (32, 40)
# Below this mean distance from grey, in Lab, colours do not discriminate.
_COLOURLESS = 6.0


@dataclass(frozen=True, slots=True, eq=False)
class Looks:
    """The appearance descriptor of a face.

    Attributes:
        edges: Histograms of oriented gradients, unit length.
        colours: Square root of the colour histogram, unit length; None for a grey image.
    """

    edges: _Vector
    colours: _Vector | None


def describe(image: Image, box: Box) -> Looks:
    """Describes the face in a box, and the hair above it.

    Args:
        image: BGR (H, W, 3) or grey (H, W), uint8.
        box: A detector's box, from the forehead to the chin, in pixels.
    """
    pixels = as_bgr(image)
    grey = cv2.cvtColor(_cut_out(pixels, box, (-0.1, -0.25, 1.1, 1.0), _HEAD), cv2.COLOR_BGR2GRAY)
    logarithm = np.log1p(grey.astype(np.float32))
    relief = cv2.GaussianBlur(logarithm, (0, 0), 1.0) - cv2.GaussianBlur(logarithm, (0, 0), 2.5)
    flat = np.clip(128 + 60 * relief / (relief.std() + 1e-6), 0, 255).astype(np.uint8)
    hog = cv2.HOGDescriptor(_HEAD, (16, 16), (8, 8), (8, 8), 9)
    edges = np.add(hog.compute(flat), hog.compute(np.ascontiguousarray(flat[:, ::-1]))).ravel()
    lab = cv2.cvtColor(_cut_out(pixels, box, (0.05, -0.2, 0.95, 0.9), _SKIN), cv2.COLOR_BGR2LAB)
    if np.abs(lab[..., 1:].astype(np.float32) - 128).mean() < _COLOURLESS:
        return Looks(_unit(edges), None)
    counts = cv2.calcHist([lab], [0, 1, 2], None, [8, 16, 16], [0, 256, 64, 192, 64, 192])
    # Blurred, so that similar colours are closer than different ones.
    return Looks(_unit(edges), _unit(np.sqrt(cv2.GaussianBlur(counts.reshape(8, -1), (1, 5), 1.0)).ravel()))


def distance(one: Looks, other: Looks, *, same_colours: float = 0.035, trust: float = 0.6) -> float:
    """Returns the cosine distance of two faces' edges, reduced if their colours agree.

    Args:
        one: A face.
        other: Another face.
        same_colours: Largest cosine distance at which colours agree. A man who talks and turns for four seconds stays
            below 0.033.
        trust: Factor applied to the distance if colours agree. By edges, photographs of different people are rarely (1
            of 1,000 pairs) closer than 0.076; with this factor they are as close as rendered people by edges alone.
    """
    by_edges = 1.0 - float(one.edges @ other.edges)
    if one.colours is None or other.colours is None or 1.0 - float(one.colours @ other.colours) > same_colours:
        return by_edges
    return trust * by_edges


class People:
    """Gallery of the people in a video.

    Args:
        max_distance: Largest distance at which a face matches a person. On scenes of rendered people with cuts, 0.042
            recognised all 72 returns in the same light, 55 of 112 in another light, pose and expression, and confused
            no one. On single images, 1 % of strangers match one of six people.
        min_ratio: Minimum ratio of the second-best distance to the best; below it there is no match.
        max_people: Maximum number of people; beyond it, the least recently seen is forgotten.
        max_looks: Maximum number of descriptors per person; beyond it, the oldest is forgotten.
    """

    # Minimum distance of a new descriptor from those already stored.
    _NEW_LOOKS = 0.02

    def __init__(
        self, *, max_distance: float = 0.042, min_ratio: float = 1.3, max_people: int = 50, max_looks: int = 8
    ) -> None:
        self._max_distance, self._min_ratio = max_distance, min_ratio
        self._max_people, self._max_looks = max_people, max_looks
        # Ordered from the least to the most recently seen.
        self._looks: dict[int, deque[Looks]] = {}
        self._num_people = 0

    def add(self, looks: Looks) -> int:
        """Adds a new person and returns the identity, from 1."""
        self._num_people += 1
        self.remember(self._num_people, looks)
        return self._num_people

    def remember(self, face: int, looks: Looks) -> None:
        """Updates a person's descriptors."""
        known = self._looks.pop(face, None) or deque([looks], self._max_looks)
        if min(distance(looks, one) for one in known) > self._NEW_LOOKS:
            known.append(looks)
        self._looks[face] = known
        if len(self._looks) > self._max_people:
            del self._looks[next(iter(self._looks))]

    def distance(self, face: int, looks: Looks) -> float:
        """Returns the distance to the person's most similar descriptor; infinite if forgotten."""
        return min((distance(looks, one) for one in self._looks.get(face, ())), default=float("inf"))

    def knows_others(self, present: Collection[int]) -> bool:
        """Returns whether the gallery contains anyone who is not present."""
        return any(face not in present for face in self._looks)

    def recognise(
        self, faces: Sequence[Looks], *, among: Collection[int] | None = None, but: Collection[int] = ()
    ) -> dict[int, int]:
        """Matches faces with the gallery, greedily by distance.

        Args:
            faces: Their descriptors.
            among: Identities to consider; None for all.
            but: Identities to exclude.

        Returns:
            The identity by index in `faces`, for the faces that match; identities are unique.
        """
        asked = [face for face in self._looks if face not in but and (among is None or face in among)]
        table = {(i, face): self.distance(face, looks) for i, looks in enumerate(faces) for face in asked}
        found: dict[int, int] = {}
        for (i, face), nearest in sorted(table.items(), key=lambda entry: entry[1]):
            if nearest > self._max_distance or i in found or face in found.values():
                continue
            others = [table[i, other] for other in asked if other != face and other not in found.values()]
            if min(others, default=float("inf")) >= self._min_ratio * nearest:
                found[i] = face
        return found


def _cut_out(image: Image, box: Box, part: tuple[float, float, float, float], size: tuple[int, int]) -> Image:
    """Returns part of a box, given as fractions of its sides, resized and clipped to the image."""
    (x1, y1, x2, y2), (height, width) = box, image.shape[:2]
    left, right = (round(min(max(x1 + part[i] * (x2 - x1), 0), width)) for i in (0, 2))
    top, bottom = (round(min(max(y1 + part[i] * (y2 - y1), 0), height)) for i in (1, 3))
    left, top = min(left, width - 1), min(top, height - 1)
    inside = image[top : max(bottom, top + 1), left : max(right, left + 1)]
    method = cv2.INTER_AREA if inside.shape[0] > size[1] else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(inside, size, interpolation=method), dtype=np.uint8)


def _unit(vector: NDArray[np.float32]) -> _Vector:
    return np.asarray(vector / max(float(np.linalg.norm(vector)), 1e-9), dtype=np.float32)
