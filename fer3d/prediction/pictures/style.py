"""Shared style of the pictures: colours of emotions and faces, short reasons, fonts.

Each palette of eight was optimised by simulated annealing, starting from Okabe and Ito (2008), for separability: the
closest two colours differ by 20 in CIELAB under protanopia and deuteranopia (Machado et al. 2009), and by more without.
Their contrast with the background is at least 3, as WCAG 2 requires of graphics. No picture relies on colour alone.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.ft2font import FT2Font

INK, PAPER = "#1b1d21", "#ffffff"

_ON_LIGHT = ("#f4525b", "#533179", "#0095b8", "#cc7186", "#887000", "#16322b", "#897fe4", "#9f0857")
_ON_DARK = ("#ff3a73", "#ac95b5", "#7cd9ff", "#ffabb4", "#f9e745", "#04936e", "#98a6ff", "#ee7f38")
# Lines on a video have a dark rim.
_FACES = ("#ee7f38", "#7cd9ff", "#f9e745", "#ff3a73", "#04936e", "#ffabb4", "#98a6ff", "#ac95b5")


@dataclass(frozen=True, slots=True)
class PictureInfo:
    """What a picture of a prediction shows besides its frames.

    Attributes:
        emotions: Names of the classes.
        caution: Shown in the picture; empty for none.
        title: Name of the source.
        source: Provenance of the prediction, such as its `checkpoint`; a list of `warnings` may grow until the picture
            is complete.
    """

    emotions: Sequence[str]
    caution: str = ""
    title: str = ""
    source: Mapping[str, Any] = field(default_factory=dict)


def emotion_colours(num_emotions: int, *, dark: bool = False) -> list[str]:
    """Returns a colour `#rrggbb` for each emotion; they repeat from the ninth on.

    Args:
        num_emotions: Number of emotions.
        dark: Whether the background is dark.
    """
    colours = _ON_DARK if dark else _ON_LIGHT
    return [colours[number % len(colours)] for number in range(num_emotions)]


def face_colour(face: int) -> str:
    """Returns the colour `#rrggbb` of a face's box; eight colours repeat.

    Args:
        face: The identity, from 1.
    """
    return _FACES[(face - 1) % len(_FACES)]


def text_on(background: str) -> str:
    """Returns the text colour, dark or light, with the higher contrast on a background `#rrggbb`."""
    channels = [channel / 255 for channel in bgr(background)]
    blue, green, red = (((c + 0.055) / 1.055) ** 2.4 if c > 0.04045 else c / 12.92 for c in channels)
    # At a luminance of 0.2, both have the same WCAG 2 contrast.
    return INK if 0.2126 * red + 0.7152 * green + 0.0722 * blue > 0.2 else PAPER


def short(why: str) -> str:
    """Returns a reason without its details after the colon, so that a video has few different reasons."""
    return why.partition(":")[0]


def bgr(colour: str) -> tuple[int, int, int]:
    """Returns a colour `#rrggbb` in OpenCV's order."""
    return int(colour[5:7], 16), int(colour[3:5], 16), int(colour[1:3], 16)


def font_file(text: str, *, bold: bool = False) -> Path:
    """Returns the file of a font with all letters of a text.

    DejaVu Sans, which Matplotlib brings, covers Latin, Greek, Cyrillic, Arabic and more. For other scripts the system's
    fonts are searched; the fallback is DejaVu Sans, which shows boxes for missing letters.
    """
    folder = Path(matplotlib.get_data_path()) / "fonts/ttf"
    regular = folder / "DejaVuSans.ttf"
    wanted = frozenset(map(ord, text)) - _letters(regular)
    if wanted and (other := _covering(wanted)):
        return other
    return folder / "DejaVuSans-Bold.ttf" if bold else regular


def font_families(texts: str) -> list[str]:
    """Returns Matplotlib font families for a text, with fallbacks for letters that the first lacks."""
    other = FT2Font(str(font_file(texts))).family_name
    return ["DejaVu Sans", *({other} - {"DejaVu Sans"})]


@functools.lru_cache(maxsize=32)
def _covering(letters: frozenset[int]) -> Path | None:
    # Takes half a second and is rarely needed.
    from matplotlib.font_manager import fontManager

    # Last Resort has one placeholder glyph per script.
    files = {entry.fname: entry for entry in fontManager.ttflist if not entry.name.startswith("Last Resort")}
    plain = (400, "normal", "regular", "book")
    plainest = sorted(files, key=lambda name: (files[name].weight not in plain, files[name].style != "normal", name))
    return next((Path(name) for name in plainest if letters <= _letters(Path(name))), None)


@functools.lru_cache(maxsize=4)
def _letters(file: Path) -> frozenset[int]:
    return frozenset(FT2Font(str(file)).get_charmap())
