"""Explains one clip: the prediction, a class activation map, and its faithfulness."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from fer3d.clips.preprocess import normalise, to_unit_range
from fer3d.explanation.curves import Curves, check_map
from fer3d.explanation.gradcam import HIRESCAM, Layer, choose_layer, frame_shares, gradcam, layers_of


class ViewedNetwork(nn.Module):
    """Calibrated predictions of a network for whole clips, averaged over views.

    Args:
        network: The network.
        views: The frames of each view, `(K, T)` indices into a clip of `S` frames.
        normalised: Whether the network's input is scaled to [-1, 1] instead of [0, 1].
        temperature: Calibration temperature.
    """

    views: Tensor

    def __init__(self, network: nn.Module, views: Tensor, *, normalised: bool, temperature: float = 1.0) -> None:
        super().__init__()
        self.network, self.normalised, self.temperature = network.eval(), normalised, temperature
        self.register_buffer("views", views)

    def inputs(self, clips: Tensor) -> Tensor:
        """Returns the network's input `(B * K, C, T, H, W)` for clips `(B, C, S, H, W)` in [0, 1]."""
        views = clips[:, :, self.views].movedim(2, 1).flatten(0, 1)
        return normalise(views) if self.normalised else views

    def forward(self, clips: Tensor) -> Tensor:
        """Returns the probabilities `(B, num_classes)` of clips `(B, C, S, H, W)` in [0, 1]."""
        by_view = self.network(self.inputs(clips)).float().softmax(1)
        mean = by_view.unflatten(0, (len(clips), -1)).mean(1)
        return torch.softmax(mean.clamp_min(torch.finfo(mean.dtype).tiny).log() / self.temperature, 1)


@dataclass(frozen=True, slots=True, eq=False)
class Evidence:
    """The class activation map of a clip.

    Attributes:
        method: `hirescam` or `gradcam`.
        layer: The layer.
        map: Non-negative map `(S, H, W)`, on the CPU.
        shares: Fraction of the evidence in each frame, `(S,)`; sums to 1, or is 0 if the map is empty.
    """

    method: str
    layer: Layer
    map: Tensor
    shares: Tensor


@dataclass(frozen=True, slots=True, eq=False)
class Explanation:
    """An explained prediction.

    Attributes:
        label: Index of the emotion.
        probability: Its predicted probability.
        evidence: Its class activation map.
        curves: The deletion and insertion curves of the map.
    """

    label: int
    probability: float
    evidence: Evidence
    curves: Curves

    @property
    def doubt(self) -> str:
        """The reason not to trust the map; empty if it passes the test."""
        if not self.evidence.map.any():
            return "This layer has no evidence for this emotion."
        if not self.curves.is_better_than_random:
            return "The check fails: a random map deletes or inserts as well. Do not trust this map."
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
    """Explains one emotion of one clip, and tests the map.

    Args:
        network: The network.
        clip: uint8 `(C, S, H, W)`, on the network's device.
        label: Index of the emotion.
        layer: Name of the layer; None for the default of `choose_layer`.
        method: `hirescam` or `gradcam`.
        num_draws: Number of random maps in the test.

    Raises:
        ExplanationError: The layer does not exist, or no layer has a map.
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
    """Returns the class activation map of an emotion; each frame's map is the mean over the views that contain it.

    Args:
        network: The network.
        clip: uint8 `(C, S, H, W)`, on the network's device.
        label: Index of the emotion.
        layer: Name of the layer; None for the default of `choose_layer`.
        method: `hirescam` or `gradcam`.

    Raises:
        ExplanationError: The layer does not exist, or no layer has a map.
    """
    views = network.inputs(to_unit_range(clip)[None])
    chosen = choose_layer(layers_of(network.network, views[0]), layer)
    # One view at a time, so that the order in which a network merges clips and frames does not matter.
    classes = torch.tensor([label], device=clip.device)
    maps = torch.cat([gradcam(network.network, view[None], classes, chosen.name, method) for view in views])
    frames = network.views.flatten()
    whole = torch.zeros(clip.shape[1:], device=clip.device).index_add_(0, frames, maps.flatten(0, 1))
    times = torch.bincount(frames, minlength=len(whole)).clamp_(min=1)
    mean = (whole / times[:, None, None]).cpu()
    return Evidence(method, chosen, mean, frame_shares(mean))
