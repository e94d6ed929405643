"""Runs side by side: beside published accuracies, pair by pair, and setting by setting."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from fake_runs import right, write_run

from fer3d.evaluation.published import CREMA_D, LEAKING, RAVDESS, Benchmark
from fer3d.reporting import ranking_sections, sections
from fer3d.reporting.comparison_sections import comparison_section, published_section, settings_section
from fer3d.reporting.page import DataTable, Facts, Prose, Section
from fer3d.reporting.report import compose_page
from fer3d.reporting.runs import ReportRun, read_runs

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


@pytest.fixture
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leaves figures out, which take their time."""
    monkeypatch.setattr(sections, "draw", lambda name, alt, caption, figure: Prose(alt))


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
    (unlike,) = parts(section, Facts)
    ((label, said),) = unlike.pairs
    assert label == "ten [SYNTHETIC data]"
    assert said.startswith("its folds differ (6-fold, not cv=ravdess6); it has 2 of the 8")
    both = published_section([other, run(tmp_path, RAVDESS)])
    assert len(parts(both, Facts)[0].pairs) == 1
    assert {row[0] for row in parts(both, DataTable)[0].table.rows} >= {"mine"}


def test_all_pairs_are_within_a_corpus_and_a_cross_validation(tmp_path: Path) -> None:
    mixed = [right(4, number % 4, 1 + number % 2) for number in range(10)]
    folds = {"a": [right(4, 3, 2)] * 10, "b": mixed, "c": [right(4, 3, 2)] * 10}
    runs = read_runs([write_run(tmp_path, correct, name=name) for name, correct in folds.items()])
    runs += read_runs([write_run(tmp_path, folds["a"], name="d", corpus="oulu_casia")])
    runs += read_runs([write_run(tmp_path, folds["a"], name="e", cv="loso")])
    (table,) = parts(comparison_section(runs), DataTable)
    assert [row[0] for row in table.table.rows[::2]] == ["a, b", "a, c", "b, c"]
    assert table.table.rows[2][2:] == ("1.00000",) * 5 + ("+0.00", "0.00")
    assert table.table.caution == "SYNTHETIC data"
    assert comparison_section(runs[2:]) is None


def test_three_entries_stand_together_and_in_no_pairs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[str] = []
    monkeypatch.setattr(ranking_sections, "draw", lambda name, alt, caption, figure: Prose(drawn.append(alt) or alt))
    folds = {"a": [right(4, 3, 4)] * 10, "b": [right(4, 3, 3)] * 10, "c": [right(4, 0, 0)] * 10}
    folders = [
        write_run(tmp_path, correct, name=f"my-{name}", seed=seed, overrides=[f"model.dropout=0.{index}"])
        for seed in (0, 1)
        for index, (name, correct) in enumerate(folds.items())
    ]
    other = write_run(tmp_path, folds["a"], name="other", cv="loso")
    section = comparison_section(read_runs([*folders, other]))
    assert parts(section, DataTable) == []
    (together,) = parts(section, Section)
    assert (together.title, together.caution) == ("3 entries on the synthetic twin of CK+, 10-fold", "SYNTHETIC data")
    tables = parts(together, DataTable)
    assert [part.table.title.split(",")[0] for part in tables] == ["Accuracy and cost", "All pairs"] * 2
    assert [row[:2] for row in tables[0].table.rows] == [
        ("a", "100.00% ± 0.00%"), ("b", "75.00% ± 0.00%"), ("c", "0.00% ± 0.00%"),
    ]  # fmt: skip
    assert all(part.cautions == dict.fromkeys(range(3), "SYNTHETIC data") for part in tables)
    (made_of,) = parts(together, Facts)
    assert [label for label, _ in made_of.pairs] == ["a", "b", "c"]
    assert all("my-a" in text for label, text in made_of.pairs if label == "a")
    (ranks,) = drawn  # no result tells its cost
    assert ranks.startswith("Mean ranks, last epoch. a: 1.00")
    assert ranks.endswith("SYNTHETIC data.")


def test_entries_with_other_seeds_are_compared_in_pairs_and_told_why(tmp_path: Path) -> None:
    folds = [right(4, 3, 2)] * 10
    settings = [(0, 0.1), (1, 0.1), (0, 0.2), (0, 0.3)]
    folders = [write_run(tmp_path, folds, seed=seed, overrides=[f"model.dropout={it}"]) for seed, it in settings]
    section = comparison_section(read_runs(folders))
    assert parts(section, Section) == []
    assert len(parts(section, DataTable)[0].table.rows) == 12
    assert parts(section, Prose)[0].text.startswith("runs can be compared only if all settings have the same seeds")


def test_runs_that_cannot_be_paired_say_why(tmp_path: Path) -> None:
    folds = [right(4, 3, 2)] * 10
    folders = [write_run(tmp_path, folds, name="whole"), write_run(tmp_path, folds, name="part", only=range(1, 9))]
    section = comparison_section(read_runs(folders, partial=True))
    assert parts(section, DataTable) == []
    said = parts(section, Prose)[-1].text
    assert said.startswith("whole and part cannot be compared pair by pair: they lack different folds")
    assert str(tmp_path) not in said


def test_seeds_of_one_configuration_share_a_column(tmp_path: Path, undrawn: None) -> None:
    folds = [right(4, 3)] * 3
    seeds = [write_run(tmp_path, folds, name="a", overrides=[f"seed={seed}"]) for seed in (1, 0)]
    other = write_run(tmp_path, folds, name="b", overrides=["model.dropout=0.5"])
    (table,) = parts(settings_section(read_runs([*seeds, other])), DataTable)
    rows = {name: values for name, *values in table.table.rows}
    assert len(table.table.columns) == 3
    assert rows["seed"] == ["0, 1", "0"]
    assert rows["model.dropout"][1] == "0.5"


def test_settings_that_differ_stand_before_those_that_runs_share(tmp_path: Path, undrawn: None) -> None:
    folds = [right(4, 3)] * 3
    overrides = ["experiment=ckplus_kfold10", "model.dropout=0.5", "seed=3"]
    folders = [write_run(tmp_path, folds, name="a"), write_run(tmp_path, folds, name="b", overrides=overrides)]
    (table,) = parts(settings_section(read_runs(folders)), DataTable)
    rows = {name: values for name, *values in table.table.rows}
    differing = [name for name, (first, second) in rows.items() if first != second]
    assert list(rows)[: len(differing)] == differing
    assert {"model.dropout", "seed"} <= set(differing)
    assert rows["model.dropout"][1] == "0.5"
    assert rows["batch_size"] == ["30", "30"]
    assert not {"name", "outputs", "data.root"} & set(rows)


def test_one_run_shows_the_settings_that_describe_it(tmp_path: Path, undrawn: None) -> None:
    (table,) = parts(settings_section(read_runs([write_run(tmp_path, [right(4, 3)] * 3)])), DataTable)
    rows = dict(table.table.rows)
    assert rows["model"] == "CNN3d"
    assert {"optimizer.lr", "trainer.max_epochs", "clips.clahe", "model.dropout", "frames"} <= set(rows)
    assert "seed" not in rows


@pytest.mark.parametrize("benchmark", [RAVDESS, CREMA_D], ids=["ravdess", "crema_d"])
def test_a_page_starts_with_what_is_published_on_it(benchmark: Benchmark, tmp_path: Path, undrawn: None) -> None:
    page = compose_page([run(tmp_path, benchmark)])
    assert [part.slug for part in page.sections][:2] == ["published", "epoch-protocols"]
    assert page.title == "fer3d: mine"
