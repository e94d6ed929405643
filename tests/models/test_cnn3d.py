from __future__ import annotations

from collections.abc import Callable
from math import sqrt
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fer3d.models.cnn3d import CNN3d
from fer3d.models.convolutions import GreyConv3d
from fer3d.models.pooling import BlockAvgPool3d, BlockMaxPool3d

Initializer = Callable[[Tensor], Tensor]
# A network and clips that take milliseconds.
TINY: dict[str, Any] = {
    "num_classes": 3,
    "num_frames": 8,
    "size": 16,
    "filters": ((2,), (3,), (4, 3), (2, 4), (3, 5)),
    "hidden": (6, 7),
}
ACTIVATIONS = [nn.ReLU, nn.ELU, nn.PReLU, nn.LeakyReLU, nn.Mish]


def tiny(**settings: Any) -> CNN3d:
    torch.manual_seed(0)
    return CNN3d(**{**TINY, **settings})


def full(**settings: Any) -> CNN3d:
    """The network at full width without memory for its weights."""
    with torch.device("meta"):
        return CNN3d(**{"num_classes": 7, **settings})


def random_clips(num_channels: int = 3, num_frames: int = 8, size: int = 16, num_clips: int = 2) -> Tensor:
    shape = (num_clips, num_channels, num_frames, size, size)
    return torch.rand(shape, generator=torch.Generator().manual_seed(1))


def of_type(network: nn.Module, kind: type[nn.Module]) -> list[Any]:
    return [module for module in network.modules() if isinstance(module, kind)]


def shapes_after_pools(network: CNN3d, clips: Tensor) -> list[tuple[int, ...]]:
    shapes = []
    for group in network.features:
        clips = group(clips)
        shapes.append(tuple(clips.shape[1:]))
    return shapes


@pytest.mark.parametrize("pooling", [BlockAvgPool3d, BlockMaxPool3d])
@pytest.mark.parametrize("num_channels", [1, 3])
def test_the_full_networks_shapes_are_those_of_the_paper(pooling: Any, num_channels: int) -> None:
    network = full(pooling=pooling)
    clips = torch.empty(2, num_channels, 10, 112, 112, device="meta")
    assert shapes_after_pools(network, clips) == [
        (64, 10, 56, 56),
        (128, 5, 28, 28),
        (256, 2, 14, 14),
        (512, 1, 7, 7),
        (512, 1, 4, 4),
    ]
    assert [layer.in_features for layer in of_type(network, nn.Linear)] == [8192, 4096, 4096]
    assert network(clips).shape == (2, 7)


def test_the_full_network_has_78_million_parameters() -> None:
    convs = [3 * 64, 64 * 128, 128 * 256, 256 * 256, 256 * 512, 512 * 512, 512 * 512, 512 * 512]
    norms = [64, 128, 256, 256, 512, 512, 512, 512]
    linears = [(8192, 4096), (4096, 4096), (4096, 7)]
    want = sum(27 * conv for conv in convs) + 2 * sum(norms) + sum((i + 1) * o for i, o in linears)
    assert sum(parameter.numel() for parameter in full().parameters()) == want
    assert round(want / 1e6, 1) == 78.0


@pytest.mark.parametrize("temporal_kernel", [1, 3, 5, 7, 9])
def test_every_temporal_kernel_keeps_the_clips_length(temporal_kernel: int) -> None:
    network = full(temporal_kernel=temporal_kernel)
    convs = of_type(network, nn.Conv3d)
    assert {conv.kernel_size for conv in convs} == {(temporal_kernel, 3, 3)}
    clips = torch.empty(1, 1, 10, 112, 112, device="meta")
    assert shapes_after_pools(network, clips)[-1] == (512, 1, 4, 4)
    for conv in convs:
        x = torch.empty(1, conv.in_channels, 4, 6, 5, device="meta")
        assert conv(x).shape == (1, conv.out_channels, 4, 6, 5)


def test_second_conv_adds_one_to_groups_1_and_2() -> None:
    one, two = full(), full(second_conv=True)
    filters = [[[c.out_channels for c in of_type(group, nn.Conv3d)] for group in net.features] for net in (one, two)]
    assert filters[0] == [[64], [128], [256, 256], [512, 512], [512, 512]]
    assert filters[1] == [[64, 64], [128, 128], [256, 256], [512, 512], [512, 512]]
    assert two(torch.empty(1, 3, 10, 112, 112, device="meta")).shape == (1, 7)


def test_a_convolution_is_followed_by_norm_and_activation_and_a_group_by_its_pool() -> None:
    kinds = [type(module) for module in full().modules() if not list(module.children())]
    conv = ["GreyConv3d", "BatchNorm3d", "ReLU"]
    hidden = ["Linear", "ReLU", "Dropout"]
    groups = [name for num_convs in (1, 1, 2, 2, 2) for name in [*conv * num_convs, "BlockAvgPool3d"]]
    assert [kind.__name__ for kind in kinds] == [*groups, *hidden * 2, "Linear"]
    assert {norm.momentum for norm in of_type(full(), nn.BatchNorm3d)} == {0.1}


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_each_activation_is_one_module_of_its_own(activation: type[nn.Module]) -> None:
    network = tiny(activation=activation)
    # `modules` lists a shared one once, and PReLU has a weight to learn.
    assert len(of_type(network, activation)) == 8 + 2
    assert not any(of_type(network, other) for other in ACTIVATIONS if other is not activation)
    assert network(random_clips()).isfinite().all()


