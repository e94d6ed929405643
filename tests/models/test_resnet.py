from __future__ import annotations

import hashlib

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from fer3d.models.resnet import Kind, ResNetEncoder


@pytest.mark.parametrize(
    ("kind", "num_parameters", "digest"),
    [
        ("r3d", 33_166_272, "0aaab47b29bf963e"),
        ("mc3", 11_490_240, "fc4d460e2110b801"),
        ("r2plus1d", 31_300_125, "fe46231be8c381ab"),
    ],
)
def test_weights_have_the_names_and_shapes_of_torchvisions(kind: Kind, num_parameters: int, digest: str) -> None:
    """The digests are of torchvision 0.29.1's networks, without `fc`."""
    with torch.device("meta"):
        encoder = ResNetEncoder(input_shape=(10, 112, 112), kind=kind, stem_pool=False)
    assert sum(parameter.numel() for parameter in encoder.parameters()) == num_parameters
    named = "\n".join(f"{name} {tuple(tensor.shape)}" for name, tensor in sorted(encoder.state_dict().items()))
    assert hashlib.sha256(named.encode()).hexdigest()[:16] == digest


def test_the_2d_network_has_as_many_parameters_as_resnet18() -> None:
    with torch.device("meta"):
        encoder = ResNetEncoder(input_shape=(10, 112, 112))
    # torchvision's resnet18 has 11,689,512, of which the classifier of 1000 classes has 513,000.
    assert sum(parameter.numel() for parameter in encoder.parameters()) == 11_689_512 - 513_000


def test_frames_are_filtered_one_by_one_as_pictures() -> None:
    torch.manual_seed(0)
    encoder, clips = ResNetEncoder(input_shape=(3, 32, 32), width=4).eval(), torch.rand(2, 1, 3, 32, 32)
    together = encoder(clips)
    alone = [ResNetEncoder.forward(encoder, clips[:, :, [frame]])[:, 0] for frame in range(3)]
    torch.testing.assert_close(together, torch.stack(alone, 1))


def test_a_stage_is_the_residual_blocks_of_the_literature() -> None:
    """The first block against its formula, written out with functions."""
    torch.manual_seed(0)
    encoder = ResNetEncoder(input_shape=(4, 8, 8), kind="r3d", width=4, stem_pool=False).eval().double()
    block, x = encoder.get_submodule("layer2.0"), torch.randn(2, 4, 4, 8, 8).double()
    weights = block.state_dict()

    def conv(x: torch.Tensor, name: str, stride: int, padding: int) -> torch.Tensor:
        x = F.conv3d(x, weights[f"{name}.0.weight"], stride=stride, padding=padding)
        statistics = (weights[f"{name}.1.running_mean"], weights[f"{name}.1.running_var"])
        return F.batch_norm(x, *statistics, weights[f"{name}.1.weight"], weights[f"{name}.1.bias"])

    expected = F.relu(conv(F.relu(conv(x, "conv1", 2, 1)), "conv2", 1, 1) + conv(x, "downsample", 2, 0))
    torch.testing.assert_close(block(x), expected)


@pytest.mark.parametrize("kind", ["frames", "r3d", "mc3", "r2plus1d"])
def test_downsampling_averages_squares_of_pixels(kind: Kind) -> None:
    torch.manual_seed(0)
    large = ResNetEncoder(input_shape=(4, 64, 64), kind=kind, width=4, downsample=2).eval()
    small = ResNetEncoder(input_shape=(4, 32, 32), kind=kind, width=4).eval()
    small.load_state_dict(large.state_dict())
    clips = torch.rand(2, 1, 4, 64, 64)
    averaged = nn.AvgPool3d((1, 2, 2))(clips)
    torch.testing.assert_close(large(clips), small(averaged))


@pytest.mark.parametrize("num_frames", [1, 2, 7, 8, 9, 16])
@pytest.mark.parametrize("kind", ["frames", "r3d", "mc3", "r2plus1d"])
def test_any_number_of_frames(kind: Kind, num_frames: int) -> None:
    encoder = ResNetEncoder(input_shape=(num_frames, 16, 16), kind=kind, width=2, stem_pool=False)
    assert encoder(torch.rand(2, 1, num_frames, 16, 16)).shape == (2, encoder.num_steps, 16)
