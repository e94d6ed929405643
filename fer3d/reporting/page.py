"""The report page: its sections as data, and one self-contained HTML file with its figures as files."""

from __future__ import annotations

import base64
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from matplotlib.figure import Figure

from fer3d.atomic_file import write_file
from fer3d.evaluation.run_results import EvaluationError
from fer3d.evaluation.tables import Table
from fer3d.reporting.theme import png, svg

REPORT_NAME = "report.html"
FIGURES_NAME = "figures"

_NUMBER = re.compile(r"([^A-Za-z]|\b(to|of)\b)*")
_CSS_PIXELS = 96  # in an inch


@dataclass(frozen=True)
class Prose:
    """A paragraph."""

    text: str


@dataclass(frozen=True)
class Facts:
    """Names and descriptions, one pair per line."""

    pairs: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Folded:
    """Preformatted text, collapsed by default."""

    summary: str
    text: str


@dataclass(frozen=True)
class DataTable:
    """A table of the page, whose first column names the row."""

    table: Table
    ours: frozenset[int] = frozenset()  # rows, from 0, that show our runs beside published results
    cautions: Mapping[int, str] = field(default_factory=dict)  # what has to be said beside a row

    @property
    def numeric(self) -> tuple[bool, ...]:
        """Whether each column holds only numbers, and is right-aligned."""
        columns = range(len(self.table.columns))
        return tuple(all(_NUMBER.fullmatch(row[column]) for row in self.table.rows) for column in columns)


@dataclass(frozen=True)
class Picture:
    """A figure. It includes its title and caution, since it may be copied without the page."""

    name: str  # of its files, without their endings; unique on the page
    alt: str  # what it shows, for those who do not see it
    caption: str
    svg: str
    png: bytes
    size: tuple[int, int]  # in CSS pixels, so that the page keeps its place before it is shown


@dataclass(frozen=True)
class Strip:
    """Frames of a clip side by side: its name, what is to be said of it, and a picture of so many pixels."""

    name: str
    text: str
    webp: bytes
    size: tuple[int, int]


@dataclass(frozen=True)
class Strips(Picture):
    """Film strips below a heading: the page lays them out, and the exported file holds them in one picture."""

    title: str
    caution: str
    strips: tuple[Strip, ...]


@dataclass(frozen=True)
class Gallery:
    """Pictures side by side where there is room."""

    pictures: tuple[Picture, ...]


@dataclass(frozen=True)
class Section:
    """A part of the page with a heading, a caution beside it, and a place in the table of contents."""

    slug: str  # its address within the page; unique
    title: str
    parts: tuple[Part, ...]
    caution: str = ""
    listed: bool = False  # whether the table of contents names its smaller sections, too

    @property
    def sections(self) -> tuple[Section, ...]:
        """The smaller sections."""
        return tuple(part for part in self.parts if isinstance(part, Section))

    @property
    def pictures(self) -> Iterator[Picture]:
        """All pictures in it, in order."""
        for part in self.parts:
            if isinstance(part, Section | Gallery):
                yield from part.pictures
            elif isinstance(part, Picture):
                yield part


Part = Prose | Facts | Folded | DataTable | Picture | Gallery | Section


@dataclass(frozen=True)
class Headline:
    """What a run achieved: the number that counts, and in one sentence what was measured, and on what."""

    label: str
    accuracy: str
    sentence: str
    caution: str = ""


@dataclass(frozen=True)
class Page:
    """Everything that the page shows: what a reader must know before any number, a headline a run, and the rest."""

    title: str
    banners: tuple[str, ...]
    headlines: tuple[Headline, ...]
    sections: tuple[Section, ...]

    @property
    def pictures(self) -> tuple[Picture, ...]:
        """All pictures, in order."""
        return tuple(picture for section in self.sections for picture in section.pictures)


def draw(name: str, alt: str, caption: str, figure: Figure) -> Picture:
    """Makes a picture of a figure."""
    width, height = figure.get_size_inches() * _CSS_PIXELS
    return Picture(name, alt, caption, svg(figure), png(figure), (round(width), round(height)))


def side_by_side(parts: Sequence[Part]) -> tuple[Part, ...]:
    """Puts pictures into a gallery; other parts, such as the reason for a missing one, follow it."""
    pictures = tuple(part for part in parts if isinstance(part, Picture))
    rest = (part for part in parts if not isinstance(part, Picture))
    return (*([Gallery(pictures)] if pictures else []), *rest)


def slug(text: str) -> str:
    """Turns a text into a slug for URLs and file names."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")


def value_text(value: Any) -> str:
    """Formats a setting's value as on the command line, with four digits."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def render(page: Page) -> str:
    """Returns the page as HTML: the same page gives the same text."""
    return fill_template("report.html.j2", page=page)


def fill_template(name: str, /, **content: object) -> str:
    """Fills a template of this package; the content is escaped."""
    environment = Environment(
        loader=PackageLoader("fer3d", "reporting"), autoescape=True, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    environment.filters |= {"svg_uri": _svg_uri, "webp_uri": _webp_uri}
    return environment.get_template(name).render(content)


def make_folder(folder: Path) -> None:
    """Makes the folder of a report.

    Raises:
        EvaluationError: It cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        said = f"the report cannot be written to {folder}, which must be a folder: {error.strerror}"
        raise EvaluationError(said) from error


def write_report(page: Page, folder: Path) -> Path:
    """Writes the page and its figures and returns the page's path.

    Raises:
        OSError: A file cannot be written.
        ValueError: Two figures have the same name.
    """
    names = Counter(picture.name for picture in page.pictures)
    if twice := [name for name, number in names.items() if number > 1]:
        # One's files would replace the other's.
        raise ValueError(f"several figures are named {', '.join(twice)}")
    for picture in page.pictures:
        write_file(folder / FIGURES_NAME / f"{picture.name}.svg", picture.svg)
        write_file(folder / FIGURES_NAME / f"{picture.name}.png", picture.png)
    path = folder / REPORT_NAME
    # The page comes last: when it exists, so do its figures.
    write_file(path, render(page))
    return path


def _svg_uri(picture: str) -> Markup:
    # Shorter than base64, since most of an SVG needs no escaping.
    return Markup("data:image/svg+xml,") + Markup(quote(picture, safe=" <>/:;=(),.'!*+-_~"))


def _webp_uri(picture: bytes) -> str:
    return f"data:image/webp;base64,{base64.b64encode(picture).decode()}"
