"""External weights: what is read, what becomes of it in a network, what is refused, what a run says of it."""

from __future__ import annotations

import logging
import pickle
import re
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import pytest
import torch
from fixture_types import Compose, MakeStore
from omegaconf import DictConfig
from prepared import TINY
from safetensors.torch import save_file
from torch import Tensor, nn

from fer3d.models.resnet import Kind, ResNetEncoder
from fer3d.models.sequence_network import Mean, SequenceNetwork
from fer3d.models.videomae import VideoMAEEncoder
from fer3d.training.checkpoint import Checkpoint, CheckpointError
from fer3d.training.external_weights import ExternalWeights
from fer3d.training.results import read_result
from fer3d.training.run import Run

SMALL = [setting for setting in TINY if not setting.startswith("model.")]
RESNET = [*SMALL, "model=frame_mean", "model.encoder.width=2", "model.hidden=[]", "cv.num_folds=2"]


def resnet(kind: Kind = "frames", num_frames: int = 4) -> SequenceNetwork:
    """A tiny network with batch norm statistics of its own."""
    encoder = partial(ResNetEncoder, kind=kind, width=2, stem_pool=False)
    network = SequenceNetwork(num_classes=3, encoder=encoder, aggregation=Mean, num_frames=num_frames, size=32)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm3d):
            nn.init.uniform_(module.running_mean, -0.1, 0.1)
            nn.init.uniform_(module.running_var, 0.5, 1.5)
    return network.eval()


def as_resnet18(encoder: nn.Module) -> dict[str, Tensor]:
    """An encoder's weights by the names and in the shapes of torchvision's `resnet18`, with its classifier."""
    renamed = {"fc.weight": torch.zeros(1000, 16), "fc.bias": torch.zeros(1000)}
    for name, tensor in encoder.state_dict().items():
        name = name.replace("stem.0.", "conv1.").replace("stem.1.", "bn1.")
        name = re.sub(r"conv(\d)\.0\.", r"conv\1.", re.sub(r"conv(\d)\.1\.", r"bn\1.", name))
        renamed[name] = tensor.squeeze(2).contiguous() if tensor.ndim == 5 else tensor
    return renamed


def started(
    network: nn.Module, tensors: Mapping[str, Tensor], names: Mapping[str, str] | None = None, inflate: bool = False
) -> nn.Module:
    ExternalWeights("weights.pt", tensors, names or {}, inflate).start(network, ("a",))
    return network


def test_torchvisions_2d_names_are_known() -> None:
    there, here = resnet(), resnet()
    weights = ExternalWeights("resnet18.pt", as_resnet18(there.encoder), {})
    fitted = weights.fitted(here)
    assert fitted.loaded.keys() == {f"encoder.{name}" for name in there.encoder.state_dict()}
    assert fitted.without_place == ("fc.weight", "fc.bias")
    assert set(fitted.not_in_file) == {"classifier.weight", "classifier.bias"}
    weights.start(here, ("a",))
    clips = torch.rand(2, 1, 4, 32, 32)
    assert torch.equal(here.encoder(clips), there.encoder(clips))


@pytest.mark.parametrize("kind", ["r3d", "mc3", "r2plus1d"])
def test_torchvisions_3d_names_are_its_own(kind: Kind) -> None:
    there, here = resnet(kind), resnet(kind)
    started(here, {**there.encoder.state_dict(), "fc.weight": torch.zeros(400, 16)})
    clips = torch.rand(2, 1, 4, 32, 32)
    assert torch.equal(here.encoder(clips), there.encoder(clips))


def test_a_still_clip_gives_inflated_weights_the_features_of_the_picture() -> None:
    torch.manual_seed(0)
    picture, video = resnet(), resnet("r3d")
    started(video, as_resnet18(picture.encoder), inflate=True)
    kernels = [name for name, tensor in video.encoder.state_dict().items() if tensor.ndim == 5 and tensor.shape[2] == 3]
    assert ExternalWeights("x", as_resnet18(picture.encoder), {}, True).fitted(video).num_inflated == len(kernels) == 17
    frame = torch.rand(1, 1, 1, 16, 16)
    features = video.encoder(frame.expand(-1, -1, 128, -1, -1))
    # The padding in time reaches up to 54 frames.
    torch.testing.assert_close(features[0, 7:9], picture.encoder(frame.expand(-1, -1, 2, -1, -1))[0])


