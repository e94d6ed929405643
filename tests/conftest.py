"""What all tests share: the real configuration, shrunk, and tiny clip stores."""

from __future__ import annotations

import copy
import gc
import os
import runpy
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Collection, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import skimage.data
import torch
from composed import composed
from fixture_types import Compose, Invoke, MakeStore
from hydra._internal.config_repository import ConfigRepository
from hydra.core.object_type import ObjectType
from hydra.plugins.config_source import ConfigResult
from hypothesis import HealthCheck, settings
from omegaconf import DictConfig
from prepared import TINY, PreparedCKPlus
from small_disk import SmallDisk

from fer3d.clips.store import ClipRecord, ClipStore, StoreHeader, StoreWriter
from fer3d.configuration import config_folder
from fer3d.messages import messages_shown

EMOTIONS = ("anger", "contempt", "disgust", "fear", "happy", "sadness", "surprise")


def pytest_configure() -> None:
    """Tests run side by side, and threads that outnumber the cores wait for each other: one a process is faster."""
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    torch.set_num_threads(1)
    # A busy machine is no reason to fail; few examples, since two cores are slow.
    slow = [HealthCheck.too_slow]
    settings.register_profile("fer3d", deadline=None, suppress_health_check=slow, max_examples=40)
    settings.load_profile("fer3d")


def pytest_collection_finish() -> None:
    """Libraries leave millions of objects that live to the end: the garbage collector need not visit them again."""
    gc.freeze()