def test_the_initializer_none_leaves_pytorchs_default() -> None:
    network = tiny()
    torch.manual_seed(0)
    for layer in [*of_type(network, nn.Conv3d), *of_type(network, nn.Linear)]:
        if isinstance(layer, nn.Conv3d):
            size, padding = layer.kernel_size, layer.padding
            plain: Any = nn.Conv3d(layer.in_channels, layer.out_channels, size, padding=padding, bias=False)
        else:
            plain = nn.Linear(layer.in_features, layer.out_features)
            assert torch.equal(layer.bias, plain.bias)
        assert torch.equal(layer.weight, plain.weight)


@pytest.mark.parametrize("initializer", [nn.init.xavier_uniform_, nn.init.xavier_normal_])
def test_xavier_sets_the_spread_of_every_weight(initializer: Initializer) -> None:
    wide = {"filters": ((16,), (16,), (16, 16), (16, 16), (16, 16)), "hidden": (64, 64)}
    network, default = tiny(initializer=initializer, **wide), tiny(**wide)
    layers = [*of_type(network, nn.Conv3d), *of_type(network, nn.Linear)]
    assert len(layers) == 8 + 3
    for layer in layers:
        fan_out, fan_in = (n * layer.weight[0, 0].numel() for n in layer.weight.shape[:2])
        assert layer.weight.std().item() == pytest.approx(sqrt(2 / (fan_in + fan_out)), rel=0.15)
    # A uniform distribution ends at the square root of 3 standard deviations, a normal one goes on.
    farthest = (layers[-1].weight.abs().max() / layers[-1].weight.std()).item()
    assert (farthest < 2) == (initializer is nn.init.xavier_uniform_)
    assert not any(torch.equal(a, b) for a, b in zip(weights(network), weights(default), strict=True))
    norms = [(norm.weight.unique().tolist(), norm.bias.unique().tolist()) for norm in of_type(network, nn.BatchNorm3d)]
    assert norms == [([1.0], [0.0])] * 8


def weights(network: nn.Module) -> list[Tensor]:
    return [layer.weight for layer in network.modules() if isinstance(layer, nn.Conv3d | nn.Linear)]


@pytest.mark.parametrize("dropout", [0.0, 0.2511, 1.0])
def test_both_hidden_layers_drop_units_in_training_only(dropout: float) -> None:
    network, clips = tiny(dropout=dropout), random_clips()
    assert [layer.p for layer in of_type(network, nn.Dropout)] == [dropout] * 2
    network.eval()
    assert torch.equal(network(clips), network(clips))
    if dropout == 1.0:
        # Nothing is left of the clips but the classifier's bias.
        assert torch.equal(network.train()(clips), network.classifier.bias.expand(2, -1))
        assert not torch.equal(network.eval()(clips), network.classifier.bias.expand(2, -1))


@pytest.mark.parametrize("hidden", [(), (5,), (6, 7, 8)])
def test_any_number_of_hidden_layers(hidden: tuple[int, ...]) -> None:
    network = tiny(hidden=hidden)
    assert [layer.out_features for layer in of_type(network, nn.Linear)] == [*hidden, 3]
    assert network(random_clips()).shape == (2, 3)


@pytest.mark.parametrize("downsample", [1, 2])
def test_a_grey_clip_is_taken_for_three_equal_channels(downsample: int) -> None:
    network = tiny(downsample=downsample, size=32, activation=nn.ELU).double()
    grey = random_clips(1, size=32).double()
    repeated = grey.repeat(1, 3, 1, 1, 1).requires_grad_()
    grey.requires_grad_()
    logits = [network(clips) for clips in (grey, repeated)]
    torch.testing.assert_close(*logits)
    target = torch.tensor([0, 2])
    gradients = [torch.autograd.grad(F.cross_entropy(out, target), network.parameters()) for out in logits]
    for one, other in zip(*gradients, strict=True):
        torch.testing.assert_close(one, other)
    assert gradients[0][0].abs().max() > 0
    inputs = [
        torch.autograd.grad(F.cross_entropy(network(clips), target), clips)[0].sum(1) for clips in (grey, repeated)
    ]
    torch.testing.assert_close(*inputs)


def test_the_channels_of_a_colour_clip_count() -> None:
    network, clips = tiny(), random_clips(3)
    assert not torch.allclose(network(clips), network(clips.flip(1)))


def test_downsampling_averages_squares_of_pixels_before_the_network() -> None:
    network, small = tiny(downsample=4, size=64), tiny()
    small.load_state_dict(dict(zip(small.state_dict(), network.state_dict().values(), strict=True)))
    clips = random_clips(size=64)
    averaged = F.avg_pool2d(clips.flatten(0, 2), 4).view(2, 3, 8, 16, 16)
    torch.testing.assert_close(network(clips), small(averaged))