def test_2d_weights_for_longer_kernels_ask_for_the_setting() -> None:
    video = resnet("r3d")
    before = {name: tensor.clone() for name, tensor in video.state_dict().items()}
    with pytest.raises(CheckpointError, match="start_inflate=true"):
        started(video, as_resnet18(resnet().encoder))
    assert all(torch.equal(tensor, before[name]) for name, tensor in video.state_dict().items())


@pytest.mark.parametrize("kind", ["VideoMAEModel", "VideoMAEForPreTraining", "VideoMAEForVideoClassification"])
def test_transformers_names_are_known(kind: str) -> None:
    transformers = pytest.importorskip("transformers")
    sizes = {"width": 6, "num_layers": 2, "num_heads": 2}
    encoder = partial(VideoMAEEncoder, **sizes)
    network = SequenceNetwork(num_classes=3, encoder=encoder, aggregation=Mean, num_frames=4, size=32)
    config = transformers.VideoMAEConfig(
        **{"image_size": 32, "num_frames": 4, "hidden_size": 6, "num_hidden_layers": 2, "num_attention_heads": 2},
        **{"intermediate_size": 24, "decoder_num_attention_heads": 2, "decoder_hidden_size": 6},
        **{"decoder_num_hidden_layers": 1, "decoder_intermediate_size": 6},
    )
    there = getattr(transformers, kind)(config)
    fitted = ExternalWeights("model.safetensors", there.state_dict(), {}).fitted(network)
    assert set(fitted.not_in_file) == {"classifier.weight", "classifier.bias"}
    left_out = {name.partition(".")[0] for name in fitted.without_place}
    assert left_out <= {"decoder", "encoder_to_decoder", "mask_token", "fc_norm", "classifier"}
    inner = getattr(there, "videomae", there)
    for name, tensor in inner.state_dict().items():
        assert torch.equal(fitted.loaded[f"encoder.videomae.{name}"], tensor)


