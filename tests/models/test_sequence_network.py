from __future__ import annotations

from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fer3d.models.cnn3d import CNN3d
from fer3d.models.resnet import ResNetEncoder
from fer3d.models.sequence_network import Attention, ConvEncoder, Mean, Recurrent, SequenceNetwork, Transformer

FILTERS = ((4,), (4,), (4,), (4,), (6,))
SMALL = partial(ConvEncoder, filters=FILTERS, activation=nn.ELU)
ENCODERS = {
    "conv2d": SMALL,
    "conv3d": partial(SMALL, temporal_kernel=3, halves_time=(False, True, False, False, False)),
    "resnet18": partial(ResNetEncoder, width=4),
    "r3d": partial(ResNetEncoder, kind="r3d", width=4, stem_pool=False),
    "mc3": partial(ResNetEncoder, kind="mc3", width=4, stem_pool=False),
    "r2plus1d": partial(ResNetEncoder, kind="r2plus1d", width=4, stem_pool=False),
}
AGGREGATIONS = {
    "mean": Mean,
    "attention": partial(Attention, width=5),
    "lstm": partial(Recurrent, width=5),
    "gru": partial(Recurrent, cell="gru", width=5, num_layers=2),
    "transformer": partial(Transformer, width=8, num_heads=2, num_layers=1),
}


def make(encoder: Any = SMALL, aggregation: Any = Mean, **settings: Any) -> SequenceNetwork:
    torch.manual_seed(0)
    defaults: dict[str, Any] = {"num_classes": 3, "num_frames": 6, "size": 16, "hidden": (7,)}
    return SequenceNetwork(encoder=encoder, aggregation=aggregation, **{**defaults, **settings}).eval()


def random_clips(channels: int = 1) -> Tensor:
    return torch.rand(4, channels, 6, 16, 16, generator=torch.Generator().manual_seed(1))


def shuffled(clips: Tensor) -> Tensor:
    """The frames of each clip in another order, whose last frame is another one, too."""
    return clips[:, :, [3, 5, 0, 4, 1, 2]]


@pytest.mark.parametrize("aggregation", AGGREGATIONS.values(), ids=AGGREGATIONS)
@pytest.mark.parametrize("encoder", ENCODERS.values(), ids=ENCODERS)
def test_any_encoder_goes_with_any_aggregation_and_learns(encoder: Any, aggregation: Any) -> None:
    network, clips, target = make(encoder, aggregation).train(), random_clips(), torch.tensor([0, 2, 1, 0])
    optimizer = torch.optim.Adam(network.parameters(), lr=0.03)
    losses = []
    for _ in range(20):
        optimizer.zero_grad()
        loss = F.cross_entropy(network(clips), target)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert min(losses) < 0.9 * losses[0]
    assert all(parameter.grad is not None for parameter in network.parameters())


@pytest.mark.parametrize(
    ("encoder", "aggregation", "uses_time"),
    [
        ("conv2d", "mean", False),
        ("conv2d", "attention", False),
        ("resnet18", "mean", False),
        ("resnet18", "attention", False),
        ("conv2d", "lstm", True),
        ("conv2d", "gru", True),
        ("conv2d", "transformer", True),
        ("conv3d", "mean", True),
        ("r3d", "mean", True),
        ("mc3", "mean", True),
        ("r2plus1d", "mean", True),
    ],
)
def test_what_cannot_use_time_gives_the_same_for_shuffled_frames(
    encoder: str, aggregation: str, uses_time: bool
) -> None:
    network = make(ENCODERS[encoder], AGGREGATIONS[aggregation]).double()
    clips = random_clips().double()
    same = torch.allclose(network(clips), network(shuffled(clips)), rtol=1e-9, atol=1e-12)
    assert same != uses_time


@pytest.mark.parametrize("encoder", ["conv2d", "resnet18"])
def test_the_last_frame_alone_counts_if_the_others_are_not_to_be_seen(encoder: str) -> None:
    network, clips = make(ENCODERS[encoder], last_frame_only=True), random_clips()
    changed = torch.cat([torch.rand_like(clips[:, :, :-1]), clips[:, :, -1:]], 2)
    assert torch.equal(network(clips), network(changed))
    assert not torch.allclose(network(clips), network(shuffled(clips)))


