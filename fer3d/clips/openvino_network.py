"""The Res10 detector's Caffe network in OpenVINO, which runs it several times as fast as OpenCV on a CPU.

OpenVINO no longer reads Caffe files, but has all their operations, those of SSD included. OpenCV reads the weights; the
layers come from the prototxt.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

# A parsed message of protobuf's text format: the values of each field, which may be repeated.
_Message = dict[str, list[Any]]
# Caffe's default, which the file does not override.
_BATCH_NORM_EPSILON = 1e-5


class OpenVinoNetwork:
    """A compiled network for single images.

    Args:
        prototxt: The network's layers.
        weights: The `.caffemodel`.
        size: Height and width of its input.
        precision: `f32` or `bf16`.
        num_threads: Number of threads per image.

    Raises:
        ImportError: OpenVINO is not installed.
        NotImplementedError: This CPU cannot compute in the precision.
    """

    def __init__(self, prototxt: Path, weights: Path, size: tuple[int, int], precision: str, num_threads: int) -> None:
        import openvino

        core = openvino.Core()
        settings = {
            "INFERENCE_PRECISION_HINT": precision,
            "INFERENCE_NUM_THREADS": num_threads,
            "NUM_STREAMS": 1,
            # Pinned threads of several processes and threads would share the first cores.
            "ENABLE_CPU_PINNING": False,
        }
        compiled = core.compile_model(_Builder(prototxt, weights, size).model(), "CPU", settings)
        used = compiled.get_property("INFERENCE_PRECISION_HINT").get_type_name()
        if used != precision:
            raise NotImplementedError(f"this CPU computes in {used}, not in {precision}")
        self._request = compiled.create_infer_request()

    def __call__(self, image: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Returns the detections of an input `(1, 3, H, W)`, `(1, 1, N, 7)`, as OpenCV's network does."""
        found: npt.NDArray[np.float32] = self._request.infer([image])[0]
        # The number of rows is fixed: a row of image -1 ends those in use.
        ends = np.flatnonzero(found[0, 0, :, 0] < 0)
        return found[:, :, : ends[0]] if len(ends) else found


