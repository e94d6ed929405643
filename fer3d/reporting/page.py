"""The report page: one HTML file that needs nothing else, and its figures as files."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from fer3d.atomic_file import write_file
from fer3d.reporting.parts import Picture, Section
from fer3d.reporting.theme import DARK, LIGHT

REPORT_NAME = "report.html"
FIGURES_NAME = "figures"


@dataclass(frozen=True)
class Headline:
    """What a run achieved, in one sentence.

    Attributes:
        label: The run's name on the page.
        accuracy: The number that counts.
        sentence: What was measured, and on what.
        caution: `SYNTHETIC data` and the like.
    """

    label: str
    accuracy: str
    sentence: str
    caution: str = ""


@dataclass(frozen=True)
class Page:
    """Everything that the page shows.

    Attributes:
        title: Its heading.
        banners: What a reader must know before any number.
        headlines: One a run.
        sections: The rest.
    """

    title: str
    banners: tuple[str, ...]
    headlines: tuple[Headline, ...]
    sections: tuple[Section, ...]

    @property
    def pictures(self) -> tuple[Picture, ...]:
        """All pictures, in order.

        Raises:
            ValueError: Two of them have the same name, so that one's files would replace the other's.
        """
        pictures = tuple(picture for section in self.sections for picture in section.pictures)
        names = [picture.name for picture in pictures]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"several figures are named {', '.join(twice)}")
        return pictures


def render(page: Page) -> str:
    """Returns the page as HTML: the same page gives the same text."""
    environment = Environment(
        loader=PackageLoader("fer3d", "reporting"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"data_uri": _data_uri, "breakable": _breakable}
    return environment.get_template("report.html.j2").render(page=page, light=LIGHT, dark=DARK)


def write_report(page: Page, folder: Path) -> Path:
    """Writes the page and its figures and returns the page's path.

    Raises:
        OSError: A file cannot be written.
        ValueError: Two figures have the same name.
    """
    for picture in page.pictures:
        write_file(folder / FIGURES_NAME / f"{picture.name}.svg", picture.light)
        write_file(folder / FIGURES_NAME / f"{picture.name}.png", picture.png)
    path = folder / REPORT_NAME
    # The page comes last: who sees it finds its figures, too.
    write_file(path, render(page))
    return path


def _breakable(name: str) -> Markup:
    """The name as HTML that a narrow column breaks after an underscore rather than within a word."""
    return Markup("_<wbr>").join(name.split("_"))


def _data_uri(svg: str) -> str:
    return f"data:image/svg+xml;base64,{base64.b64encode(svg.encode()).decode()}"
