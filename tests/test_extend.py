"""Each example of docs/extend.md is run as it stands there, by the commands that stand there."""

from __future__ import annotations

import json
import os
import re
import runpy
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import skimage.data
from prepared import TINY, PreparedCKPlus
from test_cli import START
from video_files import write_video

from fer3d.clips.store import ClipStore
from fer3d.training.results import read_result

PAGE = (Path(__file__).parents[1] / "docs/extend.md").read_text(encoding="utf-8")
FILES = dict(re.findall(r"`([\w/]+\.(?:py|yaml))`:\n\n```(?:python|yaml)\n(.*?)```", PAGE, flags=re.DOTALL))
COMMANDS = [
    shlex.split(line)
    for line in re.findall(r"^    (python .*)$", re.sub(r"```.*?```", "", PAGE, flags=re.DOTALL), re.MULTILINE)
]
# A network of one's own has none of the compact one's settings.
SMALL = [setting for setting in TINY if not setting.startswith("model.")]

RunCommands = Callable[..., str]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where a user would start fer3d, with the files of the page in it."""
    folder = tmp_path / "work"
    folder.mkdir()
    for name, text in FILES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
        monkeypatch.delitem(sys.modules, Path(name).stem, raising=False)
    monkeypatch.chdir(folder)
    monkeypatch.syspath_prepend(folder)
    monkeypatch.setenv("COLUMNS", "200")
    return folder


@pytest.fixture
def run(folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> RunCommands:
    """Runs the command of the page that has a text in it, with more settings after; returns what it printed."""

    def run(text: str, *more: str, **replaced: str) -> str:
        named = [words for words in COMMANDS if any(text in word for word in words)]
        words = named[0] if text else ["python", "-m", "fer3d.train"]
        assert len(named) == 1 or not text
        _, _, module, *arguments = [replaced.get(word.rpartition("/")[2], word) for word in words]
        monkeypatch.setattr(sys, "argv", [module, *arguments, *more])
        monkeypatch.delitem(sys.modules, module, raising=False)
        capsys.readouterr()
        runpy.run_module(module, run_name="__main__", alter_sys=True)
        return capsys.readouterr().out

    return run


@pytest.fixture
def settings(prepared: PreparedCKPlus) -> list[str]:
    """A tiny CK+ that is prepared, and one fold of it."""
    return [*[each for each in prepared.settings if each not in TINY], *SMALL, f"outputs={prepared.outputs}"]


def write_faces(root: Path) -> None:
    """The folder that the example of a corpus reads: two people, each emotion once, and one more, in colour."""
    photograph = skimage.data.astronaut()[:300, 80:380, ::-1]
    labels = []
    for number in range(7):
        path = root / f"{number:02d}.mp4"
        root.mkdir(exist_ok=True)
        write_video(path, [np.roll(photograph, 2 * number + k, axis=1) for k in range(2)])
        person, agreement = f"P{number % 2}", 0.5 if number == 6 else 0.9
        labels.append({"file": path.name, "person": person, "label": number // 2 % 3, "agreement": agreement})
    (root / "labels.json").write_text(json.dumps(labels), encoding="utf-8")


# What makes the example of a corpus tiny.
FEW = ["frames.stored=10", "faces.crop.size=32", "cv.num_folds=2"]


def test_the_examples_are_found() -> None:
    named = ["my_corpus.py", "my_network.py", "my_aggregation.py", "my_conf/model/frame_max.yaml"]
    assert list(FILES) == [*named, "my_augmentation.py", "my_protocol.py"]
    assert len(COMMANDS) == 7
    for block in re.findall(r"```python\n(.*?)```", PAGE, flags=re.DOTALL):
        compile(block, "docs/extend.md", "exec")


def test_a_corpus(folder: Path, run: RunCommands) -> None:
    write_faces(folder / "faces")
    assert "6 clips of 2 subjects" in run("MyCorpus", *TINY, *FEW, "+fold=1")
    (store,) = map(ClipStore.open, (folder / "outputs/clips").glob("my_corpus-*"))
    assert (store.corpus, store.emotions) == ("my_corpus", ("neutral", "happy", "sad"))
    assert set(store.clip_ids) == {f"P{n % 2}/{n:02d}.mp4" for n in range(6)}
    (trained,) = (folder / "outputs").glob("own-kfold10-compact-*/fold_001")
    assert len(read_result(trained).labels) == 3


@pytest.mark.parametrize("precision", [pytest.param("32-true", marks=pytest.mark.slow), "bf16-mixed"])
def test_a_network(run: RunCommands, settings: list[str], prepared: PreparedCKPlus, precision: str) -> None:
    run("FramesLSTM", *settings, "+fold=1", f"precision={precision}")
    (trained,) = prepared.outputs.glob("ckplus-kfold10-own-*/fold_001")
    result = read_result(trained)
    assert result.info["config"]["model"] == {"_target_": "my_network.FramesLSTM", "width": 8}
    assert result.logits.shape == (2, 4, 7)


def test_a_part_of_a_network(run: RunCommands, settings: list[str], prepared: PreparedCKPlus) -> None:
    run("frame_max", *settings, "+fold=1", "model.encoder.filters=[[2],[2],[2],[2],[2]]")
    (trained,) = prepared.outputs.glob("ckplus-kfold10-frame_max-*/fold_001")
    assert read_result(trained).info["config"]["model"]["aggregation"]["_target_"] == "my_aggregation.Maximum"


@pytest.mark.parametrize(
    ("text", "name"), [pytest.param("RandomErasing", "erase", marks=pytest.mark.slow), ("RandomSideLight", "light")]
)
def test_an_augmentation(run: RunCommands, settings: list[str], prepared: PreparedCKPlus, text: str, name: str) -> None:
    run(text, *settings, "+fold=1", "augment.copies_of_largest=5")
    (trained,) = prepared.outputs.glob("*/fold_001")
    told = read_result(trained).info
    assert told["config"]["augment"]["operations"][name]
    # Each of the four operations gets a copy, a mirror image at most.
    assert sum(told["num_train_with_copies"].values()) == 6 * told["num_train"]


@pytest.mark.slow
def test_the_copies_that_the_page_tells(run: RunCommands, settings: list[str], prepared: PreparedCKPlus) -> None:
    assert "`+augment.copies.light=2`" in PAGE
    run("RandomSideLight", *settings, "+fold=1", "augment=none", "+augment.copies.light=2")
    (trained,) = prepared.outputs.glob("*/fold_001")
    told = read_result(trained).info
    assert sum(told["num_train_with_copies"].values()) == 3 * told["num_train"]


def test_an_epoch_protocol(run: RunCommands, settings: list[str], prepared: PreparedCKPlus) -> None:
    run("cv.inner_val", *settings, "cv.inner_val=0.5")
    (trained,) = prepared.outputs.glob("ckplus-*")
    printed = run("EarlyEnough", RUN=str(trained))
    assert "early enough" in printed
    told = json.loads((trained / "evaluation/evaluation.json").read_text())["epoch_protocols"]["early_enough"]
    assert (told["optimistic"], told["own"]) == (False, "my_protocol.EarlyEnough")


@pytest.mark.slow
def test_a_folder_of_settings(folder: Path, run: RunCommands) -> None:
    write_faces(folder / "faces")
    (folder / "my_conf/data").mkdir(parents=True)
    (folder / "my_conf/data/my_corpus.yaml").write_text("_target_: my_corpus.MyCorpus\nroot: faces\n")
    (words,) = re.findall(r"`(--config-dir=.*?)`", PAGE)
    assert "7 clips of 2 subjects" in run("", *shlex.split(words), *TINY, *FEW, "+fold=1")
    assert list((folder / "outputs").glob("my_corpus-kfold10-compact-*/fold_001"))


@pytest.mark.slow
def test_a_search_of_a_network_of_ones_own(run: RunCommands, settings: list[str], prepared: PreparedCKPlus) -> None:
    (width,) = re.findall(r"`'(\+model\.width=choice.*?)'`", PAGE)
    found = run("FramesLSTM", "-m", "hydra/sweeper=optuna", "hydra.sweeper.n_trials=1", "search=own", *settings, width)
    assert "1 trials complete" in found


@pytest.mark.slow
@pytest.mark.parametrize("command", [["-m", "fer3d.train"], ["-c", START, "train"]])
def test_files_in_the_folder_are_found(folder: Path, command: list[str]) -> None:
    """Also by the command `fer3d`, and by the jobs that it starts."""
    write_faces(folder / "faces")
    (words,) = [words for words in COMMANDS if any("MyCorpus" in word for word in words)]
    network = ["model=own", "model._target_=my_network.FramesLSTM", "+fold=1"]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        [sys.executable, *command, *words[3:], *SMALL, *FEW, *network],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert list((folder / "outputs").glob("own-kfold10-own-*/fold_001"))