def test_the_frames_convolutions_are_those_of_the_paper_without_time() -> None:
    """On one frame, the network is `CNN3d` with kernels of 1 in time, so that only time differs."""
    ours = make(SMALL, hidden=(7, 5), last_frame_only=True, activation=nn.ELU)
    torch.manual_seed(0)
    settings: dict[str, Any] = {"num_classes": 3, "num_frames": 16, "size": 16, "filters": FILTERS, "hidden": (7, 5)}
    theirs = CNN3d(**settings, temporal_kernel=1, activation=nn.ELU).eval()
    theirs.features.load_state_dict(ours.encoder.features.state_dict())
    theirs.hidden.load_state_dict(ours.hidden.state_dict())
    theirs.classifier.load_state_dict(ours.classifier.state_dict())
    clips = random_clips()
    # 16 equal frames, since its pools halve time: but for the last one, which pads by zeros, a mean changes nothing.
    still = clips[:, :, -1:].expand(-1, -1, 16, -1, -1)
    torch.testing.assert_close(ours(clips), theirs(still))


@pytest.mark.parametrize("encoder", ENCODERS.values(), ids=ENCODERS)
def test_a_grey_clip_is_taken_for_three_equal_channels(encoder: Any) -> None:
    network, grey = make(encoder).double(), random_clips().double()
    torch.testing.assert_close(network(grey), network(grey.expand(-1, 3, -1, -1, -1)))
    colour = random_clips(3).double()
    assert not torch.allclose(network(colour), network(colour.flip(1)))


@pytest.mark.parametrize("encoder", ENCODERS.values(), ids=ENCODERS)
def test_an_encoder_says_what_it_returns(encoder: Any) -> None:
    made = encoder(input_shape=(6, 16, 16))
    assert made(random_clips()).shape == (4, made.num_steps, made.num_features)


@pytest.mark.parametrize(
    ("encoder", "aggregation", "settings", "complaint"),
    [
        (SMALL, Mean, {"hidden": (0,)}, r"model\.hidden must hold positive widths"),
        (SMALL, Mean, {"dropout": 2.0}, r"model\.dropout must be a probability"),
        (partial(SMALL, temporal_kernel=2), Mean, {}, r"model\.encoder\.temporal_kernel must be odd"),
        (partial(SMALL, downsample=0), Mean, {}, r"model\.encoder\.downsample must be at least 1"),
        (partial(SMALL, in_channels=0), Mean, {}, r"model\.encoder\.in_channels must be at least 1"),
        (partial(SMALL, halves_time=(True,)), Mean, {}, r"model\.encoder\.halves_time must hold 5 values"),
        (partial(SMALL, halves_time=[True] * 5), Mean, {}, r"6 frames .* too small for the network"),
        (partial(SMALL, filters=((1,),)), Mean, {}, r"model\.encoder\.filters must be 5 lists"),
        (partial(SMALL, input_shape=(1, 2, 3)), Mean, {}, r"model\.encoder\.input_shape cannot be set"),
        (SMALL, partial(Mean, num_steps=3), {}, r"model\.aggregation\.num_steps cannot be set"),
        (partial(ResNetEncoder, width=0), Mean, {}, r"model\.encoder\.width must be at least 1"),
        (partial(ResNetEncoder, std=0.0), Mean, {}, r"model\.encoder\.std must be positive"),
        (SMALL, partial(Attention, width=0), {}, r"model\.aggregation\.width must be at least 1"),
        (SMALL, partial(Recurrent, num_layers=0), {}, r"model\.aggregation\.num_layers must be at least 1"),
        (SMALL, partial(Transformer, width=9, num_heads=2), {}, r"multiple of model\.aggregation\.num_heads"),
    ],
)
def test_an_impossible_setting_is_an_error_that_names_its_key(
    encoder: Any, aggregation: Any, settings: dict[str, Any], complaint: str
) -> None:
    with pytest.raises(ValueError, match=complaint):
        make(encoder, aggregation, **settings)


def test_clips_of_another_shape_are_an_error() -> None:
    with pytest.raises(ValueError, match=r"expected clips of shape \(B, 1 or 3, 6, 16, 16\), got \(4, 2, 6, 16, 16\)"):
        make()(random_clips(2))
