from __future__ import annotations

import io
import re
import xml.etree.ElementTree as ET
from collections.abc import Callable

import matplotlib
import numpy as np
import pytest
from drawn_texts import assert_legible
from matplotlib.colors import to_hex, to_rgb
from matplotlib.figure import Figure
from PIL import Image

from fer3d.reporting import theme
from fer3d.reporting.theme import luminance, new_figure, png, share_text, style, svg, text_on

# Machado, Oliveira and Fernandes (2009): what is left of linear RGB without one kind of cones.
WITHOUT_CONES = {
    "red": ((0.152286, 1.052583, -0.204868), (0.114503, 0.786281, 0.099216), (-0.003882, -0.048116, 1.051998)),
    "green": ((0.367322, 0.860646, -0.227968), (0.280085, 0.672501, 0.047413), (-0.01182, 0.04294, 0.968881)),
}


def on_a_dark_page(colour: str) -> str:
    """What report.css makes of a colour: inverted, its hue turned back, and no darker than the page.

    Turning by 180 degrees mirrors a colour at the grey of its luminance (Filter Effects, level 1).
    """
    inverted = 1 - np.array(to_rgb(colour))
    turned = 2 * (inverted @ (0.213, 0.715, 0.072)) - inverted
    return to_hex(np.maximum(turned.clip(0, 1), to_rgb("#16181c")))


def contrast(first: str, second: str) -> float:
    """The contrast of two colours as WCAG 2 defines it: 1 for equal ones, 21 for black and white."""
    darker, lighter = sorted(map(luminance, (first, second)))
    return (lighter + 0.05) / (darker + 0.05)


def as_it_is(colour: str) -> str:
    return colour


Shown = Callable[[str], str]
PAGES = pytest.mark.parametrize("shown", [as_it_is, on_a_dark_page], ids=["light", "dark"])


@style()
def chart(title: str = "What it shows", caution: str = "") -> Figure:
    figure = new_figure(title, caution, 1.5)
    axes = figure.subplots()
    axes.plot([1, 2], [1, 2], label="one")
    axes.legend()
    axes.set_xlabel("epoch")
    return figure


@PAGES
def test_text_and_lines_can_be_seen(shown: Shown) -> None:
    paper = shown(theme.PAPER)
    assert contrast(shown(theme.INK), paper) >= 7
    assert min(contrast(shown(colour), paper) for colour in (theme.MUTED, theme.ALERT)) >= 4.5
    assert min(contrast(shown(colour), paper) for colour in theme.ACCENTS) >= 3


@pytest.mark.parametrize("cones", WITHOUT_CONES)
@PAGES
def test_what_one_figure_tells_apart_by_colour_stays_apart_for_colour_blind_readers(shown: Shown, cones: str) -> None:
    """The first two accents; the others only name kinds of boxes."""

    def seen(colour: str) -> np.ndarray:
        return np.clip(np.array(WITHOUT_CONES[cones]) @ np.array(to_rgb(shown(colour))) ** 2.2, 0, 1) ** (1 / 2.2)

    first, second = theme.ACCENTS[:2]
    assert np.linalg.norm(seen(first) - seen(second)) > 0.3


@PAGES
def test_a_share_can_be_read_on_every_colour_of_the_ramp(shown: Shown) -> None:
    for share in np.linspace(0, 1, 51):
        cell = to_hex(theme.RAMP(share))
        assert contrast(shown(text_on(cell)), shown(cell)) >= 3


def test_contrast_is_that_of_wcag() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == contrast("#ffffff", "#777777") == pytest.approx(4.48, abs=0.01)


def test_files_are_the_same_bytes_again_whatever_the_users_settings() -> None:
    want = svg(chart()), png(chart())
    with matplotlib.rc_context({"font.size": 20, "axes.facecolor": "red", "svg.fonttype": "path", "savefig.dpi": 10}):
        mine = dict(matplotlib.rcParams)
        assert (svg(chart()), png(chart())) == want
        assert dict(matplotlib.rcParams) == mine


def test_files_carry_no_date_and_no_version() -> None:
    assert not re.search(r"dc:(date|creator)", svg(chart()))
    assert matplotlib.__version__ not in svg(chart())
    assert set(Image.open(io.BytesIO(png(chart()))).info) <= {"dpi"}


def test_long_headings_are_wrapped_and_whole() -> None:
    title, caution = "A run's name and then some more words " * 3, "SYNTHETIC data, PARTIAL: 1 of 118 folds " * 2
    figure = chart(title, caution)
    with style():
        found = " ".join(assert_legible(figure))
    assert title.strip() in found
    assert caution.strip() in found
    assert figure.get_figheight() > chart("A", "B").get_figheight()


def test_names_may_hold_any_letters() -> None:
    """Warnings are errors here, also those of letters that the font does not have."""
    figure = chart(r"a < b & $x_1$ \1 表情", "<PARTIAL>")
    assert png(figure)
    title = ET.fromstring(svg(figure)).find("{http://www.w3.org/2000/svg}title")
    assert title is not None
    assert title.text == r"a < b & $x_1$ \1 表情 [<PARTIAL>]"


@pytest.mark.parametrize(
    ("share", "text"),
    [(0, "0"), (1, "1"), (0.5, "0.5"), (0.0217, "0.022"), (0.9932, "0.99"), (0.9964, "0.996"), (0.9999, ">0.999")],
)
def test_only_a_whole_is_called_one(share: float, text: str) -> None:
    assert share_text(share) == text
