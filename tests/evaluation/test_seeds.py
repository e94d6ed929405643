from __future__ import annotations

import csv
import json
import math
import shutil
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from fake_runs import right, write_run
from hypothesis import given
from hypothesis import strategies as st

from fer3d.clips.independence import Independence
from fer3d.evaluation.evaluation import Evaluation
from fer3d.evaluation.protocols import BEST_EPOCH, INNER_VAL, LAST_EPOCH, PROTOCOLS
from fer3d.evaluation.run_results import EvaluationError, RunResults
from fer3d.evaluation.seed_reports import seeds_content, seeds_tables, write_seeds
from fer3d.evaluation.seeds import SeedGroup, Spread
from fer3d.training.results import FoldResult, read_result, write_result


def write_seed(outputs: Path, seed: int, correct: Any = 0.7, partial: bool = False, **settings: Any) -> RunResults:
    return RunResults.read(write_run(outputs, correct, seed=seed, **settings), partial=partial)


def grouped(outputs: Path, seeds: Sequence[int] = (0, 1, 2), **settings: Any) -> SeedGroup:
    return SeedGroup.of([write_seed(outputs, seed, **settings) for seed in seeds])


def change_info(run: RunResults, **changes: Any) -> RunResults:
    """Rewrites what the results of all folds tell."""
    for fold in run.folds:
        folder = run.folder / f"fold_{fold.fold:03d}"
        told: FoldResult = read_result(folder)
        write_result(FoldResult(**{**vars(told), "info": {**told.info, **changes}}), folder)
    return RunResults.read(run.folder)


@given(st.lists(st.floats(0, 1), min_size=2, max_size=9))
def test_a_spread_is_that_of_statistics(values: list[float]) -> None:
    spread = Spread(tuple(values))
    assert spread.mean == pytest.approx(statistics.mean(values))
    assert spread.deviation == pytest.approx(statistics.stdev(values), abs=1e-9)
    assert (spread.minimum, spread.maximum) == (min(values), max(values))


def test_measures_are_spread_over_seeds(tmp_path: Path) -> None:
    first = write_seed(tmp_path, 0, [right(4, 4, 3), right(6, 3, 3)])
    second = write_seed(tmp_path, 1, [right(4, 2, 2), right(6, 5, 2)])
    third = write_seed(tmp_path, 5, [right(4, 1, 4), right(6, 1, 6)])
    group = SeedGroup.of([third, first, second])
    assert [run.seed for run in group.runs] == [0, 1, 5]
    last = group.spreads(LAST_EPOCH)
    assert last["pooled_accuracy"].values == (0.6, 0.4, 1.0)
    assert last["pooled_accuracy"].mean == pytest.approx(2 / 3)
    assert last["pooled_accuracy"].deviation == pytest.approx(
        math.sqrt((0.0044444 + 0.0711111 + 0.1111111) / 2), abs=1e-6
    )
    assert last["mean_over_folds"].values == pytest.approx(((3 / 4 + 1 / 2) / 2, (1 / 2 + 1 / 3) / 2, 1.0))
    assert group.spreads(BEST_EPOCH)["pooled_accuracy"].values == (0.7, 0.7, 1.0)


def test_each_run_is_evaluated_as_alone(tmp_path: Path) -> None:
    group = grouped(tmp_path, inner_val=0.5)
    assert group.protocols == PROTOCOLS
    for index, run in enumerate(group.runs):
        for outcome in Evaluation.of(run).outcomes:
            spreads = group.spreads(outcome.protocol)
            alone = outcome.numbers
            assert {"pooled_accuracy", "ece", "ece_scaled"} <= set(alone)
            assert {name: spreads[name].values[index] for name in alone} == alone
            recalls = outcome.measures.recall.tolist()
            assert [spreads[f"recall_{emotion}"].values[index] for emotion in run.emotions] == recalls


def test_a_protocol_that_the_runs_do_not_allow_is_refused(tmp_path: Path) -> None:
    with pytest.raises(EvaluationError, match="inner_val"):
        grouped(tmp_path).spreads(INNER_VAL)


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"overrides": ["model.dropout=0.123"]}, r"model\.dropout \(0\.\d+ and 0\.123\)\. "),
        ({"overrides": ["clips.clahe=false"]}, r"clahe \(True and False\)\. "),
        ({"overrides": ["trainer.deterministic=false"]}, r"trainer\.deterministic \(True and False\)\. "),
        ({"clip_store": "d" * 64}, rf"clip_store \({'c' * 64} and {'d' * 64}\)\. "),
        ({"cv": "kfold10_balanced"}, r"cv\._target_ "),
        ({"overrides": ["model/activation=mish"]}, r"model\.activation\S* "),
        ({"num_epochs": 2}, r"trainer\.max_epochs \(3 and 2\)\. "),
    ],
)
def test_runs_that_differ_in_more_than_the_seed_are_refused(
    tmp_path: Path, settings: dict[str, Any], named: str
) -> None:
    one, other = write_seed(tmp_path, 0), write_seed(tmp_path, 1, **settings)
    with pytest.raises(EvaluationError, match=rf"not seeds of one configuration: they differ in {named}") as caught:
        SeedGroup.of([other, one])
    assert "seed (" not in str(caught.value)


