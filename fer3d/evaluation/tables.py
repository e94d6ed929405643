"""Tables as data, for the terminal and the report; the content of CSV and JSON files."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table as RichTable
from rich.text import Text


@dataclass(frozen=True)
class Table:
    """Rows of text under a title.

    Attributes:
        title: What the table shows.
        columns: The heading of each column.
        rows: A text for each column.
        note: Explanation below the table.
        caution: `SYNTHETIC data` and the like, shown in the title.
    """

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str = ""
    caution: str = ""

    @property
    def heading(self) -> str:
        """The title with its caution."""
        return f"{self.title} [{self.caution}]" if self.caution else self.title

    def print(self, console: Console | None = None) -> None:
        """Prints the table, the first column to the left and numbers to the right."""
        console = console or Console()
        table = RichTable(box=SIMPLE_HEAD, show_edge=False, pad_edge=False)
        # Text, since a plain string is parsed for markup and emoji.
        for number, column in enumerate(self.columns):
            table.add_column(Text(column), justify="right" if number else "left", no_wrap=not number, overflow="fold")
        for row in self.rows:
            table.add_row(*map(Text, row))
        # Outside the table, whose own title would wrap at the table's width.
        console.print(Text(self.heading, style="bold"))
        console.print(table)
        if self.note:
            console.print(Text(self.note, style="italic"))
        console.print()


def percent(share: float) -> str:
    """A share in percent with two decimals; a dash for NaN."""
    return "-" if math.isnan(share) else f"{share:.2%}"


def csv_text(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Returns the content of a CSV file; booleans as in JSON, NaN and None as empty cells."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows([_csv_cell(cell) for cell in row] for row in rows)
    return text.getvalue()


def json_text(content: Any) -> str:
    """Returns a JSON file's content.

    Raises:
        ValueError: It holds NaN or infinity, which JSON lacks; use None instead.
    """
    return json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def _csv_cell(cell: object) -> object:
    if isinstance(cell, bool | np.bool_):
        return str(cell).lower()
    return "" if isinstance(cell, float) and math.isnan(cell) else cell
