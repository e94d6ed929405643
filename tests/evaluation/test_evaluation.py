from __future__ import annotations

import csv
import json
import math
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fake_runs import right, write_run
from hypothesis import given
from hypothesis import strategies as st
from runs_in_memory import EMOTIONS, make_run, reordered, runs, said

from fer3d.clips.independence import Independence
from fer3d.evaluation.evaluation import Evaluation, Outcome
from fer3d.evaluation.evaluation_files import emotion_rows, evaluation_content, write_evaluation
from fer3d.evaluation.evaluation_tables import evaluation_tables, measures_table, recall_table
from fer3d.evaluation.measures import Score
from fer3d.evaluation.protocols import BEST_EPOCH, INNER_VAL, LAST_EPOCH, PROTOCOLS, held_out_predictions
from fer3d.evaluation.run_results import EvaluationError, RunResults

NAMES = ["clips.csv", "emotions.csv", "evaluation.json", "folds.csv", "measures.csv", "subjects.csv"]


def outcome_of(run: RunResults) -> Outcome:
    return Evaluation.of(run).under(LAST_EPOCH)


def evaluated(outputs: Path, correct: Any = 0.7, partial: bool = False, **settings: Any) -> Evaluation:
    return Evaluation.of(RunResults.read(write_run(outputs, correct, **settings), partial=partial))


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def refuse(name: str) -> None:
    raise AssertionError(f"{name} is no JSON")


def test_every_protocol_that_the_run_allows_is_evaluated(tmp_path: Path) -> None:
    assert [outcome.protocol for outcome in evaluated(tmp_path).outcomes] == list(PROTOCOLS[:3])
    assert [outcome.protocol for outcome in evaluated(tmp_path, inner_val=0.5).outcomes] == list(PROTOCOLS)


def test_a_protocol_that_the_run_does_not_allow_is_refused(tmp_path: Path) -> None:
    evaluation = evaluated(tmp_path)
    assert evaluation.under(BEST_EPOCH).protocol is BEST_EPOCH
    with pytest.raises(EvaluationError, match=rf"{evaluation.run.folder} was not evaluated under inner_val"):
        evaluation.under(INNER_VAL)


@given(runs())
def test_clips_tell_what_was_predicted(run: RunResults) -> None:
    outcome = outcome_of(run)
    predictions = held_out_predictions(run, LAST_EPOCH)
    assert [clip.clip_id for clip in outcome.clips] == list(predictions.clip_ids)
    for clip, probabilities, label in zip(outcome.clips, predictions.probabilities, predictions.labels, strict=True):
        assert clip.predicted == EMOTIONS[int(np.argmax(probabilities))]
        assert clip.probability == max(probabilities)
        assert clip.label == EMOTIONS[label]
        assert clip.correct == (clip.predicted == clip.label)
        assert (clip.epoch, clip.clip_id.split("/")[0]) == (run.num_epochs, clip.subject)
        assert clip.clip_id in run.folds[clip.fold - 1].clip_ids


def test_hardest_are_those_with_the_most_clips_wrong_then_the_lowest_accuracy_then_the_lowest_id() -> None:
    wrong_of = {"S001": (2, 4), "S002": (2, 3), "S003": (0, 3), "S004": (2, 3), "S005": (3, 9), "S006": (1, 1)}
    folds = [
        said((np.arange(total) < wrong).astype(int), np.zeros(total), subject)
        for subject, (wrong, total) in wrong_of.items()
    ]
    outcome = outcome_of(make_run(folds))
    hardest = outcome.hardest_subjects()
    assert [subject.subject for subject in hardest] == ["S005", "S002", "S004", "S001", "S006"]
    assert (hardest[0].fold, hardest[0].score) == (5, Score(6, 9))
    assert [subject.subject for subject in outcome.hardest_subjects(2)] == ["S005", "S002"]


def test_most_confidently_wrong_goes_by_the_probability_of_the_wrong_emotion() -> None:
    folds = [
        said([[1, 2, 1, 0]], [0, 0, 0, 0], "S002", sure=[[2, 3, 2, 9]]),
        said([[1, 2]], [2, 2], "S001", sure=[[2, 8]]),
    ]
    outcome = outcome_of(make_run(folds))
    wrong = outcome.most_confidently_wrong()
    assert [clip.clip_id for clip in wrong] == ["S002/001", "S001/000", "S002/000", "S002/002"]
    first = wrong[0]
    assert (first.label, first.predicted, first.fold, first.subject) == ("anger", "happy", 1, "S002")
    assert first.probability == pytest.approx(math.exp(3) / (math.exp(3) + 3))
    assert [clip.clip_id for clip in outcome.most_confidently_wrong(1)] == ["S002/001"]


