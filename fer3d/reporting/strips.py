"""Frames of clips as pictures: missed clips, and explanations with the evidence as an overlay."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from math import ceil

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image

from fer3d.clips.store import ClipStore
from fer3d.evaluation.run_results import EvaluationError
from fer3d.explanation.curves import Curves
from fer3d.explanation.explain_clip import Explanation
from fer3d.explanation.gradcam import METHODS
from fer3d.explanation.missed_clips import MissedClip
from fer3d.explanation.sources import ShownClip
from fer3d.reporting.theme import ACCENTS, GRID, MUTED, SMALL, WIDTH, new_figure, share_text, style

_MAX_FRAMES = 10  # in a row of a strip
_FRAME, _GAP = 96, 2  # pixels
_BETWEEN = "#808080"  # can be seen on a light and on a dark page

_OPACITY = 0.7
# Voxels above this quantile are equally bright; otherwise a single one could darken the others.
_BRIGHTEST = 0.998
# Rises evenly in lightness, for colour-blind readers as well.
_COLOURS = "inferno"


def missed_strips(
    store: ClipStore, missed: Sequence[MissedClip], maps: Mapping[str, NDArray[np.float32]]
) -> list[Image.Image]:
    """Returns a film strip of each clip: its frames from first to last, in rows of at most 10.

    The store holds the clips that the run was trained on. The maps say by clip where the network saw the wrong emotion,
    `(T, H, W)`, at least 0; they are laid over the frames.

    Raises:
        EvaluationError: A clip is not in the store.
    """
    places = {clip_id: place for place, clip_id in enumerate(store.clip_ids)}
    strips = []
    for clip in missed:
        if clip.clip_id not in places:
            raise EvaluationError(
                f"{store.folder} does not hold {clip.clip_id}, which the run predicted: it is not the store that the "
                "run was trained on; give that one, or leave the clips' frames out of the report"
            )
        frames, evidence = np.asarray(store.clips[places[clip.clip_id]]), maps.get(clip.clip_id)
        strips.append(_strip(frames if evidence is None else with_map(frames, evidence)))
    return strips


def prediction_text(clip: MissedClip) -> str:
    """The prediction and the label of the clip."""
    return f"{clip.emotion}, predicted {clip.predicted} ({share_text(clip.probability)})"


@style()
def missed_figure(
    strips: Sequence[Image.Image], missed: Sequence[MissedClip], title: str, caution: str, note: str
) -> Figure:
    """Stacks the strips of missed clips below a title, a caution, and a note on which clips these are."""
    heights = [0.25 + WIDTH * strip.height / strip.width for strip in strips]
    figure = new_figure(title, caution, sum(heights), note)
    rows = figure.subplots(len(strips), squeeze=False, height_ratios=heights).flat
    for axes, strip, clip in zip(rows, strips, missed, strict=True):
        axes.imshow(strip)
        axes.set_axis_off()
        axes.set_title(clip.clip_id)
        axes.set_title(prediction_text(clip), loc="right", weight="normal")
    return figure


def webp(image: Image.Image) -> bytes:
    """Returns an image as the bytes of a WEBP file."""
    file = io.BytesIO()
    image.save(file, "WEBP", quality=75)
    return file.getvalue()


def with_map(frames: NDArray[np.uint8], evidence: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Overlays a map on frames: no evidence leaves a frame unchanged, the maximum over all frames is bright.

    The frames are `(T, H, W, C)`, grey or RGB, and come back in RGB; the map is `(T, H, W)`, at least 0.
    """
    brightest = float(np.quantile(evidence, _BRIGHTEST)) or float(evidence.max())
    level = (evidence / brightest).clip(max=1) if brightest > 0 else evidence
    colours = matplotlib.colormaps[_COLOURS](0.25 + 0.75 * level)[..., :3] * 255
    opacity = _OPACITY * level[..., None] ** 0.75
    return np.asarray((frames * (1 - opacity) + colours * opacity).round(), dtype=np.uint8)


