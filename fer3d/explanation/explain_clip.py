"""One clip explained: what the network says of it, where and when it looks, and whether the map can be believed."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from fer3d.clips.preprocess import normalise, to_unit_range
from fer3d.explanation.curves import Curves, check_map
from fer3d.explanation.gradcam import Layer, choose_layer, frame_shares, gradcam, layers_of
from fer3d.training.module import mean_over_views


class ViewedNetwork(nn.Module):
    """What a trained network says of whole clips: its views are taken, mapped to its range of values, and averaged.

    Args:
        network: The network.
        views: The frames of each view, `(K, T)` positions in a clip of `S` frames.
        normalised: Whether clips enter the network in [-1, 1] instead of [0, 1].
    """

    views: Tensor

    def __init__(self, network: nn.Module, views: Tensor, *, normalised: bool) -> None:
        super().__init__()
        self.network, self.normalised = network.eval(), normalised
        self.register_buffer("views", views)

    def inputs(self, clips: Tensor) -> Tensor:
        """Returns what enters the network, `(B * K, C, T, H, W)`, of clips `(B, C, S, H, W)` in [0, 1]."""
        views = clips[:, :, self.views].movedim(2, 1).flatten(0, 1)
        return normalise(views) if self.normalised else views

    def forward(self, clips: Tensor) -> Tensor:
        """Returns the probabilities, `(B, num_classes)`, of clips `(B, C, S, H, W)` in [0, 1]."""
        return mean_over_views(self.network(self.inputs(clips)).float(), len(clips)).softmax(1)


@dataclass(frozen=True, slots=True, eq=False)
class Explanation:
    """Why a network gives an emotion its probability.

    Attributes:
        label: The emotion, as an index.
        probability: What the network gives it.
        layer: The layer that was looked at.
        evidence: The map, `(S, H, W)`, at least 0.
        shares: The share of each frame in it, `(S,)`; adds up to 1, or all 0 where there is no evidence at all.
        curves: The check of the map; None where it was not asked for.
    """

    label: int
    probability: float
    layer: Layer
    evidence: Tensor
    shares: Tensor
    curves: Curves | None


def explain(
    network: ViewedNetwork,
    clip: Tensor,
    label: int,
    *,
    layer: str | None = None,
    check: bool = True,
    num_draws: int = 5,
) -> Explanation:
    """Explains one emotion of one clip.

    Args:
        network: The network.
        clip: uint8 `(C, S, H, W)`, on the network's device.
        label: The emotion.
        layer: The layer's name; None for the default one.
        check: Whether to delete and to insert what the map points at.
        num_draws: Random maps that the check compares with.

    Raises:
        ExplanationError: The network has no such layer, or none at all.
    """
    clip = to_unit_range(clip)
    views = network.inputs(clip[None])
    chosen = choose_layer(layers_of(network.network, views[0]), layer)
    evidence = _whole_map(network, clip, views, label, chosen)
    with torch.no_grad():
        probability = float(network(clip[None])[0, label])
    return Explanation(
        label=label,
        probability=probability,
        layer=chosen,
        evidence=evidence.cpu(),
        shares=frame_shares(evidence).cpu(),
        curves=check_map(network, clip, label, evidence, chosen.grid, num_draws=num_draws) if check else None,
    )


def _whole_map(network: ViewedNetwork, clip: Tensor, views: Tensor, label: int, layer: Layer) -> Tensor:
    """The mean of the views' maps; of each frame, over the views that show it."""
    # One by one: then it does not matter in which order a network puts clips and frames.
    classes = torch.tensor([label], device=clip.device)
    maps = torch.cat([gradcam(network.network, view[None], classes, layer.name) for view in views])
    frames = network.views.flatten()
    whole = torch.zeros(clip.shape[1:], device=clip.device).index_add_(0, frames, maps.flatten(0, 1))
    times = torch.bincount(frames, minlength=len(whole)).clamp_(min=1)
    return whole / times[:, None, None]
