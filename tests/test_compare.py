"""The command that compares two runs, or many."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from fake_runs import right, write_run
from fixture_types import Invoke

from fer3d.evaluation.comparison import compare_runs, comparison_json
from fer3d.evaluation.entries import entries_of
from fer3d.evaluation.ranking import rank_entries, rankings_json
from fer3d.evaluation.run_results import RunResults

BETTER = right(8, 8), right(8, 7), right(4, 3)
WORSE = right(8, 4), right(8, 7), right(4, 1)


@pytest.fixture
def runs(tmp_path: Path) -> tuple[Path, Path]:
    """The folders of a better and a worse run."""
    return write_run(tmp_path, BETTER, name="better"), write_run(tmp_path, WORSE, name="worse")


def test_prints_accuracies_tests_and_effects(invoke: Invoke, runs: tuple[Path, Path]) -> None:
    status, out, err = invoke("compare", *map(str, runs))
    assert (status, err) == (0, "")
    lines = [" ".join(line.split()) for line in out.splitlines()]
    assert lines[0] == "Accuracy [SYNTHETIC data]"
    assert "first: clips right 18 of 20 18 of 20 18 of 20" in lines
    assert "second: pooled accuracy 60.00% 60.00% 60.00%" in lines
    assert f"First: {runs[0].name}. Second: {runs[1].name}." in lines
    assert "clips: McNemar 0.03125 0.03125 0.03125" in lines
    assert "clips: pooled, points +30.00 +30.00 +30.00" in lines
    assert "left out" not in out


def test_says_which_protocol_is_left_out_and_why(invoke: Invoke, runs: tuple[Path, Path], tmp_path: Path) -> None:
    kept = write_run(tmp_path, BETTER, name="kept", inner_val=0.5)
    said = f"inner_val is left out: only {kept} has the predictions that it takes\n"
    for pair in ((kept, runs[1]), (runs[1], kept)):
        status, out, _ = invoke("compare", *map(str, pair))
        assert status == 0
        assert out.endswith(said)


def test_writes_the_same_numbers_as_json(invoke: Invoke, runs: tuple[Path, Path], tmp_path: Path) -> None:
    file = tmp_path / "new" / "comparison.json"
    status, out, _ = invoke("compare", *map(str, runs), "--out", str(file))
    assert status == 0
    assert out.endswith(f"written: {file}\n")
    expected = comparison_json(compare_runs(*(RunResults.read(folder) for folder in runs)))
    assert json.loads(file.read_text(encoding="utf-8")) == json.loads(json.dumps(expected))
    assert [path.name for path in file.parent.iterdir()] == [file.name]


def test_partial_runs_are_compared_only_when_asked(invoke: Invoke, tmp_path: Path) -> None:
    runs = [str(write_run(tmp_path, correct, only=[1, 3])) for correct in (BETTER, WORSE)]
    status, out, err = invoke("compare", *runs)
    assert (status, out) == (1, "")
    assert err.startswith(f"fer3d: {runs[0]} lacks 1 of 3 folds: 2.")
    status, out, err = invoke("compare", "--partial", *runs)
    assert (status, err) == (0, "")
    assert out.startswith("Accuracy [SYNTHETIC data, PARTIAL: 1 of 3 folds missing]\n")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["{0}", "{2}"], "fer3d: {0} and {2} cannot be compared pair by pair: their corpora are synthetic and ckplus"),
        (["{0}", "nowhere"], "fer3d: nowhere is not a run folder"),
        (["{0}", "{1}", "--out", "{0}/fold_001/result.json/x.json"], "fer3d: {0}/fold_001/result.json"),
    ],
)
def test_what_cannot_be_compared_or_written_is_one_sentence(
    arguments: list[str], said: str, invoke: Invoke, runs: tuple[Path, Path], tmp_path: Path
) -> None:
    folders = (*runs, write_run(tmp_path, BETTER, corpus="ckplus", name="other"))
    status, _, err = invoke("compare", *(each.format(*folders) for each in arguments))
    assert status == 1
    assert err.startswith(said.format(*folders))
    assert "Traceback" not in err


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["one"],
        ["one", "two", "--jsn", "x"],
        ["one", "two", "--picture", "x.svg"],
        ["one", "two", "three", "--picture", "x.pdf"],
        ["one", "two", "three", "--label", "name"],
        ["one", "two", "three", "--label", "name=one", "--label", "name=two"],
    ],
)
def test_a_wrong_command_line_says_how_it_goes(invoke: Invoke, arguments: list[Any]) -> None:
    status, out, err = invoke("compare", *arguments)
    assert (status, out) == (2, "")
    assert err.startswith("usage: fer3d compare")


def test_says_in_which_settings_the_runs_differ(invoke: Invoke, runs: tuple[Path, Path], tmp_path: Path) -> None:
    assert "no setting differs" in invoke("compare", *map(str, runs))[1].splitlines()
    other = write_run(tmp_path, WORSE, name="other", overrides=["clips.clahe=false", "frames=uniform"])
    said = invoke("compare", str(runs[0]), str(other))[1].splitlines()
    assert "  clips.clahe: True | False" in said
    assert "  frames._target_: fer3d.clips.frames.LastFrames | fer3d.clips.frames.UniformFrames" in said


@pytest.fixture
def many(tmp_path: Path) -> list[str]:
    """The folders of two seeds of three settings."""
    settings = {"a": (BETTER, 0.1), "b": (BETTER, 0.2), "c": (WORSE, 0.3)}
    return [
        str(write_run(tmp_path, correct, name=f"some-{name}", seed=seed, overrides=[f"model.dropout={dropout}"]))
        for seed in (0, 1)
        for name, (correct, dropout) in settings.items()
    ]


def test_many_runs_are_compared_as_entries(invoke: Invoke, many: list[str], tmp_path: Path) -> None:
    file, picture = tmp_path / "many.json", tmp_path / "many.svg"
    label = f"best={many[0]}"
    status, out, err = invoke("compare", *many[:4], "--out", str(file), *many[4:], "--label", label)
    assert (status, err) == (0, "")
    lines = [" ".join(line.split()) for line in out.splitlines()]
    assert f"best: {Path(many[0]).name}, {Path(many[3]).name}" in lines
    assert "Accuracy, last epoch [SYNTHETIC data]" in lines
    assert any(line.startswith("best 90.00% ± 0.00% 69.90% to 97.21%") for line in lines)
    assert "b, best +0.00 1.00000 0 to 0 1.00000" in lines
    assert sum("which does not mean that there is none" in line for line in lines) == 3
    told = json.loads(file.read_text(encoding="utf-8"))
    expected = rankings_json(rank_entries(entries_of([RunResults.read(Path(it)) for it in many], {"best": many[0]})))
    assert told == json.loads(json.dumps(expected))
    assert [entry["label"] for entry in told["entries"]] == ["b", "best", "c"]
    status, shuffled, _ = invoke("compare", *many[::-1], "--label", label, "--picture", str(picture))
    assert status == 0
    assert shuffled == out.replace(f"written: {file}", f"written: {picture}")
    assert "SYNTHETIC data" in picture.read_text(encoding="utf-8")


def test_runs_that_are_not_alike_are_one_sentence(invoke: Invoke, many: list[str]) -> None:
    status, out, err = invoke("compare", *many[:5])
    assert (status, out) == (1, "")
    assert err.startswith("fer3d: runs can be compared only if all settings have the same seeds: ")
    assert "Traceback" not in err