def test_of_many_differences_the_first_are_named(tmp_path: Path) -> None:
    overrides = ["batch_size=7", "class_weights=true", "compile=true", "model.dropout=0.1", "optimizer.lr=0.5"]
    with pytest.raises(
        EvaluationError, match=r"they differ in .+\), .+\), .+\), .+\) and 1 more\. Evaluate them one by"
    ):
        SeedGroup.of([write_seed(tmp_path, 0), write_seed(tmp_path, 1, overrides=overrides)])


def test_precision_and_start_are_settings_too(tmp_path: Path) -> None:
    one, other = write_seed(tmp_path, 0), write_seed(tmp_path, 1)
    with pytest.raises(EvaluationError, match=r"differ in precision \(32-true and bf16-mixed\)\. "):
        SeedGroup.of([one, change_info(other, precision="bf16-mixed")])
    origin = {"corpus": "ckplus", "synthetic": False, "clip_store": "e" * 64, "digest": "d" * 64, "fold": 1}
    started = change_info(other, precision="32-true", start_from={**origin, "weights": "w" * 64})
    with pytest.raises(EvaluationError, match=r"differ in start_from \(None and w{64}\)\. "):
        SeedGroup.of([one, started])
    assert SeedGroup.of([change_info(one, start_from=started.info["start_from"]), started]).runs[1].seed == 1


def test_what_changes_no_number_may_differ(tmp_path: Path) -> None:
    settings = {"overrides": ["trainer.accelerator=gpu", "progress=false", "data.root=/data"], "name": "other"}
    group = SeedGroup.of([write_seed(tmp_path, 0), write_seed(tmp_path, 1, **settings)])
    assert len(group.runs) == 2


def test_a_configuration_without_a_setting_that_counts_is_refused(tmp_path: Path) -> None:
    one, other = write_seed(tmp_path, 0), write_seed(tmp_path, 1)
    config = {key: value for key, value in other.config.items() if key != "compile"}
    with pytest.raises(EvaluationError, match=rf"{other.folder} was trained by another version .* 'compile'"):
        SeedGroup.of([one, change_info(other, config=config)])


def test_the_same_seed_twice_is_refused(tmp_path: Path) -> None:
    run = write_seed(tmp_path, 3)
    copy = RunResults.read(Path(shutil.copytree(run.folder, tmp_path / "copy")))
    with pytest.raises(EvaluationError, match=r"have the same seed, 3$"):
        SeedGroup.of([write_seed(tmp_path, 1), copy, run])


@pytest.mark.parametrize("number", [0, 1])
def test_one_run_has_no_spread(tmp_path: Path, number: int) -> None:
    with pytest.raises(EvaluationError, match=f"at least two runs, got {number}"):
        grouped(tmp_path, range(number))


def test_partial_runs_need_the_same_folds(tmp_path: Path) -> None:
    one = write_seed(tmp_path, 0, partial=True, only=[1, 2])
    with pytest.raises(EvaluationError, match=r"do not have the same folds: only one of them has 2, 3\. Train what is"):
        SeedGroup.of([one, write_seed(tmp_path, 1, partial=True, only=[1, 3])])
    group = SeedGroup.of([one, write_seed(tmp_path, 2, partial=True, only=[1, 2])])
    assert seeds_content(group)["partial"] is True
    assert all("[SYNTHETIC data, PARTIAL: 1 of 3 folds missing]" in table.heading for table in seeds_tables(group))


def test_the_folder_is_named_by_the_runs_whatever_their_order(tmp_path: Path) -> None:
    runs = [write_seed(tmp_path, seed, name="ckplus_loso") for seed in range(3)]
    folder = SeedGroup.of(runs).folder
    assert folder.parent == tmp_path
    assert folder.name.startswith("ckplus_loso-seeds-")
    assert len(folder.name) == len("ckplus_loso-seeds-") + 8
    assert SeedGroup.of(runs[::-1]).folder == folder
    assert SeedGroup.of(runs[:2]).folder != folder


