from __future__ import annotations

import io
import re
import xml.etree.ElementTree as ET

import matplotlib
import numpy as np
import pytest
from drawn_texts import assert_legible, texts
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from PIL import Image

from fer3d.reporting.theme import (
    DARK,
    LIGHT,
    SMALL,
    TEXT,
    WIDTH,
    Theme,
    contrast,
    drawing,
    new_sheet,
    png,
    share_text,
    svg,
    text_width,
    wrap,
)

THEMES = pytest.mark.parametrize("theme", [LIGHT, DARK], ids=lambda theme: theme.name)

# Machado, Oliveira and Fernandes (2009): what is left of linear RGB without one kind of cones.
WITHOUT_CONES = {
    "red": ((0.152286, 1.052583, -0.204868), (0.114503, 0.786281, 0.099216), (-0.003882, -0.048116, 1.051998)),
    "green": ((0.367322, 0.860646, -0.227968), (0.280085, 0.672501, 0.047413), (-0.01182, 0.04294, 0.968881)),
}


def chart(title: str = "What it shows", caution: str = "", theme: Theme = LIGHT) -> Figure:
    with drawing(theme):
        sheet = new_sheet(theme, title, caution, 1.0)
        axes = sheet.axes(0.5, 0.1, 3, 0.5, grid="y")
        axes.plot([1, 2], [1, 2], color=theme.accents[0])
        axes.set_xlabel("epoch")
    return sheet.figure


def picture(theme: Theme = LIGHT) -> Figure:
    with drawing(theme):
        sheet = new_sheet(theme, "Pictures", "", 1.0)
        noise = np.random.default_rng(0).integers(0, 255, (60, 200, 3), dtype=np.uint8)
        canvas = sheet.canvas()
        for left in (0.1, 2.0):
            canvas.imshow(noise, extent=(left, left + 1.5, 0.9, 0.1), aspect="auto", interpolation="hanning")
    return sheet.figure


@THEMES
def test_text_and_lines_can_be_seen(theme: Theme) -> None:
    assert contrast(theme.ink, theme.paper) >= 7
    assert min(contrast(colour, theme.paper) for colour in (theme.muted, theme.alert)) >= 4.5
    assert min(contrast(colour, theme.paper) for colour in theme.accents) >= 3


@pytest.mark.parametrize("cones", WITHOUT_CONES)
@THEMES
def test_what_one_figure_tells_apart_by_colour_stays_apart_for_colour_blind_readers(theme: Theme, cones: str) -> None:
    """The first two accents; the others only name kinds of boxes."""

    def seen(colour: str) -> np.ndarray:
        return np.clip(np.array(WITHOUT_CONES[cones]) @ np.array(to_rgb(colour)) ** 2.2, 0, 1) ** (1 / 2.2)

    first, second = theme.accents[:2]
    assert np.linalg.norm(seen(first) - seen(second)) > 0.35


@THEMES
def test_a_share_can_be_read_on_every_colour_of_the_ramp(theme: Theme) -> None:
    for share in np.linspace(0, 1, 51):
        cell = matplotlib.colors.to_hex(theme.colormap(share))
        assert contrast(theme.text_on(cell), cell) >= 3.9


def test_contrast_is_that_of_wcag() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == contrast("#ffffff", "#777777") == pytest.approx(4.48, abs=0.01)
    assert contrast("#123456", "#123456") == 1


@pytest.mark.parametrize("make", [chart, picture])
def test_files_are_the_same_bytes_again(make: type[Figure]) -> None:
    figure = make()
    assert svg(figure) == svg(figure) == svg(make())
    assert png(figure) == png(figure) == png(make())


def test_files_do_not_depend_on_the_users_settings_nor_change_them() -> None:
    want = svg(chart()), png(chart())
    with matplotlib.rc_context({"font.size": 20, "axes.facecolor": "red", "svg.fonttype": "none", "savefig.dpi": 10}):
        mine = dict(matplotlib.rcParams)
        assert (svg(chart()), png(chart())) == want
        assert dict(matplotlib.rcParams) == mine


