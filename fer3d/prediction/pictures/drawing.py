"""Draws boxes, labels and bars on the frames of a video.

Text is drawn by Pillow, since OpenCV's fonts are ASCII only, and cached as bitmaps, since the same few texts recur: a
frame of 640 x 480 pixels with one face takes 0.3 ms on one core.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image as PillowImage
from PIL import ImageDraw, ImageFont

from fer3d.clips.detectors import Box, Image
from fer3d.prediction.pictures.style import bgr, emotion_colours, font_file, text_on

_DARK = "#16181c"
_LIGHT = "#f4f5f7"
_TRACK = "#454a53"
_ALERT = "#ffd08a"
_OPACITY = 0.82
# Shorter side, in pixels, below which text would hide the faces.
_LEAST_SIDE = 160
_LEAST_SIZE = 9  # smallest legible text, in pixels
_GAP = 6
_MOST_LIKELY = 3

# Left, top, right, bottom in whole pixels.
Area = tuple[int, int, int, int]


@dataclass(frozen=True, slots=True)
class BarsPlace:
    """The placement of bars.

    Attributes:
        area: The area in the picture.
        size: Text size in pixels.
        num_rows: Number of bars: one per emotion, or the most probable ones.
        side: Index of the side of the face.
    """

    area: Area
    size: int
    num_rows: int
    side: int


def text_size(height: int, width: int) -> int:
    """Returns the text size for a picture in pixels; 0 if the picture is too small for text."""
    return int(np.clip(round(0.026 * min(height, width)), 11, 40)) if min(height, width) >= _LEAST_SIDE else 0


def text_width(text: str, size: int, *, bold: bool = False) -> int:
    """Returns the width of a line of text in pixels."""
    return max(1, round(_font(text, size, bold).getlength(text)))


@functools.lru_cache(maxsize=512)
def text_bitmap(text: str, size: int, colour: str, background: str, *, bold: bool = False) -> Image:
    """Returns a line of text as a bitmap, BGR (H, W, 3), whose height depends only on the text size.

    Args:
        text: The text.
        size: Text size in pixels.
        colour: Text colour, `#rrggbb`.
        background: Background colour.
        bold: Whether the text is bold.
    """
    ascent, descent = _font("", size, bold).getmetrics()
    canvas = PillowImage.new("RGB", (text_width(text, size, bold=bold), ascent + descent), background)
    # Aligned to the baseline of DejaVu Sans, whichever font is used.
    ImageDraw.Draw(canvas).text((0, ascent), text, colour, _font(text, size, bold), anchor="ls")
    return np.ascontiguousarray(np.asarray(canvas)[..., ::-1])


def paste(picture: Image, bitmap: Image, left: int, top: int, opacity: float = 1.0) -> None:
    """Pastes a bitmap onto a picture, clipped to the picture.

    Args:
        picture: BGR (H, W, 3); modified in place.
        bitmap: BGR (h, w, 3).
        left: Left edge in pixels.
        top: Top edge in pixels.
        opacity: Opacity, from 0 to 1.
    """
    x, y = max(left, 0), max(top, 0)
    part = bitmap[y - top :, x - left :][: max(picture.shape[0] - y, 0), : max(picture.shape[1] - x, 0)]
    if part.size:
        place = picture[y : y + part.shape[0], x : x + part.shape[1]]
        place[:] = part if opacity == 1 else cv2.addWeighted(part, opacity, place, 1 - opacity, 0)


def draw_box(picture: Image, box: Box, colour: str) -> None:
    """Draws a rectangle with a dark rim, visible on any background."""
    x1, y1, x2, y2 = map(round, box)
    side = min(picture.shape[:2])
    width = 1
    if side >= _LEAST_SIDE:
        width = max(2, round(side / 240))
        cv2.rectangle(picture, (x1, y1), (x2, y2), bgr(_DARK), width + 2)
    cv2.rectangle(picture, (x1, y1), (x2, y2), bgr(colour), width)


def draw_tag(picture: Image, box: Box, text: str, colour: str) -> Area | None:
    """Writes a line above a box, or inside it if there is no room; returns its area, or None if nothing was drawn."""
    size = text_size(*picture.shape[:2])
    if not size:
        return None
    bitmap = _tag(text, size, colour, picture.shape[1])
    height, width = bitmap.shape[:2]
    left = min(max(round(box[0]) - 2, 0), picture.shape[1] - width)
    top = round(box[1]) - height - 1
    top = top if top >= 0 else max(round(box[1]), 0)
    paste(picture, bitmap, left, top)
    return left, top, left + width, top + height


def place_bars(
    picture: Image, box: Box, emotions: Sequence[str], taken: Sequence[Area], before: BarsPlace | None = None
) -> BarsPlace | None:
    """Finds a place for bars around a box: for all emotions, in smaller text, or for the most probable emotions only.

    Args:
        picture: BGR (H, W, 3).
        box: The face's box.
        emotions: The names of all emotions.
        taken: Areas that must stay visible.
        before: The place in the previous frame, preferred while it is free, so that bars do not jump.

    Returns:
        The place; None if there is none, or the picture is too small for text.
    """
    height, width = picture.shape[:2]
    free = [
        place
        for place in _places(box, tuple(emotions), height, width)
        if _is_within(place.area, height, width) and not any(_meet(place.area, area) for area in taken)
    ]
    if before is not None:
        same = (before.size, before.num_rows, before.side)
        free.sort(key=lambda place: (place.size, place.num_rows, place.side) != same)
    return free[0] if free else None


def draw_bars(picture: Image, place: BarsPlace, emotions: Sequence[str], shares: NDArray[np.float64]) -> None:
    """Draws probabilities as labelled bars.

    Args:
        picture: BGR (H, W, 3); modified in place.
        place: The placement.
        emotions: The names of all emotions.
        shares: Their probabilities, `(num_classes,)`.
    """
    size, best = place.size, int(np.argmax(shares))
    likeliest = np.argsort(-shares, kind="stable")
    order = tuple(map(int, likeliest[: place.num_rows] if place.num_rows < len(emotions) else range(len(emotions))))
    panel, line, start, longest = _panel(tuple(emotions), order, size)
    panel = panel.copy()
    colours = emotion_colours(len(emotions), dark=True)
    for row, number in enumerate(order):
        top = size // 3 + row * line
        end = start + max(1, round(float(shares[number]) * longest))
        cv2.rectangle(panel, (start, top + size // 4), (end, top + size), bgr(colours[number]), cv2.FILLED)
        percent = text_bitmap(f"{shares[number]:.0%}", size, _LIGHT, _DARK, bold=number == best)
        paste(panel, percent, panel.shape[1] - percent.shape[1] - size // 3, top)
    paste(picture, panel, place.area[0], place.area[1], _OPACITY)


def draw_caution(picture: Image, caution: str) -> Area | None:
    """Writes a caution along the bottom of a picture and returns its area.

    If the whole caution does not fit, its words in capitals are written, in smaller text if necessary.
    """
    if not caution:
        return None
    bitmap = _caution(caution, picture.shape[0], picture.shape[1])
    top = picture.shape[0] - bitmap.shape[0]
    paste(picture, bitmap, 0, top)
    return 0, top, picture.shape[1], picture.shape[0]


def shortened(text: str, size: int, width: int, *, bold: bool = False) -> str:
    """Returns a text truncated with an ellipsis to a width in pixels."""
    if text_width(text, size, bold=bold) <= width:
        return text
    while text and text_width(f"{text}…", size, bold=bold) > width:
        text = text[:-1].rstrip()
    return f"{text}…"


@functools.lru_cache(maxsize=512)
def _font(text: str, size: int, bold: bool) -> ImageFont.FreeTypeFont:
    return _loaded(str(font_file(text, bold=bold)), size)


@functools.lru_cache(maxsize=32)
def _loaded(file: str, size: int) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(file, size)


@functools.lru_cache(maxsize=512)
def _tag(text: str, size: int, colour: str, room: int) -> Image:
    side = size // 3
    line = text_bitmap(shortened(text, size, room - 2 * side, bold=True), size, text_on(colour), colour, bold=True)
    return _framed(line, (1, 1, side, side), colour)


def _framed(image: Image, widths: tuple[int, int, int, int], colour: str) -> Image:
    return np.asarray(cv2.copyMakeBorder(image, *widths, cv2.BORDER_CONSTANT, value=bgr(colour)), dtype=np.uint8)


def _places(box: Box, emotions: tuple[str, ...], picture_height: int, picture_width: int) -> Iterator[BarsPlace]:
    """Places beside, below and above a box, in order of preference; some may lie outside the picture."""
    x1, y1, x2, y2 = map(round, box)
    whole = text_size(picture_height, picture_width)
    large, small = round(0.9 * whole), max(_LEAST_SIZE, round(0.7 * whole))
    for size, num_rows in ((large, len(emotions)), (small, len(emotions)), (small, min(_MOST_LIKELY, len(emotions)))):
        if not whole:
            return
        panel, *_ = _panel(emotions, tuple(range(num_rows)), size)
        height, width = panel.shape[:2]
        beside = min(max(y1, 0), picture_height - height)
        along = min(max(x1, 0), picture_width - width)
        right, left = x2 + _GAP, x1 - _GAP - width
        corners = (right, beside), (left, beside), (along, y2 + _GAP), (along, y1 - _GAP - height)
        for side, (x, y) in enumerate((*corners, (right, y2 - height), (left, y2 - height))):
            yield BarsPlace((x, y, x + width, y + height), size, num_rows, side)


@functools.lru_cache(maxsize=256)
def _panel(emotions: tuple[str, ...], order: tuple[int, ...], size: int) -> tuple[Image, int, int, int]:
    """Empty bars: the picture, the height of a row, the left edge of the bars and their maximum length.

    The width does not depend on the order, so that a panel of the most probable emotions keeps its size.
    """
    gap, longest = size // 3, 4 * size
    names = [shortened(emotion, size, 9 * size) for emotion in emotions]
    start = max(text_width(name, size) for name in names) + 2 * gap
    line = text_bitmap("0", size, _LIGHT, _DARK).shape[0]
    width = start + longest + text_width("100%", size, bold=True) + 2 * gap
    panel = np.empty((len(order) * line + 2 * gap, width, 3), np.uint8)
    panel[:] = bgr(_DARK)
    for row, number in enumerate(order):
        top = gap + row * line
        paste(panel, text_bitmap(names[number], size, _LIGHT, _DARK), gap, top)
        cv2.rectangle(panel, (start, top + size // 4), (start + longest, top + size), bgr(_TRACK), cv2.FILLED)
    return panel, line, start, longest


def _is_within(area: Area, height: int, width: int) -> bool:
    return min(area[:2]) >= 0 and area[2] <= width and area[3] <= height


def _meet(one: Area, other: Area) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


@functools.lru_cache(maxsize=8)
def _caution(caution: str, height: int, width: int) -> Image:
    size, lines = _fitting(caution, height, width)
    pictures = []
    for line in lines:
        text = text_bitmap(line, size, _ALERT, _DARK, bold=True)[:, :width]
        spare = width - text.shape[1]
        pictures.append(_framed(text, (1, 1, spare // 2, spare - spare // 2), _DARK))
    return np.concatenate(pictures)


def _fitting(caution: str, height: int, width: int) -> tuple[int, list[str]]:
    """Text size and lines of a caution: in full within a quarter of the picture, or its capitals as large as fits."""
    size = text_size(height, width) or _LEAST_SIZE
    capitals = ", ".join(re.findall("[A-Z][A-Z -]+[A-Z]", caution)) or caution.partition(":")[0]
    tried = [(caution, size), *((capitals, smaller) for smaller in range(size, 4, -1))]
    for text, each in tried:
        lines = _wrapped(text, each, width - 2 * (each // 3))
        fits = all(text_width(line, each, bold=True) <= width for line in lines)
        if fits and 1.4 * each * len(lines) <= max(height / 4, 14):
            return each, lines
    return each, lines


def _wrapped(text: str, size: int, width: int) -> list[str]:
    lines: list[str] = []
    for word in text.split():
        if lines and text_width(f"{lines[-1]} {word}", size, bold=True) <= width:
            lines[-1] += f" {word}"
        else:
            lines.append(word)
    return lines
