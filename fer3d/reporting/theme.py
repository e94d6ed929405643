"""The style of all figures: colours, sizes, a heading with its caution, and export to files."""

from __future__ import annotations

import io
import textwrap
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import matplotlib.style
import numpy as np
from cycler import cycler
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap, to_hex, to_rgb
from matplotlib.figure import Figure

# Figures are drawn once, on white; a dark page inverts their lightness and keeps their hues (report.css). On both, text
# has a contrast of at least 4.5 to the paper and an accent one of at least 3, as WCAG 2 asks; accents stay apart for
# colour-blind readers (after Okabe and Ito, 2008), and no figure tells things apart by colour alone.
INK = "#1b1d21"
PAPER = "#ffffff"
MUTED = "#5a6068"
GRID = "#d0d4da"
ALERT = "#b3261e"
ACCENTS = ("#0072b2", "#c75000", "#00805e", "#a5508a")
# The colours of a scale of shares, from 0 to 1.
RAMP = LinearSegmentedColormap.from_list("fer3d", ("#ffffff", "#b9d8ee", "#5ba3d0", "#1c6ba8", "#0b3a6b"))

# Inches: the width of a page of text in the paper's style (LNCS), still legible when a phone shrinks it to 390 pixels.
WIDTH = 4.8
TITLE, TEXT, SMALL = 10.0, 8.5, 7.5  # points
LINE = 1.25 / 72  # height of a line of text in inches, a point of its size


_SETTINGS: dict[str, Any] = {
    **dict.fromkeys(("font.size", "axes.labelsize", "axes.titlesize", "legend.fontsize"), TEXT),
    **dict.fromkeys(("xtick.labelsize", "ytick.labelsize"), SMALL),
    **dict.fromkeys(("text.color", "axes.labelcolor", "xtick.labelcolor", "ytick.labelcolor"), INK),
    **dict.fromkeys(("axes.edgecolor", "xtick.color", "ytick.color"), MUTED),
    **dict.fromkeys(("xtick.major.size", "ytick.major.size"), 2.5),
    **dict.fromkeys(("axes.spines.top", "axes.spines.right"), False),
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.axisbelow": True,
    "axes.prop_cycle": cycler(color=ACCENTS),
    "grid.color": GRID,
    "grid.linewidth": 0.7,
    "legend.frameon": False,
    "legend.borderpad": 0,
    "legend.borderaxespad": 0.3,
    "legend.columnspacing": 1.4,
    "text.parse_math": False,  # names of runs and emotions are not formulas, even with dollar signs
    # Letters stay text: it can be selected and edited, and takes a fifth of the bytes of outlines.
    "svg.fonttype": "none",
    "font.sans-serif": ["DejaVu Sans", "Verdana", "sans-serif"],  # of the same widths
    "svg.hashsalt": "fer3d",
}


@contextmanager
def style() -> Iterator[None]:
    """Applies these colours and sizes, and ignores the user's own Matplotlib settings.

    It also decorates functions that make figures. Matplotlib makes ticks when it first draws them, so drawing belongs
    within it, too.
    """
    with matplotlib.style.context(["default", _SETTINGS]), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from font", UserWarning)
        yield


def new_figure(title: str, caution: str, height: float, note: str = "") -> Figure:
    """Creates a figure in constrained layout, `height` inches below a heading, which is part of the picture.

    The heading is a title, a caution (`SYNTHETIC data` and the like, or nothing), and a note where the picture has no
    page with a caption. All three are wrapped.
    """
    # By so many characters that fit into the width; bold ones are wider.
    lines = [(line, TITLE, INK, "bold") for line in textwrap.wrap(title, 52)]
    lines += [(line, TEXT, ALERT, "bold") for line in textwrap.wrap(caution, 58)]
    lines += [(line, TEXT, MUTED, "normal") for line in textwrap.wrap(note, 68)]
    whole = height + sum(size for _, size, *_ in lines) * LINE + 0.12
    figure = Figure(figsize=(WIDTH, whole), layout="constrained")
    figure.get_layout_engine().set(rect=(0, 0, 1, height / whole))  # type: ignore[union-attr, call-arg]
    figure.set_label(f"{title} [{caution}]" if caution else title)
    top = whole - 0.06
    for line, size, colour, weight in lines:
        figure.text(0.012, top / whole, line, size=size, color=colour, weight=weight, va="top")
        top -= size * LINE
    return figure


def stacked(figure: Figure, heights: Sequence[float]) -> list[Axes]:
    """Puts axes of relative heights below each other, all with one x axis."""
    return list(figure.subplots(len(heights), sharex=True, squeeze=False, height_ratios=heights)[:, 0])


def svg(figure: Figure) -> str:
    """Returns a fresh figure as an SVG file, the same bytes for the same data, with its heading for screen readers."""
    file = io.StringIO()
    metadata = {**dict.fromkeys(("Date", "Creator", "Format", "Type")), "Title": str(figure.get_label())}
    with style():
        figure.savefig(file, format="svg", dpi=200, metadata=metadata)  # of photographs within it
    return file.getvalue()


def png(figure: Figure) -> bytes:
    """Returns a fresh figure as a PNG file, the same bytes for the same data."""
    file = io.BytesIO()
    with style():
        figure.savefig(file, format="png", dpi=150, metadata={"Software": None})
    return file.getvalue()


def share_text(share: float) -> str:
    """Formats a share with two significant digits, as the paper does; only exactly 1 is shown as 1."""
    if 0.9995 <= share < 1:
        return ">0.999"
    text = f"{share:.2g}"
    return f"{share:.3f}" if text == "1" and share < 1 else text


def text_on(background: Any) -> str:
    """The legible text colour on a background, also if a dark page inverts both."""
    return PAPER if luminance(to_hex(background)) < 0.28 else INK


def luminance(colour: str) -> float:
    """Returns the relative luminance of a colour as WCAG 2 defines it, from 0 to 1."""
    channels = np.asarray(to_rgb(colour))
    linear = np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
    return float(linear @ (0.2126, 0.7152, 0.0722))