class Own(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.norm, self.look, self.classifier = nn.BatchNorm1d(3), nn.Linear(4, 3), nn.Linear(3, 2)


def test_other_networks_have_equal_names_or_those_that_the_setting_gives() -> None:
    there, here = Own(), Own()
    before = here.classifier.weight.clone()
    started(here, there.state_dict())
    assert torch.equal(here.look.weight, there.look.weight)
    # Nobody knows which emotions the file's classifier tells apart.
    assert torch.equal(here.classifier.weight, before)
    named = {f"module.{name.replace('look', 'see')}": tensor for name, tensor in there.state_dict().items()}
    other = started(Own(), named, names={r"^module\.": "", r"\b(s)ee\.": "look."})
    assert torch.equal(other.get_parameter("look.weight"), there.look.weight)


def test_the_networks_type_is_kept() -> None:
    there = Own().double()
    here = started(Own(), there.state_dict())
    assert torch.equal(here.get_parameter("look.weight"), there.look.weight.float())


WRONG: dict[str, tuple[Callable[[dict[str, Tensor]], object], str]] = {
    "shape": (lambda own: {**own, "look.weight": torch.zeros(3, 5)}, r"look.weight is \(3, 5\) there"),
    "type": (lambda own: {**own, "look.bias": torch.zeros(3, dtype=torch.int64)}, r"torch.int64 there"),
    "not finite": (lambda own: {**own, "look.bias": torch.full((3,), torch.inf)}, "not finite.* look.bias"),
    "overflow": (lambda own: {**own, "look.bias": 1e300 * torch.ones(3).double()}, "not finite.* look.bias"),
    "names": (lambda own: {f"x.{name}": tensor for name, tensor in own.items()}, "nothing has a place .* start_names"),
    "counters": (lambda own: {"norm.num_batches_tracked": torch.tensor(1)}, "nothing has a place"),
}  # fmt: skip


@pytest.mark.parametrize(("change", "said"), WRONG.values(), ids=WRONG)
def test_weights_that_do_not_fit_are_refused(
    change: Callable[[dict[str, Tensor]], dict[str, Tensor]], said: str
) -> None:
    with pytest.raises(CheckpointError, match=said):
        started(Own(), change(Own().state_dict()))


def test_two_weights_of_one_name_are_refused() -> None:
    own = Own().state_dict()
    with pytest.raises(CheckpointError, match=r"which are both look\.weight"):
        started(Own(), {**own, "a.look.weight": own["look.weight"]}, names={"^a.": ""})


@pytest.mark.parametrize("names", [{"(": ""}, {"(.*)look": r"\2"}])
def test_expressions_that_are_none_are_refused(names: dict[str, str], tmp_path: Path) -> None:
    torch.save(Own().state_dict(), tmp_path / "own.pt")
    with pytest.raises(CheckpointError, match="start_names"):
        ExternalWeights.read(tmp_path / "own.pt", names).start(Own(), ("a",))


def test_all_formats_hold_the_same(tmp_path: Path) -> None:
    own = Own().state_dict()
    (tmp_path / "folder").mkdir()
    save_file(own, tmp_path / "folder/model.safetensors")
    save_file(own, tmp_path / "own.safetensors")
    torch.save(own, tmp_path / "own.pt")
    torch.save({"state_dict": own}, tmp_path / "own.pth")
    torch.save({"model": own, "epoch": 3}, tmp_path / "own.bin")
    read = [ExternalWeights.read(path) for path in sorted(tmp_path.iterdir())]
    assert [weights.file for weights in read][:2] == ["folder/model.safetensors", "own.bin"]
    assert len({weights.weights_digest for weights in read}) == 1
    changed = ExternalWeights("x", {**own, "look.bias": own["look.bias"] + 1}, {})
    assert changed.weights_digest != read[0].weights_digest


class _Code:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return print, ("this must never be printed",)


UNREADABLE: dict[str, Callable[[Path], object]] = {
    "text": lambda path: path.write_text("no weights"),
    "empty": lambda path: path.write_bytes(b""),
    "code": lambda path: path.write_bytes(pickle.dumps(_Code())),
    "archive of code": lambda path: torch.save({"model": _Code()}, path),
    "two networks": lambda path: torch.save(dict.fromkeys(("model", "state_dict"), Own().state_dict()), path),
    "list": lambda path: torch.save([torch.zeros(1)], path),
    "nothing": lambda path: torch.save({}, path),
    "values": lambda path: torch.save({"state_dict": {"look": 1.0}}, path),
}


@pytest.mark.parametrize("write", UNREADABLE.values(), ids=UNREADABLE)
@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
def test_other_files_are_refused_in_a_sentence(
    suffix: str, write: Callable[[Path], object], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / f"weights{suffix}"
    write(path)
    with pytest.raises(CheckpointError, match=r"start_from is .*weights.*, which cannot be read as weights"):
        ExternalWeights.read(path)
    assert "never" not in capsys.readouterr().out


def test_what_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"nothing.pt, which is not a file"):
        ExternalWeights.read(tmp_path / "nothing.pt")
    with pytest.raises(CheckpointError, match=r"a folder without model.safetensors"):
        ExternalWeights.read(tmp_path)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    torch.manual_seed(5)
    save_file(as_resnet18(resnet().encoder), tmp_path / "resnet18.safetensors")
    return tmp_path / "resnet18.safetensors"


@pytest.fixture
def compose(compose_config: Compose, tmp_path: Path) -> Compose:
    def make(*overrides: str) -> DictConfig:
        return compose_config(*RESNET, f"outputs={tmp_path / 'outputs'}", *overrides)

    return make


def test_a_run_starts_from_a_file_and_says_so(
    file: Path, compose: Compose, make_store: MakeStore, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    store = make_store()
    run = Run.of(compose(f"start_from={file}", "optimizer.lr=0.0", "save_checkpoint=true"), store)
    (result,) = run.train(1)
    given = ExternalWeights.read(file)
    end = Checkpoint.read(run.folder / "fold_001/last.ckpt")
    for name, tensor in given.fitted(run.training().network()).loaded.items():
        assert torch.equal(end.state_dict[name], tensor) or "running" in name or "num_batches" in name, name
    told = read_result(run.folder / "fold_001").info["start_from"]
    assert told == result.info["start_from"]
    assert (told["file"], told["weights"], told["subjects"]) == (file.name, given.weights_digest, None)
    assert (told["num_loaded"], told["num_without_place"], told["num_not_in_file"]) == (120, 2, 2)
    assert "held-out people" in told["caution"]
    said = [record.getMessage() for record in caplog.records]
    assert sum("resnet18.safetensors" in line or "fc.weight" in line or "classifier" in line for line in said) == 3

    # A training that starts from it passes the caution on, and its file.
    other = make_store(corpus="other", negatives=["S001"])
    chained = Run.of(compose(f"start_from={run.folder / 'fold_001/last.ckpt'}", "save_checkpoint=true"), other)
    (last,) = chained.train(1)
    assert last.info["start_from"]["external_weights"] == file.name
    assert last.info["start_from"]["caution"] == told["caution"]
    assert Checkpoint.read(chained.folder / "fold_001/last.ckpt").external_weights == file.name


def test_weights_and_their_settings_count_for_the_digest(
    file: Path, compose: Compose, make_store: MakeStore, tmp_path: Path
) -> None:
    store = make_store()
    torch.save(ExternalWeights.read(file).tensors, tmp_path / "same.pt")
    save_file({**ExternalWeights.read(file).tensors, "more": torch.zeros(1)}, tmp_path / "other.safetensors")
    start, names = f"start_from={file}", ("start_names={a: b, c: d}", "start_names={c: d, a: b}")
    choices = [[], [start], [f"start_from={tmp_path / 'other.safetensors'}"], [start, "start_inflate=true"]]
    digests = [Run.of(compose(*each), store).digest for each in [*choices, *([start, each] for each in names)]]
    assert len(set(digests)) == len(digests)
    assert Run.of(compose(f"start_from={tmp_path / 'same.pt'}"), store).digest == digests[1]


def test_what_does_not_fit_is_refused_before_training(file: Path, compose: Compose, make_store: MakeStore) -> None:
    run = Run.of(compose(f"start_from={file}", "model.encoder.width=4"), make_store())
    with pytest.raises(CheckpointError, match=r"bn1.bias is \(2,\) there and encoder.stem.1.bias is \(4,\) here"):
        run.train(1)
    assert not list(run.folder.glob("fold_*"))


@pytest.mark.parametrize("setting", ["start_inflate=true", "start_names={a: b}"])
def test_settings_for_weights_from_outside_need_them(setting: str, compose: Compose, make_store: MakeStore) -> None:
    with pytest.raises(CheckpointError, match=f"{setting.partition('=')[0]} is for external weights"):
        Run.of(compose(setting), make_store())


def test_fer3ds_own_checkpoints_need_their_name(compose: Compose, make_store: MakeStore, tmp_path: Path) -> None:
    """By another name it could hide whom it was trained on."""
    store = make_store()
    checkpoint = Checkpoint(
        state_dict=resnet().state_dict(), emotions=("a",), corpus="test", synthetic=False, clip_store="c",
        subjects=("S001",), digest="d", fold=1, config={},
    )  # fmt: skip
    checkpoint.write(tmp_path / "renamed.pt")
    with pytest.raises(CheckpointError, match=r"a checkpoint of fer3d: give it a name that ends in \.ckpt"):
        Run.of(compose(f"start_from={tmp_path / 'renamed.pt'}"), store)
