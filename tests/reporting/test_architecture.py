from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from drawn_texts import assert_legible, texts
from hydra.utils import instantiate
from omegaconf import DictConfig
from torch import Tensor, nn

from fer3d.evaluation.run_results import EvaluationError
from fer3d.reporting.architecture import Block, architecture_figure, describe_network
from fer3d.reporting.theme import style, svg

Compose = Callable[..., DictConfig]
CLIP = (1, 10, 112, 112)


@pytest.fixture
def build(compose_config: Compose) -> Callable[..., nn.Module]:
    """Builds a network from the real configuration, without memory for its weights."""

    def make(*overrides: str) -> nn.Module:
        with torch.device("meta"):
            network: nn.Module = instantiate(compose_config(*overrides).model, num_classes=7, num_frames=10, size=112)
        return network

    return make


def of_kind(blocks: tuple[Block, ...], kind: str) -> list[Block]:
    return [block for block in blocks if block.kind == kind]


class Foreign(nn.Module):
    """What other people's networks have: branches, parameters of their own, layers that are never called or twice."""

    def __init__(self) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, 8, 4, 4)
        self.token = nn.Parameter(torch.zeros(1, 1, 8))
        self.attention = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
        self.rnn = nn.LSTM(8, 8, batch_first=True)
        self.twice = nn.Linear(8, 8)
        self.norm = nn.LayerNorm(8)
        self.pool = nn.AdaptiveAvgPool1d(1)
        self.same = nn.Identity()
        self.head = nn.Linear(8, 5)
        self.unused = nn.Linear(3, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.patches(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.token.expand(len(x), -1, -1), x], 1)
        x, _ = self.rnn(self.attention(x))
        x = self.same(self.norm(self.twice(self.twice(x))))
        return self.head(self.pool(x.transpose(1, 2)).flatten(1))


def num_parameters(network: nn.Module) -> int:
    return sum(p.numel() for p in network.parameters())


@pytest.mark.parametrize(
    ("overrides", "filters"),
    [
        (["model=cnn3d"], [64, 128, 256, 256, 512, 512, 512, 512]),
        (["model=cnn3d", "model.second_conv=true"], [64, 64, 128, 128, 256, 256, 512, 512, 512, 512]),
        (["model=compact"], [8, 16, 32, 64, 64]),
    ],
    ids=["full", "second_conv", "compact"],
)
def test_blocks_of_the_papers_network(
    overrides: list[str], filters: list[int], build: Callable[..., nn.Module]
) -> None:
    network = build(*overrides)
    blocks = describe_network(network, CLIP)
    assert blocks[0] == Block("input", ("Input", "10 frames", "112x112", "grey"), CLIP, 0)
    convs = of_kind(blocks, "conv")
    assert [block.output_shape[0] for block in convs] == filters
    assert all(
        block.lines == ("Conv 3x3x3", f"{n} filters", "batch norm", "ReLU")
        for block, n in zip(convs, filters, strict=True)
    )
    assert len(of_kind(blocks, "dropout")) == 2
    assert [len(of_kind(blocks, kind)) for kind in ("linear", "output", "other")] == [2, 1, 0]
    assert blocks[-1].lines == ("Output", "7 classes")
    assert blocks[-1].output_shape == (7,)
    assert sum(block.num_parameters for block in blocks) == num_parameters(network)


def test_shapes_are_those_of_the_papers_network(build: Callable[..., nn.Module]) -> None:
    blocks = describe_network(build("model=cnn3d"), CLIP)
    pools = of_kind(blocks, "pool")
    shapes = [(64, 10, 56, 56), (128, 5, 28, 28), (256, 2, 14, 14), (512, 1, 7, 7), (512, 1, 4, 4)]
    assert [pool.output_shape for pool in pools] == shapes
    assert pools[0].lines == ("Average pool", "1x2x2")
    assert pools[-1].lines == ("Average pool", "1x2x2", "stride 2x2x2", "pad 0x1x1")
    assert [block.output_shape for block in of_kind(blocks, "linear")] == [(4096,), (4096,)]
    assert sum(block.num_parameters for block in blocks) == 78_027_207


