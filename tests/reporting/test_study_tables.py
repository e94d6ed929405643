from __future__ import annotations

import pytest
from fake_studies import FakeTrial, fake_record

from fer3d.evaluation.measures import Score
from fer3d.reporting.study_report import MAX_BEST, best_table, failures_table, folds_table, saved_folds, saved_table
from fer3d.search.records import StudyRecord

ADAM = {"optimizer": "adam", "clips.clahe": True, "model.dropout": 0.25}
LOOKAHEAD = {**ADAM, "optimizer": "lookahead"}
# Ten folds, 28 clips.
TRIALS = [
    FakeTrial("complete", [0, 0, 0, 1, 1, 0, 1, 1, 0, 0], ADAM, seconds=60),
    FakeTrial("pruned", [2, 2], ADAM, seconds=30),
    FakeTrial("complete", [0, 0, 0, 1, 0, 0, 1, 0, 0, 0], LOOKAHEAD, seconds=60),
    FakeTrial("pruned", [1, 1, 1, 1], ADAM, seconds=100),
    FakeTrial("failed", [1], ADAM, "DivergedError: the loss\nis not finite", seconds=10),
    FakeTrial("failed", [], ADAM, "ValueError: no"),
    FakeTrial("failed", [1, 0], ADAM, "DivergedError: the loss is not finite", seconds=10),
]


def best(record: StudyRecord) -> list[dict[str, str]]:
    table = best_table(record)
    return [dict(zip(table.columns, row, strict=True)) for row in table.rows]


def test_the_best_trials_come_with_their_intervals_and_the_settings_in_which_they_differ() -> None:
    record = fake_record(TRIALS)
    table = best_table(record)
    first, second = best(record)
    low, high = Score(26, 28).interval()
    assert first == {
        "trial": "trial 2",
        "accuracy": "92.86%",
        "95% interval": f"{low:.2%} to {high:.2%}",
        "wrong clips": "2",
        "folds run": "10",
        "optimizer": "lookahead",
        "run's folder": "fake-00000002",
    }
    assert (second["trial"], second["accuracy"], second["optimizer"]) == ("trial 0", "85.71%", "adam")
    assert table.note.endswith("Alike in all of them: clips.clahe=true, model.dropout=0.25.")
    assert "chosen on these very folds" in table.note
    assert table.caution == "SYNTHETIC data"


def test_a_setting_that_a_trial_lacks_is_a_difference() -> None:
    rows = best(fake_record([*TRIALS, FakeTrial("complete", [0] * 10, {"model.dropout": 0.25})]))
    assert [row["clips.clahe"] for row in rows] == ["-", "true", "true"]


def test_at_most_ten_are_named() -> None:
    assert len(best(fake_record([TRIALS[0]] * (MAX_BEST + 1)))) == MAX_BEST
    (alone,) = best(fake_record([TRIALS[0]]))
    assert "optimizer" not in alone


def test_folds_with_most_mistakes_come_first_and_those_without_any_are_left_out() -> None:
    table = folds_table(fake_record(TRIALS))
    assert table.columns == ("fold", "trial 2", "trial 0")
    rows = [" ".join(row) for row in table.rows]
    assert rows == ["fold 4 1/4 1/4", "fold 7 1/3 1/3", "fold 5 0/3 1/3", "fold 8 0/4 1/4"]
    assert table.note.endswith("All clips of the other folds are right: 1, 2, 3, 6, 9, 10.")


@pytest.mark.parametrize(
    ("protocol", "mistakes", "num_correct"),
    [("last_epoch", ["2/3"], 4), ("best_epoch", [], 6), ("best_common_epoch", ["1/3"], 5)],
)
def test_mistakes_of_folds_add_up_to_those_of_the_trial(protocol: str, mistakes: list[str], num_correct: int) -> None:
    # Wrong after each of three epochs.
    trial = FakeTrial("complete", [(0, 1, 2), (2, 0, 0)])
    record = fake_record([trial], sizes=(3, 3), protocol=protocol)
    assert [row[1] for row in folds_table(record).rows] == mistakes
    (row,) = best(record)
    assert (row["accuracy"], row["wrong clips"]) == (f"{num_correct / 6:.2%}", str(6 - num_correct))


def test_pruning_saved_the_folds_of_pruned_trials_and_nothing_else() -> None:
    table = saved_table(fake_record(TRIALS))
    rows = {row[0]: dict(zip(table.columns, row, strict=True)) for row in table.rows}
    assert list(rows) == ["complete", "pruned", "failed", "all"]
    counts = [(row["number"], row["folds trained"], row["of all folds"]) for row in rows.values()]
    assert counts == [("2", "20", "20"), ("2", "6", "20"), ("3", "3", "30"), ("7", "29", "70")]
    assert [row["folds saved"] for row in rows.values()] == ["-", "14", "-", "14"]
    assert [row["share saved"] for row in rows.values()] == ["-", "70.00%", "-", "20.00%"]
    assert table.caution == "SYNTHETIC data"


def test_the_time_saved_is_that_of_the_trials_own_folds() -> None:
    record = fake_record(TRIALS)
    assert saved_folds(record) == (14, 8 * 30 + 6 * 100)
    table = saved_table(record)
    assert table.rows[1][-2:] == ("8 min", "14 min")
    assert "the mean seconds of its own folds times the number of folds that it did not run" in table.note


def test_running_trials_have_a_row_where_there_are_any() -> None:
    table = saved_table(fake_record([*TRIALS, FakeTrial("running", [1])]))
    assert [row[0] for row in table.rows] == ["complete", "pruned", "failed", "running", "all"]
    assert saved_table(fake_record([])).rows[-1][:6] == ("all", "0", "0", "0", "0", "-")


def test_equal_errors_are_told_once() -> None:
    table = failures_table(fake_record([*TRIALS, FakeTrial("failed")]))
    assert table.rows == (
        ("DivergedError: the loss is not finite", "2", "3", "trial 4, 6"),
        ("ValueError: no", "1", "0", "trial 5"),
        ("no message", "1", "0", "trial 7"),
    )
