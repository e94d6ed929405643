"""What a network must look like, whoever wrote it: what it may ask for, what it takes and what it returns."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy


@dataclass(frozen=True)
class Task:
    """What a network is told of its task, as far as it asks.

    It knows no more: neither the corpus nor the names of its emotions, neither folds nor subjects nor labels.

    Attributes:
        num_classes: Number of classes.
        num_frames: Frames of a clip, `T`.
        size: Height and width of a frame in pixels.
        num_channels: Channels of a clip: 1 for grey frames, 3 for coloured ones.
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
        """What of it a class or function asks for: the arguments that its signature names, or all with `**kwargs`."""
        parameters = inspect.signature(target).parameters
        takes_any = any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values())
        return {name: value for name, value in asdict(self).items() if takes_any or name in parameters}


class Network(Protocol):
    """What `model` describes: a `torch.nn.Module` that turns clips into logits.

    `model._target_` names a class, or a function that returns such a module. It takes `num_classes` as a keyword
    argument and asks for `num_frames`, `size` and `num_channels` by naming them too (see `Task`); all its other
    arguments are settings, as keys below `model`.

    It has parameters to train, all of a size that is known from the start: none of PyTorch's lazy layers. Where
    `start_from` names a checkpoint of other emotions, the part named `classifier` is the one that starts afresh; a
    network without it can start from checkpoints of its own emotions only.
    """

    def forward(self, clips: Tensor) -> Tensor:
        """Returns logits.

        Args:
            clips: `(B, num_channels, num_frames, size, size)`, floating-point in [0, 1], or in [-1, 1] with
                `clips.normalise=true`; `B` may be any number from 1 up. What a clip's logits are does not depend on the
                other clips, but for batch norm in training.

        Returns:
            `(B, num_classes)`, floating-point and finite.
        """
        ...


def check_network(network: nn.Module, task: Task, *, batch_size: int, normalise: bool) -> None:
    """Tries a network out on random clips, so that one that is no `Network` fails before any work.

    Args:
        network: The network; a try in training mode changes the statistics of its batch norm.
        task: What it was told.
        batch_size: Clips a batch in training.
        normalise: Whether clips enter it in [-1, 1] instead of [0, 1].

    Raises:
        ValueError: It has nothing to train, or layers without a size; it cannot take such clips; or what it returns
            are no logits.
    """
    if any(map(is_lazy, [*network.parameters(), *network.buffers()])):
        raise ValueError(
            "the network that model describes has lazy layers, whose size nobody knows before the first clip: ask for "
            "num_channels, num_frames and size in its arguments, and give each layer its size"
        )
    if not any(parameter.requires_grad for parameter in network.parameters()):
        raise ValueError("the network that model describes has nothing to train: no parameter of it requires gradients")
    # In prediction a batch may hold a single clip; in training it does only where batch_size is 1.
    for training, num_clips in ((False, 1), (True, min(2, batch_size))):
        with torch.set_grad_enabled(training):
            _try_out(network.train(training), (num_clips, *task.clip_shape), task.num_classes, normalise)


def _try_out(network: nn.Module, shape: tuple[int, ...], num_classes: int, normalise: bool) -> None:
    clips = torch.rand(shape, generator=torch.Generator().manual_seed(0))
    mode = "training" if network.training else "prediction"
    try:
        logits = network(2 * clips - 1 if normalise else clips)
    except Exception as error:
        said = " ".join(str(error).split())
        raise ValueError(
            f"the network that model describes cannot take clips of shape {shape} in {mode}: "
            f"{type(error).__name__}: {said}"
        ) from error
    wanted = f"logits of shape {(shape[0], num_classes)}"
    made = f"the network that model describes makes {{}} of clips of shape {shape} in {mode}, instead of {wanted}"
    if not isinstance(logits, Tensor):
        raise ValueError(made.format(f"a {type(logits).__name__}"))
    if logits.shape != (shape[0], num_classes):
        raise ValueError(made.format(tuple(logits.shape)))
    if not logits.is_floating_point():
        raise ValueError(made.format(f"values of type {logits.dtype}"))
    if not logits.isfinite().all():
        raise ValueError(made.format("values that are not finite"))
    if network.training and not logits.requires_grad:
        raise ValueError(made.format("values that no parameter can change"))
