from __future__ import annotations

import csv
import io
import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from fer3d.evaluation.tables import Table, csv_text, json_text, percent

TABLE = Table("Title", ("", "right", "share"), (("S001", "1 of 2", "50.00%"), ("S002", "22 of 22", "100.00%")))


def printed(table: Table, width: int = 100) -> str:
    console = Console(width=width, file=io.StringIO())
    table.print(console)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_prints_the_title_over_the_columns_and_numbers_to_the_right() -> None:
    title, columns, _, first, second, *_ = printed(TABLE).splitlines()
    assert title == "Title"
    assert columns.split() == ["right", "share"]
    assert first == "S001     1 of 2    50.00%"
    assert second == "S002   22 of 22   100.00%"


def test_a_caution_stands_in_the_heading() -> None:
    assert TABLE.heading == "Title"
    warned = Table("Title", ("a",), (("b",),), note="What to know.", caution="SYNTHETIC data, PARTIAL")
    assert warned.heading == "Title [SYNTHETIC data, PARTIAL]"
    assert printed(warned).startswith("Title [SYNTHETIC data, PARTIAL]\n")
    assert "What to know." in printed(warned)


def test_a_heading_is_not_broken_to_the_width_of_a_narrow_table() -> None:
    title = "A title that is much wider than its table"
    assert printed(Table(title, ("a",), (("b",),))).splitlines()[0] == title


def test_brackets_and_colons_are_no_markup() -> None:
    text = "[red]S001[/] :smile: [b]"
    shown = printed(Table(text, (text, text), ((text, text),), note=text, caution=text))
    assert shown.count(text) == 7


@pytest.mark.parametrize("width", [30, 40, 60])
def test_a_narrow_terminal_loses_no_letter(width: int) -> None:
    titles = ("", "best epoch (optimistic)", "best common epoch (slightly optimistic)", "last epoch")
    table = Table("T", titles, (("pooled", "97.55%", "96.00%", "95.12%"),))
    letters = "".join(printed(table, width).split())
    assert "…" not in letters
    assert sorted(letters.replace("─", "")) == sorted(
        "T" + "".join("".join(titles).split()) + "pooled97.55%96.00%95.12%"
    )


def test_a_long_name_is_folded_and_numbers_are_not() -> None:
    name = "synthetic-kfold10-cnn_lstm_compact, synthetic-kfold10-mc3_18_compact"
    text = printed(Table("T", ("first, second", "points", "clips"), ((name, "+12.34", "160 to 16"),)), 50)
    assert "+12.34" in text
    assert "160 to 16" in text
    assert "…" not in text


@pytest.mark.parametrize(("share", "text"), [(319 / 327, "97.55%"), (0.0, "0.00%"), (1.0, "100.00%"), (math.nan, "-")])
def test_percent_has_the_papers_two_decimals(share: float, text: str) -> None:
    assert percent(share) == text


@given(
    st.lists(
        st.lists(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\0")), min_size=2, max_size=2)
    )
)
def test_csv_gives_texts_back(rows: list[list[str]]) -> None:
    text = csv_text(["a", "b"], rows)
    assert list(csv.reader(io.StringIO(text, newline=""))) == [["a", "b"], *rows]


@given(st.floats(allow_nan=False))
def test_csv_gives_numbers_back(number: float) -> None:
    assert [float(cell) for cell in csv_text([], [[number, np.float64(number)]]).split("\n")[1].split(",")] == [
        number
    ] * 2


def test_csv_writes_truth_as_json_does_and_nothing_for_nothing() -> None:
    rows = [[True, False, np.bool_(True), math.nan, np.float64(math.nan), None, 0, 1]]
    assert csv_text(list("abcdefgh"), rows) == "a,b,c,d,e,f,g,h\ntrue,false,true,,,,0,1\n"


def test_json_is_for_people_too_and_knows_no_nan() -> None:
    text = json_text({"name": "Lézoray", "share": 0.5, "none": None})
    assert "Lézoray" in text
    assert text.count("\n") == 5
    assert json.loads(text) == {"name": "Lézoray", "share": 0.5, "none": None}
    with pytest.raises(ValueError, match="JSON"):
        json_text({"share": math.nan})
