"""What is said of a face over time, in so many stretches of time that memory does not grow with the video."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray


@dataclass(slots=True)
class Point:
    """What falls into one stretch of time: sums, of which a curve shows the mean.

    Attributes:
        sums: Of probabilities, smoothed and raw, (2, num_emotions).
        time: The sum of the seconds that they belong to.
        number: How many of them there are.
        said: How often each label, or reason for none, was given.
    """

    sums: NDArray[np.float64]
    time: float = 0.0
    number: int = 0
    said: Counter[tuple[str, str]] = field(default_factory=Counter)

    def add(self, other: Point) -> None:
        """Adds what another one holds."""
        self.sums += other.sums
        self.time += other.time
        self.number += other.number
        self.said += other.said


@dataclass(slots=True)
class FaceHistory:
    """One face, with time cut into equal stretches that are numbered from 0.

    Attributes:
        points: What was said in each stretch, by its number.
        spans: The first and the last stretch of each time that the face is seen.
        last_frame: Number of the last frame that it was seen in.
    """

    points: dict[int, Point] = field(default_factory=dict)
    spans: list[tuple[int, int]] = field(default_factory=list)
    last_frame: int = -2

    def add(self, place: int, point: Point) -> None:
        """Takes in what is said in a stretch."""
        if place in self.points:
            self.points[place].add(point)
        else:
            self.points[place] = point

    def see(self, place: int, frame: int) -> None:
        """Takes in that the face is seen in a frame of a stretch; gaps within a stretch do not count."""
        self._extend(place, place, frame == self.last_frame + 1)
        self.last_frame = frame

    def coarsen(self) -> None:
        """Makes stretches twice as long."""
        points, self.points = self.points, {}
        for place, point in points.items():
            self.add(place // 2, point)
        spans, self.spans = self.spans, []
        for first, last in spans:
            self._extend(first // 2, last // 2)

    def within(self, span: tuple[int, int]) -> list[tuple[int, Point]]:
        """The points of a span, in the order of time."""
        return [(place, self.points[place]) for place in range(span[0], span[1] + 1) if place in self.points]

    def _extend(self, first: int, last: int, is_next: bool = False) -> None:
        if self.spans and (is_next or first <= self.spans[-1][1] + 1):
            self.spans[-1] = self.spans[-1][0], last
        else:
            self.spans.append((first, last))