def test_files_hold_every_spread(tmp_path: Path) -> None:
    group = grouped(tmp_path)
    paths = write_seeds(group)
    assert [path.name for path in paths] == ["seeds.json", "seeds.csv", "measures.csv"]
    assert {path.parent for path in paths} == {group.folder / "evaluation"}
    content = json.loads(paths[0].read_text(encoding="utf-8"))
    assert content == seeds_content(group)
    assert content["seeds"] == [0, 1, 2]
    assert [run["digest"] for run in content["runs"]] == [run.digest for run in group.runs]
    with paths[1].open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 3 * (6 + 7)
    for row in rows:
        assert (row["corpus"], row["synthetic"], row["partial"], row["num_seeds"]) == (
            "synthetic",
            "true",
            "false",
            "3",
        )
        told = content["epoch_protocols"][row["epoch_protocol"]]["measures"][row["measure"]]
        assert {key: float(row[key]) for key in told if key != "values"} == {
            key: value for key, value in told.items() if key != "values"
        }
        assert told["mean"] == pytest.approx(statistics.mean(told["values"]))
    with paths[2].open(encoding="utf-8", newline="") as file:
        found = {(row["seed"], row["epoch_protocol"]): float(row["pooled_accuracy"]) for row in csv.DictReader(file)}
    assert len(found) == 9
    assert found["1", "last_epoch"] == group.spreads(LAST_EPOCH)["pooled_accuracy"].values[1]


def test_an_emotion_without_clips_has_no_spread(tmp_path: Path) -> None:
    group = SeedGroup.of([write_seed(tmp_path, seed, [right(2, 1), right(2, seed)]) for seed in range(2)])
    write_seeds(group)
    told = seeds_content(group)["epoch_protocols"]["last_epoch"]["measures"]["recall_surprise"]
    assert told == dict.fromkeys(["mean", "standard_deviation", "minimum", "maximum"]) | {"values": [None, None]}
    assert (group.folder / "evaluation" / "seeds.csv").read_text().splitlines()[-1].endswith(",recall_surprise,,,,")
    recalls = {row[0]: row[1:] for row in seeds_tables(group)[1].rows}
    assert recalls["surprise"][-1] == "- ± -\n- to -"


def test_tables_show_mean_deviation_and_range(tmp_path: Path) -> None:
    first = write_seed(tmp_path, 0, [right(4, 4, 3), right(6, 3, 3)])
    second = write_seed(tmp_path, 1, [right(4, 2, 2), right(6, 5, 2)])
    group = SeedGroup.of([first, second])
    measures, recalls, runs = seeds_tables(group)
    assert measures.rows[0] == (
        "pooled accuracy",
        "70.00% ± 0.00%\n70.00% to 70.00%",
        "70.00% ± 0.00%\n70.00% to 70.00%",
        "50.00% ± 14.14%\n40.00% to 60.00%",
    )
    ece = group.spreads(LAST_EPOCH)["ece"]
    shown = f"{ece.mean:.2%} ± {ece.deviation:.2%}\n{ece.minimum:.2%} to {ece.maximum:.2%}"
    assert (measures.rows[-1][0], measures.rows[-1][-1]) == ("calibration error (ECE)", shown)
    assert [row[0] for row in recalls.rows] == list(first.emotions)
    assert runs.rows == (
        (first.folder.name, "0", "7 of 10", "7 of 10", "6 of 10"),
        (second.folder.name, "1", "7 of 10", "7 of 10", "4 of 10"),
    )
    assert all("SYNTHETIC data" in table.heading for table in (measures, recalls, runs))
    assert ["optimistic" in column for column in measures.columns] == [False, True, True, False]


@pytest.mark.parametrize("independence", [Independence(num_shared=1), Independence(subjects_known=False)])
def test_seeds_that_are_not_subject_independent_say_so(tmp_path: Path, independence: Independence) -> None:
    group = grouped(tmp_path, independence=independence)
    (_, seeds, measures) = write_seeds(group)
    for path in (seeds, measures):
        with path.open(encoding="utf-8", newline="") as file:
            assert {row["subject_independent"] for row in csv.DictReader(file)} == {"false"}
    content = seeds_content(group)
    assert content["subject_independent"] is False
    spread = content["epoch_protocols"]["last_epoch"]["measures"]["mean_over_subjects"]
    assert (spread["mean"] is None) == (not independence.subjects_known)
    assert all("NOT SUBJECT-INDEPENDENT" in table.heading for table in seeds_tables(group))
