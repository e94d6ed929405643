"""A face's predictions over time, binned so that memory does not grow with the video."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray


@dataclass(slots=True)
class Point:
    """The predictions in one bin, as sums; curves show their means.

    Attributes:
        sums: Sums of the smoothed and the raw probabilities, (2, num_emotions).
        time: Sum of their times in seconds.
        number: Number of predictions with probabilities.
        said: Count of each label, or reason for withholding it.
    """

    sums: NDArray[np.float64]
    time: float = 0.0
    number: int = 0
    said: Counter[tuple[str, str]] = field(default_factory=Counter)

    def add(self, other: Point) -> None:
        """Adds another bin."""
        self.sums += other.sums
        self.time += other.time
        self.number += other.number
        self.said += other.said


@dataclass(slots=True)
class FaceHistory:
    """The history of one face in equal time bins, numbered from 0.

    Attributes:
        points: The predictions of each bin, by its number.
        spans: First and last bin of each period in which the face is visible.
        last_frame: Number of the last frame in which it was visible.
    """

    points: dict[int, Point] = field(default_factory=dict)
    spans: list[tuple[int, int]] = field(default_factory=list)
    last_frame: int = -2

    def add(self, place: int, point: Point) -> None:
        """Adds predictions to a bin."""
        if place in self.points:
            self.points[place].add(point)
        else:
            self.points[place] = point

    def see(self, place: int, frame: int) -> None:
        """Marks the face as visible in a frame; gaps within a bin are ignored."""
        self._extend(place, place, frame == self.last_frame + 1)
        self.last_frame = frame

    def coarsen(self) -> None:
        """Doubles the length of the bins."""
        points, self.points = self.points, {}
        for place, point in points.items():
            self.add(place // 2, point)
        spans, self.spans = self.spans, []
        for first, last in spans:
            self._extend(first // 2, last // 2)

    def within(self, span: tuple[int, int]) -> list[tuple[int, Point]]:
        """The points of a span in temporal order."""
        return [(place, self.points[place]) for place in range(span[0], span[1] + 1) if place in self.points]

    def _extend(self, first: int, last: int, is_next: bool = False) -> None:
        if self.spans and (is_next or first <= self.spans[-1][1] + 1):
            self.spans[-1] = self.spans[-1][0], last
        else:
            self.spans.append((first, last))
