"""Grad-CAM (Selvaraju et al., ICCV 2017) and HiResCAM in space and time, for any network that takes clips.

A layer's output `(C, T', H', W')` is weighted by the gradient of the class's logit and summed over the channels; the
positive part is interpolated to the clip's size. Grad-CAM weights by each channel's mean gradient, HiResCAM (Draelos
and Carin, arXiv:2011.08891) by the gradient at each position. They are equal if only global average pooling and a
linear layer follow. A network like the paper's, which flattens its features, weights each position separately;
Grad-CAM's mean is then uninformative and fails the test of `fer3d.explanation.curves` (docs/explain.md).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

HIRESCAM, GRADCAM = "hirescam", "gradcam"
METHODS = {HIRESCAM: "HiResCAM", GRADCAM: "Grad-CAM"}
# Minimum height and width of a map that resolves the parts of a face.
_MIN_SIDE = 4
_MAX_NAMED = 8


class ExplanationError(ValueError):
    """A clip cannot be explained."""


@dataclass(frozen=True, slots=True)
class Layer:
    """A module whose output has positions in time and space.

    Attributes:
        name: Its name in `named_modules`, such as `features.3.1`.
        grid: `(T', H', W')` of its output.
    """

    name: str
    grid: tuple[int, int, int]

    def __str__(self) -> str:
        return f"{self.name} ({' x '.join(map(str, self.grid))})"


def layers_of(network: nn.Module, clip: Tensor) -> list[Layer]:
    """Returns the layers with a map, in execution order; a module that runs several times counts once, at its last run.

    Args:
        network: The network.
        clip: An input `(C, T, H, W)` of the network.
    """
    found: dict[str, Layer] = {}

    def note(name: str) -> Callable[..., None]:
        def hook(_: nn.Module, __: Any, output: Any) -> None:
            if isinstance(output, Tensor) and (volume := _volume(output, 1, clip.shape[1])) is not None:
                time, height, width = volume.shape[2:]
                if height > 1 or width > 1:
                    found.pop(name, None)
                    found[name] = Layer(name, (time, height, width))

        return hook

    with _as_in_prediction(network), torch.no_grad():
        handles = [module.register_forward_hook(note(name)) for name, module in network.named_modules() if name]
        try:
            network(clip[None])
        finally:
            for handle in handles:
                handle.remove()
    return list(found.values())


def choose_layer(layers: Sequence[Layer], name: str | None = None) -> Layer:
    """Returns a layer by name, or by default the last that resolves frames and the parts of a face.

    The default is the last layer with the highest temporal resolution and, if possible, at least 4 x 4 positions. It
    passes the faithfulness test more often than later layers (docs/explain.md).

    Args:
        layers: The result of `layers_of`.
        name: The name; None for the default.

    Raises:
        ExplanationError: The layer does not exist, or no layer has a map.
    """
    if not layers:
        raise ExplanationError(
            "the network has no layer with a map: Grad-CAM needs an output of shape (clips, channels, T, H, W), or "
            "(clips * T, channels, H, W) for networks that process single frames"
        )
    if name is not None:
        by_name = {layer.name: layer for layer in layers}
        if name not in by_name:
            named = ", ".join(str(layer) for layer in layers[-_MAX_NAMED:])
            raise ExplanationError(f"the network has no layer {name} with a map; its last layers with one are {named}")
        return by_name[name]
    fine = [layer for layer in layers if min(layer.grid[1:]) >= _MIN_SIDE] or layers
    most = max(layer.grid[0] for layer in fine)
    return [layer for layer in fine if layer.grid[0] == most][-1]


def gradcam(network: nn.Module, clips: Tensor, classes: Tensor, layer: str, method: str = HIRESCAM) -> Tensor:
    """Returns the non-negative class activation maps of a layer, `(B, T, H, W)`.

    The network runs in evaluation mode and float32; its modes are restored.

    Args:
        network: The network.
        clips: Inputs `(B, C, T, H, W)` of the network.
        classes: The class to explain for each clip, `(B,)`.
        layer: Name of the layer.
        method: `hirescam` or `gradcam`.

    Raises:
        ExplanationError: The layer does not exist or has no map, or the logits do not depend on it.
    """
    num_clips, _, num_frames, height, width = clips.shape
    with _as_in_prediction(network), torch.enable_grad():
        logits, output = _logits_and_output(network, clips, layer)
        # Clips are independent, so the gradient of the sum contains each clip's own.
        gradient, *_ = torch.autograd.grad(
            logits.gather(1, classes.to(logits.device)[:, None]).sum(), output, allow_unused=True
        )
    if gradient is None:
        raise ExplanationError(f"the logits do not depend on the output of layer {layer}: choose another layer")
    volume, slopes = (_volume(tensor.detach(), num_clips, num_frames) for tensor in (output, gradient))
    if volume is None or slopes is None:
        raise ExplanationError(f"the output of layer {layer}, of shape {tuple(output.shape)}, has no positions")
    if method == GRADCAM:
        slopes = slopes.mean((2, 3, 4), keepdim=True)
    evidence = (slopes * volume).sum(1, keepdim=True).relu()
    maps = F.interpolate(evidence, (num_frames, height, width), mode="trilinear")[:, 0]
    if volume.shape[2] == 1 < num_frames:
        # One map for all frames, of which the network may look at some only.
        maps = maps * _looked_at(network, clips)[..., None, None]
    return maps


def frame_shares(maps: Tensor) -> Tensor:
    """Returns each frame's fraction of a map's sum, `(..., T)` for `(..., T, H, W)`; zeros for an empty map."""
    sums = maps.sum((-2, -1)).double()
    whole = sums.sum(-1, keepdim=True)
    return torch.where(whole > 0, sums / whole.clamp(min=torch.finfo(torch.double).tiny), torch.zeros_like(sums))


def _looked_at(network: nn.Module, clips: Tensor) -> Tensor:
    """Whether the logits depend on each frame, `(B, T)`."""
    with _as_in_prediction(network), torch.enable_grad():
        clips = clips.detach().requires_grad_()
        (gradient,) = torch.autograd.grad(network(clips).square().sum(), clips)
    return gradient.ne(0).any(-1).any(-1).any(1)


def _logits_and_output(network: nn.Module, clips: Tensor, layer: str) -> tuple[Tensor, Tensor]:
    """The logits, and the layer's output as a leaf of their graph."""
    outputs: list[Tensor] = []

    def cut(_: nn.Module, __: Any, output: Any) -> Any:
        # A leaf, since earlier layers need no gradient; cloned, since the next layer may modify it in place.
        if not isinstance(output, Tensor):
            return output
        outputs.append(output.detach().requires_grad_())
        return outputs[-1].clone()

    try:
        module = network.get_submodule(layer)
    except AttributeError as error:
        raise ExplanationError(f"the network has no layer {layer}") from error
    handle = module.register_forward_hook(cut)
    try:
        logits = network(clips)
    finally:
        handle.remove()
    if not outputs or not logits.requires_grad:
        raise ExplanationError(f"the logits do not depend on the output of layer {layer}: choose another layer")
    return logits, outputs[-1]


def _volume(output: Tensor, num_clips: int, num_frames: int) -> Tensor | None:
    """A layer's output as `(B, C, T', H', W')`; None if it has no positions in time and space."""
    if output.ndim == 5 and len(output) == num_clips:
        return output
    if output.ndim == 4 and len(output) == num_clips * num_frames:
        # A network that processes single frames, with the frames of a clip consecutive.
        return output.view(num_clips, num_frames, *output.shape[1:]).transpose(1, 2)
    return None


@contextmanager
def _as_in_prediction(network: nn.Module) -> Iterator[None]:
    """Context with the network in evaluation mode and without autocast; restores its modes."""
    modes = {module: module.training for module in network.modules()}
    device = next((tensor.device.type for tensor in network.parameters()), "cpu")
    network.eval()
    try:
        # cuDNN's recurrent layers have no backward pass in evaluation mode; PyTorch's native ones have.
        recurrent = any(isinstance(module, nn.RNNBase) for module in modes)
        with torch.autocast(device, enabled=False), torch.backends.cudnn.flags(enabled=not recurrent):
            yield
    finally:
        for module, training in modes.items():
            module.training = training
