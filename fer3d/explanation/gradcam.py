"""Grad-CAM in space and time for any network that takes clips (Selvaraju et al., ICCV 2017), and its variant HiResCAM.

A layer's output `(C, T', H', W')` is weighted by the gradient of the class's logit and summed over the channels. The
positive part is what speaks for the class; it is interpolated to the clip's size. Grad-CAM takes the mean gradient of
each channel, HiResCAM (Draelos and Carin, arXiv:2011.08891) the gradient as it is. Both are the same where nothing but
a global average and a linear layer follows. A network like the paper's, which flattens what it sees, weighs each place
by itself: a mean over places then says little, and such maps fail the check of `fer3d.explanation.curves`
(docs/explain.md).
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
# Places that a map needs along height and width to tell the parts of a face apart.
_MIN_SIDE = 4
_MAX_NAMED = 8


class ExplanationError(ValueError):
    """Something that cannot be explained: what, why, and what to do."""


@dataclass(frozen=True, slots=True)
class Layer:
    """A part of a network whose output still has places in time and space.

    Attributes:
        name: As `named_modules` has it, such as `features.3.1`.
        grid: `(T', H', W')` of its output.
    """

    name: str
    grid: tuple[int, int, int]

    def __str__(self) -> str:
        return f"{self.name} ({' x '.join(map(str, self.grid))})"


def layers_of(network: nn.Module, clip: Tensor) -> list[Layer]:
    """Returns the layers that have a map, in the order in which they are done; the last one where a name comes twice.

    Args:
        network: The network.
        clip: `(C, T, H, W)`, as the network takes it.
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
    """Returns the layer of a name, or the default one: the last that still tells frames and parts of a face apart.

    That is the last with a place for every frame, or as many as any layer has, and with 4 along height and width where
    there is one. It passes the check more often than later ones: docs/explain.md.

    Args:
        layers: As `layers_of` returns them.
        name: The name; None for the default.

    Raises:
        ExplanationError: There is no such layer, or none at all.
    """
    if not layers:
        raise ExplanationError(
            "the network has no layer to look at: Grad-CAM needs one whose output has places in time and space, "
            "(clips, channels, T, H, W), or in space for each frame, (clips * T, channels, H, W)"
        )
    if name is not None:
        by_name = {layer.name: layer for layer in layers}
        if name not in by_name:
            named = ", ".join(str(layer) for layer in layers[-_MAX_NAMED:])
            raise ExplanationError(f"the network has no layer {name} with a map; its last ones are {named}")
        return by_name[name]
    fine = [layer for layer in layers if min(layer.grid[1:]) >= _MIN_SIDE] or layers
    most = max(layer.grid[0] for layer in fine)
    return [layer for layer in fine if layer.grid[0] == most][-1]


def gradcam(network: nn.Module, clips: Tensor, classes: Tensor, layer: str, method: str = HIRESCAM) -> Tensor:
    """Returns where and when a layer has evidence for a class, `(B, T, H, W)`, at least 0.

    The network predicts, in float32, and stays as it was.

    Args:
        network: The network.
        clips: `(B, C, T, H, W)`, as the network takes them.
        classes: The class of each clip that is to be explained, `(B,)`.
        layer: The layer's name.
        method: `hirescam` or `gradcam`.

    Raises:
        ExplanationError: The network has no such layer, or it has no map, or the logits do not depend on it.
    """
    num_clips, _, num_frames, height, width = clips.shape
    with _as_in_prediction(network), torch.enable_grad():
        logits, output = _logits_and_output(network, clips, layer)
        # A clip's logits are its own, so that the gradient of their sum is that of each.
        gradient, *_ = torch.autograd.grad(
            logits.gather(1, classes.to(logits.device)[:, None]).sum(), output, allow_unused=True
        )
    if gradient is None:
        raise ExplanationError(f"what the network says does not depend on the output of its layer {layer}")
    volume, slopes = (_volume(tensor.detach(), num_clips, num_frames) for tensor in (output, gradient))
    if volume is None or slopes is None:
        raise ExplanationError(f"the output of layer {layer} has shape {tuple(output.shape)}, with no places in it")
    if method == GRADCAM:
        slopes = slopes.mean((2, 3, 4), keepdim=True)
    evidence = (slopes * volume).sum(1, keepdim=True).relu()
    return F.interpolate(evidence, (num_frames, height, width), mode="trilinear")[:, 0]


def frame_shares(maps: Tensor) -> Tensor:
    """Returns the share of each frame in a map's sum, `(..., T)` of `(..., T, H, W)`; zeros where the map is empty."""
    sums = maps.sum((-2, -1)).double()
    whole = sums.sum(-1, keepdim=True)
    return torch.where(whole > 0, sums / whole.clamp(min=torch.finfo(torch.double).tiny), torch.zeros_like(sums))


def _logits_and_output(network: nn.Module, clips: Tensor, layer: str) -> tuple[Tensor, Tensor]:
    """The logits, and the output of a layer as a leaf of the graph from there to the logits."""
    outputs: list[Tensor] = []

    def cut(_: nn.Module, __: Any, output: Any) -> Any:
        # A leaf, since what comes before needs no gradient; its copy, since the next layer may change it in place.
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
        raise ExplanationError(f"what the network says does not depend on the output of its layer {layer}")
    return logits, outputs[-1]


def _volume(output: Tensor, num_clips: int, num_frames: int) -> Tensor | None:
    """A layer's output as `(B, C, T', H', W')`; None where it has no such places."""
    if output.ndim == 5 and len(output) == num_clips:
        return output
    if output.ndim == 4 and len(output) == num_clips * num_frames:
        # A network that looks at each frame, with the frames of a clip side by side.
        return output.view(num_clips, num_frames, *output.shape[1:]).transpose(1, 2)
    return None


@contextmanager
def _as_in_prediction(network: nn.Module) -> Iterator[None]:
    """Within it, the network predicts in its own number format, whatever surrounds it; afterwards it is as before."""
    modes = {module: module.training for module in network.modules()}
    device = next((tensor.device.type for tensor in network.parameters()), "cpu")
    network.eval()
    try:
        # cuDNN's recurrent layers have no gradient in prediction; PyTorch's own have.
        recurrent = any(isinstance(module, nn.RNNBase) for module in modes)
        with torch.autocast(device, enabled=False), torch.backends.cudnn.flags(enabled=not recurrent):
            yield
    finally:
        for module, training in modes.items():
            module.training = training
