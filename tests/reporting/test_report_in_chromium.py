"""The page in a real browser: nothing fails to load, nothing complains, nothing sticks out on a phone."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest
from chromium import Browser, Visit
from reported import Reported

PHONE = 390
WIDE = 1280

SCROLL_WIDTH = "document.documentElement.scrollWidth"
# Decoding fails where something is no picture.
PICTURES = """Promise.all([...document.images].map(image =>
    image.decode().then(() => image.naturalWidth > 0 && image.clientWidth > 100, () => false)))"""
FILTERS = """[...new Set([...document.querySelectorAll(".drawing")].map(image => getComputedStyle(image).filter))]"""
# Where the first column of numbers of each table of measures ends.
FIRST_NUMBERS = """[...document.querySelectorAll("table")].filter(table => table.innerText.includes("macro F1")).map(
    table => table.rows[1].cells[1].getBoundingClientRect().right)"""
# What sticks out of the page where nothing scrolls it.
OUTSIDE = f"""[...document.querySelectorAll("main *, header *, nav *")].filter(element =>
    !element.closest(".scroll, pre") && element.getBoundingClientRect().right > {PHONE} + 1
).map(element => element.outerHTML.slice(0, 80))"""
BACKGROUNDS = """[document.body, ...document.querySelectorAll(".banner, .ours td, nav")].map(
    element => getComputedStyle(element).backgroundColor)"""
COLUMNS = """["nav", "main"].map(name => document.querySelector(name).getBoundingClientRect().left)"""


def problems(visit: Visit, page: Path) -> list[str]:
    """What the browser has to complain of; a page may ask for itself and for nothing else."""
    asked = [address for address in visit.requests if address != page.resolve().as_uri()]
    return [*visit.messages, *visit.failures, *asked]


@dataclass(frozen=True)
class Shown:
    """What the scripts found on a page."""

    visit: Visit
    scroll_width: int
    pictures: list[bool]
    first_numbers: list[float]
    outside: list[str]
    columns: list[float]
    backgrounds: list[str]
    filters: list[str]


@pytest.fixture(scope="module")
def shown(browser: Browser, reported: Reported) -> Callable[..., Shown]:
    """Shows the page in a way, once."""
    scripts = (SCROLL_WIDTH, PICTURES, FIRST_NUMBERS, OUTSIDE, COLUMNS, BACKGROUNDS, FILTERS)

    @cache
    def show(width: int, dark: bool, media: str = "screen") -> Shown:
        visit = browser.visit(reported.path, *scripts, width=width, dark=dark, media=media)
        return Shown(visit, *visit.values)

    return show


@pytest.mark.parametrize(("width", "dark"), [(PHONE, True), (WIDE, False)])
def test_the_page_loads_whole_and_quietly(
    width: int, dark: bool, shown: Callable[..., Shown], reported: Reported
) -> None:
    found = shown(width, dark)
    assert problems(found.visit, reported.path) == []
    assert found.scroll_width <= width
    assert len(found.pictures) >= len(reported.page.pictures)
    assert all(found.pictures)
    assert len(found.first_numbers) == len(reported.runs)
    assert max(found.first_numbers) < width
    assert width > PHONE or found.outside == []


def test_dark_is_dark_with_figures_inverted(shown: Callable[..., Shown]) -> None:
    light, dark, paper = shown(WIDE, False), shown(PHONE, True), shown(PHONE, True, "print")
    assert light.backgrounds[0] == "rgb(255, 255, 255)"
    for colours, is_dark in ((light.backgrounds, False), (dark.backgrounds, True)):
        channels = {int(channel) for colour in colours for channel in re.findall(r"\d+", colour)}
        assert (max(channels) < 70) == is_dark
        assert (min(channels) > 200) == (not is_dark)
    assert (light.filters, dark.filters) == (["none"], ["invert(1) hue-rotate(180deg)"])
    # Paper is white, whatever the screen is.
    assert (paper.backgrounds, paper.filters) == (light.backgrounds, light.filters)


def test_contents_stand_beside_the_page_where_there_is_room(shown: Callable[..., Shown]) -> None:
    beside, above = shown(WIDE, False).columns, shown(PHONE, True).columns
    assert beside[1] > beside[0] + 200
    assert above[0] == above[1]


HEAD = '<!doctype html><meta name="viewport" content="width=device-width, initial-scale=1"><title>x</title>'


@pytest.mark.parametrize(
    ("body", "complaint"),
    [
        ("<script>console.error('oh')</script>", "oh"),
        ("<script>console.warn('hm')</script>", "hm"),
        ("<script>nowhere()</script>", "nowhere is not defined"),
        ("<img src='missing.png'>", "ERR_FILE_NOT_FOUND"),
        ("<img src='https://example.com/picture.png'>", "https://example.com/picture.png"),
        ("<style>@import 'https://example.com/style.css';</style>", "https://example.com/style.css"),
    ],
)
def test_these_tests_would_notice_a_complaint(body: str, complaint: str, browser: Browser, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    page.write_text(HEAD + body)
    assert any(complaint in problem for problem in problems(browser.visit(page), page))
