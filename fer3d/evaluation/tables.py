"""Tables as data, for the terminal and the report; the content of CSV and JSON files."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from rich.box import SIMPLE_HEAD
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table as RichTable
from rich.text import Text

# Characters that the terminal's tables leave at least to the names in the first column, and those between columns.
_LEAST_NAME, _BETWEEN = 24, 3


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
        widest = [max((cell_len(row[number]) for row in self.rows), default=0) for number in range(len(self.columns))]
        # Numbers stay whole where there is room, and a long name is folded.
        has_room = _LEAST_NAME + sum(width + _BETWEEN for width in widest[1:]) <= console.width
        for number, (column, width) in enumerate(zip(self.columns, widest, strict=True)):
            no_wrap = not number and (width <= _LEAST_NAME or not has_room)
            justify: Literal["left", "right"] = "right" if number else "left"
            least = width if number and has_room else None
            table.add_column(Text(column), justify=justify, no_wrap=no_wrap, overflow="fold", min_width=least)
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