def test_files_carry_no_date_and_no_version() -> None:
    assert "<metadata" not in svg(chart())
    assert matplotlib.__version__ not in svg(chart())
    assert set(Image.open(io.BytesIO(png(chart()))).info) <= {"dpi"}


@THEMES
def test_colours_are_the_themes(theme: Theme) -> None:
    figure = Image.open(io.BytesIO(png(chart(theme=theme)))).convert("RGB")
    assert figure.getpixel((1, 1)) == tuple(round(255 * channel) for channel in to_rgb(theme.paper))
    text = svg(chart(theme=theme))
    assert theme.ink in text
    other = LIGHT if theme is DARK else DARK
    assert {other.ink, other.paper, other.muted}.isdisjoint(re.findall("#[0-9a-f]{6}", text))


def test_the_heading_carries_the_caution() -> None:
    figure = chart("Accuracy", "SYNTHETIC data")
    assert {"Accuracy", "SYNTHETIC data"} <= set(texts(figure))
    title = ET.fromstring(svg(figure)).find("{http://www.w3.org/2000/svg}title")
    assert title is not None
    assert title.text == "Accuracy [SYNTHETIC data]"


def test_long_headings_are_wrapped() -> None:
    figure = chart("A run's name and then some more words " * 3, "SYNTHETIC data, PARTIAL: 1 of 118 folds missing " * 2)
    assert_legible(figure)
    assert len(texts(figure)) > len(texts(chart("A", "B")))
    assert figure.get_figheight() > chart("A", "B").get_figheight()


def test_names_may_hold_any_letters() -> None:
    """Warnings are errors here, also those of letters that the font does not have."""
    figure = chart(r"a < b & $x_1$ \1 表情", "<PARTIAL>")
    assert png(figure)
    assert r"a &lt; b &amp; $x_1$ \1 表情 [&lt;PARTIAL&gt;]" in svg(figure)
    ET.fromstring(svg(figure))


def test_svgs_can_stand_on_one_page() -> None:
    light, dark = (svg(chart(theme=theme)) for theme in (LIGHT, DARK))
    ids = [set(re.findall(r'\bid="([^"]+)"', text)) for text in (light, dark)]
    assert ids[0].isdisjoint(ids[1])
    for text, known in zip((light, dark), ids, strict=True):
        assert set(re.findall(r'href="#([^"]+)"', text)) | set(re.findall(r"url\(#([^)]+)\)", text)) <= known
    assert light.startswith('<svg role="img"')


def test_pictures_in_an_svg_are_small() -> None:
    text = svg(picture())
    assert text.count("data:image/jpeg;base64,") == 2
    assert "data:image/png" not in text


def test_axes_are_laid_out_in_inches_below_the_heading() -> None:
    with drawing(LIGHT):
        sheet = new_sheet(LIGHT, "Title", "Caution", 2.0)
        box = sheet.axes(1.0, 0.5, 2.0, 1.0).get_window_extent().transformed(sheet.figure.dpi_scale_trans.inverted())
        (x, y) = sheet.canvas().transData.transform((WIDTH, 2.0))
    assert box.bounds == pytest.approx((1.0, 0.5, 2.0, 1.0))
    assert (x, y) == pytest.approx((WIDTH * sheet.figure.dpi, 0))


def test_text_is_measured_and_wrapped() -> None:
    assert text_width("m", 72) > text_width("i", 72)
    assert text_width("mm", 72) == pytest.approx(2 * text_width("m", 72), rel=0.01)
    assert text_width("m", TEXT, bold=True) > text_width("m", TEXT)
    assert wrap("", SMALL, 1) == []
    assert wrap("one two", SMALL, 5) == ["one two"]
    assert wrap("one two", SMALL, 0.4) == ["one", "two"]
    assert len(wrap("o" * 50, SMALL, 1)) > 1


@pytest.mark.parametrize(
    ("share", "text"),
    [(0, "0"), (1, "1"), (0.5, "0.5"), (0.0217, "0.022"), (0.9932, "0.99"), (0.9964, "0.996"), (0.9999, ">0.999")],
)
def test_only_a_whole_is_called_one(share: float, text: str) -> None:
    assert share_text(share) == text
