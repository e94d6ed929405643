"""What was missed: the frames of held-out clips that the network got wrong."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil

import numpy as np
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from numpy.typing import NDArray

from fer3d.clips.store import ClipStore
from fer3d.evaluation.protocols import HeldOutPredictions
from fer3d.evaluation.run_results import EvaluationError
from fer3d.reporting.explanation_strips import with_map
from fer3d.reporting.theme import LIGHT, LINE, MARGIN, TEXT, WIDTH, Theme, drawing, new_sheet, share_text, wrap

_WIDE = WIDTH - 2 * MARGIN
_GAP = 0.09  # inches
# Clips that are shown.
MAX_CLIPS = 12
_FRAME_GAP = 0.03  # of a frame's width

# Frames in a row: more would be too small, fewer too large.
_MAX_FRAMES = 10
_MIN_FRAMES = 8


@dataclass(frozen=True, slots=True)
class MissedClip:
    """A held-out clip that was predicted wrongly.

    Attributes:
        clip_id: Such as `S005/001`.
        emotion: The true one.
        predicted: The one that was said.
        probability: Of the one that was said.
    """

    clip_id: str
    emotion: str
    predicted: str
    probability: float


def missed_clips(predictions: HeldOutPredictions, emotions: Sequence[str]) -> list[MissedClip]:
    """Returns the clips that were predicted wrongly, the most confident ones first.

    Args:
        predictions: A run's predictions under one epoch protocol.
        emotions: The class names.
    """
    missed = [
        MissedClip(
            clip_id=predictions.clip_ids[clip],
            emotion=emotions[predictions.labels[clip]],
            predicted=emotions[predictions.predicted[clip]],
            probability=float(predictions.probabilities[clip].max()),
        )
        for clip in np.flatnonzero(~predictions.correct)
    ]
    return sorted(missed, key=lambda clip: (-clip.probability, clip.clip_id))


def missed_figure(
    store: ClipStore,
    missed: Sequence[MissedClip],
    title: str,
    caution: str = "",
    theme: Theme = LIGHT,
    max_clips: int = MAX_CLIPS,
    maps: Mapping[str, NDArray[np.float32]] | None = None,
) -> Figure | None:
    """Draws a film strip of each missed clip: its frames from the first to the last, grey or RGB.

    Args:
        store: The clips that the run was trained on.
        missed: The missed clips, the most confident ones first.
        title: What the figure shows.
        caution: `SYNTHETIC data` and the like, or nothing.
        theme: The colours.
        max_clips: How many clips to show at most; the figure says how many there are.
        maps: Where the network saw the wrong emotion, by clip: `(T, H, W)`, at least 0; laid over the frames.

    Returns:
        The figure, or None where nothing was missed.

    Raises:
        EvaluationError: A clip is not in the store.
    """
    if not missed:
        return None
    shown = missed[:max_clips]
    places = {clip_id: place for place, clip_id in enumerate(store.clip_ids)}
    unknown = [clip.clip_id for clip in shown if clip.clip_id not in places]
    if unknown:
        raise EvaluationError(
            f"{store.folder} does not hold {unknown[0]}, which the run predicted: it is not the store that the run was "
            "trained on; give that one, or leave the clips' frames out of the report"
        )
    strips = []
    for clip in shown:
        frames, evidence = np.asarray(store.clips[places[clip.clip_id]]), (maps or {}).get(clip.clip_id)
        strips.append(_strip(frames if evidence is None else with_map(frames, evidence), theme))
    label = TEXT * LINE
    heights = [label + _WIDE * strip.shape[0] / strip.shape[1] + _GAP for strip in strips]
    lines = wrap(_summary(len(shown), len(missed), with_maps=bool(maps)), TEXT, _WIDE)
    top = len(lines) * label + _GAP
    with drawing(theme):
        sheet = new_sheet(theme, title, caution, top + sum(heights))
        canvas = sheet.canvas()
        for number, line in enumerate(lines):
            canvas.text(MARGIN, number * label, line, color=theme.muted, va="top")
        for clip, strip, height in zip(shown, strips, heights, strict=True):
            says = f"{clip.emotion}, predicted {clip.predicted} ({share_text(clip.probability)})"
            canvas.text(MARGIN, top, clip.clip_id, weight="bold", va="top")
            canvas.text(WIDTH - MARGIN, top, says, va="top", ha="right")
            extent = (MARGIN, WIDTH - MARGIN, top + height - _GAP, top + label)
            canvas.imshow(strip, extent=extent, aspect="auto", interpolation="hanning")
            top += height
    return sheet.figure


def _summary(num_shown: int, num_missed: int, *, with_maps: bool) -> str:
    number = f"{num_missed} missed clip{'' if num_missed == 1 else 's'}"
    which = f"The {num_shown} most confident of {number}" if num_shown < num_missed else number.capitalize()
    return f"{which}; frames from first to last" + ("; bright: evidence for what was predicted" * with_maps)


def _strip(clip: NDArray[np.uint8], theme: Theme) -> NDArray[np.uint8]:
    """Puts the frames `(T, H, W, C)` of a clip side by side, in rows of at most 10, as RGB `(height, width, 3)`."""
    num_frames, height, width, _ = clip.shape
    num_rows = ceil(num_frames / _MAX_FRAMES)
    num_columns = max(ceil(num_frames / num_rows), _MIN_FRAMES)
    gap = max(1, round(_FRAME_GAP * width))
    paper = np.array(to_rgb(theme.paper)) * 255
    shape = (num_rows * (height + gap) - gap, num_columns * (width + gap) - gap, 3)
    strip: NDArray[np.uint8] = np.broadcast_to(paper.round().astype(np.uint8), shape).copy()
    for number, frame in enumerate(clip):
        row, column = divmod(number, num_columns)
        top, left = row * (height + gap), column * (width + gap)
        strip[top : top + height, left : left + width] = frame  # one grey channel becomes three
    return strip
