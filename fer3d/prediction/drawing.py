"""Boxes, labels and bars, drawn on the pictures of a video.

OpenCV's own letters are ASCII alone; here they are Pillow's, in the DejaVu Sans that Matplotlib carries. A text is
drawn once and then copied, since the same few come in every frame.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Sequence
from importlib.util import find_spec
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image as PillowImage
from PIL import ImageDraw, ImageFont

from fer3d.clips.detectors import Box, Image
from fer3d.prediction.colours import bgr, emotion_colours

_DARK = "#16181c"
_LIGHT = "#f4f5f7"
_TRACK = "#454a53"
_ALERT = "#ffd08a"
_OPACITY = 0.82
# Below this many pixels on the shorter side, letters would hide the faces.
_LEAST_SIDE = 160

# Left, top, right, bottom in whole pixels.
Area = tuple[int, int, int, int]


def text_size(height: int, width: int) -> int:
    """Returns the height of letters that suits a picture, in pixels; 0 where it is too small for any."""
    return int(np.clip(round(0.026 * min(height, width)), 11, 40)) if min(height, width) >= _LEAST_SIDE else 0


@functools.lru_cache(maxsize=512)
def text_bitmap(text: str, size: int, colour: str, background: str, *, bold: bool = False) -> Image:
    """Returns a line of text as a picture, BGR (H, W, 3), whose height depends on the size alone.

    Args:
        text: The text; letters that DejaVu Sans does not have become boxes.
        size: Height of the letters in pixels.
        colour: Of the letters, `#rrggbb`.
        background: Behind them.
        bold: Whether they are bold.
    """
    font = _font(size, bold)
    ascent, descent = font.getmetrics()
    canvas = PillowImage.new("RGB", (max(1, round(font.getlength(text))), ascent + descent), background)
    ImageDraw.Draw(canvas).text((0, 0), text, colour, font)
    return np.ascontiguousarray(np.asarray(canvas)[..., ::-1])


def text_width(text: str, size: int, *, bold: bool = False) -> int:
    """Returns the width of a line of text in pixels."""
    return max(1, round(_font(size, bold).getlength(text)))


def paste(picture: Image, bitmap: Image, left: int, top: int, opacity: float = 1.0) -> None:
    """Puts a bitmap on a picture; what lies outside is left out.

    Args:
        picture: BGR (H, W, 3); changed.
        bitmap: BGR (h, w, 3).
        left: Where it begins.
        top: Likewise.
        opacity: How much of it covers, from 0 to 1.
    """
    x, y = max(left, 0), max(top, 0)
    part = bitmap[y - top :, x - left :][: max(picture.shape[0] - y, 0), : max(picture.shape[1] - x, 0)]
    if not part.size:
        return
    place = picture[y : y + part.shape[0], x : x + part.shape[1]]
    place[:] = part if opacity == 1 else cv2.addWeighted(part, opacity, place, 1 - opacity, 0)


def draw_box(picture: Image, box: Box, colour: str) -> None:
    """Draws a rectangle with a dark rim, so that it shows on any picture."""
    (x1, y1), (x2, y2) = (tuple(round(side) for side in box[k : k + 2]) for k in (0, 2))
    width = max(1, round(min(picture.shape[:2]) / 240))
    if min(picture.shape[:2]) >= _LEAST_SIDE:
        cv2.rectangle(picture, (x1, y1), (x2, y2), bgr(_DARK), width + 2)
    cv2.rectangle(picture, (x1, y1), (x2, y2), bgr(colour), width)


def draw_tag(picture: Image, box: Box, text: str, colour: str) -> Area | None:
    """Writes a line above a box, or within it where there is no room, and returns where; None if it was too small."""
    size = text_size(*picture.shape[:2])
    if not size:
        return None
    text = shortened(text, size, picture.shape[1] - 8, bold=True)
    bitmap = _tag(text, size, colour)
    height, width = bitmap.shape[:2]
    left = min(max(round(box[0]) - 2, 0), picture.shape[1] - width)
    top = round(box[1]) - height - 1
    if top < 0:
        top = max(round(box[1]), 0)
    paste(picture, bitmap, left, top)
    return left, top, left + width, top + height


def draw_bars(
    picture: Image, box: Box, emotions: Sequence[str], shares: NDArray[np.float64], taken: Iterable[Area]
) -> Area | None:
    """Draws the probabilities of all emotions as bars beside a box, and returns where.

    Args:
        picture: BGR (H, W, 3); changed.
        box: The face's.
        emotions: Their names.
        shares: The probability of each.
        taken: Where nothing may be covered; bars that find no place are left out.

    Returns:
        The place; None if there is none, or the picture is too small for letters.
    """
    size = round(0.9 * text_size(*picture.shape[:2]))
    if not size:
        return None
    empty, rows, names, bars = _panel(tuple(emotions), size)
    height, width = empty.shape[:2]
    area = _place(box, width, height, picture.shape[1], picture.shape[0], list(taken))
    if area is None:
        return None
    panel = empty.copy()
    best = int(np.argmax(shares))
    for number, (share, colour) in enumerate(zip(shares, emotion_colours(len(emotions), dark=True), strict=True)):
        top = rows[number]
        end = names + max(1, round(float(share) * bars))
        cv2.rectangle(panel, (names, top + size // 4), (end, top + size), bgr(colour), cv2.FILLED)
        percent = text_bitmap(f"{share:.0%}", size, _LIGHT, _DARK, bold=number == best)
        paste(panel, percent, width - percent.shape[1] - size // 3, top)
    paste(picture, panel, area[0], area[1], _OPACITY)
    return area


def draw_caution(picture: Image, caution: str) -> Area | None:
    """Writes a caution over the foot of a picture, and returns where.

    A picture that is too small for all of it gets the part before the first colon, in smaller letters if need be.
    """
    if not caution:
        return None
    bitmap = _caution(caution, picture.shape[0], picture.shape[1])
    top = picture.shape[0] - bitmap.shape[0]
    paste(picture, bitmap, 0, top)
    return 0, top, picture.shape[1], picture.shape[0]


def shortened(text: str, size: int, width: int, *, bold: bool = False) -> str:
    """Returns a text that is at most so many pixels wide; what does not fit becomes an ellipsis."""
    if text_width(text, size, bold=bold) <= width:
        return text
    while text and text_width(f"{text}…", size, bold=bold) > width:
        text = text[:-1].rstrip()
    return f"{text}…"


@functools.lru_cache
def _font(size: int, bold: bool) -> ImageFont.FreeTypeFont:
    matplotlib = find_spec("matplotlib")
    assert matplotlib is not None
    assert matplotlib.origin is not None
    name = "DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"
    return ImageFont.truetype(Path(matplotlib.origin).parent / "mpl-data/fonts/ttf" / name, size)


@functools.lru_cache(maxsize=512)
def _tag(text: str, size: int, colour: str) -> Image:
    line = text_bitmap(text, size, _DARK, colour, bold=True)
    side = size // 3
    return np.asarray(
        cv2.copyMakeBorder(line, 1, 1, side, side, cv2.BORDER_CONSTANT, value=bgr(colour)), dtype=np.uint8
    )


@functools.lru_cache(maxsize=8)
def _panel(emotions: tuple[str, ...], size: int) -> tuple[Image, list[int], int, int]:
    """The bars' picture without bars: with the top of each row, where bars begin and how long the longest is."""
    gap, longest = size // 3, 4 * size
    emotions = tuple(shortened(emotion, size, 9 * size) for emotion in emotions)
    names = max(text_width(emotion, size) for emotion in emotions)
    line = text_bitmap("0", size, _LIGHT, _DARK).shape[0]
    width = names + longest + text_width("100%", size, bold=True) + 4 * gap
    panel = np.empty((len(emotions) * line + 2 * gap, width, 3), np.uint8)
    panel[:] = bgr(_DARK)
    rows = [gap + number * line for number in range(len(emotions))]
    start = names + 2 * gap
    for top, emotion in zip(rows, emotions, strict=True):
        paste(panel, text_bitmap(emotion, size, _LIGHT, _DARK), gap, top)
        cv2.rectangle(panel, (start, top + size // 4), (start + longest, top + size), bgr(_TRACK), cv2.FILLED)
    return panel, rows, start, longest


def _place(box: Box, width: int, height: int, right: int, bottom: int, taken: list[Area]) -> Area | None:
    """The first place beside, below or above a box that is within the picture and free."""
    x1, y1, x2, y2 = (round(side) for side in box)
    gap = 6
    beside = min(max(y1, 0), bottom - height)
    along = min(max(x1, 0), right - width)
    for left, top in (
        (x2 + gap, beside),
        (x1 - gap - width, beside),
        (along, y2 + gap),
        (along, y1 - gap - height),
        (x2 + gap, y2 - height),
        (x1 - gap - width, y2 - height),
    ):
        area = (left, top, left + width, top + height)
        if left >= 0 and top >= 0 and area[2] <= right and area[3] <= bottom and not any(_meet(area, o) for o in taken):
            return area
    return None


def _meet(one: Area, other: Area) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


@functools.lru_cache(maxsize=8)
def _caution(caution: str, height: int, width: int) -> Image:
    size = text_size(height, width) or 9
    room = width - 2 * (size // 3)
    if text_width(caution, size, bold=True) > room:
        caution = caution.partition(":")[0]
    while size > 5 and text_width(caution, size, bold=True) > room:
        size -= 1
    line = text_bitmap(caution, size, _ALERT, _DARK, bold=True)
    spare = max(width - line.shape[1], 0)
    value = bgr(_DARK)
    return np.asarray(
        cv2.copyMakeBorder(line, 1, 1, spare // 2, spare - spare // 2, cv2.BORDER_CONSTANT, value=value), dtype=np.uint8
    )
