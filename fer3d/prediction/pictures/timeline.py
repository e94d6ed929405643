"""Timeline: emotions over time as a figure, with curves and a strip of labels per face."""

from __future__ import annotations

import io
import textwrap
import warnings
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import matplotlib.style
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MultipleLocator
from numpy.typing import NDArray

from fer3d.atomic_file import write_file
from fer3d.prediction.pictures.face_history import FaceHistory, Point
from fer3d.prediction.pictures.style import PictureInfo, emotion_colours, face_colour, font_families, short, text_on
from fer3d.prediction.steps import Prediction, Step
from fer3d.prediction.trained import PredictionError

ENDINGS = (".svg", ".png", ".pdf")
# Maximum number of points per curve; with more, the lines of seven emotions would merge.
MOST_POINTS = 600
MOST_FACES = 12

_WIDTH = 10.0  # inches
_PLOT = 0.82 * _WIDTH  # approximate width of the axes
_LINE = 1.3 / 72  # line height in inches per point of text size
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
    "text.parse_math": False,  # names of emotions and files are not formulas
    "xtick.color": _MUTED,
    "ytick.color": _MUTED,
}


class TimelineError(PredictionError):
    """A timeline's file format is not supported."""


class Timeline:
    """Draws each face's smoothed probabilities over time, the raw ones as thin lines, and a strip of labels.

    Memory and the figure stay small for any length: time is divided into at most 600 equal bins, whose length doubles
    when needed, and predictions in a bin are averaged; the figure states the bin length. The strip shows the most
    frequent label of each bin. A label holds until the face's next prediction. Of more than twelve faces, those visible
    longest are drawn, and the figure states how many are not.

    A context manager. The file appears after the block, and only if it ended without an exception.

    Args:
        path: The file; its suffix selects SVG, PNG or PDF.
        info: What to show; of the provenance, the figure names the `checkpoint`.

    Raises:
        TimelineError: The suffix is not supported.
    """

    def __init__(self, path: Path, info: PictureInfo) -> None:
        if path.suffix.lower() not in ENDINGS:
            raise TimelineError(f"{path.name} must end in {', '.join(ENDINGS)}: rename it")
        self._path, self._info = path, info
        self._width = 0.01  # seconds per bin
        self._num_frames = 0
        self._time = 0.0  # of the last frame
        self._end = self._width  # when it is over
        self._faces: dict[int, FaceHistory] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            write_file(self._path, self._drawn())

    def add(self, step: Step) -> None:
        """Adds one frame."""
        time = step.frame.time
        self._end, self._time = max(2 * time - self._time, self._width), time
        while time >= MOST_POINTS * self._width:
            self._width *= 2
            for face in self._faces.values():
                face.coarsen()
        for seen in step.faces:
            self._faces.setdefault(seen.face, FaceHistory()).see(int(time / self._width), self._num_frames)
        for prediction in step.predictions:
            if prediction.face is not None:
                self._predict(self._faces.setdefault(prediction.face, FaceHistory()), prediction)
        self._num_frames += 1

    def _predict(self, face: FaceHistory, prediction: Prediction) -> None:
        said = Counter({(prediction.label, short(prediction.why)): 1})
        point = Point(np.zeros((2, len(self._info.emotions))), said=said)
        if prediction.smoothed is not None and prediction.probabilities is not None:
            point.sums[:] = prediction.smoothed, prediction.probabilities
            point.time, point.number = prediction.time_to, 1
        face.add(int(prediction.time_to / self._width), point)

    def figure(self) -> Figure:
        """Returns the figure of the frames so far."""
        with _plain_settings("".join((self._info.title, self._info.caution, *self._info.emotions))):
            return self._figure()

    def _drawn(self) -> bytes:
        file = io.BytesIO()
        ending = self._path.suffix.lower()
        left_out = {".svg": ("Date", "Creator"), ".png": ("Software",), ".pdf": ("CreationDate", "Creator")}[ending]
        metadata: Any = {"Title": f"{self._info.title} {self._info.caution}".strip()} | dict.fromkeys(left_out)
        with _plain_settings("".join((self._info.title, self._info.caution, *self._info.emotions))):
            self._figure().savefig(file, format=ending[1:], metadata=metadata, dpi=150)
        return file.getvalue()

    def _figure(self) -> Figure:
        by_length = sorted(self._faces, key=lambda face: -sum(last - first for first, last in self._faces[face].spans))
        shown = sorted(by_length[:MOST_FACES])
        heading = [(line, 11, _INK) for line in textwrap.wrap(self._info.title, 90)]
        heading += [(line, 9, _ALERT) for line in textwrap.wrap(self._info.caution, 110)]
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
        layout.set(h_pad=0.05, w_pad=0.06, hspace=0, wspace=0)
        rows = figure.add_gridspec(len(heights), 1, height_ratios=heights)
        _write(figure.add_subplot(rows[0]), heading)
        first: Axes | None = None
        for number, face in enumerate(shown):
            band_axes = figure.add_subplot(rows[1 + 2 * number], sharex=first)
            first = first or band_axes
            strip_axes = figure.add_subplot(rows[2 + 2 * number], sharex=first)
            self._draw_band(band_axes, face, band)
            self._draw_strip(strip_axes, self._faces[face])
            strip_axes.tick_params(labelbottom=number == len(shown) - 1, length=2)
        if first is not None:
            first.set_xlim(0, self._end)
        _write(figure.add_subplot(rows[len(heights) - 1]), [(note, 7, _MUTED) for note in notes])
        return figure

    def _notes(self, num_shown: int) -> Iterator[str]:
        if not num_shown:
            yield f"No face was found in {_clock(self._end)}."
            return
        yield "Thick: smoothed; thin: raw. Gaps: the face is not visible."
        reasons = sorted(
            {why for face in self._faces.values() for p in face.points.values() for _, why in p.said if why}
        )
        if reasons:
            yield f"Hatched, no label: {'; '.join(reasons)}."
        if any(point.number > 1 for face in self._faces.values() for point in face.points.values()):
            yield f"Each point is the mean over {self._width:.3g} s."
        if len(self._faces) > num_shown:
            yield f"{len(self._faces) - num_shown} more faces, visible for a shorter time, are not drawn."
        if checkpoint := self._info.source.get("checkpoint"):
            yield f"Checkpoint {checkpoint}"

    def _draw_band(self, axes: Axes, face: int, band: float) -> None:
        axes.set(ylim=(0, 1), yticks=(0, 0.5, 1))
        axes.spines[["top", "right", "bottom"]].set_visible(False)
        axes.tick_params(labelbottom=False, bottom=False, length=2)
        axes.grid(axis="y", color=_GRID, linewidth=0.5)
        name = axes.set_title(f" {face} ", loc="left", size=8, weight="bold", pad=4)
        name.set_bbox({"facecolor": face_colour(face), "edgecolor": _INK, "linewidth": 0.5, "pad": 1})
        name.set_color(text_on(face_colour(face)))
        times, curves = self._curves(self._faces[face])
        alone = _alone(curves[:, 0, 0])
        for number, (colour, _) in enumerate(self._lines()):
            axes.plot(times, curves[:, 1, number], color=colour, linewidth=0.5, alpha=0.5)
            axes.plot(times[alone], curves[alone, 0, number], ".", color=colour, markersize=4)
        for number, (colour, dashes) in enumerate(self._lines()):
            axes.plot(times, curves[:, 0, number], dashes, color=colour, linewidth=1.5)
        self._name_lines(axes, curves[:, 0], band)

    def _lines(self) -> Iterator[tuple[str, str]]:
        """Yields the colour and line style of each emotion; repeated colours are dashed."""
        colours = emotion_colours(len(self._info.emotions))
        for number, colour in enumerate(colours):
            yield colour, "--" if colour in colours[:number] else "-"

    def _name_lines(self, axes: Axes, smoothed: NDArray[np.float32], band: float) -> None:
        """Writes the emotions' names beside the ends of their lines, without overlap."""
        known = smoothed[~np.isnan(smoothed[:, 0])]
        size = 7 if len(self._info.emotions) <= 8 else 5.5
        ends = known[-1] if len(known) else np.zeros(len(self._info.emotions))
        heights = _spread(ends, min(size * _LINE / band, 1 / len(self._info.emotions)))
        for name, height, (colour, dashes) in zip(self._info.emotions, heights, self._lines(), strict=True):
            beside: Any = {"transform": axes.transAxes, "clip_on": False}
            axes.plot([1.005, 1.016], [height, height], dashes, color=colour, linewidth=2, **beside)
            axes.text(1.02, height, name, size=size, va="center", **beside)

    def _curves(self, face: FaceHistory) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Times (num_points,) and means (num_points, 2, num_emotions); NaN marks gaps."""
        times: list[float] = []
        means: list[NDArray[np.float64]] = []
        gap = np.full((2, len(self._info.emotions)), np.nan)
        for span in face.spans:
            for place, point in face.within(span):
                times.append(point.time / point.number if point.number else place * self._width)
                means.append(point.sums / point.number if point.number else gap)
            times.append(span[1] * self._width)
            means.append(gap)
        return np.array(times, np.float32), np.array(means, np.float32).reshape(-1, 2, len(self._info.emotions))

    def _draw_strip(self, axes: Axes, face: FaceHistory) -> None:
        axes.set(ylim=(0, 1), yticks=())
        axes.spines[["top", "right", "left"]].set_visible(False)
        axes.xaxis.set_major_locator(MultipleLocator(_step(self._end)))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda second, _: _clock(second)))
        colours = dict(zip(self._info.emotions, emotion_colours(len(self._info.emotions)), strict=True))
        pieces: dict[str | None, list[tuple[float, float]]] = {}
        for start, end, (label, why) in self._stretches(face):
            colour = colours.get(label)
            pieces.setdefault(colour, []).append((start, end - start))
            text = label or why
            if len(text) * 6.5 * 0.64 / 72 < (end - start) / self._end * _PLOT:
                box = None if colour else {"facecolor": _HATCH, "edgecolor": "none", "pad": 0.8}
                ink = text_on(colour or _HATCH)
                axes.text((start + end) / 2, 0.5, text, color=ink, size=6.5, ha="center", va="center", bbox=box)
        for colour, spans in pieces.items():
            style: dict[str, Any] = {"facecolor": colour, "edgecolor": "white", "linewidth": 0.3}
            if colour is None:
                style = {"facecolor": _HATCH, "edgecolor": _MUTED, "linewidth": 0, "hatch": "//////"}
            axes.broken_barh(spans, (0.05, 0.95), **style)

    def _stretches(self, face: FaceHistory) -> Iterator[tuple[float, float, tuple[str, str]]]:
        """Yields start, end and content of each stretch with the same label or reason."""
        for span in face.spans:
            end = min((span[1] + 1) * self._width, self._end)
            said = [(place * self._width, point.said.most_common(1)[0][0]) for place, point in face.within(span)]
            changes = [one for before, one in pairwise([(0.0, ("", "")), *said]) if one[1] != before[1]]
            for (start, what), (stop, _) in pairwise([*changes, (end, ("", ""))]):
                yield start, stop, what


def _alone(values: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Mask of isolated points, (num_points,)."""
    known = np.pad(~np.isnan(values), 1)
    return np.asarray(known[1:-1] & ~known[:-2] & ~known[2:])


