"""What all figures share: colours, sizes, a heading with its caution, and files out of a figure."""

from __future__ import annotations

import io
import textwrap
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import matplotlib.style
import numpy as np
from cycler import cycler
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap, to_hex, to_rgb
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.textpath import text_to_path

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

# Points.
TITLE = 10.0
TEXT = 8.5
SMALL = 7.5

LINE = 1.25 / 72  # height of a line of text in inches, a point of its size

# Characters that fit into a line of a figure's width; bold ones are wider.
_TITLE_CHARACTERS = 52
_TEXT_CHARACTERS = 58
_NOTE_CHARACTERS = 68

_SETTINGS: dict[str, Any] = {
    "font.size": TEXT,
    "axes.labelsize": TEXT,
    "axes.titlesize": TEXT,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "legend.fontsize": TEXT,
    "xtick.labelsize": SMALL,
    "ytick.labelsize": SMALL,
    "text.color": INK,
    "axes.labelcolor": INK,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "axes.edgecolor": MUTED,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.major.size": 2.5,
    "ytick.major.size": 2.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.prop_cycle": cycler(color=ACCENTS),
    "grid.color": GRID,
    "grid.linewidth": 0.7,
    "legend.frameon": False,
    "legend.borderpad": 0,
    "legend.borderaxespad": 0.3,
    "legend.columnspacing": 1.4,
    "text.parse_math": False,  # a run's or an emotion's name is no formula, even with dollar signs in it
    # Letters stay text: it can be selected and edited, and takes a fifth of the bytes of outlines.
    "svg.fonttype": "none",
    "font.sans-serif": ["DejaVu Sans", "Verdana", "sans-serif"],  # of the same widths
    "svg.hashsalt": "fer3d",
}


@contextmanager
def style() -> Iterator[None]:
    """Within it, figures take these colours and sizes, and nothing from the user's own settings.

    It also decorates functions that make figures. Matplotlib makes ticks when it first draws them, so drawing belongs
    within it, too.
    """
    with matplotlib.style.context(["default", _SETTINGS]), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from font", UserWarning)
        yield


def new_figure(title: str, caution: str, height: float, note: str = "") -> Figure:
    """Makes a figure in constrained layout below a heading, which stays with the picture wherever it is copied to.

    Args:
        title: What the figure shows; wrapped where it is too long.
        caution: `SYNTHETIC data` and the like, or nothing.
        height: Inches below the heading.
        note: What has to be read beside the picture where it has no page with a caption.
    """
    lines = [(line, TITLE, INK, "bold") for line in textwrap.wrap(title, _TITLE_CHARACTERS)]
    lines += [(line, TEXT, ALERT, "bold") for line in textwrap.wrap(caution, _TEXT_CHARACTERS)]
    lines += [(line, TEXT, MUTED, "normal") for line in textwrap.wrap(note, _NOTE_CHARACTERS)]
    whole = height + sum(size for _, size, *_ in lines) * LINE + 0.12
    figure = Figure(figsize=(WIDTH, whole), layout="constrained")
    figure.get_layout_engine().set(rect=(0, 0, 1, height / whole))  # type: ignore[union-attr, call-arg]
    figure.set_label(f"{title} [{caution}]" if caution else title)
    top = whole - 0.06
    for line, size, colour, weight in lines:
        figure.text(0.012, top / whole, line, size=size, color=colour, weight=weight, va="top")
        top -= size * LINE
    return figure


def svg(figure: Figure) -> str:
    """Returns a fresh figure as an SVG file, the same bytes for the same data, with its heading for screen readers."""
    file = io.StringIO()
    metadata = {**dict.fromkeys(("Date", "Creator", "Format", "Type")), "Title": str(figure.get_label())}
    with style():
        figure.savefig(file, format="svg", metadata=metadata)
    return file.getvalue()


def png(figure: Figure, dpi: int = 150) -> bytes:
    """Returns a fresh figure as a PNG file, the same bytes for the same data."""
    file = io.BytesIO()
    with style():
        figure.savefig(file, format="png", dpi=dpi, metadata={"Software": None})
    return file.getvalue()


def share_text(share: float) -> str:
    """Returns a share with two digits that mean something, as the paper prints it; only a whole is called 1."""
    if 0.9995 <= share < 1:
        return ">0.999"
    text = f"{share:.2g}"
    return f"{share:.3f}" if text == "1" and share < 1 else text


def text_on(background: Any) -> str:
    """The colour of text that can be read on a background, also where a dark page inverts both."""
    return PAPER if _luminance(to_hex(background)) < 0.28 else INK


def contrast(first: str, second: str) -> float:
    """Returns the contrast of two colours as WCAG 2 defines it: 1 for equal ones, 21 for black and white."""
    darker, lighter = sorted(_luminance(colour) for colour in (first, second))
    return (lighter + 0.05) / (darker + 0.05)


def _luminance(colour: str) -> float:
    channels = np.asarray(to_rgb(colour))
    linear = np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
    return float(linear @ (0.2126, 0.7152, 0.0722))


MARGIN = 0.06


@dataclass(frozen=True, slots=True)
class Theme:
    """The colours of a figure, as `#rrggbb`.

    Text has a contrast of at least 4.5 to the paper and an accent one of at least 3, as WCAG 2 asks; accents and ramp
    stay apart for colour-blind readers (after Okabe and Ito, 2008), and no figure tells things apart by colour alone.

    Attributes:
        name: `light` or `dark`.
        ink: Text and axes.
        paper: Background.
        muted: Text of less weight.
        grid: Grid lines, and tracks that bars run in.
        alert: What must not be overlooked.
        accents: Four colours for things to be told apart.
        ramp: The colours of a scale of shares, from 0 to 1.
    """

    name: str
    ink: str
    paper: str
    muted: str
    grid: str
    alert: str
    accents: tuple[str, str, str, str]
    ramp: tuple[str, ...]

    @property
    def colormap(self) -> LinearSegmentedColormap:
        """The ramp as a colour map."""
        return LinearSegmentedColormap.from_list(f"fer3d_{self.name}", self.ramp)

    def text_on(self, background: str) -> str:
        """The colour of text that is easiest to read on a background: the ink's or the paper's."""
        return max(self.ink, self.paper, key=lambda colour: contrast(colour, background))


