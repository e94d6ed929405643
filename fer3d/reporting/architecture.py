"""Drawings of networks like the paper's Figures 3 and 4, made from the networks themselves."""

from __future__ import annotations

import copy
import re
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import Any

import torch
from hydra._internal.utils import _locate
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch
from torch import Tensor, nn

from fer3d.evaluation.run_results import EvaluationError
from fer3d.models.network import Task
from fer3d.reporting.theme import ACCENTS, LINE, MUTED, SMALL, new_figure, style
from fer3d.training.networks import make_network

_CONVS = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
_CONTAINERS = (nn.Sequential, nn.ModuleList, nn.ModuleDict)

# Inches: where a box and what it holds stand, and where its output's shape and its parameters end.
_CENTRE, _DETAILS, _SHAPE, _PARAMETERS = 0.61, 1.3, 3.78, 4.66
_MARGIN = 0.09  # above and below a box
_ARROW: dict[str, Any] = {"arrowstyle": "-|>", "color": MUTED, "shrinkA": 0, "shrinkB": 0, "mutation_scale": 6}
# Accent colour of each kind of block; the others are grey.
_COLOURS = {"conv": ACCENTS[0], "pool": ACCENTS[2], "linear": ACCENTS[1], "output": ACCENTS[3]}


@dataclass(frozen=True, slots=True)
class Block:
    """One box of a drawing: a layer with the normalisation and the activation that follow it."""

    kind: str  # input, conv, pool, linear, dropout, output (a last linear layer) or other
    lines: tuple[str, ...]  # what it is, such as Conv 3x3x3, 64 filters, batch norm, ReLU
    output_shape: tuple[int, ...]  # without the batch: channels, frames, height, width of a clip
    num_parameters: int  # that it brings; one that is used twice counts where it is used first


def configured_network(config: Mapping[str, Any], task: Task) -> nn.Module:
    """Builds the network of a configuration without memory for its weights.

    Raises:
        ValueError: It is not made of fer3d's and PyTorch's parts alone: somebody else's result may name any code.
    """
    for target in _targets(config):
        made = _locate(target) if target.startswith(("fer3d.models.", "torch.nn.")) else None
        is_part = isinstance(made, type) and issubclass(made, nn.Module)
        if not is_part and getattr(made, "__module__", None) not in ("fer3d.models.cnn3d", "torch.nn.init"):
            raise ValueError(f"it names {target}, and a report runs no other code than fer3d's and PyTorch's networks")
    with torch.device("meta"):
        return make_network(config, task)


def describe_network(network: nn.Module, input_shape: Sequence[int]) -> tuple[Block, ...]:
    """Describes any network by passing an empty clip, `(C, T, H, W)`, through a copy of it in evaluation mode.

    A network on PyTorch's meta device takes no memory, and nothing is computed. There is one block a layer. Steps that
    are no modules (a sum, a reshape) do not show, and branches follow one another. Parameters that belong to no layer
    that was called come last, so that the blocks' parameters add up to the network's.

    Raises:
        EvaluationError: The network does not take such an input, or cannot work without real numbers.
    """
    blocks = [_input_block(tuple(input_shape))]
    finished = True  # whether nothing more can join the last block
    for layer, output_shape, num_parameters in _trace(network, input_shape):
        extra, last = _extra(layer), blocks[-1]
        if extra and not finished:
            num_parameters += last.num_parameters
            blocks[-1] = Block(last.kind, (*last.lines, extra), output_shape, num_parameters)
            finished = _is_activation(layer)
        elif not isinstance(layer, nn.Identity):
            kind, lines = _named(layer, extra)
            blocks.append(Block(kind, lines, output_shape, num_parameters))
            finished = kind not in ("conv", "linear") and not extra
    if blocks[-1].kind == "linear" and len(blocks[-1].lines) == 2:
        blocks[-1] = replace(blocks[-1], kind="output", lines=("Output", f"{blocks[-1].output_shape[-1]} classes"))
    rest = sum(p.numel() for p in network.parameters()) - sum(block.num_parameters for block in blocks)
    if rest:
        blocks.append(Block("other", ("other", "parameters"), (), rest))
    return tuple(blocks)


@style()
def architecture_figure(blocks: Sequence[Block], title: str, caution: str = "") -> Figure:
    """Draws a network as boxes in the order of the data, beside the shape of their output and their parameters."""
    # Lines break between what a box holds, not within `batch norm`.
    held = [", ".join(line.replace(" ", "\N{NO-BREAK SPACE}") for line in block.lines[1:]) for block in blocks]
    texts = [
        (textwrap.fill(block.lines[0], 15), textwrap.fill(text, 28)) for block, text in zip(blocks, held, strict=True)
    ]
    heights = [(1 + max(text.count("\n") for text in pair)) * SMALL * LINE + 2 * _MARGIN for pair in texts]
    figure = new_figure(title, caution, sum(heights))
    axes = figure.subplots()
    axes.set(xlim=(0, _PARAMETERS), ylim=(sum(heights), 0))
    axes.set_axis_off()
    muted: dict[str, Any] = {"size": SMALL, "color": MUTED, "ha": "right", "va": "center"}
    for block, (name, details), height, end in zip(blocks, texts, heights, accumulate(heights), strict=True):
        top, middle = end - height + _MARGIN / 2, end - height / 2
        if block.output_shape and block is not blocks[0]:  # the last one may hold parameters beside the data's way
            axes.annotate("", (_CENTRE, top), (_CENTRE, top - _MARGIN), arrowprops=_ARROW)
        colour, line = _COLOURS.get(block.kind, MUTED), "--" if block.kind == "dropout" else "-"
        paint: dict[str, Any] = {"facecolor": to_rgba(colour, 0.14), "edgecolor": colour, "linestyle": line}
        shape = "round,pad=0,rounding_size=0.04"
        axes.add_patch(FancyBboxPatch((0.02, top), 2 * _CENTRE - 0.04, height - _MARGIN, shape, **paint))
        axes.text(_CENTRE, middle, name, size=SMALL, weight="bold", ha="center", va="center")
        axes.text(_DETAILS, middle, details, size=SMALL, va="center")
        axes.text(_SHAPE, middle, _by(block.output_shape), **muted)
        params = f"{_rounded(block.num_parameters)} params" if block.num_parameters else ""
        axes.text(_PARAMETERS, middle, params, **muted)
    return figure


