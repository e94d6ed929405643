"""Which runs are one entry, what an entry is called, and which runs are not compared."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fake_entries import make_entry
from fake_runs import write_run

from fer3d.evaluation.entries import entries_of
from fer3d.evaluation.run_results import EvaluationError, RunResults

Make = Callable[..., RunResults]
SMALL, LARGE = ["model.filters=[[2],[2],[4],[4],[4]]"], ["model.filters=[[8],[8],[8],[8],[8]]"]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """Writes a run and reads it back."""

    def run(correct: Any = 0.8, **settings: Any) -> RunResults:
        return RunResults.read(write_run(tmp_path, correct, **settings), partial=True)

    return run


def refusal(*runs: RunResults, **labels: str) -> str:
    with pytest.raises(EvaluationError) as caught:
        entries_of(runs, labels)
    return str(caught.value)


def test_runs_that_differ_only_in_the_seed_are_one_entry_whatever_their_order(make: Make) -> None:
    runs = [make(seed=seed, overrides=own, name=name) for seed in (5, 0) for own, name in ((SMALL, "b"), (LARGE, "a"))]
    for ordered in (runs, runs[::-1]):
        entries = entries_of(ordered)
        assert [(entry.label, entry.seeds) for entry in entries] == [("a", (0, 5)), ("b", (0, 5))]
        assert [run.folder for run in entries[0].runs] == [runs[3].folder, runs[1].folder]


def test_a_label_is_what_is_left_of_the_names(make: Make) -> None:
    names = ("synthetic-kfold10-compact", "synthetic-kfold10-cnn3d", "synthetic-kfold10-own-net")
    dropout = (0.1, 0.2, 0.3)
    runs = [make(name=name, overrides=[f"model.dropout={it}"]) for name, it in zip(names, dropout, strict=True)]
    assert [entry.label for entry in entries_of(runs)] == ["cnn3d", "compact", "own-net"]


def test_entries_of_one_name_are_told_apart_by_their_settings(make: Make) -> None:
    runs = [make(overrides=own) for own in ([], ["model.temporal_kernel=1"], ["model/activation=mish"])]
    labels = [entry.label for entry in entries_of(runs)]
    assert "model.activation=Mish model.temporal_kernel=3" in labels
    assert "model.activation=ReLU model.temporal_kernel=1" in labels
    two = [make(overrides=[f"model.temporal_kernel={size}", "data.root=elsewhere"]) for size in (1, 5)]
    assert [entry.label for entry in entries_of(two)] == ["model.temporal_kernel=1", "model.temporal_kernel=5"]
    mixed = [*two, make(name="other", overrides=["model.dropout=0.1"])]
    assert [entry.label for entry in entries_of(mixed)] == [
        "fake model.temporal_kernel=1", "fake model.temporal_kernel=5", "other",
    ]  # fmt: skip


def test_settings_that_are_too_many_leave_the_folder(make: Make) -> None:
    many = [
        "model.temporal_kernel=1",
        "model.dropout=0.123",
        "optimizer.lr=0.1",
        "batch_size=7",
        "trainer.max_epochs=3",
    ]
    runs = [make(), make(overrides=many)]
    assert {entry.label for entry in entries_of(runs)} == {run.folder.name for run in runs}


def test_labels_of_ones_own(make: Make) -> None:
    runs = [make(name="a-small", overrides=SMALL, seed=seed) for seed in (0, 1)]
    runs += [make(name="a-large", overrides=LARGE, seed=seed) for seed in (0, 1)]
    labels = {"mine": f"{runs[0].folder}/", "theirs": "*-large-*"}
    assert [(entry.label, entry.runs[0].name) for entry in entries_of(runs, labels)] == [
        ("mine", "a-small"), ("theirs", "a-large"),
    ]  # fmt: skip
    assert refusal(*runs, mine="*").startswith("the label mine must name the runs of one setting, but * names 2: ")
    assert "names 0: none" in refusal(*runs, mine="nothing")
    assert "are labels of the same runs" in refusal(*runs, one="a-large", two="*large")
    taken = [entry.label for entry in entries_of(runs, {"large": "a-small"})]
    assert len(set(taken)) == 2
    assert "large" in taken


def test_what_is_no_comparison_is_refused(make: Make) -> None:
    first, second = make(overrides=SMALL), make(overrides=LARGE)
    assert refusal(first, first, second) == f"{first.folder} is given twice"
    again = make(0.5, overrides=SMALL, name="again")
    assert "have the same settings and the same seed, 0: give one" in refusal(first, again, second)
    assert "all are seeds of one configuration" in refusal(first, make(overrides=SMALL, seed=1))


def test_entries_with_other_seeds_are_refused(make: Make) -> None:
    runs = [make(overrides=SMALL), make(overrides=LARGE), make(overrides=LARGE, seed=3)]
    assert refusal(*runs) == (
        "runs can be compared only if all settings have the same seeds: "
        f"{runs[0].folder} has seed 0 and {runs[1].folder} has seeds 0, 3. Train what is missing, or leave out runs"
    )


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"corpus": "ckplus"}, "their corpora are synthetic and ckplus"),
        ({"num_folds": 2}, "their cross-validations are 3 folds (3-fold) and 2 folds (2-fold)"),
        ({"only": [1, 2]}, "they lack different folds"),
        ({"clips_per_subject": 5}, "they hold out different clips"),
    ],
)
def test_entries_that_cannot_be_paired_are_refused(make: Make, settings: dict[str, Any], told: str) -> None:
    runs = [make(overrides=SMALL), make(overrides=LARGE), make(overrides=["model.dropout=0.1"], **settings)]
    said = refusal(*runs)
    assert said.startswith(f"{runs[0].folder} and {runs[2].folder} cannot be compared pair by pair: ")
    assert told in said


def test_costs_are_those_that_the_results_tell() -> None:
    costly = make_entry("costly", all_right(2), num_parameters=1200, gflop=0.5, clips_per_second=30.0, seconds=4.0)
    assert (costly.num_parameters, costly.gflop, costly.clips_per_second, costly.seconds) == (1200, 0.5, 30, 4)
    older = make_entry("older", all_right(1))
    assert (older.num_parameters, older.gflop, older.clips_per_second) == (None, None, None)
    assert older.devices == ("cpu",)


def all_right(seeds: int) -> list[list[bool]]:
    return [[True] * 20] * seeds
