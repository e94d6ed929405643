"""CSV always, W&B as configured. The W&B runs are real ones, kept offline and read back from their files."""

from __future__ import annotations

import csv
import json
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from fixture_types import Compose, MakeStore
from pytorch_lightning.utilities import rank_zero_only
from wandb_files import of_kind, records, values

from fer3d.clips.augment import Augmentation, RandomLinearContrast
from fer3d.clips.data import FoldData
from fer3d.clips.folds import Fold
from fer3d.training.module import DivergedError
from fer3d.training.results import FoldResult
from fer3d.training.run import Run
from fer3d.training.tracking import sample_strips, start_wandb_run, wandb_mode

pytestmark = pytest.mark.usefixtures("shown_messages")

NETRC = "machine api.wandb.ai\n  login user\n  password 0123456789\n"


@pytest.fixture
def home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """An empty home folder, and no setting of W&B."""
    for name in ("WANDB_MODE", "WANDB_API_KEY", "WANDB_BASE_URL", "NETRC"):
        monkeypatch.delenv(name, raising=False)
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    return home


ELSEWHERE = {"WANDB_BASE_URL": "http://wandb.lab:8080"}


@pytest.mark.parametrize(
    ("keys", "environment", "setting", "mode"),
    [
        ({}, {}, None, "offline"),
        ({}, {"WANDB_API_KEY": "0123456789"}, None, "online"),
        ({}, {"WANDB_API_KEY": "0123456789", "WANDB_MODE": "disabled"}, None, "disabled"),
        ({}, {"WANDB_API_KEY": "0123456789", "WANDB_MODE": "disabled"}, "offline", "offline"),
        # Where `wandb login` leaves a key, and where else it may lie.
        ({".netrc": NETRC}, {}, None, "online"),
        ({"_netrc": NETRC}, {}, None, "online"),
        ({"keys": NETRC}, {"NETRC": "keys"}, None, "online"),
        ({".netrc": "machine\nnonsense"}, {}, None, "offline"),
        ({".netrc": ""}, {}, None, "offline"),
        # The key of another server does not count; W&B writes its port too.
        ({".netrc": NETRC}, ELSEWHERE, None, "offline"),
        ({".netrc": NETRC.replace("api.wandb.ai", "wandb.lab:8080")}, ELSEWHERE, None, "online"),
    ],
)
def test_the_mode_follows_the_setting_then_the_environment_then_the_key(
    keys: dict[str, str],
    environment: dict[str, str],
    setting: str | None,
    mode: str,
    home: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(home)
    for name, content in keys.items():
        (home / name).write_text(content)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert wandb_mode(setting) == mode


def test_any_other_mode_is_refused(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match="there is no W&B API key: set WANDB_API_KEY"):
        wandb_mode("online")
    with pytest.raises(ValueError, match="must be online, offline or disabled, got 'sometimes'"):
        wandb_mode("sometimes")
    monkeypatch.setenv("WANDB_MODE", "dryrun")
    with pytest.raises(ValueError, match="WANDB_MODE"):
        wandb_mode(None)


def test_where_wandb_is_away_runs_are_offline_after_one_short_try(
    wandb_folders: None, wandb_away: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    started = time.monotonic()
    for number in range(2):
        run = start_wandb_run(mode="online", project="faces", dir=tmp_path, id=f"a/b {number}", name="x" * 200)
        run.log({"loss": 1.0})
        run.finish()
    # W&B's own patience is 90 seconds.
    assert time.monotonic() - started < 60
    assert len(list((tmp_path / "wandb").glob("offline-run-*-a-b-*-????????"))) == 2
    assert capsys.readouterr().err.count("fer3d: W&B failed, and logging goes on offline: ") == 1


@pytest.mark.parametrize("num_channels", [1, 3])
@pytest.mark.parametrize("normalised", [False, True])
def test_strips_show_every_kind_of_clip_as_the_network_sees_it(num_channels: int, normalised: bool) -> None:
    clips = torch.randint(0, 256, (3, num_channels, 4, 6, 5), dtype=torch.uint8)
    data = FoldData(
        clips=clips,
        labels=torch.tensor([1, 0, 1]),
        emotions=("anger", "happy"),
        fold=Fold(1, train=(0, 1), held_out=(2,)),
        augmentation=Augmentation(
            {"contrast": RandomLinearContrast((0.0, 0.0))}, {"contrast": {"anger": 1, "happy": 0}}
        ),
        batch_size=2,
        normalise=normalised,
        shuffle_seed=0,
        augment_seed=0,
    )
    next(iter(data.train_dataloader()))  # draws the epoch's parameters
    strips, captions = zip(*sample_strips(data), strict=True)
    assert captions == ("training clip, as it is: happy", "training clip, contrast: anger", "held-out clip: happy")
    for strip in strips:
        assert (strip.shape, strip.dtype) == ((6, 4 * 5, num_channels), np.uint8)
    np.testing.assert_array_equal(strips[0][:, :5].transpose(2, 0, 1), clips[0, :, 0].numpy())
    np.testing.assert_array_equal(strips[2][:, -5:].transpose(2, 0, 1), clips[2, :, -1].numpy())
    np.testing.assert_array_equal(strips[1], np.full_like(strips[1], 127))


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "metrics.csv").open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture
def offline(wandb_folders: None, compose_tiny: Compose, make_store: MakeStore) -> SimpleNamespace:
    """Two folds tracked offline: the run, its results, and by fold the W&B folders and what they hold."""
    run = Run.of(compose_tiny("logger=wandb", "logger.wandb.project=faces"), make_store())
    results = run.train()
    folders: dict[int, Path] = {}
    contents: dict[int, list[Any]] = {}
    for folder in (run.folder / "wandb").glob("offline-run-*"):
        content = records(folder)
        (start,) = of_kind(content, "run")
        fold = values(start.config.update)["fold"]
        folders[fold], contents[fold] = folder, content
    return SimpleNamespace(run=run, results=results, folders=folders, contents=contents)


def test_an_offline_run_a_fold(offline: SimpleNamespace) -> None:
    """One test of all that W&B gets, since a W&B process takes its time to start."""
    assert sorted(offline.contents) == [1, 2]
    for result in offline.results:
        content = offline.contents[result.fold]
        check_start(content, offline.run, result.fold)
        check_curves(content, rows(offline.run.folder / f"fold_{result.fold:03d}"))
        check_media(content, offline.folders[result.fold], result)
        (end,) = of_kind(content, "exit")
        assert end.exit_code == 0


def check_start(content: list[Any], run: Run, fold: int) -> None:
    (start,) = of_kind(content, "run")
    assert (start.project, start.run_group, start.job_type) == ("faces", run.folder.name, "fold")
    assert start.display_name == f"{run.folder.name}/fold_{fold:03d}"
    config = values(start.config.update)
    assert config["optimizer"]["_target_"] == "torch.optim.Adam"
    assert config["model"]["filters"] == [[2], [2], [2, 2], [2, 2], [2, 2]]


def check_curves(content: list[Any], expected: list[dict[str, str]]) -> None:
    history = [values(row.item) for row in of_kind(content, "history")]
    curves = [row for row in history if "train/loss" in row]
    assert len(curves) == len(expected) == 2
    for found, row in zip(curves, expected, strict=True):
        for name in ("epoch", "train/loss", "train/uar", "held_out/loss", "held_out/accuracy", "held_out/uar"):
            assert found[name] == pytest.approx(float(row[name]))


def check_media(content: list[Any], folder: Path, result: FoldResult) -> None:
    summary: dict[str, Any] = {}
    for part in of_kind(content, "summary"):
        summary |= values(part.update)
    assert summary["num_held_out"] == len(result.labels)
    assert summary["num_correct/last_epoch"] == result.num_correct[-1]
    table = json.loads((folder / "files" / summary["held_out/confusion_matrix_table/path"]).read_text())
    cells = [(actual, predicted, count) for actual, predicted, count in table["data"] if count]
    assert sum(count for *_, count in cells) == len(result.labels)
    right = sum(count for actual, predicted, count in cells if actual == predicted)
    assert right == result.num_correct[-1]
    captions = summary["clips/captions"]
    kinds = [caption.split(":")[0].removeprefix("training clip, ") for caption in captions]
    assert kinds == ["as it is", "flip", "rotation", "contrast", "held-out clip"]
    for name in summary["clips/filenames"]:
        assert cv2.imread(str(folder / "files" / name)).shape == (32, 320, 3)


def test_a_failed_fold_is_a_failed_wandb_run(wandb_folders: None, compose_tiny: Compose, make_store: MakeStore) -> None:
    run = Run.of(compose_tiny("logger=wandb", "optimizer.lr=1e30"), make_store())
    with pytest.raises(DivergedError):
        run.train(1)
    (folder,) = (run.folder / "wandb").glob("offline-run-*")
    (end,) = of_kind(records(folder), "exit")
    assert end.exit_code == 1


def test_a_fold_is_trained_alone_whatever_surrounds_it(
    compose_tiny: Compose, make_store: MakeStore, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """As the third task of a Slurm job, where Lightning would wait for the others and write no curves."""
    srun = tmp_path / "bin" / "srun"
    srun.parent.mkdir()
    srun.touch(mode=0o755)
    monkeypatch.setenv("PATH", str(srun.parent), prepend=":")
    around = {"JOB_ID": "7", "JOB_NAME": "train", "NTASKS": "4", "NTASKS_PER_NODE": "4", "PROCID": "2", "LOCALID": "2"}
    for name, value in around.items():
        monkeypatch.setenv(f"SLURM_{name}", value)
    monkeypatch.setattr(rank_zero_only, "rank", 2)
    run = Run.of(compose_tiny(), make_store())
    run.train(1)
    assert len(rows(run.folder / "fold_001")) == 2