class _Builder:
    """Builds OpenVINO's operations from Caffe's layers."""

    def __init__(self, prototxt: Path, weights: Path, size: tuple[int, int]) -> None:
        from openvino import opset8, opset13

        self._op, self._opset8 = opset13, opset8
        self._layers = [layer for layer in _parsed(prototxt.read_text())["layer"] if layer["type"] != ["Input"]]
        self._network = cv2.dnn.readNetFromCaffe(str(prototxt), str(weights))
        self._data = opset13.parameter([1, 3, *size], np.float32, name="data")
        self._made: dict[str, Any] = {"data": self._data}

    def model(self) -> Any:
        import openvino

        for layer in self._layers:
            (kind,), (name,), (top,) = layer["type"], layer["name"], layer["top"]
            build: Callable[..., Any] = getattr(self, f"_{kind.lower()}")
            (param,) = next((value for key, value in layer.items() if key.endswith("_param") and key != "param"), [{}])
            self._made[top] = build(name, param, *(self._made[bottom] for bottom in layer["bottom"]))
        return openvino.Model([self._made[self._layers[-1]["top"][0]]], [self._data], "res10")

    def _blobs(self, name: str, count: int) -> Iterator[npt.NDArray[np.float32]]:
        layer = self._network.getLayerId(name)
        for number in range(count):
            yield np.array(self._network.getParam(layer, number), dtype=np.float32)

    def _per_channel(self, values: npt.NDArray[np.float32]) -> Any:
        return self._op.constant(values.reshape(1, -1, 1, 1))

    def _convolution(self, name: str, param: _Message, data: Any) -> Any:
        def pair(key: str, default: int) -> list[int]:
            return [int(param.get(key, [default])[0])] * 2

        has_bias = param.get("bias_term", ["true"]) == ["true"]
        kernel, *bias = self._blobs(name, 1 + has_bias)
        padding = pair("pad", 0)
        made = self._op.convolution(
            data, self._op.constant(kernel), pair("stride", 1), padding, padding, pair("dilation", 1)
        )
        return self._op.add(made, self._per_channel(bias[0])) if has_bias else made

    def _batchnorm(self, name: str, param: _Message, data: Any) -> Any:
        mean, variance, scale = self._blobs(name, 3)
        factor = 1 / float(scale.item()) if scale.item() else 0.0
        scaled = 1 / np.sqrt(variance * factor + _BATCH_NORM_EPSILON)
        centred = self._op.subtract(data, self._per_channel(mean * factor))
        return self._op.multiply(centred, self._per_channel(scaled))

    def _scale(self, name: str, param: _Message, data: Any) -> Any:
        factor, offset = map(self._per_channel, self._blobs(name, 2))
        return self._op.add(self._op.multiply(data, factor), offset)

    def _relu(self, name: str, param: _Message, data: Any) -> Any:
        return self._op.relu(data)

    def _eltwise(self, name: str, param: _Message, first: Any, second: Any) -> Any:
        return self._op.add(first, second)

    def _pooling(self, name: str, param: _Message, data: Any) -> Any:
        kernel, stride = ([int(param[key][0])] * 2 for key in ("kernel_size", "stride"))
        made = self._op.max_pool(data, stride, [1, 1], [0, 0], [0, 0], kernel, rounding_type="ceil")
        return made.output(0)

    def _normalize(self, name: str, param: _Message, data: Any) -> Any:
        (factor,) = map(self._per_channel, self._blobs(name, 1))
        return self._op.multiply(self._op.normalize_l2(data, [1], 1e-10, "add"), factor)

    def _permute(self, name: str, param: _Message, data: Any) -> Any:
        return self._op.transpose(data, [int(axis) for axis in param["order"]])

    def _flatten(self, name: str, param: _Message, data: Any) -> Any:
        return self._op.reshape(data, [0, -1], special_zero=True)

    def _reshape(self, name: str, param: _Message, data: Any) -> Any:
        return self._op.reshape(data, [int(size) for size in param["shape"][0]["dim"]], special_zero=True)

    def _concat(self, name: str, param: _Message, *data: Any) -> Any:
        return self._op.concat(list(data), int(param["axis"][0]))

    def _softmax(self, name: str, param: _Message, data: Any) -> Any:
        return self._op.softmax(data, int(param["axis"][0]))

    def _priorbox(self, name: str, param: _Message, data: Any, image: Any) -> Any:
        def floats(*keys: str) -> list[float]:
            return [float(value) for key in keys for value in param.get(key, [])]

        attributes = {
            "min_size": floats("min_size"),
            "max_size": floats("max_size"),
            "aspect_ratio": floats("aspect_ratio"),
            "variance": floats("variance"),
            "flip": True,
            "clip": False,
            "step": floats("step")[0],
            "offset": floats("offset")[0],
        }
        height_and_width = (
            self._op.constant(np.array(node.get_output_shape(0)[2:], dtype=np.int64)) for node in (data, image)
        )
        # (1, 2, N): boxes and variances.
        return self._op.unsqueeze(self._opset8.prior_box(*height_and_width, attributes), 0)

    def _detectionoutput(self, name: str, param: _Message, boxes: Any, confidences: Any, priors: Any) -> Any:
        attributes = {
            "background_label_id": int(param["background_label_id"][0]),
            "top_k": int(param["nms_param"][0]["top_k"][0]),
            "keep_top_k": [int(param["keep_top_k"][0])],
            "code_type": f"caffe.PriorBoxParameter.{param['code_type'][0]}",
            "share_location": True,
            "nms_threshold": float(param["nms_param"][0]["nms_threshold"][0]),
            "confidence_threshold": float(param["confidence_threshold"][0]),
            "normalized": True,
        }
        return self._opset8.detection_output(boxes, confidences, priors, attributes)


def _parsed(text: str) -> _Message:
    """Parses protobuf's text format: `name: value` and `name { ... }`; strings lose their quotes."""
    words = iter(re.findall(r'"[^"]*"|[\w.+-]+|[{}:]', re.sub(r"#.*", "", text)))
    return _message(words)


def _message(words: Iterator[str]) -> _Message:
    fields: _Message = {}
    for name in words:
        if name == "}":
            break
        sign = next(words)
        value = next(words).strip('"') if sign == ":" else _message(words)
        fields.setdefault(name, []).append(value)
    return fields