@style()
def explanation_figure(
    clip: ShownClip, explanation: Explanation, emotions: tuple[str, ...], said: tuple[str, float]
) -> Figure:
    """Draws the explanation of one emotion of a clip: the frames with the map, their shares, and the check.

    `said` is the predicted emotion of the clip and its probability.
    """
    emotion, evidence = emotions[explanation.label], explanation.evidence
    note = (
        f"{f'Label {clip.label}; the' if clip.label else 'The'} network says {said[0]} ({share_text(said[1])}). The "
        f"brighter, the more evidence for {emotion} ({METHODS[evidence.method]} of layer {evidence.layer}); bars are "
        "the shares of frames."
    )
    num_frames, height, width = evidence.map.shape
    num_columns = 5 if num_frames <= 20 else 8
    num_rows = ceil(num_frames / num_columns)
    rows_height = num_rows * (4.4 / num_columns * height / width + 0.35)
    title = f"{clip.name}: why {emotion} ({share_text(explanation.probability)})"
    caution = ". ".join(filter(None, (clip.caution, explanation.doubt)))
    figure = new_figure(title, caution, rows_height + 1.9, note)
    above, below = np.asarray(figure.subfigures(2, height_ratios=[rows_height, 1.9]))
    pictures, shares = with_map(clip.pixels, evidence.map.numpy()), evidence.shares.numpy()
    for number, axes in enumerate(above.subplots(num_rows, num_columns, squeeze=False).flat):
        axes.set_axis_off()
        if number < num_frames:
            _draw_frame(axes, pictures[number], float(shares[number]), float(shares.max()))
    _draw_check(below.subplots(1, 2), explanation.curves)
    return figure


def _draw_frame(axes: Axes, picture: NDArray[np.uint8], share: float, largest: float) -> None:
    axes.imshow(picture, interpolation="hanning")
    for length, colour in ((1.0, GRID), (share / largest if share > 0 else 0.0, ACCENTS[0])):
        axes.barh(-0.07, length, 0.07, color=colour, transform=axes.transAxes, clip_on=False)
    axes.text(0.5, -0.13, f"{share:.0%}", size=SMALL, va="top", ha="center", transform=axes.transAxes)


def _draw_check(panels: Sequence[Axes], curves: Curves) -> None:
    shown = (
        ("Deletion", "blurred", curves.deletion, curves.random_deletion),
        ("Insertion", "sharp", curves.insertion, curves.random_insertion),
    )
    for axes, (name, done, own, random) in zip(panels, shown, strict=True):
        axes.plot(curves.shares, random.T, color=MUTED, linewidth=0.7)
        axes.plot(curves.shares, own, color=ACCENTS[0], linewidth=1.8)
        axes.set(xlim=(0, 1), ylim=(0, 1), xticks=(0, 0.5, 1), yticks=(0, 0.5, 1), xlabel=f"share {done}")
        axes.grid(axis="y")
        areas = curves.area(random)
        axes.set_title(f"{name}: area {curves.area(own):.2f}", color=ACCENTS[0], pad=16)
        random_areas = f"random maps: {areas.min():.2f} to {areas.max():.2f}"
        axes.text(0, 1.05, random_areas, color=MUTED, transform=axes.transAxes)
    panels[0].set_ylabel("probability")


def _strip(clip: NDArray[np.uint8]) -> Image.Image:
    """Puts the frames `(T, H, W, C)` of a clip side by side."""
    num_frames, height, width, _ = clip.shape
    num_rows = ceil(num_frames / _MAX_FRAMES)
    num_columns = ceil(num_frames / num_rows)
    size = (_FRAME, round(_FRAME * height / width))
    strip = Image.new("RGB", (num_columns * (size[0] + _GAP) - _GAP, num_rows * (size[1] + _GAP) - _GAP), _BETWEEN)
    for number, frame in enumerate(clip):
        row, column = divmod(number, num_columns)
        rgb = np.ascontiguousarray(np.broadcast_to(frame, (height, width, 3)))
        strip.paste(Image.fromarray(rgb).resize(size), (column * (size[0] + _GAP), row * (size[1] + _GAP)))
    return strip