def _rounded(number: int) -> str:
    """Formats a number of parameters with three significant digits."""
    for unit, size in (("M", 10**6), ("k", 10**3)):
        if number >= size:
            return f"{number / size:.{max(0, 3 - len(str(number // size)))}f} {unit}"
    return str(number)


def _targets(node: Any) -> Iterator[str]:
    """All code that a part of a configuration names."""
    if isinstance(node, Mapping):
        yield from [str(node["_target_"])] if "_target_" in node else []
        node = list(node.values())
    for value in node if isinstance(node, list | tuple) else []:
        yield from _targets(value)


def _trace(network: nn.Module, input_shape: Sequence[int]) -> list[tuple[nn.Module, tuple[int, ...], int]]:
    """Returns each layer in call order, with its output shape and its number of parameters."""
    steps = []
    counted: set[int] = set()

    def note(layer: nn.Module, _: Any, output: Any) -> None:
        new = {id(p): p.numel() for p in layer.parameters() if id(p) not in counted}
        counted.update(new)
        steps.append((layer, _shape(output), sum(new.values())))

    try:
        tried = copy.deepcopy(network).eval()
        for layer in dict.fromkeys(_layers(tried)):
            layer.register_forward_hook(note)
        like = next((p for p in tried.parameters() if p.is_floating_point()), torch.empty(0, device="meta"))
        with torch.no_grad():
            tried(like.new_empty(1, *input_shape))
    except Exception as error:  # a network of somebody's own may fail in any way
        raise EvaluationError(
            f"{type(network).__name__} cannot be drawn: clips of shape {tuple(input_shape)} without content do not "
            f"pass it: {error}"
        ) from error
    return steps


def _layers(module: nn.Module) -> Iterator[nn.Module]:
    """Yields the modules to draw as one layer: those without children, and PyTorch's composite layers."""
    children = list(module.children())
    shipped = type(module).__module__.startswith("torch.nn.") and not isinstance(module, _CONTAINERS)
    if shipped or not children:
        yield module
    else:
        for child in children:
            yield from _layers(child)


def _input_block(shape: tuple[int, ...]) -> Block:
    lines: list[str] = []
    if len(shape) == 4:
        channels, frames, height, width = shape
        lines = [f"{frames} frames", f"{height}x{width}", *{1: ["grey"], 3: ["RGB"]}.get(channels, [])]
    return Block("input", ("Input", *lines), shape, 0)


def _named(layer: nn.Module, extra: str) -> tuple[str, tuple[str, ...]]:
    """The kind of a layer, and the lines that name it."""
    name = type(layer).__name__
    words = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name)  # which can be wrapped
    if isinstance(layer, _CONVS):
        stride = [f"stride {_by(layer.stride)}"] if set(layer.stride) != {1} else []
        return "conv", (f"Conv {_by(layer.kernel_size)}", f"{layer.out_channels} filters", *stride)
    if isinstance(layer, nn.Linear):
        return "linear", ("Linear", f"{layer.out_features} units")
    if "dropout" in name.lower():
        known = isinstance(getattr(layer, "p", None), float | int)
        return "dropout", ("Dropout", *([f"{layer.p:g}"] if known else []))
    if "pool" in name.lower():
        return "pool", _pool_lines(layer)
    return "other", (extra or words,)


def _pool_lines(pool: nn.Module) -> tuple[str, ...]:
    name = type(pool).__name__
    title = "Average pool" if "avg" in name.lower() else "Max pool" if "max" in name.lower() else name
    kernel = getattr(pool, "kernel", getattr(pool, "kernel_size", None))
    if kernel is None:
        return title, f"to {_by(getattr(pool, 'output_size', '?'))}"
    stride, padding = getattr(pool, "stride", None) or kernel, getattr(pool, "padding", 0)
    lines = [title, _by(kernel)]
    if _by(stride) != _by(kernel):
        lines.append(f"stride {_by(stride)}")
    if any(padding if isinstance(padding, Sequence) else [padding]):
        lines.append(f"pad {_by(padding)}")
    return tuple(lines)


def _by(extent: Any) -> str:
    return "x".join(map(str, extent)) if isinstance(extent, Sequence) else str(extent)


def _is_activation(layer: nn.Module) -> bool:
    return type(layer).__module__ == "torch.nn.modules.activation" and not isinstance(layer, nn.MultiheadAttention)


def _extra(layer: nn.Module) -> str:
    """The layer's name within the block of the layer before it; empty if it has its own block."""
    name = type(layer).__name__
    if _is_activation(layer):
        return name
    norm = re.search("(Batch|Layer|Group|Instance)Norm", name)
    return f"{norm[1].lower()} norm" if norm else ""


def _shape(output: Any) -> tuple[int, ...]:
    """The shape of a layer's (first) result, without the batch."""
    while isinstance(output, list | tuple) and output:
        output = output[0]
    return tuple(output.shape[1:]) if isinstance(output, Tensor) else ()
