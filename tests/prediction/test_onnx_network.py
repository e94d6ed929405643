"""Networks as ONNX files: the same numbers as PyTorch's, and files that are checked before they are believed."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from trained_networks import EMOTIONS, SIZE, write_checkpoint

from fer3d.clips.frame_order import FrameOrder
from fer3d.prediction.networks import load_networks
from fer3d.prediction.onnx_export import TOLERANCE, export_checkpoint
from fer3d.prediction.onnx_network import from_bytes, read_onnx, sealed
from fer3d.prediction.torch_network import read_checkpoint
from fer3d.prediction.trained import PredictionError
from fer3d.settings import FrameOrderName
from fer3d.training.checkpoint import Checkpoint

VIEWS = ["frames=segments", "frames.stored=12", "frames.views=3"]


def clips_of_noise(num_clips: int, num_channels: int = 1, num_frames: int = 10) -> NDArray[np.uint8]:
    """Clips of one to another brightness, which the network tells apart by more than it tells noise."""
    rng = np.random.default_rng(num_clips)
    noise = rng.random((num_clips, num_channels, num_frames, SIZE, SIZE))
    return (noise * np.linspace(20, 255, num_clips)[:, None, None, None, None]).astype(np.uint8)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A grey network whose clips enter in [-1, 1], with a temperature and several views."""
    folder = tmp_path_factory.mktemp("network")
    return write_checkpoint(
        folder / "last.ckpt", "clips.normalise=true", "model/activation=leaky_relu", *VIEWS, temperature=1.7
    )


@pytest.fixture(scope="module")
def exported(checkpoint: Path) -> bytes:
    return export_checkpoint(checkpoint).content


@pytest.fixture
def file(exported: bytes, tmp_path: Path) -> Path:
    path = tmp_path / "model.onnx"
    path.write_bytes(exported)
    return path


def test_what_is_known_of_the_network_comes_back(file: Path, checkpoint: Path) -> None:
    want, _ = read_checkpoint(checkpoint, "cpu", ())
    found, _ = read_onnx(file)
    assert found == want
    assert found.temperature == 1.7
    assert len(found.views) == 3


@pytest.mark.parametrize("num_clips", [1, 7])
def test_logits_and_probabilities_are_pytorchs(file: Path, checkpoint: Path, num_clips: int) -> None:
    clips = clips_of_noise(num_clips)
    want, found = (network.logits(clips) for network in (read_checkpoint(checkpoint, "cpu", ())[1], read_onnx(file)[1]))
    assert num_clips == 1 or np.ptp(want, axis=0).max() > 0.005
    np.testing.assert_allclose(found, want, rtol=0, atol=1e-4)
    assert (found.argmax(1) == want.argmax(1)).all()
    stored = np.moveaxis(clips_of_noise(num_clips, num_frames=12), 1, -1)
    want, found = (load_networks([path]).probabilities(stored) for path in (checkpoint, file))
    np.testing.assert_allclose(found, want, rtol=0, atol=1e-4)


def test_the_graphs_own_probabilities_are_calibrated(file: Path) -> None:
    _, network = read_onnx(file)
    clips = clips_of_noise(3)
    (found,) = network._session.run(["probabilities"], {"clips": clips})
    raised = np.exp(network.logits(clips) / 1.7)
    np.testing.assert_allclose(found, raised / raised.sum(1, keepdims=True), rtol=0, atol=1e-6)


def test_two_networks_of_both_kinds_are_averaged(file: Path, checkpoint: Path) -> None:
    stored = np.moveaxis(clips_of_noise(2, num_frames=12), 1, -1)
    one, both = load_networks([checkpoint]), load_networks([checkpoint, file])
    np.testing.assert_allclose(both.probabilities(stored), one.probabilities(stored), rtol=0, atol=1e-4)


@pytest.mark.parametrize(
    "name",
    [
        "shuffled",
        pytest.param("reversed", marks=pytest.mark.slow),
        pytest.param("apex_repeated", marks=pytest.mark.slow),
    ],
)
def test_the_graph_orders_the_frames_itself(checkpoint: Path, tmp_path: Path, name: FrameOrderName) -> None:
    filmed = Checkpoint.read(checkpoint)
    config: Any = {**filmed.config, "frames": {**filmed.config["frames"], "order": name}, "seed": 3}
    replace(filmed, config=config).write(tmp_path / "last.ckpt")
    content = export_checkpoint(tmp_path / "last.ckpt").content
    trained, network = from_bytes(content, "model.onnx")
    positions = FrameOrder(name, 3).positions(10)
    assert trained.order == positions
    assert positions is not None
    clips = (clips_of_noise(3) * np.linspace(0.1, 1, 10)[:, None, None]).astype(np.uint8)
    _, plain = read_checkpoint(checkpoint, "cpu", ())
    want = plain.logits(np.ascontiguousarray(clips[:, :, list(positions)]))
    np.testing.assert_allclose(network.logits(clips), want, rtol=0, atol=1e-4)
    assert np.abs(plain.logits(clips) - want).max() > 1e-3
    told = {entry.key: entry.value for entry in onnx.load_from_string(content).metadata_props}
    assert f'"order": "{name}"' in told["preprocessing"]
    assert f"at these positions: {list(positions)}" in told["preprocessing"]
    changed = forged(content, setting("trained", "order", value=[10] * 10))
    with pytest.raises(PredictionError, match="its order does not name 10 frames"):
        from_bytes(changed, "model.onnx")


