"""The command `fer3d export`, and predictions with what it writes."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import skimage.data
from fixture_types import Invoke
from small_disk import SmallDisk
from trained_networks import EMOTIONS, write_checkpoint
from video_files import write_video

from fer3d.prediction.predictor import Predictor

PAGE = (Path(__file__).parents[1] / "docs/export.md").read_text(encoding="utf-8")
OWN = """
from torch import nn

class Network(nn.Module):
    def __init__(self, num_classes, num_channels):
        super().__init__()
        self.classifier = nn.Linear(num_channels, num_classes)

    def forward(self, clips):
        return self.classifier(clips.mean((2, 3, 4)))

class Guesses(Network):
    def forward(self, clips):
        return super().forward(clips * 2 if clips.mean() > 0.5 else clips)

class OneByOne(Network):
    def forward(self, clips):
        return super().forward(clips.flatten().view(2, 1, 10, 32, 32)) if len(clips) == 2 else super().forward(clips)
"""


@pytest.fixture
def export(invoke: Invoke) -> Invoke:
    return lambda *arguments: invoke("export", *map(str, arguments))


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Path]:
    """Writes the checkpoint of a network of somebody's own."""
    (tmp_path / "my_small_network.py").write_text(OWN)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "my_small_network", raising=False)

    def write(name: str) -> Path:
        target = f"model._target_=my_small_network.{name}"
        return write_checkpoint(tmp_path / name / "last.ckpt", "model=own", target, small=["logger=csv"])

    return write


@pytest.fixture
def faces(tmp_path: Path) -> Path:
    """A video of somebody who moves a little."""
    photograph = np.ascontiguousarray(skimage.data.astronaut()[:300, 80:380, ::-1])
    return write_video(tmp_path / "faces.mp4", [np.roll(photograph, 2 * k, axis=1) for k in range(16)])


@pytest.mark.slow
def test_a_network_of_ones_own_becomes_a_file_beside_its_checkpoint(
    export: Invoke, own: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = own("Network")
    status, _, err = export(path)
    assert (status, path.with_suffix(".onnx").exists()) == (1, False)
    assert "--trust my_small_network" in err
    status, out, err = export(path, "--trust", "my_small_network")
    assert (status, err) == (0, "")
    assert sorted(file.name for file in path.parent.iterdir()) == ["last.ckpt", "last.onnx"]
    assert str(path.with_suffix(".onnx")) in out
    assert "SYNTHETIC" in out
    # The page's own lines.
    monkeypatch.chdir(path.parent)
    (code,) = re.findall(r"```python\n(.*?)```", PAGE, flags=re.DOTALL)
    exec(compile(code, "docs/export.md", "exec"), {})
    printed = capsys.readouterr().out
    assert printed.startswith("SYNTHETIC: trained on rendered faces (test) {")
    assert all(f"'{emotion}': 0." in printed for emotion in EMOTIONS)


def test_mistakes_are_a_sentence(export: Invoke, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = tmp_path / "run"
    for arguments, said in (
        ([tmp_path / "nothing.ckpt"], "nothing.ckpt, which is not a file"),
        ([tmp_path], "contains no checkpoint"),
        ([tmp_path / "last.ckpt", "--out", tmp_path / "x.txt"], "end in .onnx"),
        ([run, "--out", tmp_path / "x.onnx"], "contains 2 checkpoints"),
        ([run / "fold_001/last.ckpt"], "is not a checkpoint of this version"),
    ):
        for fold in ("fold_001", "fold_002"):
            (run / fold).mkdir(parents=True, exist_ok=True)
            (run / fold / "last.ckpt").write_bytes(b"no checkpoint")
        status, _, err = export(*arguments)
        assert (status, said in err, "Traceback" in err) == (1, True, False), err
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    status, _, err = export(run / "fold_001/last.ckpt")
    assert "pip install 'fer3d[export]'" in err
    assert not list(tmp_path.rglob("*.onnx"))


@pytest.mark.slow
@pytest.mark.parametrize(("name", "said"), [("Guesses", "data-dependent"), ("OneByOne", "batch size")])
def test_a_network_that_onnx_cannot_hold_is_named(
    export: Invoke, own: Callable[[str], Path], name: str, said: str
) -> None:
    path = own(name)
    status, out, err = export(path, "--trust", "my_small_network")
    assert (status, out) == (1, "")
    assert re.fullmatch(rf"fer3d: .*{re.escape(str(path))}.*{said}.*; predict with the checkpoint\n", err)
    assert [file.name for file in path.parent.iterdir()] == ["last.ckpt"]


@pytest.mark.slow
def test_each_fold_of_a_run_gets_its_file(export: Invoke, tmp_path: Path) -> None:
    paths = [write_checkpoint(tmp_path / f"run/fold_{fold:03d}/last.ckpt", fold=fold) for fold in (1, 4)]
    assert export(tmp_path / "run", "--out", tmp_path / "networks")[0] == 0
    found = sorted((tmp_path / "networks").iterdir())
    assert [path.name for path in found] == ["fold_001.onnx", "fold_004.onnx"]
    assert [member.trained.fold for member in Predictor.load(*found).ensemble.members] == [1, 4]
    assert export(tmp_path / "run")[0] == 0
    assert all(path.with_suffix(".onnx").is_file() for path in paths)


@pytest.mark.slow
def test_a_full_disk_leaves_nothing(export: Invoke, small_disk: SmallDisk, tmp_path: Path) -> None:
    path = write_checkpoint(tmp_path / "last.ckpt", "model.hidden=[512,512]")
    status, _, err = export(path, "--out", small_disk.folder / "model.onnx")
    assert status == 1
    assert "model.onnx cannot be written: No space left" in err
    assert not list(small_disk.folder.glob("*onnx*"))


@pytest.mark.slow
def test_predictions_are_the_checkpoints_and_never_import_pytorch(export: Invoke, tmp_path: Path, faces: Path) -> None:
    path = write_checkpoint(tmp_path / "run/last.ckpt", temperature=1.3)
    assert export(path)[0] == 0
    want, found = (Predictor.load(file, stride=1)(faces) for file in (path, path.with_suffix(".onnx")))
    assert want["anger"].notna().sum() > 5
    assert list(want) == list(found)
    for name in want.columns:
        if want[name].dtype == "float64":
            np.testing.assert_allclose(found[name], want[name], rtol=0, atol=1e-4, err_msg=name)
        else:
            assert found[name].equals(want[name]), name
    # The command itself, with every picture, in a Python that has no PyTorch.
    forbid = tmp_path / "forbid/sitecustomize.py"
    forbid.parent.mkdir()
    forbid.write_text("import sys\nsys.modules.update(dict.fromkeys(('torch', 'onnx', 'lightning_fabric')))\n")
    command = [sys.executable, "-m", "fer3d.predict", str(faces), "--with", str(path.with_suffix(".onnx"))]
    pictures = ["--overlay", "--timeline", "--page", "--out", str(tmp_path / "predictions")]
    env = {"PYTHONPATH": str(forbid.parent), "PATH": "/usr/bin:/bin"}
    done = subprocess.run([*command, *pictures], capture_output=True, text=True, cwd=tmp_path, timeout=120, env=env)
    assert (done.returncode, done.stderr) == (0, "")
    assert "SYNTHETIC" in done.stdout
    told = json.loads((tmp_path / "predictions/faces.mp4.json").read_text())
    assert told["networks"][0]["temperature"] == 1.3
    assert len(list((tmp_path / "predictions").iterdir())) == 5
