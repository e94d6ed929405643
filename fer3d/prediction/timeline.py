"""Emotions over time as a figure: a band of curves a face, with a strip of its labels underneath."""

from __future__ import annotations

import io
import textwrap
import warnings
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import matplotlib.style
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator
from numpy.typing import NDArray

from fer3d.atomic_file import write_file
from fer3d.prediction.colours import emotion_colours, face_colour
from fer3d.prediction.steps import Prediction, Step

ENDINGS = (".svg", ".png", ".pdf")
# What a curve is made of at most; a figure has fewer pixels.
MOST_POINTS = 2000
MOST_FACES = 12

_WIDTH = 10.0  # inches
_PLOT = 0.82 * _WIDTH  # about what the axes take of it
_LINE = 1.3 / 72  # height of a line in inches, a point of its size
_INK, _MUTED, _GRID, _ALERT, _HATCH = "#1b1d21", "#5a6068", "#d9dce1", "#b3261e", "#eceef1"
_SETTINGS: Any = {
    "font.size": 8,
    "axes.edgecolor": _MUTED,
    "axes.linewidth": 0.6,
    "hatch.linewidth": 0.5,
    "pdf.fonttype": 42,
    "svg.fonttype": "path",
    "svg.hashsalt": "fer3d",
    "text.color": _INK,
    "text.parse_math": False,  # an emotion's or a file's name is no formula
    "xtick.color": _MUTED,
    "ytick.color": _MUTED,
}


class TimelineError(Exception):
    """A figure that cannot be drawn: the file's ending is none that is known."""


@dataclass(slots=True)
class _Point:
    """What falls into one stretch of time: sums, of which a curve shows the mean."""

    sums: NDArray[np.float64]  # (2, num_emotions): smoothed and raw
    time: float = 0.0
    number: int = 0
    said: Counter[tuple[str, str]] = field(default_factory=Counter)  # label and reason

    def add(self, other: _Point) -> None:
        self.sums += other.sums
        self.time += other.time
        self.number += other.number
        self.said += other.said