LIGHT = Theme(
    name="light",
    ink="#1b1d21",
    paper="#ffffff",
    muted="#5a6068",
    grid="#d9dce1",
    alert="#b3261e",
    accents=("#0072b2", "#c75000", "#00805e", "#a5508a"),
    ramp=("#ffffff", "#b9d8ee", "#5ba3d0", "#1c6ba8", "#0b3a6b"),
)
DARK = Theme(
    name="dark",
    ink="#e8eaed",
    paper="#16181c",
    muted="#a6acb5",
    grid="#3d424a",
    alert="#ff8f85",
    accents=("#56b4e9", "#f0a03c", "#3fc79a", "#e39ac8"),
    ramp=("#16181c", "#1b3f5e", "#2a72a8", "#62aee2", "#cbe6fb"),
)


@contextmanager
def drawing(theme: Theme) -> Iterator[None]:
    """Within it, whatever a figure is made of takes the theme's colours, and nothing from the user's own settings."""
    settings: Any = {
        "font.size": TEXT,
        "axes.labelsize": TEXT,
        "legend.fontsize": TEXT,
        "text.color": theme.ink,
        "axes.edgecolor": theme.muted,
        "axes.facecolor": theme.paper,
        "axes.labelcolor": theme.ink,
        "figure.facecolor": theme.paper,
        "grid.color": theme.grid,
        "legend.labelcolor": theme.ink,
        "text.parse_math": False,  # a run's or an emotion's name is no formula, even with dollar signs in it
    }
    with style(), matplotlib.rc_context(settings):
        yield


@dataclass(frozen=True, slots=True)
class Sheet:
    """A figure that is laid out in inches from the upper left corner below its heading.

    Attributes:
        figure: The figure.
        theme: Its colours.
        height: Inches below the heading.
    """

    figure: Figure
    theme: Theme
    height: float

    def axes(self, left: float, top: float, width: float, height: float, grid: str = "") -> Axes:
        """Adds quiet axes.

        Args:
            left: Where their frame starts, without labels, in inches from the left.
            top: The same from below the heading.
            width: Their width in inches.
            height: Their height in inches.
            grid: Which axis has grid lines: `x`, `y` or none.
        """
        whole = self.figure.get_figheight()
        place = (left / WIDTH, (self.height - top - height) / whole, width / WIDTH, height / whole)
        axes = self.figure.add_axes(place)
        axes.spines[["top", "right"]].set_visible(False)
        # Ticks are made when they are drawn, which is after the theme's settings have gone.
        axes.tick_params(color=self.theme.muted, labelcolor=self.theme.ink, labelsize=SMALL, length=2.5)
        if grid:
            axes.grid(axis="x" if grid == "x" else "y", color=self.theme.grid, linewidth=0.7)
            axes.set_axisbelow(True)
        return axes

    def canvas(self) -> Axes:
        """Adds axes without a frame over the whole sheet, whose data are inches to the right and downwards."""
        axes = self.axes(0, 0, WIDTH, self.height)
        axes.set(xlim=(0, WIDTH), ylim=(self.height, 0))
        axes.set_axis_off()
        return axes


def new_sheet(theme: Theme, title: str, caution: str, height: float) -> Sheet:
    """Makes an empty figure under a heading; call it, and all that fills the figure, within `drawing`.

    Args:
        theme: The colours.
        title: What the figure shows; wrapped where it is too long.
        caution: `SYNTHETIC data` and the like, or nothing.
        height: Inches below the heading.
    """
    titles = wrap(title, TITLE, WIDTH - 2 * MARGIN, bold=True)
    cautions = wrap(caution, TEXT, WIDTH - 2 * MARGIN, bold=True)
    whole = height + (len(titles) * TITLE + len(cautions) * TEXT) * LINE + 2 * MARGIN
    figure = Figure(figsize=(WIDTH, whole), facecolor=theme.paper)
    figure.set_label(f"{title} [{caution}]" if caution else title)
    top = whole - MARGIN
    for lines, size, colour in ((titles, TITLE, theme.ink), (cautions, TEXT, theme.alert)):
        for line in lines:
            figure.text(MARGIN / WIDTH, top / whole, line, size=size, color=colour, weight="bold", va="top")
            top -= size * LINE
    return Sheet(figure, theme, height)


def text_width(text: str, size: float, *, bold: bool = False) -> float:
    """Returns the width of a line of text in inches at a size in points."""
    font = FontProperties(family="DejaVu Sans", size=size, weight="bold" if bold else "normal")
    with style():
        return float(text_to_path.get_text_width_height_descent(text, font, ismath=False)[0]) / 72


def wrap(text: str, size: float, width: float, *, bold: bool = False) -> list[str]:
    """Breaks text into lines of at most `width` inches at a size in points, at blanks where there are any."""
    if not text:
        return []
    num_characters = len(text)
    lines = [text]
    # Letters snap to pixels in a PNG file, which makes lines a little longer.
    while num_characters > 1 and max(text_width(line, size, bold=bold) for line in lines) > 0.98 * width:
        num_characters -= 1
        lines = textwrap.wrap(text, num_characters)
    return lines
