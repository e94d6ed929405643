"""Networks in ONNX files, computed by ONNX Runtime without PyTorch.

The last bytes of a file are a metadata entry with the SHA-256 of all preceding bytes. Protocol buffers allow entries in
any order, so other programs can still read the file.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from hydra.errors import HydraException
from numpy.typing import NDArray
from pydantic import TypeAdapter, ValidationError

from fer3d.checked_json import first_error
from fer3d.cores import count_threads
from fer3d.prediction.trained import PredictionError, Trained
from fer3d.trusted_targets import TargetError, check_targets

FORMAT_VERSION = 1
# Names in the graph.
INPUT, LOGITS, PROBABILITIES = "clips", "logits", "probabilities"
# The metadata entry that fer3d reads; the others are for people and other programs.
ENTRY = "fer3d"
_SEAL = "fer3d_sha256"
_PROVIDERS = ["CPUExecutionProvider"]


@dataclass(frozen=True)
class Told:
    """fer3d's metadata in an ONNX file.

    Attributes:
        format: The version of the format.
        trained: Metadata of the network.
        versions: Versions of the software that wrote the file.
    """

    format: int
    trained: Trained
    versions: Mapping[str, str]


class OnnxNetwork:
    """A network in fp32 on the CPU.

    Args:
        session: The ONNX Runtime session.
    """

    def __init__(self, session: Any) -> None:
        self._session = session

    def logits(self, clips: NDArray[np.uint8]) -> NDArray[np.float64]:
        """Returns the logits `(N, num_classes)` of clips `(N, C, T, H, W)`, 0 to 255."""
        (found,) = self._session.run([LOGITS], {INPUT: clips})
        logits: NDArray[np.float64] = found.astype(np.float64)
        return logits


def read_onnx(path: Path, trusted: Collection[str] = ()) -> tuple[Trained, OnnxNetwork]:
    """Reads a network written by `fer3d export`.

    Args:
        path: The file.
        trusted: Packages besides fer3d whose code may detect faces and select frames.

    Raises:
        PredictionError: It is not such a file, or was damaged or edited; or ONNX Runtime is not installed.
    """
    if not path.is_file():
        raise PredictionError(f"{path} is not a file: give an ONNX file written by fer3d export, or a last.ckpt")
    try:
        content = path.read_bytes()
    except OSError as error:
        raise PredictionError(f"{path} cannot be read: {error.strerror}") from error
    return from_bytes(content, str(path), trusted)


def from_bytes(content: bytes, name: str, trusted: Collection[str] = ()) -> tuple[Trained, OnnxNetwork]:
    """Reads a network from the content of an ONNX file.

    Args:
        content: The bytes.
        name: The file's name in messages.
        trusted: See `read_onnx`.

    Raises:
        PredictionError: See `read_onnx`.
    """
    try:
        import onnxruntime
    except ImportError as error:
        raise PredictionError(f"{name} needs ONNX Runtime: pip install 'fer3d[export]'") from error
    _check_seal(content, name)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = count_threads()
    # Spinning threads take cores from decoding and face detection: 13 % of the total time.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 3  # errors only; they are also raised
    try:
        session = onnxruntime.InferenceSession(content, options, providers=_PROVIDERS)
    except Exception as error:  # ONNX Runtime raises many classes
        said = " ".join(str(error).split())[:200]
        raise PredictionError(f"{name} cannot be read by ONNX Runtime {onnxruntime.__version__}: {said}") from error
    trained = _told(session.get_modelmeta().custom_metadata_map.get(ENTRY, ""), name).trained
    _check_parts(trained, name, trusted)
    _check_shapes(session, trained, name)
    return trained, OnnxNetwork(session)


def sealed(content: bytes) -> bytes:
    """Appends the checksum of a serialised model as its last entry."""
    return content + _seal(content)


def _seal(content: bytes | memoryview) -> bytes:
    # ModelProto.metadata_props, field 14.
    entry = _entry(_SEAL, hashlib.sha256(content).hexdigest().encode())
    return b"\x72%c%b" % (len(entry), entry)


def _entry(key: str, value: bytes) -> bytes:
    """A StringStringEntryProto: `key` is field 1, `value` field 2; each shorter than 128 bytes."""
    return b"\x0a%c%b\x12%c%b" % (len(key), key.encode(), len(value), value)


def _check_seal(content: bytes, name: str) -> None:
    length = len(_seal(b""))
    if content[-length:] == _seal(memoryview(content)[:-length]):
        return
    if _entry(ENTRY, b"")[:-1] in content:
        raise PredictionError(
            f"{name} was damaged or edited after fer3d export wrote it: its checksum does not match; export the "
            "checkpoint again"
        )
    raise PredictionError(
        f"{name} is not an ONNX file written by fer3d export, or is truncated: prediction needs the preprocessing that "
        "it stores; export a last.ckpt"
    )


def _told(text: str, name: str) -> Told:
    try:
        told = TypeAdapter(Told).validate_json(text, strict=True)
        if told.format != FORMAT_VERSION:
            raise PredictionError(
                f"{name} has format {told.format}, but this version of fer3d reads format {FORMAT_VERSION}: export the "
                "checkpoint again"
            )
        if fault := _fault(told.trained):
            raise PredictionError(f"{name} does not describe a network that fer3d can use: {fault}")
    except ValidationError as error:
        raise PredictionError(f"{name} does not describe a network that fer3d can use: {first_error(error)}") from error
    return told


def _fault(trained: Trained) -> str | None:
    """Checks the values of the metadata, whose types are valid already."""
    crop = trained.faces.get("crop")
    if not isinstance(crop, Mapping) or type(crop.get("size")) is not int:
        return "faces.crop.size is not an integer"
    if min(trained.num_channels, trained.num_frames, trained.num_stored, trained.size) < 1:
        return "clips are empty"
    if not trained.views or any(len(view) != trained.num_frames for view in trained.views):
        return f"its views do not have {trained.num_frames} frames"
    if not all(0 <= frame < trained.num_stored for view in trained.views for frame in view):
        return f"its views name frames beyond {trained.num_stored}"
    if trained.order is not None and not (
        len(trained.order) == trained.num_frames and set(trained.order) <= set(range(trained.num_frames))
    ):
        return f"its order does not name {trained.num_frames} frames"
    if trained.temperature is not None and not 0 < trained.temperature < math.inf:
        return f"its temperature is {trained.temperature}"
    return None


def _check_parts(trained: Trained, name: str, trusted: Collection[str]) -> None:
    """Instantiates the face extraction and the frame sampling, from trusted code only."""
    try:
        check_targets(trained.frames, ("fer3d.clips.frames", *trusted), f"the choice of frames in {name}")
        check_targets(trained.faces, ("fer3d.clips.faces", "fer3d.clips.detectors", *trusted), f"the face in {name}")
        num_stored = trained.sampling.num_stored(trained.num_frames)
        _ = trained.extraction.detector, trained.extraction.crop
    except TargetError as error:
        raise PredictionError(str(error)) from error
    except (HydraException, ValueError, TypeError, AttributeError) as error:
        said = " ".join(str(error.__cause__ or error).split())
        raise PredictionError(f"{name} contains settings that this version of fer3d cannot use: {said}") from error
    if num_stored != trained.num_stored:
        raise PredictionError(
            f"{name} does not fit its own settings: num_stored is {trained.num_stored}, its clips have {num_stored}"
        )


def _check_shapes(session: Any, trained: Trained, name: str) -> None:
    """Checks that the graph fits the metadata."""
    clips = (trained.num_channels, trained.num_frames, trained.size, trained.size)
    scores = (len(trained.emotions),)
    wanted = [(INPUT, "tensor(uint8)", clips), *((each, "tensor(float)", scores) for each in (LOGITS, PROBABILITIES))]
    nodes = [*session.get_inputs(), *session.get_outputs()]
    # Without the batch dimension, which is dynamic.
    found = [(node.name, node.type, tuple(node.shape[1:])) for node in nodes]
    if found != wanted or isinstance(nodes[0].shape[0], int):
        raise PredictionError(f"the graph of {name} does not fit its metadata: expected {wanted}, got {found}")