@dataclass(slots=True)
class _Face:
    points: dict[int, _Point] = field(default_factory=dict)
    spans: list[list[int]] = field(default_factory=list)  # first and last stretch that the face is seen in
    last_frame: int = -2

    def see(self, place: int, frame: int) -> None:
        if self.spans and (frame == self.last_frame + 1 or place <= self.spans[-1][1] + 1):
            self.spans[-1][1] = place
        else:
            self.spans.append([place, place])
        self.last_frame = frame

    def coarsen(self) -> None:
        points, self.points = self.points, {}
        for place, point in points.items():
            if place // 2 in self.points:
                self.points[place // 2].add(point)
            else:
                self.points[place // 2] = point
        spans, self.spans = self.spans, []
        for first, last in spans:
            if self.spans and first // 2 <= self.spans[-1][1] + 1:
                self.spans[-1][1] = last // 2
            else:
                self.spans.append([first // 2, last // 2])


class Timeline:
    """Draws the smoothed probabilities of each face over time, the raw ones thin behind, and its labels underneath.

    Memory and the figure stay small however long the video is: time is cut into at most 2,000 equal stretches, twice as
    long whenever they do not suffice, and what falls into one is averaged; the figure says how long they are. A strip
    shows what was said most often in each. A label holds until the face's next prediction. Of more than twelve faces,
    those seen longest are drawn, and the figure says how many are not.

    A context manager. The file is there after the block, and only if it ended without an exception.

    Args:
        path: The file; its ending chooses SVG, PNG or PDF.
        emotions: Names of the classes.
        caution: A sentence for the heading; empty where there is nothing to say.
        title: The name of what was predicted on.
        source: What the prediction was made with; `checkpoint` stands in the figure.

    Raises:
        TimelineError: The ending is another one.
    """

    def __init__(
        self,
        path: Path,
        *,
        emotions: Sequence[str],
        caution: str = "",
        title: str = "",
        source: Mapping[str, Any] | None = None,
    ) -> None:
        if path.suffix.lower() not in ENDINGS:
            raise TimelineError(f"a timeline ends in {', '.join(ENDINGS)}, and {path.name} does not; rename it")
        self._path = path
        self._emotions = tuple(emotions)
        self._caution = caution
        self._title = title
        self._source = dict(source or {})
        self._width = 0.01  # seconds a stretch
        self._end = 0.0
        self._faces: dict[int, _Face] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            write_file(self._path, self._drawn())

    def add(self, step: Step) -> None:
        """Takes in what is known of one frame."""
        self._end = step.frame.time
        while self._end >= MOST_POINTS * self._width:
            self._width *= 2
            for face in self._faces.values():
                face.coarsen()
        place = int(self._end / self._width)
        for seen in step.faces:
            self._faces.setdefault(seen.face, _Face()).see(place, step.frame.number)
        for prediction in step.predictions:
            if prediction.face is not None:
                self._predict(self._faces.setdefault(prediction.face, _Face()), prediction)

    def _predict(self, face: _Face, prediction: Prediction) -> None:
        point = _Point(np.zeros((2, len(self._emotions))), said=Counter({(prediction.label, prediction.why): 1}))
        if prediction.smoothed is not None and prediction.probabilities is not None:
            point.sums[:] = prediction.smoothed, prediction.probabilities
            point.time, point.number = prediction.time_to, 1
        place = int(prediction.time_to / self._width)
        face.points.setdefault(place, _Point(np.zeros_like(point.sums))).add(point)

    def _drawn(self) -> bytes:
        by_length = sorted(self._faces, key=lambda face: -sum(last - first for first, last in self._faces[face].spans))
        shown = sorted(by_length[:MOST_FACES])
        file = io.BytesIO()
        with _plain_settings():
            figure = self._figure(shown)
            nothing = {".svg": ("Date", "Creator"), ".png": ("Software",), ".pdf": ("CreationDate", "Creator")}
            ending = self._path.suffix.lower()
            metadata: Any = {"Title": f"{self._title} {self._caution}".strip()} | dict.fromkeys(nothing[ending])
            figure.savefig(file, format=ending[1:], metadata=metadata, dpi=150)
        return file.getvalue()

    def _figure(self, shown: list[int]) -> Figure:
        heading = [(line, 11, _INK) for line in textwrap.wrap(self._title, 90)]
        heading += [(line, 9, _ALERT) for line in textwrap.wrap(self._caution, 110)]
        notes = [line for note in self._notes(len(shown)) for line in textwrap.wrap(note, 150)]
        band = 1.5 if len(shown) <= 3 else 1.05
        heights = [
            sum(size for _, size, _ in heading) * _LINE + 0.02,
            *(band, 0.2) * len(shown),
            len(notes) * 7 * _LINE,
        ]
        figure = Figure(
            figsize=(_WIDTH, sum(heights) + 0.24 * len(shown) + 0.4), layout="constrained", facecolor="white"
        )
        layout: Any = figure.get_layout_engine()
        layout.set(h_pad=0.02, w_pad=0.06, hspace=0, wspace=0)
        rows = figure.add_gridspec(len(heights), 1, height_ratios=heights)
        _write(figure.add_subplot(rows[0]), heading)
        first: Axes | None = None
        for number, face in enumerate(shown):
            band_axes = figure.add_subplot(rows[1 + 2 * number], sharex=first)
            first = first or band_axes
            strip_axes = figure.add_subplot(rows[2 + 2 * number], sharex=first)
            self._draw_band(band_axes, face)
            self._draw_strip(strip_axes, self._faces[face])
            strip_axes.tick_params(labelbottom=number == len(shown) - 1, length=2)
        if first is not None:
            first.set_xlim(0, max(self._end, self._width))
        _write(figure.add_subplot(rows[len(heights) - 1]), [(note, 7, _MUTED) for note in notes])
        return figure

    def _notes(self, num_shown: int) -> Iterator[str]:
        if not num_shown:
            yield f"No face was seen in {_clock(self._end)}."
            return
        yield "Thick: averaged over the time before; thin: as predicted. Where a face is not seen, nothing is drawn."
        reasons = sorted(
            {why for face in self._faces.values() for p in face.points.values() for _, why in p.said if why}
        )
        if reasons:
            yield f"Hatched, no label: {'; '.join(reasons)}."
        if any(point.number > 1 for face in self._faces.values() for point in face.points.values()):
            yield f"Each point is the mean over {self._width:.3g} s."
        if len(self._faces) > num_shown:
            yield f"{len(self._faces) - num_shown} more faces, seen for a shorter time, are not drawn."
        if checkpoint := self._source.get("checkpoint"):
            yield f"Checkpoint {checkpoint}"

    def _draw_band(self, axes: Axes, face: int) -> None:
        axes.set(ylim=(0, 1), yticks=(0, 0.5, 1))
        axes.spines[["top", "right", "bottom"]].set_visible(False)
        axes.tick_params(labelbottom=False, bottom=False, length=2)
        axes.grid(axis="y", color=_GRID, linewidth=0.5)
        name = axes.set_title(f" {face} ", loc="left", size=8, weight="bold", pad=4)
        name.set_bbox({"facecolor": face_colour(face), "edgecolor": _INK, "linewidth": 0.5, "pad": 1})
        times, curves = self._curves(self._faces[face])
        colours = emotion_colours(len(self._emotions))
        for number, colour in enumerate(colours):
            axes.plot(times, curves[:, 1, number], color=colour, linewidth=0.5, alpha=0.5)
        for number, colour in enumerate(colours):
            axes.plot(times, curves[:, 0, number], color=colour, linewidth=1.5, solid_capstyle="round")
        order = np.argsort(-np.nan_to_num(curves[:, 0]).sum(axis=0), kind="stable")
        step = 1 / max(len(order), 7)
        for row, number in enumerate(order):
            axes.text(
                1.008,
                1 - (row + 0.5) * step,
                self._emotions[number],
                color=colours[number],
                size=7 if len(order) <= 9 else 5.5,
                weight="bold" if row == 0 else "normal",
                transform=axes.transAxes,
                va="center",
            )

    def _curves(self, face: _Face) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Times (num_points,) and means (num_points, 2, num_emotions), with gaps that are not a number."""
        times: list[float] = []
        means: list[NDArray[np.float64]] = []
        gap = np.full((2, len(self._emotions)), np.nan)
        for first, last in face.spans:
            for place in sorted(place for place in face.points if first <= place <= last):
                point = face.points[place]
                times.append(point.time / point.number if point.number else place * self._width)
                means.append(point.sums / point.number if point.number else gap)
            times.append(times[-1] if times else 0)
            means.append(gap)
        return np.array(times, np.float32), np.array(means, np.float32).reshape(-1, 2, len(self._emotions))

    def _draw_strip(self, axes: Axes, face: _Face) -> None:
        axes.set(ylim=(0, 1), yticks=())
        axes.spines[["top", "right", "left"]].set_visible(False)
        axes.xaxis.set_major_locator(MaxNLocator(10, steps=[1, 2, 3, 5, 6, 10]))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda second, _: _clock(second)))
        colours = dict(zip(self._emotions, emotion_colours(len(self._emotions)), strict=True))
        for start, end, (label, why) in self._stretches(face):
            colour = colours.get(label)
            axes.broken_barh(
                [(start, end - start)],
                (0.05, 0.95),
                facecolor=colour or _HATCH,
                edgecolor="white" if colour else _MUTED,
                linewidth=0.4 if colour else 0,
                hatch=None if colour else "//////",
            )
            text, width = label or why, (end - start) / max(self._end, self._width) * _PLOT
            if len(text) * 6.5 * 0.62 / 72 < width:
                box = None if colour else {"facecolor": _HATCH, "edgecolor": "none", "pad": 0.8}
                middle = (start + end) / 2
                axes.text(
                    middle, 0.5, text, color="white" if colour else _INK, size=6.5, ha="center", va="center", bbox=box
                )

    def _stretches(self, face: _Face) -> Iterator[tuple[float, float, tuple[str, str]]]:
        """Yields from when to when the same was said, and what."""
        for first, last in face.spans:
            end = min((last + 1) * self._width, max(self._end, self._width))
            places = sorted(place for place in face.points if first <= place <= last)
            said = [(place * self._width, face.points[place].said.most_common(1)[0][0]) for place in places]
            changes = [one for before, one in pairwise([(0.0, ("", "")), *said]) if one[1] != before[1]]
            for (start, what), (stop, _) in pairwise([*changes, (end, ("", ""))]):
                yield start, stop, what


def _write(axes: Axes, lines: list[tuple[str, int, str]]) -> None:
    axes.set_axis_off()
    whole = sum(size for _, size, _ in lines) or 1
    above = 0.0
    for text, size, colour in lines:
        axes.text(
            0, 1 - above / whole, text, size=size, color=colour, weight="bold" if size > 8 else "normal", va="top"
        )
        above += size


def _clock(second: float) -> str:
    if second < 100:
        return f"{second:g} s" if second == round(second, 1) else f"{second:.1f} s"
    hours, rest = divmod(round(second), 3600)
    return f"{hours}:{rest // 60:02d}:{rest % 60:02d}" if hours else f"{rest // 60}:{rest % 60:02d}"


@contextmanager
def _plain_settings() -> Iterator[None]:
    """This figure's settings instead of the user's, and no word about letters that the font does not have."""
    with matplotlib.style.context("default"), matplotlib.rc_context(_SETTINGS), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from font", UserWarning)
        yield