def test_the_metadata_can_be_read_by_people(exported: bytes) -> None:
    model = onnx.load_from_string(exported)
    told = {entry.key: entry.value for entry in model.metadata_props}
    assert json.loads(told["labels"]) == list(EMOTIONS)
    assert told["caution"] == model.doc_string == "SYNTHETIC: trained on rendered faces (test)"
    assert f"rows {SIZE}" in told["preprocessing"]
    assert "order" not in json.loads(told["fer3d"])["trained"]["frames"]
    assert [entry.version for entry in model.opset_import] == [18]
    onnx.checker.check_model(model, full_check=True)


def test_nothing_tells_where_it_was_made(exported: bytes) -> None:
    """PyTorch notes the place in the source code that each node comes from."""
    assert str(Path(__file__).parents[2]).encode() not in exported
    assert b".py" not in exported


def forged(exported: bytes, change: Callable[[Any, dict[str, Any]], None]) -> bytes:
    """What somebody makes of a file who knows how it is sealed."""
    model = onnx.load_from_string(exported)
    entries = {entry.key: entry.value for entry in model.metadata_props if entry.key != "fer3d_sha256"}
    told = json.loads(entries["fer3d"])
    change(model, told)
    del model.metadata_props[:]
    for key, value in {**entries, "fer3d": json.dumps(told)}.items():
        model.metadata_props.add(key=key, value=value)
    return sealed(model.SerializeToString())


def setting(*path: str, value: object) -> Callable[[Any, dict[str, Any]], None]:
    """Sets an entry of the metadata."""

    def change(_: Any, told: dict[str, Any]) -> None:
        for name in path[:-1]:
            told = told[name]
        told[path[-1]] = value

    return change


def rename_input(model: Any, _: dict[str, Any]) -> None:
    model.graph.input[0].name = model.graph.node[0].input[0] = "pixels"


def test_a_file_that_is_sealed_again_is_read(exported: bytes) -> None:
    from_bytes(forged(exported, lambda model, told: None), "model.onnx")


BAD: dict[str, tuple[Callable[[Any, dict[str, Any]], None], str]] = {
    "another format": (setting("format", value=2), "has format 2"),
    "a text as format": (setting("format", value="1"), "format: "),
    "labels that are a text": (setting("trained", "emotions", value="happy"), "emotions: "),
    "no subjects": (lambda _, told: told["trained"].pop("subjects"), "subjects: "),
    "a number of colours that is a text": (setting("trained", "num_channels", value="1"), "num_channels: "),
    "an infinite temperature": (setting("trained", "temperature", value=float("inf")), "temperature is inf"),
    "a temperature below zero": (setting("trained", "temperature", value=-1.0), "temperature is -1"),
    "views of another length": (setting("trained", "views", value=[[0, 1]]), "views do not have 10 frames"),
    "views of frames that are not there": (setting("trained", "views", value=[[12] * 10]), "frames beyond 12"),
    "no views": (setting("trained", "views", value=[]), "views"),
    "no size": (setting("trained", "faces", "crop", value={}), "faces.crop.size"),
    "another size": (setting("trained", "faces", "crop", "size", value=64), "graph of model.onnx does not fit"),
    "other colours": (setting("trained", "num_channels", value=3), "graph of model.onnx does not fit"),
    "more labels": (setting("trained", "emotions", value=["a", "b", "c", "d"]), "graph of model.onnx does not fit"),
    "code of another package": (
        setting("trained", "faces", "detector", "_target_", value="os.system"),
        "os.system, which is not in a trusted package",
    ),
    "code behind a module of fer3d's": (
        setting("trained", "frames", "_target_", value="fer3d.clips.frames.np.load"),
        "defined outside fer3d",
    ),
    "code of fer3d's that belongs elsewhere": (
        setting("trained", "frames", "_target_", value="fer3d.atomic_file.write_file"),
        "fer3d.atomic_file.write_file, which is not in a trusted package",
    ),
    "settings of another version": (
        setting("trained", "faces", "crop", "shape", value="round"),
        "settings that this version of fer3d cannot use",
    ),
    "nothing that chooses frames": (setting("trained", "frames", value={}), "cannot use"),
    "a cropper in the place of what finds faces": (
        setting("trained", "faces", value={"_target_": "fer3d.clips.faces.FaceCropper", "crop": {"size": SIZE}}),
        "cannot use",
    ),
    "nothing": (lambda _, told: told.clear(), "format: "),
    "another number of frames": (setting("trained", "frames", "stored", value=20), "its clips have 20"),
    "an input of another name": (rename_input, "graph of model.onnx does not fit"),
    "an operator that nobody knows": (
        lambda model, _: setattr(model.graph.node[0], "op_type", "Nothing"),
        "cannot be read by ONNX Runtime",
    ),
}


