from __future__ import annotations

import copy
import re

import numpy as np
import pytest
import torch
from fixture_types import MakeStore
from torch import Tensor, nn
from torch.nn import functional as F

from fer3d.clips.preprocess import load_clips, to_unit_range
from fer3d.explanation.gradcam import (
    GRADCAM,
    METHODS,
    ExplanationError,
    Layer,
    choose_layer,
    frame_shares,
    gradcam,
    layers_of,
)
from fer3d.models.cnn3d import CNN3d


class Signed(nn.Module):
    """Says how bright a clip is, and how dark: what each voxel adds is known."""

    def __init__(self) -> None:
        super().__init__()
        self.sides = nn.Conv3d(1, 2, 1, bias=False)
        with torch.no_grad():
            self.sides.weight.copy_(torch.tensor([1.0, -1.0]).view(2, 1, 1, 1, 1))

    def forward(self, clips: Tensor) -> Tensor:
        means: Tensor = self.sides(clips).mean((2, 3, 4))
        return means


class Frames(nn.Module):
    """Looks at each frame by itself, changes what it sees in place, and knows order through an LSTM."""

    def __init__(self) -> None:
        super().__init__()
        self.look = nn.Sequential(
            nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(inplace=True), nn.AvgPool2d(2), nn.Conv2d(4, 4, 3, padding=1)
        )
        self.act = nn.ReLU(inplace=True)
        self.remember = nn.LSTM(4 * 36, 5, batch_first=True)
        self.classifier = nn.Linear(5, 3)

    def forward(self, clips: Tensor) -> Tensor:
        frames = clips.transpose(1, 2)
        seen = self.act(self.look(frames.flatten(0, 1))).flatten(1).view(*frames.shape[:2], -1)
        logits: Tensor = self.classifier(self.remember(seen)[1][0][-1])
        return logits


def paper_network() -> nn.Module:
    torch.manual_seed(0)
    network = CNN3d(
        num_classes=3,
        in_channels=1,
        num_frames=8,
        size=32,
        filters=((4,), (6,), (6,), (6,), (6,)),
        hidden=(8,),
        activation=nn.ELU,
    )
    # As if it were trained: with statistics of its own.
    network.train()(torch.rand(8, 1, 8, 32, 32))
    return network.eval()


def frames_network() -> nn.Module:
    torch.manual_seed(0)
    return Frames().eval()


NETWORKS = pytest.mark.parametrize(
    ("network", "size"), [(paper_network(), 32), (frames_network(), 12)], ids=["CNN3d", "of each frame"]
)


def clips_of(size: int, num_clips: int = 3, num_frames: int = 8) -> Tensor:
    return torch.rand((num_clips, 1, num_frames, size, size), generator=torch.Generator().manual_seed(1))


def maps_of(network: nn.Module, clips: Tensor, layer: str | None = None, label: int = 1) -> Tensor:
    found = choose_layer(layers_of(network, clips[0]), layer)
    return gradcam(network, clips, torch.full((len(clips),), label), found.name)


@pytest.mark.parametrize("method", METHODS)
def test_a_map_is_what_each_voxel_adds_to_the_logit_of_the_clips_own_class(method: str) -> None:
    clips = torch.randn(2, 1, 4, 5, 6, generator=torch.Generator().manual_seed(0))
    maps = gradcam(Signed(), clips, torch.tensor([1, 0]), "sides", method)
    torch.testing.assert_close(maps, torch.stack([-clips[0, 0], clips[1, 0]]).relu() / clips[0].numel())


def test_where_places_have_weights_of_their_own_only_hirescam_knows_them() -> None:
    network = nn.Sequential(nn.Identity(), nn.Flatten(), nn.Linear(4 * 5 * 6, 2))
    clips = torch.rand(2, 1, 4, 5, 6, generator=torch.Generator().manual_seed(0))
    weights = network[2].weight.detach()[1].view(4, 5, 6)
    classes = torch.tensor([1, 1])
    torch.testing.assert_close(gradcam(network, clips, classes, "0"), (weights * clips[:, 0]).relu())
    mean = (weights.mean() * clips[:, 0]).relu()
    torch.testing.assert_close(gradcam(network, clips, classes, "0", GRADCAM), mean)


