"""The Python functions for notebooks and scripts; the lines of docs/python.md are run as they stand there."""

from __future__ import annotations

import logging
import re
import runpy
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pytorch_lightning as pl
from fake_runs import write_run
from prepared import TINY, PreparedCKPlus

from fer3d.clips.folds import FoldError
from fer3d.evaluation.protocols import held_out_predictions, protocols_of
from fer3d.evaluation.run_results import EvaluationError, RunResults
from fer3d.notebook import compose, prepare, read_run, train
from fer3d.settings import SettingsError

PAGE = (Path(__file__).parents[1] / "docs/python.md").read_text(encoding="utf-8")
(CODE,) = re.findall(r"```python\n(.*?)```", PAGE, flags=re.DOTALL)
pytestmark = pytest.mark.filterwarnings("ignore::fer3d.corpora.sequences.CorpusWarning")


@pytest.fixture
def settings(prepared: PreparedCKPlus) -> list[str]:
    return [*prepared.settings, "name=test", f"outputs={prepared.outputs}"]


def test_the_documented_lines(
    write_ckplus: Callable[..., Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    small = [*TINY, "faces.crop.size=32", "cv.num_folds=4"]
    code = CODE.replace("/data/ckplus", str(write_ckplus(tmp_path / "CK+"))).replace("compose(", f"compose(*{small}, ")
    assert len(CODE.splitlines()) <= 12
    (tmp_path / "lines.py").write_text(code, encoding="utf-8")
    made = runpy.run_path("lines.py")
    assert re.fullmatch(r"ckplus-kfold10-compact-[0-9a-f]{8}", made["run"].folder.name)
    assert made["run"].unfinished == [1, 2, 4]
    assert "PARTIAL: 3 of 4 folds missing" in capsys.readouterr().out
    assert {path.name for path in tmp_path.iterdir()} == {"CK+", "lines.py", "outputs"}


def test_the_table_of_columns_is_complete(tmp_path: Path) -> None:
    frame = read_run(write_run(tmp_path, inner_val=0.5))
    named = set(re.findall(r"`(\w+)`", PAGE[PAGE.index("## The data frame") :]))
    assert {column for column in frame if not column.startswith("p_")} <= named
    assert {"p_anger", "p_happy"} <= named & set(frame)


def test_a_frame_holds_what_an_evaluation_counts(tmp_path: Path) -> None:
    folder = write_run(tmp_path, inner_val=0.5)
    run, frame = RunResults.read(folder), read_run(str(folder))
    num_clips = sum(len(fold.clip_ids) for fold in run.folds)
    assert len(frame) == num_clips * run.num_epochs
    assert len(frame.drop_duplicates(["clip_id", "epoch"])) == len(frame)
    probabilities = frame[[f"p_{emotion}" for emotion in run.emotions]].to_numpy()
    np.testing.assert_allclose(probabilities.sum(-1), 1)
    assert {protocol.name for protocol in protocols_of(run)} == {
        column for column in frame if frame[column].dtype == bool
    } - {"correct"}
    for protocol in protocols_of(run):
        counted, scored = held_out_predictions(run, protocol), frame[frame[protocol.name]]
        assert scored.clip_id.tolist() == list(counted.clip_ids)
        assert scored.subject.tolist() == list(counted.subjects)
        assert scored.fold.tolist() == counted.folds.tolist()
        assert scored.correct.tolist() == counted.correct.tolist()
        assert scored.label.tolist() == [run.emotions[label] for label in counted.labels]
        assert scored.predicted.tolist() == [run.emotions[label] for label in counted.predicted]
        np.testing.assert_array_equal(probabilities[frame[protocol.name]], counted.probabilities)
    assert set(frame.caution) == {run.caution}
    assert "SYNTHETIC" in run.caution


def test_missing_folds_have_to_be_allowed(tmp_path: Path) -> None:
    folder = write_run(tmp_path, only=[2])
    with pytest.raises(EvaluationError):
        read_run(folder)
    assert "PARTIAL" in read_run(folder, partial=True).caution[0]
    with pytest.raises(EvaluationError):
        read_run(tmp_path / "nowhere")


def test_folds_are_those_of_the_command(settings: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert not prepare(compose(*settings)).built
    run = train(compose(*settings, "+fold=range(2,3)"))
    assert run.unfinished == [1]
    assert train(compose(*settings), fold=[2]).unfinished == [1]
    assert train(compose(*settings), fold=1).unfinished == []
    with pytest.raises(FoldError, match="fold=3"):
        train(compose(*settings), fold=3)


def test_wrong_settings_are_exceptions(settings: list[str]) -> None:
    with pytest.raises(SettingsError, match="batch_size"):
        train(compose(*settings, "batch_size=0"))
    with pytest.raises(SettingsError, match=r"augment\.copies"):
        compose("augment.copies={}")


def test_messages_go_through_logging(
    settings: list[str], caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.INFO, "fer3d")
    train(compose(*settings), fold=1)
    assert [record.name.split(".")[0] for record in caplog.records if record.levelno >= logging.INFO] == ["fer3d"] * 2
    caplog.clear()
    caplog.set_level(logging.WARNING, "fer3d")
    train(compose(*settings), fold=2)
    assert caplog.messages == []
    assert capsys.readouterr().out == ""


class Stop(pl.Callback):
    """Presses the notebook's stop button."""

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        signal.raise_signal(signal.SIGINT)


@pytest.fixture
def ctrl_c() -> Iterator[None]:
    """Ctrl-C raises `KeyboardInterrupt`, also in a process in which tests run side by side."""
    handler = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, handler)


@pytest.mark.usefixtures("ctrl_c")
def test_a_stopped_training_continues(settings: list[str]) -> None:
    handler = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        train(compose(*settings, f"+callbacks.stop._target_={__name__}.Stop"), fold=1)
    assert signal.getsignal(signal.SIGINT) == handler
    run = train(compose(*settings), fold=1)
    assert [path.name for path in run.folder.iterdir()] == ["fold_001"]


def test_any_whole_numbers_name_folds(settings: list[str]) -> None:
    for fold in (np.int64(1), np.array([1]), range(1, 2)):
        assert train(compose(*settings), fold=fold).unfinished == [2]


@pytest.mark.parametrize("fold", ["1", 1.5, [1.5], ["a"]])
def test_what_does_not_name_folds_is_refused(settings: list[str], fold: Any) -> None:
    with pytest.raises(FoldError, match="fold must be a number"):
        train(compose(*settings), fold=fold)


def test_a_run_stays_where_it_is(settings: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = train(compose(*settings), fold=1)
    monkeypatch.chdir(tmp_path)
    assert run.folder.is_absolute()
    assert run.unfinished == [2]
    assert len(repr(run)) < 300


def test_what_is_not_a_setting_or_a_configuration_is_refused() -> None:
    for wrong in (["a=b"], {"a": "b"}):
        with pytest.raises(SettingsError, match="settings are texts"):
            compose(wrong)  # type: ignore[arg-type]
        with pytest.raises(SettingsError, match="compose"):
            train(wrong)  # type: ignore[arg-type]
