"""The interface of networks: the arguments they may request, their inputs and their outputs."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from fer3d.models.convolutions import GreyConv3d


@dataclass(frozen=True)
class Task:
    """The sizes that a network may request.

    A network knows nothing else: neither the corpus, its emotions, labels and subjects, nor the folds.

    Attributes:
        num_classes: Number of classes.
        num_frames: Number of frames per clip, `T`.
        size: Height and width of a frame in pixels.
        num_channels: 1 for grey clips, 3 for RGB.
    """

    num_classes: int
    num_frames: int
    size: int
    num_channels: int

    @property
    def clip_shape(self) -> tuple[int, int, int, int]:
        """Shape of a clip, `(C, T, H, W)`."""
        return self.num_channels, self.num_frames, self.size, self.size

    def told(self, target: Callable[..., Any]) -> dict[str, int]:
        """Returns the sizes that a class or function names in its signature, or all of them for `**kwargs`."""
        parameters = inspect.signature(target).parameters
        takes_any = any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values())
        return {name: value for name, value in asdict(self).items() if takes_any or name in parameters}


class Network(Protocol):
    """A `torch.nn.Module` that maps clips to logits, as configured by `model`.

    `model._target_` names a class, or a function that returns such a module. It takes the keyword argument
    `num_classes` and may also request `num_frames`, `size` and `num_channels` by name (see `Task`); its other arguments
    are keys below `model`.

    A network has trainable parameters and no lazy layers. If `start_from` names a checkpoint of other emotions, only
    its submodule `classifier` is not loaded; a network without one can start only from checkpoints of its own emotions.

    It may have a method `own_name(name: str) -> str | None`: its own name of a weight that is called `name` in files
    from outside fer3d, or None if the weight has no place in it. Without the method, names are equal. `SequenceNetwork`
    asks its encoder.
    """

    def forward(self, clips: Tensor) -> Tensor:
        """Returns logits.

        Args:
            clips: `(B, num_channels, num_frames, size, size)`, floating-point in [0, 1], or in [-1, 1] with
                `clips.normalise=true`; `B` is at least 1. Except for batch norm in training, a clip's logits must not
                depend on the other clips.

        Returns:
            `(B, num_classes)`, floating-point and finite.
        """
        ...


def check_network(network: nn.Module, task: Task, *, batch_size: int, normalise: bool) -> None:
    """Runs a network on random clips, so that an invalid `Network` fails before any work.

    Args:
        network: The network; the run in training mode changes its batch norm statistics.
        task: The sizes it was built for.
        batch_size: Clips per batch in training.
        normalise: Whether clips enter it in [-1, 1] instead of [0, 1].

    Raises:
        ValueError: It has no trainable parameters, has lazy layers, rejects such clips, or does not return logits.
    """
    if any(map(is_lazy, [*network.parameters(), *network.buffers()])):
        raise ValueError(
            "the network configured by model has lazy layers, whose sizes are unknown before the first clip: add "
            "num_channels, num_frames and size to its arguments, and give each layer its size"
        )
    if not any(parameter.requires_grad for parameter in network.parameters()):
        raise ValueError("the network configured by model has no trainable parameter: none requires gradients")
    # A single clip may be a batch in prediction; in training only if batch_size is 1.
    for training, num_clips in ((False, 1), (True, min(2, batch_size))):
        with torch.set_grad_enabled(training):
            _try_out(network.train(training), (num_clips, *task.clip_shape), task.num_classes, normalise)


def forward_flop(make: Callable[[], nn.Module], task: Task) -> int:
    """Estimates the floating-point operations of a forward pass of one clip: two per weight and use.

    Counts PyTorch's convolutions, linear and recurrent layers, and attention. PyTorch's `FlopCounterMode` knows no
    recurrent layers and takes a second to start.

    Args:
        make: Creates the network.
        task: The sizes that it is built for.

    Returns:
        The number; 0 if the network does not run (`check_network` says why).
    """
    flop = 0

    def count(layer: nn.Module, inputs: tuple[Tensor, ...], output: Any) -> None:
        nonlocal flop
        flop += _layer_flop(layer, inputs, output if isinstance(output, Tensor) else output[0])

    try:
        network = make().eval()
        for layer in network.modules():
            if isinstance(layer, _COUNTED):
                layer.register_forward_hook(count)
        with torch.no_grad():
            network(torch.zeros(1, *task.clip_shape))
    except Exception:  # a user's network may raise anything
        return 0
    return flop


_COUNTED = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.RNNBase, nn.MultiheadAttention)


def _layer_flop(layer: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> int:
    # One clip, so all but the last dimension are time steps of a recurrent layer or an attention.
    steps = output[..., 0].numel()
    if isinstance(layer, nn.RNNBase):
        return 2 * steps * sum(weight.numel() for name, weight in layer.named_parameters() if "weight" in name)
    if isinstance(layer, nn.MultiheadAttention):
        width = int(layer.embed_dim)
        # Four projections, and two products of all pairs of time steps.
        return 8 * steps * width**2 + 4 * steps**2 * width
    weights = layer.get_parameter("weight")[0]
    if inputs and isinstance(layer, GreyConv3d):
        return 2 * output.numel() * inputs[0].shape[1] * weights[0].numel()
    return 2 * output.numel() * weights.numel()


# Batch norm's vectors hold 16 channels.
_LEAST_CHANNELS_LAST = 16


def use_channels_last(network: nn.Module) -> None:
    """Stores the weights of 3D convolutions channels last, the fast memory format in bf16.

    Not of those with few output channels: a batch norm after them takes nine times as long on channels last on a CPU.
    """
    for parameter in network.parameters():
        if parameter.ndim == 5 and len(parameter) >= _LEAST_CHANNELS_LAST:
            parameter.data = parameter.data.to(memory_format=torch.channels_last_3d)


# Rounding to bf16 changes the weight gradient of a sound convolution by less than a hundredth.
_MOST_BF16_ERROR = 0.1


def check_bf16_convolutions(network: nn.Module, task: Task) -> None:
    """Checks on this machine's CPU that 3D convolutions compute their weight gradients correctly in bf16.

    PyTorch 2.13's bf16 convolution that itself pads in time reads uninitialised memory for clips about as short as its
    kernel: the gradient of its weight is wrong or NaN.

    Args:
        network: The network.
        task: The sizes it was built for.

    Raises:
        ValueError: A gradient is wrong; the message names the layer.
    """
    inputs: dict[str, Tensor] = {}
    hooks = [
        layer.register_forward_pre_hook(partial(_keep_input, inputs, name))
        for name, layer in network.named_modules()
        if isinstance(layer, nn.Conv3d) and layer.weight.requires_grad
    ]
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        network.eval()(torch.rand((2, *task.clip_shape), generator=generator))
    for hook in hooks:
        hook.remove()
    for name, given in inputs.items():
        layer = network.get_submodule(name)
        assert isinstance(layer, nn.Conv3d)
        if given.shape[2] > 2 * layer.kernel_size[0]:
            continue
        gradients: list[Tensor] = []
        for bf16 in (False, True):
            with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
                loss = layer(given).float().square().mean()
            gradients += torch.autograd.grad(loss, layer.weight)
        right, found = gradients
        if not (found - right).norm() <= _MOST_BF16_ERROR * right.norm():
            raise ValueError(
                f"on this machine, PyTorch computes a wrong bf16 gradient for the network's convolution {name}, whose "
                f"clips of {given.shape[2]} frames are short for its kernel of {layer.kernel_size[0]}: set "
                "precision=32-true, or pad the clips in time before the convolution"
            )


def _keep_input(inputs: dict[str, Tensor], name: str, layer: nn.Module, arguments: tuple[Tensor, ...]) -> None:
    if arguments:  # none if the network passes it by name
        inputs[name] = arguments[0].detach()


def _try_out(network: nn.Module, shape: tuple[int, ...], num_classes: int, normalise: bool) -> None:
    clips = torch.rand(shape, generator=torch.Generator().manual_seed(0))
    mode = "training" if network.training else "prediction"
    try:
        logits = network(2 * clips - 1 if normalise else clips)
    except Exception as error:
        said = " ".join(str(error).split())
        raise ValueError(
            f"the network configured by model rejects clips of shape {shape} in {mode}: {type(error).__name__}: {said}"
        ) from error
    wanted = f"logits of shape {(shape[0], num_classes)}"
    made = f"the network configured by model returns {{}} for clips of shape {shape} in {mode}, instead of {wanted}"
    if not isinstance(logits, Tensor):
        raise ValueError(made.format(f"a {type(logits).__name__}"))
    if logits.shape != (shape[0], num_classes):
        raise ValueError(made.format(tuple(logits.shape)))
    if not logits.is_floating_point():
        raise ValueError(made.format(f"values of type {logits.dtype}"))
    if not logits.isfinite().all():
        raise ValueError(made.format("values that are not finite"))
    if network.training and not logits.requires_grad:
        raise ValueError(made.format("values that do not depend on its parameters"))
