"""The name of a run, the folds it skips, and what its folds leave."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from fixture_types import Compose, MakeStore
from hydra.errors import HydraException
from hydra.utils import instantiate
from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.callbacks import Callback
from small_disk import SmallDisk

from fer3d.clips.folds import FoldError
from fer3d.clips.preprocess import load_clips, normalise, to_unit_range
from fer3d.clips.store import ClipStore
from fer3d.disk import DiskError
from fer3d.evaluation.learning_curves import read_curves
from fer3d.evaluation.run_results import RunResults
from fer3d.training.checkpoint import Checkpoint
from fer3d.training.device import resolve_precision
from fer3d.training.identity import COUNTED, COUNTED_IF_SET
from fer3d.training.module import DivergedError
from fer3d.training.results import ResultError, read_result, write_result
from fer3d.training.run import Run
from fer3d.training.temperature import fit_temperature

pytestmark = pytest.mark.usefixtures("shown_messages")


# Stated, so that no other default can make one of the changes below no change.
BASE = [
    *("compile=false", "class_weights=false", "class_sampler=false", "clips.clahe=false", "clips.normalise=false"),
    *("model/activation=relu", "scheduler=cosine"),
]
CHANGES_NUMBERS = [
    *("seed=1", "batch_size=9", "class_weights=true", "class_sampler=true", "compile=true", "precision=bf16-mixed"),
    *("clips.clahe=true", "clips.normalise=true", "cv=loso", "cv.num_folds=3", "augment=none", "augment=balanced"),
    *("augment.operations.rotation.degrees=10", "augment.redraw=false", "model.dropout=0.123", "model/activation=elu"),
    *("optimizer=lookahead", "optimizer.lr=0.0123", "learning_rate=0.0234", "scheduler=constant"),
    *("trainer.max_epochs=3", "+trainer.gradient_clip_val=1.0"),
]
KEEPS_NUMBERS = [
    *("outputs=elsewhere", "progress=true", "logger=wandb", "save_checkpoint=true", "data.root=/data/elsewhere"),
    *("trainer.accelerator=gpu", "trainer.devices=[0]", "name=other"),
]


def times(folder: Path) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in [folder, *folder.rglob("*")]}


@pytest.fixture
def store(make_store: MakeStore) -> ClipStore:
    return make_store()


@pytest.fixture(scope="module")
def train_once(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Run], None]:
    """Trains all folds of a run with their checkpoints, or copies those of an equal run from another test."""
    trained = tmp_path_factory.mktemp("trained")

    def train(run: Run) -> None:
        kept = trained / run.folder.name
        if not kept.exists():
            run.train()
            shutil.copytree(run.folder, kept)
        elif not run.folder.exists():
            shutil.copytree(kept, run.folder)

    return train


def test_folder_is_named_by_name_and_digest(compose_tiny: Compose, store: ClipStore, tmp_path: Path) -> None:
    run = Run.of(compose_tiny("name=ckplus_loso"), store)
    assert run.folder == tmp_path / "outputs" / f"ckplus_loso-{run.digest[:8]}"
    assert re.fullmatch(r"[0-9a-f]{64}", run.digest)


@pytest.mark.slow
def test_digest_tells_all_settings_that_change_numbers_apart(compose_tiny: Compose, store: ClipStore) -> None:
    digests = {override: Run.of(compose_tiny(*BASE, override), store).digest for override in [*BASE, *CHANGES_NUMBERS]}
    assert len({digests.pop(override) for override in BASE}) == 1
    digests["none"] = Run.of(compose_tiny(*BASE), store).digest
    assert len(set(digests.values())) == len(digests), digests


def test_digest_ignores_what_changes_no_number(compose_tiny: Compose, store: ClipStore) -> None:
    digests = {override: Run.of(compose_tiny(override), store).digest for override in ["seed=0", *KEEPS_NUMBERS]}
    assert len(set(digests.values())) == 1, digests


def test_no_key_of_the_configuration_is_forgotten(compose_tiny: Compose) -> None:
    """A new key belongs into COUNTED or here, or else two different settings share a folder."""
    shape_the_clips_or_count_by_parts = {"data", "faces", "frames", "clips", "precision", "compile"}
    shape_the_clips_or_count_by_parts |= {"start_from", "learning_rate"}
    change_no_number = {"logger", "name", "outputs", "save_checkpoint", "progress", "search", "selected_by"}
    change_no_number |= {"configuration"}
    assert set(compose_tiny()) == {*COUNTED, *COUNTED_IF_SET, *shape_the_clips_or_count_by_parts, *change_no_number}


def test_digest_counts_the_clips(compose_tiny: Compose, store: ClipStore, make_store: MakeStore) -> None:
    other = make_store(negatives=["S001"])
    assert Run.of(compose_tiny(), other).digest != Run.of(compose_tiny(), store).digest
    same = make_store()
    assert same.folder != store.folder
    assert Run.of(compose_tiny(), same).digest == Run.of(compose_tiny(), store).digest


def test_digest_counts_the_sampling_of_frames_unless_the_clips_tell_it(compose_tiny: Compose, store: ClipStore) -> None:
    def digest(*settings: str) -> str:
        return Run.of(compose_tiny(*settings), store).digest

    last = digest("frames=last")
    assert digest("frames=last", "clips.num_frames=9") == last
    others = ["frames=uniform", "frames=segments", "frames=window"]
    different = {last, *(digest(other) for other in others), digest("frames=uniform", "frames.views=2")}
    assert len({*different, digest("frames=uniform", "clips.num_frames=9")}) == 6


def test_digest_counts_what_precision_auto_means_here(compose_tiny: Compose, store: ClipStore) -> None:
    meant = resolve_precision("auto", "cpu")
    run = Run.of(compose_tiny("precision=auto"), store)
    assert run.precision == meant
    assert run.digest == Run.of(compose_tiny(f"precision={meant}"), store).digest


def test_a_changed_config_does_not_reach_a_run_that_was_made(compose_tiny: Compose, store: ClipStore) -> None:
    config = compose_tiny()
    run = Run.of(config, store)
    config.seed = 5
    assert run.config.seed == 0


def test_trains_all_folds_and_skips_finished_ones(
    compose_tiny: Compose, store: ClipStore, capsys: pytest.CaptureFixture[str]
) -> None:
    run = Run.of(compose_tiny(), store)
    (second,) = run.train(2)
    before = times(run.folder / "fold_002")
    capsys.readouterr()
    first, second_again = Run.of(compose_tiny(), store).train()
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(":")[0] for line in lines[1:]] == ["fold 1", "done already, fold 2"]
    assert (first.fold, second_again.fold) == (1, 2)
    np.testing.assert_array_equal(second.logits, second_again.logits)
    assert times(run.folder / "fold_002") == before
    assert sorted(path.name for path in run.folder.iterdir()) == ["fold_001", "fold_002"]
    assert not list(run.folder.rglob("last.ckpt"))


def test_announces_what_it_trains_on(
    compose_tiny: Compose, store: ClipStore, make_store: MakeStore, capsys: pytest.CaptureFixture[str]
) -> None:
    Run.of(compose_tiny(), store).announce([1])
    Run.of(compose_tiny(), make_store(num_subjects=3, synthetic=False)).announce([2])
    synthetic, real = (line for line in capsys.readouterr().out.splitlines() if line.startswith("run "))
    assert "28 SYNTHETIC clips of 4 subjects, 1 of 2 folds, 32-true" in synthetic
    assert "21 clips of 3 subjects, 1 of 2 folds" in real


def test_result_says_how_it_came_about(
    compose_tiny: Compose, store: ClipStore, capsys: pytest.CaptureFixture[str]
) -> None:
    run = Run.of(compose_tiny("seed=3"), store)
    (result,) = run.train(1)
    assert "INDEPENDENT" not in capsys.readouterr().out
    info = json.loads((run.folder / "fold_001" / "result.json").read_text(encoding="utf-8"))
    assert (info["run"], info["digest"], info["seed"]) == (run.folder.name, run.digest, 3)
    assert (info["corpus"], info["synthetic"], info["clip_store"]) == ("test", True, store.digest)
    assert (info["subjects"], info["subject_independent"]) == (["S001", "S003"], True)
    assert info["num_train"] + info["num_held_out"] == len(store)
    assert info["config"]["model"]["filters"] == [[2], [2], [2, 2], [2, 2], [2, 2]]
    assert info["versions"]["torch"] == torch.__version__
    assert (info["device"], info["precision"]) == ("cpu", "32-true")
    assert info["seconds"] > 0
    held_out = [index for index, subject in enumerate(store.subjects) if subject in info["subjects"]]
    assert result.clip_ids == tuple(store.clip_ids[index] for index in held_out)
    assert result.labels.tolist() == store.labels[held_out].tolist()
    assert result.logits.shape == (2, 14, 7)
    read = read_result(run.folder / "fold_001")
    np.testing.assert_array_equal(read.logits, result.logits)


def test_a_fold_that_fails_leaves_nothing_behind(compose_tiny: Compose, store: ClipStore) -> None:
    run = Run.of(compose_tiny("optimizer.lr=1e30"), store)
    with pytest.raises(DivergedError, match="epoch 1"):
        run.train(1)
    assert list(run.folder.iterdir()) == []


def test_a_damaged_result_is_not_trained_over(compose_tiny: Compose, store: ClipStore) -> None:
    run = Run.of(compose_tiny(), store)
    folder = run.folder / "fold_001"
    folder.mkdir(parents=True)
    (folder / "result.json").write_text("{")
    with pytest.raises(ResultError, match="fold_001 holds no usable fold result"):
        run.train(1)
    assert (folder / "result.json").read_text() == "{"


@pytest.mark.parametrize("number", [0, 3, "1", 1.0])
def test_a_fold_that_does_not_exist_is_refused_before_any_work(
    number: object, compose_tiny: Compose, store: ClipStore
) -> None:
    run = Run.of(compose_tiny(), store)
    with pytest.raises(FoldError, match="folds are numbered from 1 to 2"):
        run.train([1, number])  # type: ignore[list-item]
    assert not run.folder.exists()


def test_checkpoint_gives_the_last_epochs_logits(compose_tiny: Compose, store: ClipStore) -> None:
    settings = ["clips.normalise=true", "clips.clahe=true", "model/activation=prelu"]
    run = Run.of(compose_tiny("save_checkpoint=true", *settings), store)
    (result,) = run.train(2)
    checkpoint = torch.load(run.folder / "fold_002" / "last.ckpt", weights_only=True)
    assert (checkpoint["fold"], checkpoint["digest"]) == (2, run.digest)
    config = checkpoint["config"]
    network = instantiate(config["model"], num_classes=len(checkpoint["emotions"]), num_frames=10, size=32)
    network.load_state_dict(checkpoint["state_dict"])
    chosen = [store.clip_ids.index(clip_id) for clip_id in result.clip_ids]
    clips = normalise(to_unit_range(load_clips(store.clips, clahe=True)[chosen]))
    with torch.no_grad():
        logits = network.eval()(clips)
    np.testing.assert_allclose(logits.numpy(), result.logits[-1], rtol=1e-4, atol=1e-5)


def test_callbacks_look_on_and_count_for_the_digest(compose_tiny: Compose, store: ClipStore) -> None:
    plain = Run.of(compose_tiny("scheduler=constant"), store)
    watched = Run.of(compose_tiny("scheduler=constant", "callbacks=learning_rate"), store)
    averaged = Run.of(compose_tiny("scheduler=constant", "callbacks=weight_averaging"), store)
    assert len({plain.digest, watched.digest, averaged.digest}) == 3
    logits = [run.train(1)[0].logits for run in (plain, watched, averaged)]
    np.testing.assert_array_equal(logits[0], logits[1])
    assert not np.array_equal(logits[0], logits[2])
    assert "lr-Adam" in (watched.folder / "fold_001" / "metrics.csv").read_text(encoding="utf-8").splitlines()[0]
    # The averaged weights are those that the checkpoint of the fold would hold, and the curves can still be read.
    assert read_curves(RunResults.read(watched.folder, partial=True)).num_epochs == 2


@pytest.mark.parametrize(
    ("callback", "said"),
    [
        ("{_target_:pytorch_lightning.callbacks.EarlyStopping,monitor:train/loss}", "EarlyStopping .* would end folds"),
        ("{_target_:pytorch_lightning.callbacks.ModelCheckpoint}", "ModelCheckpoint .* save_checkpoint=true"),
        ("{_target_:pytorch_lightning.callbacks.RichProgressBar}", "RichProgressBar .* progress=true"),
        ("{_target_:os.getcwd}", "callbacks must be instances of pytorch_lightning.Callback"),
    ],
)
def test_callbacks_that_break_what_a_result_means_are_refused(
    callback: str, said: str, compose_tiny: Compose, store: ClipStore
) -> None:
    run = Run.of(compose_tiny(f"+callbacks.mine={callback}"), store)
    with pytest.raises(ValueError, match=said):
        run.train(1)
    assert not run.folder.exists()


class StopsEarly(Callback):
    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        trainer.should_stop = True


@pytest.mark.parametrize("num_epochs", [1, 2])
def test_a_callback_that_ends_a_fold_early_makes_no_result(
    num_epochs: int, compose_tiny: Compose, store: ClipStore
) -> None:
    mine = f"+callbacks.mine={{_target_:{StopsEarly.__module__}.StopsEarly}}"
    run = Run.of(compose_tiny(mine, f"trainer.max_epochs={num_epochs}"), store)
    with pytest.raises(ValueError, match=f"a callback ended training in or after epoch 1 of {num_epochs}"):
        run.train(1)
    assert run.unfinished == [1, 2]


def test_a_quick_try_is_quick_and_says_that_it_is_one(compose_config: Compose, make_store: MakeStore) -> None:
    settings = ["debug=quick", "logger=csv", "progress=false", "cv.num_folds=2", "batch_size=4", "precision=32-true"]
    run = Run.of(compose_config(*settings), make_store())
    results = run.train()
    assert all(len(result.logits) == 2 for result in results)
    assert all("DEBUG" in result.summary() for result in results)
    assert "DEBUG: 2 batches an epoch" in RunResults.read(run.folder).caution


def test_a_profiler_tells_what_it_measured(
    compose_tiny: Compose, store: ClipStore, caplog: pytest.LogCaptureFixture
) -> None:
    Run.of(compose_tiny("+trainer.profiler=simple", "trainer.max_epochs=1"), store).train(1)
    assert "Profiler Report" in caplog.text


def test_what_cannot_work_fails_before_any_work(
    compose_tiny: Compose, store: ClipStore, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    lacks_emotion = Run.of(compose_tiny("~augment.copies.flip.anger"), store)
    with pytest.raises(ValueError, match="missing: anger"):
        lacks_emotion.train()
    many = "augment.copies.flip.fear=1000000000000000000000000000000"
    for settings, said in [
        (["model.activation._target_=builtins.print"], "rejects clips of shape"),
        (["scheduler._target_=builtins.print"], "scheduler._target_ must create an instance of PyTorch's LRScheduler"),
        ([many], "augment.copies.flip.fear must be a whole number from 0 to"),
    ]:
        with pytest.raises((ValueError, HydraException), match=said):
            Run.of(compose_tiny(*settings), store).train()
    compiled = Run.of(compose_tiny("compile=true"), store)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CXX", raising=False)
    with pytest.raises(ValueError, match=r"compile=true needs a C.. compiler"):
        compiled.train()
    assert not lacks_emotion.folder.exists()
    assert not compiled.folder.exists()


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda result: {"fold": 2}, r"fold number is 2 instead of 1\. It was"),
        (lambda result: {"info": {**result.info, "digest": "e" * 64}}, r"digest is e{64} instead of"),
        (lambda result: {"labels": np.array([6, *result.labels[1:]])}, "held-out clips differ, first in number 1"),
    ],
)
def test_another_result_is_not_believed(
    change: Callable[..., Any], told: str, compose_tiny: Compose, store: ClipStore, train_once: Callable[[Run], None]
) -> None:
    train_once(Run.of(compose_tiny("save_checkpoint=true"), store))
    run = Run.of(compose_tiny(), store)
    result = run.fold_result(1)
    write_result(replace(result, **change(result)), run.folder / "fold_001")
    before = contents(run.folder / "fold_001")
    for act in (run.train, run.fold_result):
        with pytest.raises(ResultError, match=rf"fold_001 holds another result .* its {told}"):
            act(1)
    assert contents(run.folder / "fold_001") == before


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize("settings", [["cv.inner_val=0.5"], ["cv=all_clips"]])
def test_a_checkpoint_that_is_asked_for_later_is_made(
    settings: list[str], compose_tiny: Compose, store: ClipStore, capsys: pytest.CaptureFixture[str]
) -> None:
    run = Run.of(compose_tiny(*settings, "save_checkpoint=true"), store)
    run.train(1)
    want = Checkpoint.read(run.folder / "fold_001" / "last.ckpt").weights_digest
    shutil.rmtree(run.folder)
    Run.of(compose_tiny(*settings, "save_checkpoint=false"), store).train(1)
    before = contents(run.folder / "fold_001")
    assert 1 in run.unfinished
    capsys.readouterr()
    run.train(1)
    after = contents(run.folder / "fold_001")
    assert Checkpoint.read(run.folder / "fold_001" / "last.ckpt").weights_digest == want
    assert before == {name: content for name, content in after.items() if name != "last.ckpt"}
    told = capsys.readouterr().out.splitlines()[1:]
    assert told[0] == "fold 1: finished, but without last.ckpt; training it again"
    assert told[1].startswith("fold 1: ")
    assert 1 not in run.unfinished
    assert [path.name for path in run.folder.iterdir()] == ["fold_001"]
    run.train(1)
    assert len(capsys.readouterr().out.splitlines()) == 2


def test_a_checkpoint_keeps_the_temperature_of_the_clips_that_were_kept_back(
    compose_tiny: Compose, store: ClipStore
) -> None:
    run = Run.of(compose_tiny("cv.inner_val=0.5", "save_checkpoint=true"), store)
    (result,) = run.train(1)
    assert result.inner_val is not None
    kept = Checkpoint.read(run.folder / "fold_001" / "last.ckpt")
    assert kept.temperature == fit_temperature(result.inner_val.logits[-1], result.inner_val.labels) != 1
    assert kept.training_clips is not None
    assert set(kept.training_clips) == {"brightness", "contrast", "symmetry"}


def test_a_damaged_checkpoint_or_another_folds_counts_as_missing(
    compose_tiny: Compose, store: ClipStore, train_once: Callable[[Run], None], capsys: pytest.CaptureFixture[str]
) -> None:
    run = Run.of(compose_tiny("save_checkpoint=true"), store)
    train_once(run)
    first, second = (run.folder / f"fold_00{number}" / "last.ckpt" for number in (1, 2))
    want = Checkpoint.read(first).weights_digest
    for content, why in ((second.read_bytes(), "the last.ckpt of another fold or run"), (b"", "a damaged last.ckpt")):
        first.write_bytes(content)
        run.fold_result(1)
        assert capsys.readouterr().out.endswith(f"fold 1: finished, but with {why}; training it again\n")
        assert Checkpoint.read(first).weights_digest == want


@pytest.mark.parametrize("settings", [[], ["cv=all_clips"]])
def test_a_checkpoint_that_would_not_be_the_results_own_is_not_added(
    settings: list[str], compose_tiny: Compose, store: ClipStore
) -> None:
    run = Run.of(compose_tiny(*settings, "save_checkpoint=false"), store)
    (result,) = run.train(1)
    elsewhere = {**result.info, "versions": {**result.info["versions"], "torch": "1"}}
    logits = np.nextafter(result.logits, np.float32(np.inf))
    write_result(replace(result, logits=logits, info=elsewhere), run.folder / "fold_001")
    before = contents(run.folder / "fold_001")
    asking = Run.of(compose_tiny(*settings, "save_checkpoint=true"), store)
    with pytest.raises(ResultError, match=r"fold_001 has no last\.ckpt, .* other numbers .* delete the folder"):
        asking.train(1)
    assert contents(run.folder / "fold_001") == before


def test_a_full_disk_loses_the_fold_in_a_sentence(
    compose_tiny: Compose, store: ClipStore, small_disk: SmallDisk
) -> None:
    run = Run.of(compose_tiny(f"outputs={small_disk.folder}", "save_checkpoint=true"), store)
    small_disk.fill(num_left=24 * 1024)
    with pytest.raises(DiskError, match=rf"^{run.folder}/fold_001 cannot be written: No space left on device"):
        run.fold_result(1)
    assert list(run.folder.iterdir()) == []
    (small_disk.folder / "filler").unlink()
    assert run.train(1)[0].fold == 1


@pytest.fixture
def given_store(store: ClipStore) -> ClipStore:
    """Clips whose table names three folds: S001 is in two of them, all others in one."""
    folds = {"S001": ("1", "2"), "S002": ("1",), "S003": ("2",), "S004": ("3",)}
    records = [
        replace(record, columns={"split": folds[record.subject][number % len(folds[record.subject])]})
        for number, record in enumerate(store.records)
    ]
    return ClipStore(store.folder, store.header, tuple(records), store.clips, "given")


def test_folds_that_share_a_subject_are_trained_and_say_so(
    compose_tiny: Compose, given_store: ClipStore, capsys: pytest.CaptureFixture[str]
) -> None:
    run = Run.of(compose_tiny("cv=given"), given_store)
    assert len(run.folds) == 3
    (result,) = run.train(1)
    assert (result.info["subject_independent"], result.info["num_shared_subjects"]) == (False, 1)
    said = capsys.readouterr().out.splitlines()
    assert "28 SYNTHETIC clips of 4 subjects" in said[0]
    assert said[1] == "NOT SUBJECT-INDEPENDENT: 1 subject is on both sides of a fold"
    assert "NOT SUBJECT-INDEPENDENT SYNTHETIC held-out clips right" in said[2]
    # What is done is found, and stays what it is.
    (again,) = Run.of(compose_tiny("cv=given"), given_store).train(1)
    assert again.info == result.info


def test_clips_of_unknown_subjects_are_split_by_any_rule_and_say_so(
    compose_tiny: Compose, make_store: MakeStore, capsys: pytest.CaptureFixture[str]
) -> None:
    store = make_store(num_subjects=2, subjects_known=False)
    lone = [replace(record, subject=record.clip_id) for record in store.records]
    unknown = ClipStore(store.folder, store.header, tuple(lone), store.clips, store.digest)
    assert len(Run.of(compose_tiny("cv=loso"), unknown).folds) == len(unknown) == 14
    run = Run.of(compose_tiny(), unknown)
    (result,) = run.train(1)
    assert (result.info["subject_independent"], result.info["subjects_known"]) == (False, False)
    announced, caution, summary = capsys.readouterr().out.splitlines()
    assert "14 SYNTHETIC clips, subjects unknown, 1 of 2 folds" in announced
    assert caution.startswith("NOT SUBJECT-INDEPENDENT: the subjects are unknown")
    assert "NOT SUBJECT-INDEPENDENT" in summary
