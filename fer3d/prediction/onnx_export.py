"""Exports trained networks to ONNX with their metadata, and verifies the logits against PyTorch."""

from __future__ import annotations

import copy
import json
import logging
import platform
import warnings
from collections.abc import Collection, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import version
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

import fer3d
from fer3d.clips.preprocess import normalise, to_unit_range
from fer3d.models.pooling import BlockAvgPool3d, BlockMaxPool3d, BlockPool3d
from fer3d.prediction.onnx_network import ENTRY, FORMAT_VERSION, INPUT, LOGITS, PROBABILITIES, from_bytes, sealed
from fer3d.prediction.torch_network import TorchNetwork
from fer3d.prediction.trained import PredictionError, Trained
from fer3d.training.checkpoint import Checkpoint
from fer3d.training.networks import restore_network

# ONNX operator set, supported by ONNX Runtime since 1.14.
OPSET = 18
# Tolerated difference of the logits from PyTorch's: absolute, or relative if they exceed 1.
TOLERANCE = 1e-4
# Limit of protocol buffers.
_MAX_BYTES = 2_000_000_000
_LIBRARIES = ("torch", "onnx", "onnxscript", "onnxruntime")
# These export as one ONNX node each; the block pools would become dozens of nodes.
_POOLS: dict[type[BlockPool3d], type[nn.Module]] = {BlockAvgPool3d: nn.AvgPool3d, BlockMaxPool3d: nn.MaxPool3d}


@dataclass(frozen=True)
class Exported:
    """An exported network.

    Attributes:
        trained: Metadata of the network.
        content: Content of the ONNX file.
        difference: The largest difference between ONNX Runtime's logits and PyTorch's, on clips of noise.
    """

    trained: Trained
    content: bytes
    difference: float


def export_checkpoint(path: Path, trusted: Collection[str] = ()) -> Exported:
    """Exports a checkpoint to ONNX and verifies the result.

    Args:
        path: The checkpoint.
        trusted: Packages besides fer3d whose code it may name.

    Raises:
        CheckpointError: The checkpoint cannot be used.
        PredictionError: A library is missing, or the network cannot be exported.
    """
    _check_libraries()
    checkpoint = Checkpoint.read(path, "CHECKPOINT")
    network, trained = restore_network(checkpoint, trusted), Trained.of(checkpoint, trusted)
    return export_network(network, trained, str(path), trusted)


def export_network(network: nn.Module, trained: Trained, name: str, trusted: Collection[str] = ()) -> Exported:
    """Exports a network to ONNX and verifies the result.

    Args:
        network: The network, in evaluation mode, on the CPU.
        trained: Its metadata.
        name: Its name in messages.
        trusted: See `export_checkpoint`.

    Raises:
        PredictionError: The network cannot be exported.
    """
    num_bytes = sum(tensor.nbytes for tensor in network.state_dict().values())
    if num_bytes > _MAX_BYTES:
        raise PredictionError(
            f"the network of {name} has {num_bytes / 1e9:.1f} GB of weights, but an ONNX file holds at most "
            f"{_MAX_BYTES / 1e9:.0f} GB"
        )
    model = _model(network, trained, name)
    _strip(model.graph)
    model.producer_name, model.producer_version, model.doc_string = "fer3d", fer3d.__version__, trained.caution
    del model.metadata_props[:]
    for key, text in _metadata(trained).items():
        model.metadata_props.add(key=key, value=text)
    content = sealed(model.SerializeToString(deterministic=True))
    return Exported(trained, content, _difference(network, trained, content, name, trusted))


class _Graph(nn.Module):
    """The exported computation, from pixels in the order of time to probabilities."""

    order: Tensor | None

    def __init__(self, network: nn.Module, trained: Trained) -> None:
        super().__init__()
        self.network, self._normalised = network, trained.normalise
        self._temperature = trained.temperature or 1.0
        self.register_buffer("order", None if trained.order is None else torch.tensor(trained.order))

    def forward(self, clips: Tensor) -> tuple[Tensor, Tensor]:
        given = to_unit_range(clips if self.order is None else clips.index_select(2, self.order))
        logits = self.network(normalise(given) if self._normalised else given).float()
        return logits, torch.softmax(logits / self._temperature, 1)


def _model(network: nn.Module, trained: Trained, name: str) -> Any:
    # Two clips, since torch.export specialises a batch of one to a constant.
    clips = torch.zeros((2, trained.num_channels, trained.num_frames, trained.size, trained.size), dtype=torch.uint8)
    try:
        with _quietly():
            program = torch.onnx.export(
                _Graph(_with_plain_pools(network), trained).eval(),
                (clips,),
                dynamo=True,
                dynamic_shapes=({0: torch.export.Dim("batch")},),
                input_names=[INPUT],
                output_names=[LOGITS, PROBABILITIES],
                opset_version=OPSET,
                verbose=False,
            )
        assert program is not None
        model = program.model_proto
    except Exception as error:  # PyTorch, ONNX or a user's network may raise anything
        raise _impossible(name, _cause(error)) from error
    if not model.graph.input[0].type.tensor_type.shape.dim[0].dim_param:
        why = "tracing fixes its batch size (a loop over clips, or a hard-coded shape)"
        raise _impossible(name, why)
    return model


