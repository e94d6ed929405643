"""The command's way of asking for corpora, and a plan carried out at toy size, killed and continued."""

from __future__ import annotations

from pathlib import Path

import pytest
from fixture_types import Invoke

from fer3d.corpora.sequences import CorpusError
from fer3d.reproduce import check_roots


@pytest.mark.parametrize(
    ("plan", "variable", "target"),
    [
        ("ckplus", "CKPLUS_ROOT", "reproduce-ckplus"),
        ("oulu", "OULU_ROOT", "reproduce-oulu"),
        ("ravdess", "RAVDESS_ROOT", "benchmark-ravdess"),
        ("crema_d", "CREMA_D_ROOT", "benchmark-crema-d"),
    ],
)
@pytest.mark.parametrize("value", [None, ""])
def test_a_missing_root_is_one_sentence(
    plan: str, variable: str, target: str, value: str | None, invoke: Invoke, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(variable, raising=False)
    if value is not None:
        monkeypatch.setenv(variable, value)
    status, out, err = invoke("reproduce", plan)
    assert (status, out) == (1, "")
    folder = target.partition("-")[2]
    assert err.startswith(f"fer3d: {variable} is not set: make {target} {variable}=/data/{folder}, ")
    assert err.count("\n") == 1
    makefile = (Path(__file__).parent.parent / "Makefile").read_text(encoding="utf-8")
    assert f"\n{target}: setup ##" in makefile
    assert f"-m fer3d.reproduce {plan}\n" in makefile
    assert f"\n{variable} ?=\n" in makefile


@pytest.mark.parametrize("variable", ["CKPLUS_ROOT", "OULU_ROOT"])
def test_a_root_that_is_not_there_is_named_before_any_work(
    variable: str, invoke: Invoke, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The other corpus's, too: it would be found out about after hours."""
    monkeypatch.setenv("CKPLUS_ROOT", str(tmp_path))
    monkeypatch.setenv(variable, str(tmp_path / "nowhere"))
    status, out, err = invoke("reproduce", "ckplus")
    assert (status, out) == (1, "")
    assert f"{variable} is {tmp_path / 'nowhere'}, which is not a folder" in err


def test_says_which_corpora_are_not_there(tmp_path: Path) -> None:
    root = str(tmp_path)
    assert check_roots("ckplus", {"CKPLUS_ROOT": root}) == ["oulu_casia"]
    assert check_roots("oulu", {"OULU_ROOT": root, "CKPLUS_ROOT": root}) == []
    assert check_roots("ravdess", {"RAVDESS_ROOT": root, "CKPLUS_ROOT": "/nowhere"}) == []
    with pytest.raises(CorpusError, match="OULU_ROOT is not set"):
        check_roots("oulu", {"CKPLUS_ROOT": root})


@pytest.mark.parametrize("arguments", [["rehearsal", "--jobs", "0"], ["rehearsal", "--study", "s"], ["ck"], []])
def test_a_wrong_command_line_is_refused(arguments: list[str], invoke: Invoke) -> None:
    status, _, err = invoke("reproduce", *arguments)
    assert status == 2
    assert "usage: fer3d reproduce" in err


def test_an_unknown_setting_is_found_out_before_any_work(invoke: Invoke) -> None:
    status, out, err = invoke("reproduce", "rehearsal", "--jobs", "1", "trainer.max_epoch=1")
    assert (status, out) == (1, "")
    assert err.startswith("fer3d: Could not override 'trainer.max_epoch'.")


def test_a_setting_of_the_wrong_kind_is_found_out_before_any_work(invoke: Invoke) -> None:
    status, out, err = invoke("reproduce", "rehearsal", "--jobs", "1", "class_weights=no")
    assert (status, out, err) == (1, "", 'fer3d: class_weights must be true or false, got "no"\n')


def test_a_missing_study_is_found_out_before_any_work(invoke: Invoke) -> None:
    status, out, err = invoke("reproduce", "ablation", "--jobs", "1", "--study", "outputs/search/nowhere")
    assert (status, out) == (1, "")
    assert "outputs/search/nowhere" in err


def test_a_setting_that_makes_two_runs_the_same_is_found_out_before_any_work(invoke: Invoke) -> None:
    status, out, err = invoke("reproduce", "networks", "--jobs", "1", "seed=3")
    assert (status, out) == (1, "")
    assert "cnn3d with seed 0 and cnn3d with seed 1" in err
    assert "would be the same run" in err
    assert "with seed=3, since" in err
