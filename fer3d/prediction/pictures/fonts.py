"""Fonts for any emotion's name: DejaVu Sans, which comes with Matplotlib, or one of the system for other scripts."""

from __future__ import annotations

import functools
from importlib.util import find_spec
from pathlib import Path

from matplotlib.ft2font import FT2Font


def font_file(text: str, *, bold: bool = False) -> Path:
    """Returns the file of a font that has all letters of a text.

    DejaVu Sans has Latin, Greek, Cyrillic, Arabic and more. For other scripts the system's fonts are searched; where
    none has all letters, it is DejaVu Sans again, which shows boxes for those that it lacks.
    """
    matplotlib = find_spec("matplotlib")
    assert matplotlib is not None
    assert matplotlib.origin is not None
    folder = Path(matplotlib.origin).parent / "mpl-data/fonts/ttf"
    regular = folder / "DejaVuSans.ttf"
    wanted = frozenset(map(ord, text)) - _letters(regular)
    if wanted and (other := _covering(wanted)):
        return other
    return folder / "DejaVuSans-Bold.ttf" if bold else regular


def font_families(texts: str) -> list[str]:
    """Returns the names of fonts for Matplotlib, of which a later one has what an earlier one lacks."""
    other = FT2Font(str(font_file(texts))).family_name
    return ["DejaVu Sans", *({other} - {"DejaVu Sans"})]


@functools.lru_cache(maxsize=32)
def _covering(letters: frozenset[int]) -> Path | None:
    # Takes half a second, and is seldom needed.
    from matplotlib.font_manager import fontManager

    # Last Resort has a sign for every script instead of its letters.
    files = {entry.fname: entry for entry in fontManager.ttflist if not entry.name.startswith("Last Resort")}
    plain = (400, "normal", "regular", "book")
    plainest = sorted(files, key=lambda name: (files[name].weight not in plain, files[name].style != "normal", name))
    return next((Path(name) for name in plainest if letters <= _letters(Path(name))), None)


@functools.lru_cache(maxsize=4)
def _letters(file: Path) -> frozenset[int]:
    return frozenset(FT2Font(str(file)).get_charmap())
