from __future__ import annotations

import re
import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from fixture_types import Invoke
from prepared import PreparedCKPlus
from processes import start, wait_until

from fer3d.training.results import read_result


@pytest.fixture
def settings(prepared: PreparedCKPlus) -> list[str]:
    return [*prepared.settings, "name=test", f"outputs={prepared.outputs}"]


@pytest.fixture
def train(settings: list[str], invoke: Invoke) -> Callable[..., list[str]]:
    """Trains in this process and returns what became of which fold: `fold 1` or `done already, fold 1`."""

    def run(*arguments: str) -> list[str]:
        status, out, err = invoke("train", *settings, *arguments)
        assert status == 0, err
        assert all(line.startswith("fer3d: CK+ in") for line in err.splitlines())
        return re.findall(r"^(?:done already, )?fold \d+", out, re.MULTILINE)

    return run


@pytest.mark.parametrize(
    ("arguments", "folds"),
    [
        (["+fold=[2,1]"], ["fold 2", "fold 1"]),
        pytest.param(["+fold=range(1,3)"], ["fold 1", "fold 2"], marks=pytest.mark.slow),
        pytest.param([], ["fold 1", "fold 2"], marks=pytest.mark.slow),
    ],
    ids=["list", "range", "all"],
)
def test_trains_the_folds_it_is_asked_for_once(
    arguments: list[str], folds: list[str], train: Callable[..., list[str]], prepared: PreparedCKPlus
) -> None:
    assert train(*arguments) == folds
    (run_folder,) = prepared.outputs.glob("test-*")
    assert sorted(path.name for path in run_folder.iterdir()) == [f"fold_00{fold[-1]}" for fold in sorted(folds)]
    assert train(*arguments) == [f"done already, {fold}" for fold in folds]


def test_a_sweep_makes_a_job_of_each_fold(train: Callable[..., list[str]], prepared: PreparedCKPlus) -> None:
    assert train("-m", "+fold=range(1,3)") == ["fold 1", "fold 2"]
    (run_folder,) = prepared.outputs.glob("test-*")
    assert sorted(path.name for path in run_folder.iterdir()) == ["fold_001", "fold_002"]


def test_prepares_a_corpus_on_first_use(prepared: PreparedCKPlus, settings: list[str], invoke: Invoke) -> None:
    shutil.rmtree(prepared.outputs)
    status, out, _ = invoke("train", *settings, "+fold=1")
    assert status == 0
    assert "8 of 8 sequences" in out
    assert "run " in out.split("8 of 8 sequences")[1]
    again = invoke("train", *settings, "+fold=1")[1]
    assert "sequences" not in again


def test_a_fold_that_does_not_exist_is_a_sentence(settings: list[str], invoke: Invoke) -> None:
    status, out, err = invoke("train", *settings, "+fold=999")
    assert (status, out) == (1, "")
    note, message = err.splitlines()
    assert note.startswith("fer3d: CK+ in")
    assert message == "fer3d: fold=999 does not exist: folds are numbered from 1 to 2"


@pytest.mark.parametrize(
    ("setting", "sentence"),
    [
        ("model.temporal_kernel=2", "temporal_kernel"),
        ("model.downsample=200", "has no output; raise"),
        ("+frozen.nothing=1", "frozen names nothing"),
        ("start_from=nowhere.pt", "start_from is nowhere.pt"),
        ("start_from=nowhere.ckpt", "start_from is nowhere.ckpt"),
        ("optimizer.betas=[2.0,0.9]", "beta"),
    ],
)
def test_what_cannot_be_trained_is_found_out_before_faces_are_looked_for(
    setting: str, sentence: str, settings: list[str], prepared: PreparedCKPlus, invoke: Invoke
) -> None:
    shutil.rmtree(prepared.outputs)
    status, out, err = invoke("train", *settings, setting, "+fold=1")
    assert (status, out) == (1, "")
    assert sentence in err
    assert not list(prepared.outputs.glob("clips/*"))


@pytest.mark.slow
def test_a_killed_run_goes_on_where_it_stopped(
    settings: list[str], train: Callable[..., list[str]], prepared: PreparedCKPlus, tmp_path: Path
) -> None:
    # Long enough to be killed in the middle of fold 2, of which a work folder is the first sign.
    epochs = "trainer.max_epochs=25"
    process = start("-m", "fer3d.train", *settings, epochs, cwd=tmp_path)
    wait_until(lambda: list(prepared.outputs.glob("test-*/.fold_002.partial-*")), process)
    process.send_signal(signal.SIGKILL)
    out, err = process.communicate(timeout=60)
    assert process.returncode == -signal.SIGKILL
    assert "fold 1: " in out
    assert [line[:13] for line in err.splitlines()] == ["fer3d: CK+ in"]

    (run_folder,) = prepared.outputs.glob("test-*")
    before = read_result(run_folder / "fold_001")
    left = [".fold_002.lock", ".fold_002.partial", "fold_001"]
    assert sorted(path.name[:17] for path in run_folder.iterdir()) == left
    assert train(epochs) == ["done already, fold 1", "fold 2"]
    assert sorted(path.name for path in run_folder.iterdir()) == ["fold_001", "fold_002"]

    # The other process's numbers are those of this one.
    shutil.rmtree(run_folder / "fold_001")
    assert train(epochs, "+fold=1") == ["fold 1"]
    np.testing.assert_array_equal(read_result(run_folder / "fold_001").logits, before.logits)


@pytest.mark.parametrize(
    ("operation", "sentence"),
    [
        ("{_target_:kornia.augmentation.ColorJitter,hue:0.2}", "ColorJitter cannot change clips of .* 1 channel: "),
        ("{_target_:kornia.augmentation.RandomMixUpV2}", "RandomMixUpV2 mixes clips of different labels"),
        ("{_target_:kornia.augmentation.RandomRotation}", "cannot be created: .*degrees"),
    ],
)
def test_an_operation_that_cannot_be_used_is_refused_before_training(
    operation: str, sentence: str, prepared: PreparedCKPlus, settings: list[str], invoke: Invoke
) -> None:
    changes = [f"+augment.operations.it={operation}", "+augment.copies.it=1"]
    status, _, err = invoke("train", *settings, "augment=none", *changes, "+fold=1")
    assert status == 1
    assert re.search(rf"^fer3d: augment\.operations\.it[: .]*{sentence}", err, re.M)
    assert "Traceback" not in err
    assert not list(prepared.outputs.glob("test-*/fold_*"))


def test_lists_of_settings_reach_an_operation(train: Callable[..., list[str]]) -> None:
    blur = "{_target_:kornia.augmentation.RandomMotionBlur,kernel_size:[3,7],angle:[-30.0,30.0],direction:[-1.0,1.0]}"
    assert train("augment=none", f"+augment.operations.it={blur}", "+augment.copies.it=1", "+fold=1") == ["fold 1"]
