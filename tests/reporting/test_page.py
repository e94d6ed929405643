from __future__ import annotations

import re
from base64 import b64decode
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

import pytest

from fer3d.evaluation.tables import Table
from fer3d.reporting.page import (
    DataTable,
    Facts,
    Folded,
    Headline,
    Page,
    Picture,
    Prose,
    Section,
    Strip,
    Strips,
    render,
    write_report,
)

SVG = '<svg xmlns="http://www.w3.org/2000/svg" width="72pt" height="36pt" viewBox="0 0 72 36"><title>t</title></svg>'
HOSTILE = '<script>alert("&")</script>'


class Tags(HTMLParser):
    """The tags of a page with their attributes; fails where they are not closed in order."""

    EMPTY = frozenset({"meta", "img", "source", "wbr"})

    def __init__(self, html: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))
        if tag not in self.EMPTY:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.found if name == tag]


def picture(name: str = "one") -> Picture:
    return Picture(name, "what it shows", "its caption", SVG, b"png", (96, 48))


def strips(name: str = "two") -> Strips:
    strip = Strip("S001/001", "fear, predicted <anger>", b"webp", (980, 96))
    return Strips(name, "what was missed", "its caption", SVG, b"png", (96, 48), "Missed", "SYNTHETIC data", (strip,))


def page(*sections: Section, **fields: object) -> Page:
    return Page(**{"title": "a title", "banners": (), "headlines": (), "sections": sections, **fields})  # type: ignore[arg-type]


def test_whatever_a_run_is_called_stays_text() -> None:
    table = Table(HOSTILE, (HOSTILE, "b"), ((HOSTILE, "1"),), HOSTILE, HOSTILE)
    parts = (Prose(HOSTILE), Facts(((HOSTILE, HOSTILE),)), Folded(HOSTILE, HOSTILE), DataTable(table))
    headlines = (Headline(HOSTILE, HOSTILE, HOSTILE, HOSTILE),)
    html = render(page(Section("one", HOSTILE, parts), title=HOSTILE, banners=(HOSTILE,), headlines=headlines))
    assert Tags(html).all("script") == []
    assert html.count("&lt;script&gt;alert(&#34;&amp;&#34;)&lt;/script&gt;") >= 15


def test_numbers_go_to_the_right_and_words_to_the_left() -> None:
    rows = (("a", "1.5%", "2 to 3", "-", "Adam", "1"), ("b", "< 0.1", "4 of 5", "+1", "3", "one"))
    assert DataTable(Table("", tuple("abcdef"), rows)).numeric == (False, True, True, True, False, False)


def test_a_picture_stands_on_the_page_as_it_is_in_its_file() -> None:
    tags = Tags(render(page(Section("one", "One", (picture(),)))))
    (image,) = tags.all("img")
    assert (image["width"], image["height"], image["alt"]) == ("96", "48", "what it shows")
    assert unquote(str(image["src"]).removeprefix("data:image/svg+xml,")) == SVG


def test_film_strips_are_laid_out_by_the_page_below_their_heading() -> None:
    html = render(page(Section("one", "One", (strips(),))))
    (image,) = Tags(html).all("img")
    assert (image["width"], image["height"]) == ("980", "96")
    assert b64decode(str(image["src"]).removeprefix("data:image/webp;base64,")) == b"webp"
    assert {"aria-label": "what was missed", "class": "strips"} in Tags(html).all("figure")
    assert re.search(r"<figcaption>Missed <span class=\"caution\">SYNTHETIC data</span>", html)
    assert "<b>S001/001</b> fear, predicted &lt;anger&gt;" in html


def test_two_figures_of_one_name_are_refused(tmp_path: Path) -> None:
    twice = page(Section("one", "One", (picture(), Section("two", "Two", (picture(), picture("other"))))))
    with pytest.raises(ValueError, match=r"several figures are named one$"):
        write_report(twice, tmp_path / "report")
    assert not (tmp_path / "report").exists()


def test_an_older_report_is_replaced(tmp_path: Path) -> None:
    for title in ("first", "second"):
        path = write_report(page(Section("one", "One", (picture(),)), title=title), tmp_path)
    assert "second" in path.read_text()
    assert "first" not in path.read_text()
    names = sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*"))
    assert names == ["figures", "figures/one.png", "figures/one.svg", "report.html"]