def _spread(wanted: NDArray[np.floating[Any]], gap: float) -> NDArray[np.float64]:
    """Spreads heights so that neighbours differ by at least a gap, keeping their order, from 0 upwards."""
    order = np.argsort(-wanted, kind="stable")
    heights = wanted[order].astype(float)
    for k in range(1, len(heights)):
        heights[k] = min(heights[k], heights[k - 1] - gap)
    heights[-1] = max(heights[-1], gap / 2)
    for k in range(len(heights) - 2, -1, -1):
        heights[k] = max(heights[k], heights[k + 1] + gap)
    return heights[np.argsort(order, kind="stable")]


def _write(axes: Axes, lines: list[tuple[str, int, str]]) -> None:
    axes.set_axis_off()
    whole = sum(size for _, size, _ in lines) or 1
    above = 0.0
    for text, size, colour in lines:
        axes.text(
            0, 1 - above / whole, text, size=size, color=colour, weight="bold" if size > 8 else "normal", va="top"
        )
        above += size


def _step(length: float) -> float:
    """Tick interval of a time axis in seconds: a round value for about ten ticks."""
    steps = [0.001 * 10**power * one for power in range(4) for one in (1, 2, 5)]
    steps += [10, 15, 30, *(60 * one for one in (1, 2, 5, 10, 15, 30)), *(3600 * one for one in (1, 2, 6, 12, 24))]
    return next((step for step in steps if length / step <= 10), length / 10)


def _clock(second: float) -> str:
    if second < 100:
        return f"{second:.3g} s"
    hours, rest = divmod(round(second), 3600)
    return f"{hours}:{rest // 60:02d}:{rest % 60:02d}" if hours else f"{rest // 60}:{rest % 60:02d}"


@contextmanager
def _plain_settings(texts: str) -> Iterator[None]:
    """Isolates the figure from the user's Matplotlib settings, and silences warnings about missing glyphs."""
    settings = _SETTINGS | {"font.family": font_families(texts)}
    with matplotlib.style.context("default"), matplotlib.rc_context(settings), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from font", UserWarning)
        yield