def _with_plain_pools(network: nn.Module) -> nn.Module:
    """A copy of the network with PyTorch's pools in place of fer3d's equivalent ones."""
    plain = copy.deepcopy(network)
    for parent in list(plain.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, BlockPool3d) and (pool := _POOLS.get(type(child))):
                time, height, width = child.padding
                pad = nn.ConstantPad3d((width, width, height, height, time, time), child.padding_value)
                # Explicit padding: PyTorch's pools reject an input smaller than the window before padding.
                setattr(parent, name, nn.Sequential(*[pad] * any(child.padding), pool(child.kernel, child.stride)))
    return plain


@contextmanager
def _quietly() -> Iterator[None]:
    """Silences PyTorch's exporter, which prints pages if it fails."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings(), redirect_stdout(StringIO()), redirect_stderr(StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


def _impossible(name: str, why: str) -> PredictionError:
    return PredictionError(f"the network of {name} cannot be exported to ONNX: {why}; predict with the checkpoint")


def _cause(error: BaseException) -> str:
    """The first line of the innermost error with a message."""
    while (inner := error.__cause__) is not None and str(inner).strip():
        error = inner
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0][:300].rstrip(".") if lines else type(error).__name__


def _strip(graph: Any) -> None:
    """Removes what the exporter records, such as paths of source files."""
    del graph.value_info[:]
    for part in (graph, *graph.node, *graph.initializer, *graph.input, *graph.output):
        part.ClearField("doc_string")
        part.ClearField("metadata_props")


def _metadata(trained: Trained) -> dict[str, str]:
    versions = {"fer3d": fer3d.__version__, "python": platform.python_version()}
    versions |= {name: version(name) for name in _LIBRARIES}
    told = {"format": FORMAT_VERSION, "trained": trained.plain(), "versions": versions}
    return {
        ENTRY: json.dumps(told, ensure_ascii=False, allow_nan=False),
        "labels": json.dumps(trained.emotions, ensure_ascii=False),
        "caution": trained.caution,
        "preprocessing": _preprocessing(trained),
    }


def _preprocessing(trained: Trained) -> str:
    """Describes the preprocessing for users of other software."""
    colours = {1: "grey", 3: "red, green, blue"}.get(trained.num_channels, "as trained")
    steps = [
        f"{INPUT}: uint8 (batch, channels {trained.num_channels}: {colours}, frames {trained.num_frames} in the order "
        f"of time, rows {trained.size}, columns {trained.size}), 0 to 255; the graph scales them.",
        f"A frame is a face, found, cropped and resized by {json.dumps(trained.faces)}.",
    ]
    if trained.clahe:
        steps.append("Its contrast is equalised: CLAHE, clip limit 2, 8x8 tiles; in colour on the L of L*a*b* alone.")
    steps.append(f"Frames are chosen by {json.dumps(trained.frames)}.")
    if trained.order is not None:
        steps.append(f"The graph itself gives the network the frames at these positions: {json.dumps(trained.order)}.")
    if len(trained.views) > 1:
        steps.append(
            f"Of {trained.num_stored} frames, average the softmax of the logits over these choices, and divide the "
            f"logarithms of that by the temperature: {json.dumps(trained.views)}."
        )
    steps.append(f"Temperature: {trained.temperature or 'not fitted'}.")
    return " ".join(steps)


def _difference(network: nn.Module, trained: Trained, content: bytes, name: str, trusted: Collection[str]) -> float:
    """The largest difference between ONNX Runtime and PyTorch, for one clip and for several."""
    theirs = TorchNetwork(network, trained.normalise, torch.device("cpu"), trained.order)
    _, ours = from_bytes(content, name, trusted)
    rng = np.random.default_rng(0)
    shape = (trained.num_channels, trained.num_frames, trained.size, trained.size)
    largest = 0.0
    for num_clips in (1, 3):
        clips = rng.integers(0, 256, (num_clips, *shape), dtype=np.uint8)
        wanted = theirs.logits(clips)
        found = ours.logits(clips)
        difference = float(np.abs(found - wanted).max())
        if not difference <= TOLERANCE * max(1.0, float(np.abs(wanted).max())):
            raise _impossible(name, f"ONNX Runtime's logits differ from PyTorch's by {difference:.2g}")
        largest = max(largest, difference)
    return largest


def _check_libraries() -> None:
    for name in _LIBRARIES[1:]:
        try:
            import_module(name)
        except ImportError as error:
            raise PredictionError(
                f"export to ONNX needs onnx, onnxscript and onnxruntime, but {name} cannot be imported ({error}): "
                "pip install 'fer3d[export]'"
            ) from error