def test_the_evidence_is_where_and_when_the_emotion_shows(make_store: MakeStore) -> None:
    store = make_store(num_subjects=4)
    clips = to_unit_range(load_clips(store.clips, clahe=False))
    torch.manual_seed(0)
    network = nn.Sequential(
        *(nn.Conv3d(1, 4, 3, padding=1), nn.ReLU(inplace=True), nn.AvgPool3d((2, 4, 4))),
        *(nn.Flatten(), nn.Linear(4 * 5 * 8 * 8, len(store.emotions))),
    )
    labels = torch.from_numpy(store.labels)
    held_out = torch.tensor([subject == store.subjects[0] for subject in store.subjects])
    optimizer = torch.optim.Adam(network.parameters(), lr=0.01)
    for _ in range(20):
        optimizer.zero_grad()
        F.cross_entropy(network(clips[~held_out]), labels[~held_out]).backward()
        optimizer.step()
    assert (network(clips[held_out]).argmax(1) == labels[held_out]).all()
    for clip, label in zip(clips[held_out], labels[held_out], strict=True):
        for name in (None, "1"):
            (evidence,) = maps_of(network, clip[None], name, int(label))
            top = 32 * int(label) // 7
            bar = evidence[5:, top : top + 32 // 7]
            assert bar.sum() > 0.25 * evidence.sum()  # of a sixteenth of the clip
            assert bar.max() == evidence.max()
            assert frame_shares(evidence)[5:].sum() > 0.6


@NETWORKS
def test_maps_are_positive_and_do_not_depend_on_the_batch(network: nn.Module, size: int) -> None:
    clips = clips_of(size)
    found = layers_of(network, clips[0])
    for layer in found:
        maps = gradcam(network, clips, torch.tensor([0, 1, 2]), layer.name)
        assert maps.shape == (3, 8, size, size)
        assert maps.isfinite().all()
        assert (maps >= 0).all()
        alone = [gradcam(network, clip[None], torch.tensor([label]), layer.name) for label, clip in enumerate(clips)]
        torch.testing.assert_close(maps, torch.cat(alone), rtol=1e-4, atol=1e-4 * float(maps.max()))
    assert any(maps_of(network, clips, layer.name).any() for layer in found)


@NETWORKS
def test_random_weights_change_the_map(network: nn.Module, size: int) -> None:
    """The sanity check of Adebayo et al. (NeurIPS 2018): randomised from the top down, a network has other maps."""
    clips = clips_of(size, num_clips=6)
    layer = choose_layer(layers_of(network, clips[0])).name
    before = _all_maps(network, clips, layer)
    randomised = copy.deepcopy(network)
    torch.manual_seed(7)
    alike = [1.0]
    for module in reversed(list(randomised.modules())):
        if not list(module.children()) and hasattr(module, "reset_parameters"):
            module.reset_parameters()
            alike.append(_correlation(before, _all_maps(randomised, clips, layer)))
    assert _correlation(before, _all_maps(network, clips, layer)) == pytest.approx(1)
    assert alike[1] < 0.8  # the classifier alone
    assert alike[-1] < min(0.5, alike[1])  # all of it; what the clip has in places stays


def _all_maps(network: nn.Module, clips: Tensor, layer: str) -> Tensor:
    return torch.stack([gradcam(network, clips, torch.full((len(clips),), label), layer) for label in range(3)])


def _correlation(first: Tensor, second: Tensor) -> float:
    """The mean correlation of the maps of each clip and class."""
    pairs = torch.stack([first, second], 2).flatten(0, 1).flatten(2).double()
    assert (pairs.std(2) > 0).all()
    return float(np.mean([np.corrcoef(pair)[0, 1] for pair in pairs]))


@NETWORKS
def test_the_network_stays_as_it_was(network: nn.Module, size: int) -> None:
    network = copy.deepcopy(network)
    network.train()
    next(network.children()).eval()
    modes = [module.training for module in network.modules()]
    state = copy.deepcopy(network.state_dict())
    maps_of(network, clips_of(size))
    assert [module.training for module in network.modules()] == modes
    assert all((state[name] == tensor).all() for name, tensor in network.state_dict().items())
    assert all(parameter.grad is None for parameter in network.parameters())
    assert not any(module._forward_hooks for module in network.modules())


@NETWORKS
def test_neither_frozen_weights_nor_layout_nor_what_surrounds_it_matters(network: nn.Module, size: int) -> None:
    clips = clips_of(size)
    want = maps_of(network, clips)
    frozen = copy.deepcopy(network).requires_grad_(False)
    with torch.inference_mode(False), torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        torch.testing.assert_close(maps_of(frozen, clips), want)
    other = copy.deepcopy(network)
    if not isinstance(network, Frames):
        other = other.to(memory_format=torch.channels_last_3d)
    moved = clips.to(memory_format=torch.channels_last_3d)
    torch.testing.assert_close(maps_of(other, moved), want, rtol=1e-3, atol=1e-3 * float(want.max()))


def test_the_default_layer_is_the_last_that_tells_frames_and_places_apart() -> None:
    layers = [Layer("a", (8, 16, 16)), Layer("b", (8, 8, 4)), Layer("c", (8, 8, 2)), Layer("d", (5, 4, 4))]
    layers += [Layer("e", (5, 4, 4)), Layer("f", (1, 1, 2))]
    assert choose_layer(layers).name == "b"
    # As good as it gets.
    assert choose_layer(layers[2:]).name == "e"
    assert choose_layer(layers[5:]).name == "f"
    assert choose_layer(layers, "d").name == "d"


def test_what_has_no_map_is_a_sentence() -> None:
    flat = nn.Sequential(nn.Flatten(), nn.Linear(8 * 12 * 12, 3))
    with pytest.raises(ExplanationError, match="no layer with a map"):
        maps_of(flat, clips_of(12))
    with pytest.raises(ExplanationError, match=re.escape("no layer no.such with a map; ")):
        maps_of(paper_network(), clips_of(32), "no.such")
    with pytest.raises(ExplanationError, match="no layer classifier with a map"):
        maps_of(paper_network(), clips_of(32), "classifier")
    with pytest.raises(ExplanationError, match="has no positions"):
        gradcam(paper_network(), clips_of(32), torch.tensor([0, 0, 0]), "classifier")


def test_a_layer_that_the_logits_do_not_depend_on_is_a_sentence() -> None:
    class Aside(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.aside, self.classifier = nn.Conv3d(1, 1, 1), nn.Linear(1, 3)

        def forward(self, clips: Tensor) -> Tensor:
            self.aside(clips)
            logits: Tensor = self.classifier(clips.mean((2, 3, 4)))
            return logits

    with pytest.raises(ExplanationError, match="do not depend on the output of layer aside"):
        gradcam(Aside(), clips_of(12), torch.tensor([0, 0, 0]), "aside")


def test_shares_of_frames_add_up_to_1() -> None:
    maps = torch.rand(2, 5, 4, 4)
    maps[1] = 0
    shares = frame_shares(maps)
    assert shares[0].sum() == pytest.approx(1)
    torch.testing.assert_close(shares[0].float(), maps[0].sum((1, 2)) / maps[0].sum())
    assert not shares[1].any()