@pytest.mark.parametrize(("change", "said"), BAD.values(), ids=BAD)
def test_what_a_file_says_is_checked(exported: bytes, change: Callable[..., None], said: str) -> None:
    with pytest.raises(PredictionError, match=r"model\.onnx") as caught:
        from_bytes(forged(exported, change), "model.onnx")
    assert said in str(caught.value)


def test_a_damaged_file_is_called_so(exported: bytes) -> None:
    for damaged in (
        exported[:-1],
        exported + b"x",
        exported[:-60],
        exported.replace(b"clips", b"chips"),
        exported.replace(b'"S001"', b'"S003"'),
    ):
        with pytest.raises(PredictionError, match=r"model\.onnx was damaged or edited"):
            from_bytes(damaged, "model.onnx")
    with pytest.raises(PredictionError, match=r"model\.onnx .*truncated"):
        from_bytes(exported[:9000], "model.onnx")


def test_every_flipped_bit_and_every_cut_is_noticed(exported: bytes) -> None:
    rng = np.random.default_rng(0)
    for place in rng.choice(len(exported), 40, replace=False):
        content = bytearray(exported)
        content[place] ^= 1 << int(rng.integers(8))
        with pytest.raises(PredictionError, match=r"model\.onnx (was damaged|is not an ONNX)"):
            from_bytes(bytes(content), "model.onnx")
        with pytest.raises(PredictionError, match=r"model\.onnx (was damaged|is not an ONNX)"):
            from_bytes(exported[:place], "model.onnx")


def test_files_of_somebody_elses_are_refused(tmp_path: Path) -> None:
    graph = onnx.helper.make_graph([], "graph", [], [])
    (tmp_path / "other.onnx").write_bytes(onnx.helper.make_model(graph).SerializeToString())
    (tmp_path / "text.onnx").write_text("no network, not even of fer3d")
    (tmp_path / "empty.onnx").touch()
    for name in ("other", "text", "empty"):
        with pytest.raises(PredictionError, match=rf"{name}\.onnx is not an ONNX file written by fer3d export"):
            load_networks([tmp_path / f"{name}.onnx"])
    with pytest.raises(PredictionError, match=r"nothing\.onnx is not a file"):
        load_networks([tmp_path / "nothing.onnx"])


def test_without_onnx_runtime(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(PredictionError, match=r"pip install 'fer3d\[export\]'"):
        read_onnx(file)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("settings", "num_channels"),
    [
        (["clips.normalise=false"], 1),
        (["clips.normalise=false"], 3),
        (["clips.normalise=true", "model/pooling=max", "model/activation=mish"], 3),
        (["model.temporal_kernel=5", "model.second_conv=true", "model.downsample=1", "clips.num_frames=12"], 1),
        (["model/pooling=max", "model/activation=elu"], 1),
    ],
)
def test_parity_whatever_the_network(settings: list[str], num_channels: int, tmp_path: Path) -> None:
    path = write_checkpoint(tmp_path / "last.ckpt", *settings, num_channels=num_channels)
    made = export_checkpoint(path)
    assert made.difference <= TOLERANCE
    (trained, want), (same, found) = read_checkpoint(path, "cpu", ()), from_bytes(made.content, "model.onnx")
    assert trained == same
    for num_clips in (1, 7):
        clips = clips_of_noise(num_clips, num_channels, trained.num_frames)
        np.testing.assert_allclose(found.logits(clips), want.logits(clips), rtol=0, atol=1e-4)


@pytest.mark.slow
def test_the_same_checkpoint_makes_the_same_file(checkpoint: Path, exported: bytes) -> None:
    assert export_checkpoint(checkpoint).content == exported
