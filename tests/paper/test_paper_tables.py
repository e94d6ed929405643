"""The paper's tables with ours: which run goes where, and what the rows say."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fake_runs import right, write_run

from fer3d.evaluation.comparison import Comparison
from fer3d.evaluation.protocols import BEST_EPOCH, LAST_EPOCH
from fer3d.overrides import override
from fer3d.paper.tables import absent_tables, accuracy_tables, fold_tables, paper_name, settings_table
from fer3d.reporting.page import DataTable
from fer3d.reporting.runs import ReportRun, read_runs

OULU = {"corpus": "oulu_casia", "emotions": ("anger", "disgust", "fear", "happy", "sadness", "surprise")}
TEN = [right(4, 3, 2)] * 10
MIXED = [right(4, number % 4, 1 + number % 2) for number in range(10)]


# As the experiments set it.
CONFIGURATIONS = {
    "ckplus_loso": "c1",
    "ckplus_kfold10": "c1",
    "ckplus_kfold10_c2": "c2",
    "ckplus_kfold10_c3": "c3",
    "oulu_kfold10": "c2",
    "oulu_kfold10_c1": "c1",
    "oulu_kfold10_c4": "c4",
}


def write(outputs: Path, name: str, folds: Any = TEN, *, overrides: Sequence[str] = (), **fields: Any) -> Path:
    configuration = override("configuration", CONFIGURATIONS.get(name))
    return write_run(outputs, folds, name=name, overrides=[configuration, *overrides], **fields)


def run(outputs: Path, name: str, folds: Any = TEN, **fields: Any) -> ReportRun:
    return read_runs([write(outputs, name, folds, **fields)], partial=True)[0]


def without_the_key(one: ReportRun, **info: Any) -> ReportRun:
    """The run as one that was trained before runs recorded their configuration."""
    config = {key: value for key, value in one.run.config.items() if key != "configuration"}
    folds = tuple(replace(fold, info={**fold.info, "config": config, **info}) for fold in one.run.folds)
    return replace(one, evaluation=replace(one.evaluation, run=replace(one.run, folds=folds)))


def rows(table: DataTable, start: str) -> list[tuple[str, ...]]:
    return [row for row in table.table.rows if row[0].startswith(start)]


@pytest.mark.parametrize(
    ("corpus", "cv", "folds", "table"),
    [
        ("ckplus", "loso", TEN, "Table 6 (CK+, LOSO): accuracy"),
        ("synthetic", "loso", TEN, "Table 6 (CK+, LOSO): accuracy"),
        ("ckplus", "kfold10", TEN, "Table 7 (CK+, 10-fold): accuracy"),
        ("synthetic", "kfold10_balanced", TEN, "Table 7 (CK+, 10-fold): accuracy"),
        ("oulu_casia", "kfold10", TEN, "Table 8 (Oulu-CASIA, 10-fold): accuracy"),
        ("synthetic_oulu", "kfold10", TEN, "Table 8 (Oulu-CASIA, 10-fold): accuracy"),
        ("oulu_casia", "loso", TEN, None),
        ("ckplus", "kfold10", TEN[:5], None),
    ],
)
def test_a_run_goes_where_its_corpus_and_cross_validation_say(
    corpus: str, cv: str, folds: Any, table: str | None, tmp_path: Path
) -> None:
    one = run(tmp_path, "any-name", folds, corpus=corpus, cv=cv, synthetic=corpus.startswith("synthetic"))
    assert [made.table.title for made in accuracy_tables([one])] == ([table] if table else [])
    assert len(absent_tables([one])) == (2 if table else 3)


def test_ours_stand_under_the_papers_with_every_epoch_protocol(tmp_path: Path) -> None:
    one = run(tmp_path, "ckplus_loso", cv="loso", inner_val=[right(3, 0, 3)] * 10)
    (table,) = accuracy_tables([one])
    assert [row[:3] for row in table.table.rows] == [
        ("CNN (AlexNet)", "-", "94.40%"),
        ("DAE (DSAE)", "-", "95.79%"),
        ("the paper", "best epoch of each fold (optimistic)", "97.56%"),
        ("c1: ckplus_loso", "best epoch of each fold (optimistic)", "75.00%"),
        ("c1: ckplus_loso", "best common epoch (slightly optimistic)", "75.00%"),
        ("c1: ckplus_loso", "last epoch", "50.00%"),
        ("c1: ckplus_loso", "epoch chosen on inner validation", "50.00%"),
    ]
    assert table.table.rows[5][3:5] == ("35.20% to 64.80%", "20 of 40")
    assert table.ours == {3, 4, 5, 6}
    assert table.table.caution == "our rows: SYNTHETIC data"
    assert table.cautions == dict.fromkeys((3, 4, 5, 6), "SYNTHETIC data")


def test_real_and_synthetic_runs_in_one_table_are_marked_row_by_row(tmp_path: Path) -> None:
    real = run(tmp_path, "real", corpus="ckplus", synthetic=False)
    made = run(tmp_path, "made")
    (table,) = accuracy_tables([real, made])
    assert table.table.caution == "our rows: SYNTHETIC data in 1 of 2 runs"
    marked = {table.table.rows[number][0] for number, caution in table.cautions.items() if caution}
    assert marked == {"made"}
    (only_real,) = accuracy_tables([real])
    assert only_real.table.caution == ""


def test_a_run_says_which_of_the_papers_configurations_it_is(tmp_path: Path) -> None:
    for experiment, configuration in CONFIGURATIONS.items():
        start = ["start_from=last.ckpt"] if configuration in ("c3", "c4") else []
        assert paper_name(run(tmp_path, experiment, overrides=[f"experiment={experiment}", *start])) == configuration
    assert paper_name(run(tmp_path, "my-idea")) == ""
    assert paper_name(run(tmp_path, "other", overrides=["configuration=table_9"])) == ""


def test_a_run_that_does_not_record_it_is_recognised_by_its_settings(tmp_path: Path) -> None:
    c1, c2 = (run(tmp_path, name, overrides=[f"+paper={name}", "batch_size=10"]) for name in ("c1", "c2"))
    origin = {"start_from": {"corpus": "synthetic_oulu"}}
    recognised = [without_the_key(one, **info) for info in ({}, origin) for one in (c1, c2)]
    assert [paper_name(one) for one in recognised] == ["c1", "c2", "c4", "c3"]
    others = (
        run(tmp_path, "own"),
        run(tmp_path, "dropout", overrides=["+paper=c1", "model.dropout=0.5"]),
        run(tmp_path, "inner", overrides=["+paper=c1", "cv.inner_val=0.1"]),
        run(tmp_path, "ravdess", overrides=["+paper=c1"], corpus="ravdess"),
    )
    assert [paper_name(without_the_key(one)) for one in others] == [""] * 4


@pytest.mark.parametrize(
    "name", ["ckplus_kfold10", "ckplus_kfold10_c2", "ckplus_kfold10_c3", "oulu_kfold10", "oulu_kfold10_c1"]
)
def test_the_papers_configurations_have_the_papers_hyper_parameters(name: str, tmp_path: Path) -> None:
    start = ["start_from=last.ckpt"] if name.endswith("c3") else []
    one = run(tmp_path, name, overrides=[f"experiment={name}", "trainer.max_epochs=16", *start])
    table = settings_table([one]).table
    column = 1 if paper_name(one) in {"c1", "c4"} else 2
    printed = {row[0]: row[column] for row in table.rows if row[column] not in {"", "not in the text"}}
    assert len(printed) >= 15
    assert {row[0]: row[3] for row in table.rows if row[0] in printed} == printed


def test_a_hyper_parameter_that_is_not_the_papers_is_marked(tmp_path: Path) -> None:
    overrides = ["experiment=ckplus_kfold10", "model.dropout=0.5", "model/activation=mish", "optimizer=lookahead"]
    one = run(tmp_path, "ckplus_kfold10", overrides=[*overrides, "optimizer.inner.lr=1e-4", "trainer.max_epochs=16"])
    own = run(tmp_path, "my-idea", overrides=["model.dropout=0.5"])
    table = settings_table([one, own]).table
    assert table.columns == ("", "Table 2 (c1)", "Table 3 (c2)", "c1: ckplus_kfold10", "my-idea")
    marked = {row[0]: row[3] for row in table.rows if "≠" in row[3]}
    assert marked == {"Optimization": "≠ Lookahead + Adam", "Activation function": "≠ Mish", "Dropout": "≠ 0.5"}
    assert not any("≠" in row[4] for row in table.rows)
    assert rows(settings_table([own]), "Filters")[0][3] == "8 | 16 | 32 | 64 | 64"


def test_table_4_has_the_papers_rows_and_ours_at_the_best_and_the_last_epoch(tmp_path: Path) -> None:
    c2, c1 = run(tmp_path, "ckplus_kfold10_c2", MIXED), run(tmp_path, "ckplus_kfold10")
    accuracies, tests = fold_tables([c2, c1])
    assert accuracies.table.title == "Table 4 (CK+, 10-fold): accuracy of each fold in %"
    best, last = BEST_EPOCH.title, LAST_EPOCH.title
    assert [row[:2] for row in accuracies.table.rows] == [
        ("the paper: c1", best),
        ("the paper: c2", best),
        ("the paper: c3", best),
        ("c1: ckplus_kfold10", best),
        ("c2: ckplus_kfold10_c2", best),
        ("c1: ckplus_kfold10", last),
        ("c2: ckplus_kfold10_c2", last),
    ]
    assert accuracies.table.rows[1][2:] == (
        "93.9", "100", "84.8", "78.7", "87.8", "93.9", "93.9", "96.8", "87.5", "90", "90.76"
    )  # fmt: skip
    assert accuracies.table.rows[5][2:] == (*["50.0"] * 10, "50.00")
    assert accuracies.ours == {3, 4, 5, 6}
    assert [row[0] for row in tests.table.rows] == [
        "the paper: c1, c2 (as printed)",
        "the paper: c1, c2 (recomputed)",
        "the paper: c1, c3 (as printed)",
        "the paper: c1, c3 (recomputed)",
        "c1, c2",
        "c1, c2",
    ]


def test_p_values_are_those_of_the_comparison(tmp_path: Path) -> None:
    c1, c2 = run(tmp_path, "ckplus_kfold10"), run(tmp_path, "ckplus_kfold10_c2", MIXED)
    _, tests = fold_tables([c1, c2])
    assert tests.table.rows[0][2:] == ("0.00057", *["-"] * 6)
    assert tests.table.rows[1][2:6] == ("0.00057", "0.00114", "0.01042", "0.00391")
    for row, protocol in zip(tests.table.rows[-2:], (BEST_EPOCH, LAST_EPOCH), strict=True):
        made = Comparison.of(c1.run, c2.run, protocol)
        folds = made.folds
        p_values = folds.t_one_sided, folds.t_two_sided, folds.t_corrected, folds.wilcoxon, made.clips.mcnemar
        assert row[2:7] == tuple(f"{value:.5f}" for value in p_values)
        assert row[7:] == (f"{round(100 * folds.mean_difference, 9):+.2f}", f"{folds.cohens_dz:.2f}")


def test_table_5_refers_to_c2(tmp_path: Path) -> None:
    runs = [run(tmp_path, name, **OULU) for name in ("oulu_kfold10_c1", "other", "oulu_kfold10")]
    _, tests = fold_tables(runs)
    assert tests.table.title == "Table 5 (Oulu-CASIA, 10-fold): p-values"
    assert tests.table.rows[1][2:6] == ("0.03621", "0.07241", "0.19497", "0.15430")
    assert [row[0] for row in tests.table.rows[4::2]] == ["c2, c1", "c2, other"]


def test_without_the_papers_reference_the_first_run_is_it(tmp_path: Path) -> None:
    _, tests = fold_tables([run(tmp_path, name) for name in ("zeta", "alpha")])
    assert tests.table.rows[-1][0] == "zeta, alpha"


def test_seeds_of_one_configuration_keep_their_names(tmp_path: Path) -> None:
    folders = [write(tmp_path, "ckplus_kfold10", seed=seed) for seed in (0, 1)]
    _, tests = fold_tables(read_runs(folders))
    assert tests.table.rows[-1][0] == f"{folders[0].name}, {folders[1].name}"


def test_runs_that_cannot_be_paired_say_why(tmp_path: Path) -> None:
    whole, part = run(tmp_path, "ckplus_kfold10"), run(tmp_path, "part", only=range(1, 9))
    accuracies, tests = fold_tables([whole, part])
    assert rows(accuracies, "part")[0][-3:-1] == ("-", "-")
    assert accuracies.cautions[4] == "SYNTHETIC data, PARTIAL: 2 of 10 folds missing"
    assert tests.ours == frozenset()
    assert tests.table.note.startswith("ckplus_kfold10 and part cannot be compared pair by pair")
