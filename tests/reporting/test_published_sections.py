"""Published accuracies with ours beside them, and the runs that do not belong there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from fake_runs import right, write_run

from fer3d.evaluation.published import CREMA_D, LEAKING, RAVDESS, Benchmark
from fer3d.reporting import drawings
from fer3d.reporting.parts import Bullets, DataTable, Prose, Section
from fer3d.reporting.published_sections import published_section
from fer3d.reporting.report import compose_page
from fer3d.reporting.report_runs import ReportRun, read_runs

SIX = [right(8, 6, 4)] * 6
FIVE = [right(6, 4, 3)] * 5


def run(outputs: Path, benchmark: Benchmark, name: str = "mine", **fields: Any) -> ReportRun:
    settings = {
        "cv": benchmark.cv,
        "corpus": benchmark.twin,
        "emotions": benchmark.emotions,
        "correct": SIX if benchmark is RAVDESS else FIVE,
        **fields,
    }
    return read_runs([write_run(outputs, name=name, **settings)], partial=True)[0]


def parts(section: Section | None, kind: type) -> list[Any]:
    assert section is not None
    return [part for part in section.parts if isinstance(part, kind)]


def test_ours_stand_under_the_published_rows_with_every_epoch_protocol(tmp_path: Path) -> None:
    section = published_section([run(tmp_path, RAVDESS)])
    (table,) = parts(section, DataTable)
    rows = table.table.rows
    assert [row[:3] for row in rows] == [
        ("guessing", "-", "12.50%"),
        ("always the largest class", "-", "13.33%"),
        ("VO-LSTM", "-", "60.50%"),
        ("3D ResNeXt-50", "-", "62.99%"),
        ("SVFAP-S", "-", "73.90%"),
        ("SVFAP-B", "-", "75.01%"),
        ("MAE-DFER", "-", "75.56%"),
        ("mine", "best epoch of each fold (optimistic)", "75.00%"),
        ("mine", "best common epoch (slightly optimistic)", "75.00%"),
        ("mine", "last epoch", "50.00%"),
    ]
    assert rows[-1][3:] == ("50.00%", "36.39% to 63.61%", "24 of 48", "none", "this page")
    assert (table.ours, table.table.caution) == ({7, 8, 9}, "our rows: SYNTHETIC data")
    said = " ".join(part.text for part in parts(section, Prose))
    assert RAVDESS.protocol in said
    assert LEAKING in said


def test_the_raters_stand_beside_crema_d(tmp_path: Path) -> None:
    section = published_section([run(tmp_path, CREMA_D)])
    (table,) = parts(section, DataTable)
    assert LEAKING not in [part.text for part in parts(section, Prose)]
    assert ("raters who see only the face", "-", "58.20%") in [row[:3] for row in table.table.rows]


def test_each_corpus_has_its_own_table_and_others_have_none(tmp_path: Path) -> None:
    runs = [run(tmp_path, CREMA_D), run(tmp_path, RAVDESS, name="other")]
    tables = parts(published_section(runs), DataTable)
    assert [table.table.title.partition(",")[0] for table in tables] == ["RAVDESS", "CREMA-D"]
    ckplus = read_runs([write_run(tmp_path, [right(4, 3)] * 3, corpus="ckplus", synthetic=False)])
    assert published_section(ckplus) is None


def test_a_run_under_another_protocol_is_kept_apart_and_told_why(tmp_path: Path) -> None:
    other = run(tmp_path, RAVDESS, name="ten", cv="kfold10", emotions=("happy", "sad"))
    section = published_section([other])
    assert parts(section, DataTable) == []
    (bullets,) = parts(section, Bullets)
    (said,) = bullets.items
    assert said.startswith("ten [SYNTHETIC data]: its folds are others (6-fold, not cv=ravdess6); it has 2 of the 8")
    both = published_section([other, run(tmp_path, RAVDESS)])
    assert len(parts(both, Bullets)[0].items) == 1
    assert {row[0] for row in parts(both, DataTable)[0].table.rows} >= {"mine"}


@pytest.mark.parametrize("benchmark", [RAVDESS, CREMA_D], ids=["ravdess", "crema_d"])
def test_the_page_of_such_a_run_leaves_the_paper_out(
    benchmark: Benchmark, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(drawings, "draw", lambda name, alt, caption, figure: Prose(alt))
    one = run(tmp_path, benchmark)
    page = compose_page([one])
    assert [part.slug for part in page.sections][:2] == ["published", "epoch-protocols"]
    assert not {"accuracy", "discrepancies", "confusion"} & {part.slug for part in page.sections}
    assert page.title == "fer3d: mine"
    beside = compose_page([one, *read_runs([write_run(tmp_path, [right(4, 3)] * 3)])])
    assert [part.slug for part in beside.sections][:2] == ["accuracy", "published"]