def test_the_network_learns_two_clips_by_heart() -> None:
    network, clips, target = tiny(activation=nn.ELU), random_clips(1), torch.tensor([0, 2])
    optimizer = torch.optim.Adam(network.parameters(), lr=0.01)
    first = F.cross_entropy(network(clips), target).item()
    for _ in range(60):
        optimizer.zero_grad()
        F.cross_entropy(network(clips), target).backward()
        optimizer.step()
    assert F.cross_entropy(network(clips), target).item() < 0.1 * first
    assert all(parameter.grad is not None for parameter in network.parameters())


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({"num_classes": 1}, "at least 2 classes, .*corpus has 1"),
        ({"in_channels": 0}, r"model\.in_channels must be at least 1, got 0"),
        ({"downsample": 0}, r"model\.downsample must be at least 1, got 0"),
        ({"filters": ((2,), (2,), (2,), (2,))}, r"model\.filters must be 5 lists of positive filter counts"),
        ({"filters": ((2,), (2,), (2,), (2,), ())}, r"model\.filters must be 5 lists"),
        ({"filters": ((2,), (2,), (2, 0), (2,), (2,))}, r"model\.filters must be 5 lists"),
        ({"hidden": (4, 0)}, r"model\.hidden must hold positive widths, got \(4, 0\)"),
        ({"temporal_kernel": 2}, r"model\.temporal_kernel must be odd and positive.*got 2"),
        ({"temporal_kernel": 0}, r"model\.temporal_kernel must be odd and positive.*got 0"),
        ({"temporal_kernel": -1}, r"model\.temporal_kernel must be odd and positive.*got -1"),
        ({"dropout": -0.1}, r"model\.dropout must be a probability between 0 and 1, got -0\.1"),
        ({"dropout": 1.1}, r"model\.dropout must be a probability between 0 and 1, got 1\.1"),
        ({"num_frames": 7}, r"clips of 7 frames .*pool 4 .*; raise clips\.num_frames or faces\.crop\.size"),
        ({"num_frames": 0}, r"clips of 0 frames .*pool 1 .*; raise clips\.num_frames"),
        ({"size": 15}, r"15x15 pixels .*pool 4 .*; raise clips\.num_frames or faces\.crop\.size"),
        ({"downsample": 2}, r"16x16 pixels .*pool 4 .* or lower model\.downsample"),
        ({"downsample": 32}, r"16x16 pixels .*pool 1 .* or lower model\.downsample"),
    ],
)
def test_an_impossible_setting_is_an_error_that_names_its_key(settings: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        tiny(**settings)


@pytest.mark.parametrize(
    "shape",
    [(1, 2, 8, 16, 16), (1, 4, 8, 16, 16), (1, 3, 9, 16, 16), (1, 3, 8, 17, 16), (1, 3, 8, 16, 15), (3, 8, 16, 16)],
)
def test_clips_of_another_shape_are_an_error_that_gives_both(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"expected clips of shape \(B, 1 or 3, 8, 16, 16\), got ") as caught:
        tiny()(torch.zeros(shape))
    assert str(caught.value).endswith(str(shape))


@pytest.mark.parametrize(("num_frames", "temporal_kernel"), [(2, 3), (3, 5), (5, 7)])
def test_bf16_weight_gradients_on_a_cpu_read_no_foreign_memory(num_frames: int, temporal_kernel: int) -> None:
    conv = GreyConv3d(16, 32, (temporal_kernel, 3, 3), padding=(temporal_kernel // 2, 1, 1), bias=False)
    clips = torch.randn(8, 16, num_frames, 7, 7)
    (expected,) = torch.autograd.grad(conv(clips).sum(), conv.weight)
    for _ in range(5):
        with torch.autocast("cpu", torch.bfloat16):
            loss = conv(clips).sum()
        # Memory that is freed now is what a later allocation finds.
        del [[torch.full((size,), torch.nan) for size in (64, 1024, 65536) for _ in range(20)]][:]
        (gradient,) = torch.autograd.grad(loss, conv.weight)
        torch.testing.assert_close(gradient, expected, atol=2.0, rtol=0.05)


@pytest.mark.parametrize("out_channels", [8, 16])
@pytest.mark.parametrize(("num_frames", "temporal_kernel"), [(4, 1), (4, 3), (2, 5)])
def test_one_grey_channel_gives_the_same_in_bf16_on_a_cpu(
    num_frames: int, temporal_kernel: int, out_channels: int
) -> None:
    conv = GreyConv3d(3, out_channels, (temporal_kernel, 3, 3), padding=(temporal_kernel // 2, 1, 1), bias=False)
    clips = torch.rand(2, 1, num_frames, 9, 7, requires_grad=True)
    found = []
    for bf16 in (False, True):
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            filtered = conv(clips).float()
        found.append((filtered, *torch.autograd.grad(filtered.square().mean(), (conv.weight, clips))))
    for right, other in zip(*found, strict=True):
        assert (other - right).norm() < 0.02 * right.norm()