@given(runs())
def test_lists_of_failures_hold_failures_only(run: RunResults) -> None:
    outcome = outcome_of(run)
    num_wrong = outcome.score.num_wrong
    assert len(outcome.most_confidently_wrong(999)) == num_wrong
    assert sum(subject.score.num_wrong for subject in outcome.hardest_subjects(999)) == num_wrong
    assert len(outcome.most_confidently_wrong()) == min(10, num_wrong)


@given(runs(inner_val=True), st.integers(0, 2**32 - 1))
def test_the_order_of_clips_changes_nothing(run: RunResults, seed: int) -> None:
    rng = np.random.default_rng(seed)
    shuffled = tuple(replace(fold, **reordered(fold, rng.permutation(len(fold.labels)))) for fold in run.folds)
    before, after = Evaluation.of(run), Evaluation.of(replace(run, folds=shuffled))
    for protocol in PROTOCOLS:
        one, other = before.under(protocol), after.under(protocol)
        assert one.measures.numbers == other.measures.numbers
        assert emotion_rows(one) == emotion_rows(other)
        assert (one.subjects, one.hardest_subjects()) == (other.subjects, other.hardest_subjects())
        assert one.most_confidently_wrong() == other.most_confidently_wrong()
        assert set(one.clips) == set(other.clips)


@pytest.fixture
def evaluation(tmp_path: Path) -> Evaluation:
    """The clips right after each epoch, of 4 + 3 + 5: 3 + 1 + 5, 2 + 3 + 4, 2 + 0 + 4."""
    return evaluated(tmp_path, [right(4, 3, 2, 2), right(3, 1, 3, 0), right(5, 5, 4, 4)])


def test_json_holds_everything(evaluation: Evaluation) -> None:
    write_evaluation(evaluation)
    text = (evaluation.run.folder / "evaluation" / "evaluation.json").read_text(encoding="utf-8")
    content = json.loads(text, parse_constant=refuse)
    assert content == evaluation_content(evaluation)
    assert {key: content[key] for key in evaluation.run.provenance()} == evaluation.run.provenance()
    assert list(content["epoch_protocols"]) == ["best_epoch", "best_common_epoch", "last_epoch"]
    best, common, last = content["epoch_protocols"].values()
    assert [each["num_correct"] for each in (best, common, last)] == [11, 9, 6]
    assert [each["optimistic"] for each in (best, common, last)] == [True, True, False]
    assert [fold["epoch"] for fold in best["folds"]] == [1, 2, 1]
    assert last["folds"][1] == {"fold": 2, "epoch": 3, "num_correct": 0, "num_clips": 3, "accuracy": 0.0}
    assert (last["num_clips"], last["pooled_accuracy"]) == (12, 0.5)
    # Wilson's interval of 6 of 12, by hand.
    assert (last["wilson_95_low"], last["wilson_95_high"]) == pytest.approx((0.253782, 0.746218), abs=1e-6)
    assert np.sum(last["confusion"]) == 12
    assert [[*emotion["predicted"].values()] for emotion in last["emotions"]] == last["confusion"]
    assert last["hardest_subjects"][0] == {
        "subject": "S002",
        "fold": 2,
        "num_correct": 0,
        "num_clips": 2,
        "accuracy": 0,
    }
    assert len(last["most_confidently_wrong"]) == 6
    assert last["mean_over_folds"] == pytest.approx((2 / 4 + 0 / 3 + 4 / 5) / 3)


def test_csv_has_a_row_for_each_thing_and_protocol(evaluation: Evaluation) -> None:
    paths = write_evaluation(evaluation)
    assert sorted(path.name for path in paths) == NAMES
    assert {path.parent for path in paths} == {evaluation.run.folder / "evaluation"}
    numbers = {path.stem: len(rows(path)) for path in paths if path.suffix == ".csv"}
    assert numbers == {"measures": 3, "folds": 9, "subjects": 18, "emotions": 21, "clips": 36}
    content = evaluation_content(evaluation)["epoch_protocols"]
    for row in rows(paths[0].parent / "folds.csv"):
        fold = content[row["epoch_protocol"]]["folds"][int(row["fold"]) - 1]
        assert {key: float(row[key]) for key in fold} == fold
    for row in rows(paths[0].parent / "measures.csv"):
        told = content[row["epoch_protocol"]]
        assert {key: float(row[key]) for key in row if key in told and key != "optimistic"} == {
            key: told[key] for key in row if key in told and key != "optimistic"
        }
        assert row["optimistic"] == ("false" if row["epoch_protocol"] == "last_epoch" else "true")
    for row in rows(paths[0].parent / "emotions.csv"):
        told = content[row["epoch_protocol"]]["emotions"]
        (emotion,) = (each for each in told if each["emotion"] == row["emotion"])
        assert {name: int(row[f"predicted_{name}"]) for name in emotion["predicted"]} == emotion["predicted"]