def test_labels_follow_the_configuration(build: Callable[..., nn.Module]) -> None:
    network = build("model=cnn3d", "model.temporal_kernel=5", "model/activation=mish", "model/pooling=max")
    blocks = describe_network(network, (3, *CLIP[1:]))
    assert "RGB" in blocks[0].lines
    assert {block.lines[0] for block in of_kind(blocks, "conv")} == {"Conv 5x3x3"}
    assert {block.lines[0] for block in of_kind(blocks, "pool")} == {"Max pool"}
    assert {block.lines[-1] for block in of_kind(blocks, "linear")} == {"Mish"}


def test_a_network_with_weights_is_left_as_it_is() -> None:
    network = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.PReLU(), nn.Flatten(), nn.Linear(8, 2)).train()
    before = {name: (tensor, tensor.clone()) for name, tensor in network.state_dict().items()}
    blocks = describe_network(network, (1, 4, 4))
    assert [block.kind for block in blocks] == ["input", "conv", "other", "output"]
    assert blocks[1].lines == ("Conv 3x3", "2 filters", "batch norm", "PReLU")
    assert blocks[1].num_parameters == 2 * 9 + 2 + 4 + 1
    assert network.training
    assert not any(module._forward_hooks for module in network.modules())
    for name, tensor in network.state_dict().items():
        assert tensor.device.type == "cpu"
        assert torch.equal(tensor, before[name][1])


def test_any_network_can_be_described_and_drawn() -> None:
    network = Foreign()
    blocks = describe_network(network, (3, 16, 16))
    names = "Input, Conv 4x4, Transformer Encoder Layer, LSTM, Linear, Linear, Average pool, Output, other"
    assert ", ".join(block.lines[0] for block in blocks) == names
    assert blocks[1].lines[-1] == "stride 4x4"
    assert blocks[5].lines[-1] == "layer norm"
    assert (blocks[4].num_parameters, blocks[5].num_parameters) == (72, 16)
    assert blocks[-1].num_parameters == 8 + 12
    assert sum(block.num_parameters for block in blocks) == num_parameters(network)
    assert_legible(architecture_figure(blocks, "Another network"))


def test_an_activation_joins_only_the_layer_before_it() -> None:
    network = nn.Sequential(nn.BatchNorm1d(4), nn.ReLU(), nn.Linear(4, 4), nn.ReLU(), nn.Tanh(), nn.Dropout(0.25))
    found = " | ".join(", ".join(block.lines) for block in describe_network(network, (4,)))
    assert found == "Input | batch norm, ReLU | Linear, 4 units, ReLU | Tanh | Dropout, 0.25"


def test_tied_weights_count_once() -> None:
    first, second = nn.Linear(4, 4), nn.Linear(4, 4)
    second.weight = first.weight
    blocks = describe_network(nn.Sequential(first, nn.ReLU(), second), (4,))
    assert [block.num_parameters for block in blocks] == [0, 20, 4]


def test_half_precision_can_be_described() -> None:
    assert describe_network(nn.Linear(4, 2).bfloat16(), (4,))[-1].kind == "output"


class Peeking(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x if x.sum().item() > 0 else -x


class Strict(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        assert x.ndim == 5, "clips, please"
        return x


@pytest.mark.parametrize("network", [Peeking(), Strict(), nn.Linear(5, 2)])
def test_what_cannot_be_described_says_why(network: nn.Module) -> None:
    with pytest.raises(EvaluationError, match=f"{type(network).__name__} cannot be drawn: clips of shape"):
        describe_network(network, (4,))


@pytest.mark.parametrize("overrides", [["model=cnn3d", "model.second_conv=true"], ["model=compact"]])
def test_the_drawing_is_legible_marked_and_small(overrides: list[str], build: Callable[..., nn.Module]) -> None:
    blocks = describe_network(build(*overrides), CLIP)
    figure = architecture_figure(blocks, "The network", "SYNTHETIC data")
    with style():
        found = assert_legible(figure)
    assert {"The network", "SYNTHETIC data"} <= set(found)
    assert found.count("Conv 3x3x3") == len(of_kind(blocks, "conv"))
    assert len(svg(figure)) < 100_000


def test_shapes_and_parameters_stand_beside_the_boxes() -> None:
    blocks = [Block("input", ("Input",), (1, 2, 3, 4), 0)]
    blocks += [Block("other", ("Layer",), (5, 6), number) for number in (999, 5312, 33_558_528)]
    found = texts(architecture_figure(blocks, "Title"))
    assert {"1x2x3x4", "999 params", "5.31 k params", "33.6 M params"} <= set(found)
    assert found.count("5x6") == 3