@pytest.fixture(autouse=True)
def _no_wandb_account(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Keeps W&B off the network, whatever the machine is set up for."""
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    monkeypatch.setenv("WANDB_MODE", "offline")


@pytest.fixture(scope="session", autouse=True)
def _files_of_the_configuration_are_read_once() -> Iterator[None]:
    """Saves a quarter of the time that composing a configuration takes."""
    load, kept = ConfigRepository.load_config, {}

    def load_config(self: ConfigRepository, config_path: str) -> ConfigResult | None:
        source = self._find_object_source(config_path, ObjectType.CONFIG)
        if source is None or (source.scheme() != "pkg" and source.path != config_folder()):
            return load(self, config_path)
        key = source.path, config_path
        if key not in kept:
            kept[key] = load(self, config_path)
        return copy.deepcopy(kept[key])

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ConfigRepository, "load_config", load_config)
        yield


@pytest.fixture
def shown_messages() -> Iterator[None]:
    """Prints what the library logs, as the commands do."""
    with messages_shown():
        yield


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[SmallDisk]:
    """A disk of one megabyte, where one may be mounted."""
    with SmallDisk.mounted(tmp_path / "disk") as disk:
        yield disk


@pytest.fixture
def wandb_folders(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Keeps W&B's caches out of the home folder."""
    for name in ("WANDB_DATA_DIR", "WANDB_CACHE_DIR", "WANDB_CONFIG_DIR"):
        monkeypatch.setenv(name, str(tmp_path / "wandb"))


@pytest.fixture(params=["closed", pytest.param("silent", marks=pytest.mark.slow)])
def wandb_away(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A key for a W&B server whose port is closed, or which takes connections and never answers."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        if request.param == "silent":
            server.listen()
        monkeypatch.setenv("WANDB_API_KEY", "0" * 40)
        monkeypatch.setenv("WANDB_BASE_URL", f"http://127.0.0.1:{server.getsockname()[1]}")
        monkeypatch.setenv("WANDB_MODE", "online")
        monkeypatch.setattr("fer3d.training.tracking._INIT_SECONDS", 1.0)
        monkeypatch.setattr("fer3d.training.tracking._fallback", {})
        yield


@pytest.fixture
def compose_config(tmp_path: Path) -> Compose:
    """Composes the real configuration with its outputs in the test's folder."""

    def make(*overrides: str) -> DictConfig:
        config = composed("name=test", *overrides)
        if not any(setting.startswith("outputs=") for setting in overrides):
            config.outputs = str(tmp_path / "outputs")
        return config

    return make


@pytest.fixture
def compose_tiny(compose_config: Compose) -> Compose:
    """Composes the real configuration, shrunk until a fold takes less than a second."""

    def make(*overrides: str) -> DictConfig:
        num_folds = [] if {"cv=loso", "cv=all_clips", "cv=given"} & set(overrides) else ["cv.num_folds=2"]
        return compose_config(*TINY, *num_folds, *overrides)

    return make


@pytest.fixture
def make_store(tmp_path: Path) -> MakeStore:
    """Makes stores of clips whose emotion shows as the place of a bright bar, so that a network can learn it."""

    def make(
        num_subjects: int = 4,
        emotions: tuple[str, ...] = EMOTIONS,
        size: int = 32,
        negatives: Collection[str] = (),
        **header: Any,
    ) -> ClipStore:
        """The clips of the subjects in `negatives` are inverted."""
        stores = tmp_path / "stores"
        stores.mkdir(exist_ok=True)
        folder = stores / f"test-{len(list(stores.iterdir()))}"
        folder.mkdir()
        rng = np.random.default_rng(0)
        fields = {"corpus": "test", "synthetic": True, "num_channels": 1, "num_frames": 10, "key": "k" * 64}
        fields |= {"settings": {}, "versions": {}, "emotions": emotions, "size": size, **header}
        with StoreWriter(folder, StoreHeader(**fields)) as writer:
            for subject in range(1, num_subjects + 1):
                for label, emotion in enumerate(emotions):
                    record = _record(f"S{subject:03d}", f"{label + 1:03d}", emotion, fields["num_frames"])
                    shape = (fields["num_frames"], size, size, fields["num_channels"])
                    clip = rng.integers(0, 60, shape, dtype=np.uint8)
                    bar = size * label // len(emotions)
                    clip[fields["num_frames"] // 2 :, bar : bar + size // len(emotions)] += 150
                    writer.add(record, 255 - clip if record.subject in negatives else clip)
            return writer.seal()

    return make


@pytest.fixture(scope="session")
def write_ckplus() -> Callable[..., Path]:
    """Writes a few sequences in CK+'s layout; every frame shows the same real face at another place."""

    def write(root: Path, num_subjects: int = 4, num_sequences: int = 2, num_frames: int = 2) -> Path:
        photograph = cv2.cvtColor(skimage.data.astronaut(), cv2.COLOR_RGB2GRAY)
        for top, subject in enumerate((f"S{number:03d}" for number in range(5, 5 + num_subjects)), start=20):
            for code in range(1, num_sequences + 1):
                names = [f"{subject}_{code:03d}_{number:08d}" for number in range(1, num_frames + 1)]
                images = root / "cohn-kanade-images" / subject / f"{code:03d}"
                label = root / "Emotion" / subject / f"{code:03d}" / f"{names[-1]}_emotion.txt"
                images.mkdir(parents=True)
                label.parent.mkdir(parents=True)
                label.write_text(f"   {code:.7e}\n")
                for left, name in enumerate(names, start=100 + 8 * code):
                    (images / f"{name}.png").write_bytes(_png(photograph[top : top + 240, left : left + 200]))
        return root

    return write


@pytest.fixture(scope="session")
def prepared_session(write_ckplus: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> PreparedCKPlus:
    """Runs the real command once for all tests."""
    folder = tmp_path_factory.mktemp("prepared")
    made = PreparedCKPlus(write_ckplus(folder / "CK+"), folder / "outputs", subprocess.CompletedProcess([], 0))
    command = [sys.executable, "-m", "fer3d.prepare", *made.settings, f"outputs={made.outputs}"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=folder, timeout=300)
    return replace(made, done=done)


@pytest.fixture
def prepared(prepared_session: PreparedCKPlus, tmp_path: Path) -> PreparedCKPlus:
    """The same with a copy of the outputs, for the test to write into."""
    shutil.copytree(prepared_session.outputs, tmp_path / "outputs")
    return replace(prepared_session, outputs=tmp_path / "outputs")


@pytest.fixture
def invoke(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Invoke:
    """Runs `python -m fer3d.<command>` within this process, which saves the seconds that importing PyTorch takes.

    Returns the exit status, the output and the errors. The working directory is an empty folder, and has to stay so.
    """
    folder = tmp_path / "empty"

    def run(command: str, *arguments: str) -> tuple[int, str, str]:
        folder.mkdir(exist_ok=True)
        monkeypatch.chdir(folder)
        monkeypatch.setattr(sys, "argv", [f"fer3d.{command}", *arguments])
        monkeypatch.delitem(sys.modules, f"fer3d.{command}", raising=False)
        capsys.readouterr()
        status: Any = 0
        try:
            runpy.run_module(f"fer3d.{command}", run_name="__main__", alter_sys=True)
        except SystemExit as end:
            if isinstance(end.code, str):
                print(end.code, file=sys.stderr)
            status = 1 if isinstance(end.code, str) else end.code or 0
        captured = capsys.readouterr()
        assert list(folder.iterdir()) == []
        return status, captured.out, captured.err

    return run


def _png(image: Any) -> bytes:
    return cv2.imencode(".png", np.ascontiguousarray(image))[1].tobytes()


def _record(subject: str, sequence: str, emotion: str, num_frames: int) -> ClipRecord:
    return ClipRecord(
        clip_id=f"{subject}/{sequence}",
        subject=subject,
        emotion=emotion,
        frames=tuple(f"{number:03d}.png" for number in range(num_frames)),
        boxes=((0, 0, 8, 8),) * num_frames,
        confidences=(0.9,) * num_frames,
        sources=("detected",) * num_frames,
    )
