"""One clip explained: what the network says of it, where and when it looks, and whether the map can be believed."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from fer3d.clips.preprocess import normalise, to_unit_range
from fer3d.explanation.curves import Curves, check_map
from fer3d.explanation.gradcam import HIRESCAM, Layer, choose_layer, frame_shares, gradcam, layers_of


class ViewedNetwork(nn.Module):
    """What a trained network says of whole clips: its views are taken, mapped to its range of values, and averaged.

    Args:
        network: The network.
        views: The frames of each view, `(K, T)` positions in a clip of `S` frames.
        normalised: Whether clips enter the network in [-1, 1] instead of [0, 1].
        temperature: What logits are divided by to be calibrated.
    """

    views: Tensor

    def __init__(self, network: nn.Module, views: Tensor, *, normalised: bool, temperature: float = 1.0) -> None:
        super().__init__()
        self.network, self.normalised, self.temperature = network.eval(), normalised, temperature
        self.register_buffer("views", views)

    def inputs(self, clips: Tensor) -> Tensor:
        """Returns what enters the network, `(B * K, C, T, H, W)`, of clips `(B, C, S, H, W)` in [0, 1]."""
        views = clips[:, :, self.views].movedim(2, 1).flatten(0, 1)
        return normalise(views) if self.normalised else views

    def forward(self, clips: Tensor) -> Tensor:
        """Returns the probabilities, `(B, num_classes)`, of clips `(B, C, S, H, W)` in [0, 1]."""
        by_view = self.network(self.inputs(clips)).float().softmax(1)
        mean = by_view.unflatten(0, (len(clips), -1)).mean(1)
        return torch.softmax(mean.clamp_min(torch.finfo(mean.dtype).tiny).log() / self.temperature, 1)


@dataclass(frozen=True, slots=True, eq=False)
class Evidence:
    """Where and when a layer of a network has evidence for an emotion of a clip.

    Attributes:
        method: `hirescam` or `gradcam`.
        layer: The layer.
        map: `(S, H, W)`, at least 0, on the CPU.
        shares: The share of each frame in it, `(S,)`; adds up to 1, or all 0 where there is no evidence at all.
    """

    method: str
    layer: Layer
    map: Tensor
    shares: Tensor


@dataclass(frozen=True, slots=True, eq=False)
class Explanation:
    """Why a network gives an emotion its probability.

    Attributes:
        label: The emotion, as an index.
        probability: What the network gives it.
        evidence: Where and when it has evidence for it.
        curves: Whether that means anything.
    """

    label: int
    probability: float
    evidence: Evidence
    curves: Curves

    @property
    def doubt(self) -> str:
        """Why the map should not be believed, as sentences; nothing where it may."""
        if not self.evidence.map.any():
            return "This layer has no evidence for it at all."
        if not self.curves.is_better_than_random:
            return "The check fails: a random map deletes or inserts as well. Do not believe this map."
        return ""


def explain(
    network: ViewedNetwork,
    clip: Tensor,
    label: int,
    *,
    layer: str | None = None,
    method: str = HIRESCAM,
    num_draws: int = 5,
) -> Explanation:
    """Explains one emotion of one clip, and checks that.

    Args:
        network: The network.
        clip: uint8 `(C, S, H, W)`, on the network's device.
        label: The emotion.
        layer: The layer's name; None for the default one.
        method: `hirescam` or `gradcam`.
        num_draws: Random maps that the check compares with.

    Raises:
        ExplanationError: The network has no such layer, or none at all.
    """
    evidence = find_evidence(network, clip, label, layer=layer, method=method)
    sharp = to_unit_range(clip)
    with torch.no_grad():
        probability = float(network(sharp[None])[0, label])
    curves = check_map(network, sharp, label, evidence.map, evidence.layer.grid, num_draws=num_draws)
    return Explanation(label, probability, evidence, curves)


def find_evidence(
    network: ViewedNetwork, clip: Tensor, label: int, *, layer: str | None = None, method: str = HIRESCAM
) -> Evidence:
    """Returns where and when a network has evidence for an emotion: the mean map of the views that show a frame.

    Args:
        network: The network.
        clip: uint8 `(C, S, H, W)`, on the network's device.
        label: The emotion.
        layer: The layer's name; None for the default one.
        method: `hirescam` or `gradcam`.

    Raises:
        ExplanationError: The network has no such layer, or none at all.
    """
    views = network.inputs(to_unit_range(clip)[None])
    chosen = choose_layer(layers_of(network.network, views[0]), layer)
    # One by one: then it does not matter in which order a network puts clips and frames.
    classes = torch.tensor([label], device=clip.device)
    maps = torch.cat([gradcam(network.network, view[None], classes, chosen.name, method) for view in views])
    frames = network.views.flatten()
    whole = torch.zeros(clip.shape[1:], device=clip.device).index_add_(0, frames, maps.flatten(0, 1))
    times = torch.bincount(frames, minlength=len(whole)).clamp_(min=1)
    mean = (whole / times[:, None, None]).cpu()
    return Evidence(method, chosen, mean, frame_shares(mean))