def test_clips_of_the_csv_add_up_to_the_measures(evaluation: Evaluation) -> None:
    write_evaluation(evaluation)
    found = rows(evaluation.run.folder / "evaluation" / "clips.csv")
    for outcome in evaluation.outcomes:
        clips = [row for row in found if row["epoch_protocol"] == outcome.protocol.name]
        assert len({row["clip_id"] for row in clips}) == 12
        assert sum(row["correct"] == "true" for row in clips) == outcome.score.num_correct
        assert all((row["correct"] == "true") == (row["label"] == row["predicted"]) for row in clips)
        assert all(0 < float(row["probability"]) <= 1 for row in clips)
        assert {(int(row["fold"]), int(row["epoch"])) for row in clips} == set(outcome.predictions.epochs.items())


@pytest.mark.parametrize(
    ("synthetic", "partial", "independence"),
    [
        (True, True, Independence()),
        (True, False, Independence(num_shared=1)),
        (False, True, Independence(subjects_known=False)),
        (False, False, Independence()),
    ],
)
def test_every_row_and_heading_says_what_the_data_are(
    tmp_path: Path, synthetic: bool, partial: bool, independence: Independence
) -> None:
    only = [1, 3] if partial else None
    made = evaluated(tmp_path, partial=partial, synthetic=synthetic, only=only, independence=independence)
    told = {"synthetic": synthetic, "partial": partial, "subject_independent": independence.holds}
    for path in write_evaluation(made):
        if path.suffix == ".csv":
            for row in rows(path):
                assert {name: row[name] for name in told} == {name: str(value).lower() for name, value in told.items()}
    content = evaluation_content(made)
    assert {name: content[name] for name in told} == told
    assert content["missing_folds"] == ([2] if partial else [])
    for table in evaluation_tables(made):
        assert ("SYNTHETIC data" in table.heading, "PARTIAL: 1 of 3" in table.heading) == (synthetic, partial)
        assert ("NOT SUBJECT-INDEPENDENT" in table.heading) == (not independence.holds)


def test_an_emotion_without_clips_is_null_in_json_empty_in_csv_and_a_dash_in_tables(tmp_path: Path) -> None:
    made = evaluated(tmp_path, [right(2, 1), right(2, 2)])  # Four clips show the first four of seven emotions.
    write_evaluation(made)
    last = evaluation_content(made)["epoch_protocols"]["last_epoch"]
    assert [row["recall"] is None for row in last["emotions"]] == [False] * 4 + [True] * 3
    assert last["uar"] == pytest.approx(3 / 4)
    found = rows(made.run.folder / "evaluation" / "emotions.csv")[-1]
    assert (found["emotion"], found["num_clips"], found["recall"]) == ("surprise", "0", "")
    assert recall_table(made).rows[-1] == ("surprise", "0", "-", "-", "-")


def test_a_second_evaluation_replaces_the_first(tmp_path: Path) -> None:
    first = evaluated(tmp_path, digest="a" * 64, only=[1], partial=True)
    before = {path.name: path.read_text() for path in write_evaluation(first)}
    second = evaluated(tmp_path, 0.2, digest="a" * 64, only=[2, 3])
    after = {path.name: path.read_text() for path in write_evaluation(second)}
    assert second.run.folder == first.run.folder
    assert sorted(path.name for path in (second.run.folder / "evaluation").iterdir()) == NAMES
    assert all(before[name] != after[name] for name in NAMES)
    assert json.loads(after["evaluation.json"])["partial"] is False


def test_files_go_elsewhere_when_asked_to(evaluation: Evaluation, tmp_path: Path) -> None:
    before = sorted(path.name for path in evaluation.run.folder.iterdir())
    paths = write_evaluation(evaluation, tmp_path / "made" / "here")
    assert sorted(path.name for path in (tmp_path / "made" / "here").iterdir()) == sorted(path.name for path in paths)
    assert sorted(path.name for path in evaluation.run.folder.iterdir()) == before


