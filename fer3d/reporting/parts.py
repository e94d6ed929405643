"""What a report page is made of: sections of texts, tables and pictures, as data."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import ClassVar

from fer3d.evaluation.tables import Table

_NUMBER = re.compile(r"([^A-Za-z]|\b(to|of)\b)*")
_SIZE = re.compile(r'<svg[^>]*?viewBox="\S+ \S+ (?P<width>[\d.]+) (?P<height>[\d.]+)"', re.DOTALL)


@dataclass(frozen=True)
class Prose:
    """A paragraph."""

    kind: ClassVar[str] = "prose"
    text: str


@dataclass(frozen=True)
class Bullets:
    """A list of sentences."""

    kind: ClassVar[str] = "bullets"
    items: tuple[str, ...]


@dataclass(frozen=True)
class Facts:
    """Names and what they stand for, one pair a line."""

    kind: ClassVar[str] = "facts"
    pairs: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Folded:
    """A text in fixed-width letters that shows when asked for."""

    kind: ClassVar[str] = "folded"
    summary: str
    text: str


@dataclass(frozen=True)
class DataTable:
    """A table of the page.

    Attributes:
        table: What it holds; the first column names the row.
        ours: Numbers of the rows, from 0, that show our runs in a table that also shows the paper; empty elsewhere.
        cautions: By the number of a row, what has to be said beside it.
    """

    kind: ClassVar[str] = "table"
    table: Table
    ours: frozenset[int] = frozenset()
    cautions: Mapping[int, str] = field(default_factory=dict)

    @property
    def numeric(self) -> tuple[bool, ...]:
        """Whether each column holds numbers alone, and so goes to the right."""
        columns = range(len(self.table.columns))
        return tuple(all(_NUMBER.fullmatch(row[column]) for row in self.table.rows) for column in columns)


@dataclass(frozen=True)
class Picture:
    """A figure, drawn for a light and for a dark page.

    Attributes:
        name: The name of its files, without their endings; one of a kind on the page.
        alt: What it shows, for those who do not see it.
        caption: What stands under it.
        light: SVG for a light page.
        dark: SVG for a dark page.
        png: The light one as PNG.
    """

    kind: ClassVar[str] = "picture"
    name: str
    alt: str
    caption: str
    light: str
    dark: str
    png: bytes

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels, so that the page keeps its place before it is shown; 0 if unknown."""
        match = _SIZE.search(self.light)
        # Matplotlib's unit is a point.
        return (round(float(match["width"]) * 4 / 3), round(float(match["height"]) * 4 / 3)) if match else (0, 0)


@dataclass(frozen=True)
class Gallery:
    """Pictures side by side where there is room."""

    kind: ClassVar[str] = "gallery"
    pictures: tuple[Picture, ...]


@dataclass(frozen=True)
class Section:
    """A part of the page with a heading and a place in the table of contents.

    Attributes:
        slug: Its address within the page; one of a kind.
        title: Its heading.
        parts: What it holds, smaller sections among them.
        caution: `SYNTHETIC data` and the like; stands beside the heading.
        listed: Whether its smaller sections stand in the table of contents, too.
    """

    kind: ClassVar[str] = "section"
    slug: str
    title: str
    parts: tuple[Part, ...]
    caution: str = ""
    listed: bool = False

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


Part = Prose | Bullets | Facts | Folded | DataTable | Picture | Gallery | Section


def slug(text: str) -> str:
    """Returns a text as part of an address and of a file name."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")