def test_a_folder_that_cannot_be_written_to_is_named(evaluation: Evaluation, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(EvaluationError, match=rf"cannot write to {tmp_path / 'file'}: .*--out FOLDER"):
        write_evaluation(evaluation, tmp_path / "file")


def test_a_failure_halfway_leaves_whole_files_only(evaluation: Evaluation, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = evaluation.run.folder / "evaluation"
    before = {path.name: path.read_text() for path in write_evaluation(evaluation)}
    written = iter(range(2))
    write = Path.write_bytes

    def fill_the_disk(path: Path, content: bytes) -> int:
        if next(written, None) is None:
            write(path, content[: len(content) // 2])
            raise OSError(28, "No space left on device")
        return write(path, content)

    monkeypatch.setattr(Path, "write_bytes", fill_the_disk)
    with pytest.raises(EvaluationError, match="No space left on device"):
        write_evaluation(evaluation)
    assert {path.name: path.read_text() for path in folder.iterdir()} == before


def test_tables_show_protocols_side_by_side(evaluation: Evaluation) -> None:
    table = measures_table(evaluation)
    assert [bool(re.search("optimistic", column)) for column in table.columns] == [False, True, True, False]
    found = {row[0]: row[1:] for row in table.rows}
    assert found["epoch"] == ("1 to 2", "1", "3")
    assert found["clips right"] == ("11 of 12", "9 of 12", "6 of 12")
    assert found["pooled accuracy"] == ("91.67%", "75.00%", "50.00%")
    assert found["95% Wilson interval"][-1] == "25.38% to 74.62%"
    assert len(found) == len(table.rows) == 10
    for number, outcome in enumerate(evaluation.outcomes):
        low, high = outcome.calibration.ece_if_calibrated
        assert found["calibration error (ECE)"][number] == f"{outcome.calibration.ece:.2%}"
        assert found["ECE if calibrated, 95%"][number] == f"{low:.2%} to {high:.2%}"
    assert all(len(row) == len(each.columns) for each in evaluation_tables(evaluation) for row in each.rows)


def test_clips_that_were_kept_back_tell_how_sure_to_be(tmp_path: Path) -> None:
    made = evaluated(tmp_path, 0.6, inner_val=0.5)
    outcome = made.under(INNER_VAL)
    assert outcome.scaled
    table = {row[0]: row[-1] for row in measures_table(made).rows}
    assert table["ECE, temperature scaled"] == f"{outcome.scaled.ece:.2%}"
    low, high = min(outcome.temperatures.values()), max(outcome.temperatures.values())
    assert table["temperature (inner_val)"] == f"{low:.2f} to {high:.2f}"
    content = evaluation_content(made)["epoch_protocols"]["inner_val"]
    assert (content["ece"], content["ece_scaled"]) == (outcome.calibration.ece, outcome.scaled.ece)
    assert {fold["fold"]: fold["temperature"] for fold in content["folds"]} == outcome.temperatures
    write_evaluation(made)
    found = rows(made.run.folder / "evaluation" / "folds.csv")[-3:]
    assert {int(row["fold"]): float(row["temperature"]) for row in found} == outcome.temperatures


def test_json_holds_the_reliability_of_each_confidence(evaluation: Evaluation) -> None:
    for told in evaluation_content(evaluation)["epoch_protocols"].values():
        bins = told["reliability"]
        assert sum(one["num_clips"] for one in bins) == told["num_clips"]
        assert sum(one["num_correct"] for one in bins) == told["num_correct"]
        gaps = [one["num_clips"] * abs(one["accuracy"] - one["mean_confidence"]) for one in bins]
        assert told["ece"] == pytest.approx(sum(gaps) / told["num_clips"])
        for one in bins:
            assert one["low"] < one["mean_confidence"] <= one["high"]
            assert one["wilson_95_low"] <= one["accuracy"] <= one["wilson_95_high"]


def test_a_run_without_a_wrong_clip_has_no_tables_of_failures(tmp_path: Path) -> None:
    titles = [table.title for table in evaluation_tables(evaluated(tmp_path, 1.0))]
    assert titles == ["Measures", "Recall of each emotion", "Confusion, last epoch"]
    titles = [table.title for table in evaluation_tables(evaluated(tmp_path, 0.5))]
    assert titles[3:] == ["Hardest subjects, last epoch", "Most confidently wrong clips, last epoch"]


def test_nothing_is_said_of_subjects_whom_nobody_knows(tmp_path: Path) -> None:
    made = evaluated(tmp_path, 0.3, independence=Independence(subjects_known=False))
    assert "subjects.csv" not in {path.name for path in write_evaluation(made)}
    text = (made.run.folder / "evaluation" / "evaluation.json").read_text(encoding="utf-8")
    content = json.loads(text, parse_constant=refuse)
    assert content["num_subjects"] is None
    for told in content["epoch_protocols"].values():
        assert (told["mean_over_subjects"], told["subjects"], told["hardest_subjects"]) == (None, [], [])
        assert told["pooled_accuracy"] > 0
    assert {row["mean_over_subjects"] for row in rows(made.run.folder / "evaluation" / "measures.csv")} == {""}
    tables = {table.title: table for table in evaluation_tables(made)}
    assert not [title for title in tables if "subjects" in title]
    assert set(dict((row[0], row[1:]) for row in tables["Measures"].rows)["mean over subjects"]) == {"-"}
