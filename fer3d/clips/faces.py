"""Face crops of one clip: bounding boxes, fallbacks where no face is found, and cropping."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import cv2
import numpy as np
import numpy.typing as npt

from fer3d.clips.detectors import Box, Detection, FaceDetector, Image

BoxPer = Literal["frame", "clip"]
NoFacePolicy = Literal["error", "skip", "full_frame"]
Source = Literal["detected", "interpolated", "nearest", "full_frame", "repeated"]
PixelBox = tuple[int, int, int, int]


class NoFaceError(Exception):
    """No frame of a clip shows a face, and the policy does not allow the full frame."""


@dataclass(frozen=True, slots=True)
class FrameFace:
    """The region cropped from one frame.

    Attributes:
        box: x1, y1, x2, y2 in whole pixels, x2 and y2 exclusive: exactly the cropped region.
        confidence: The detector's confidence if a face was found in this frame.
        source: `detected`: found in this frame; `interpolated`: the detector skipped this frame, so the box is
            interpolated between its neighbours; `nearest`: not found, so the box is that of other frames of the clip;
            `full_frame`: not found in any frame of the clip; `repeated`: the frame repeats the previous one.
    """

    box: PixelBox
    confidence: float | None
    source: Source


@dataclass(frozen=True, slots=True)
class FaceCrops:
    """The crops of one clip.

    Attributes:
        crops: (T, size, size, num_channels) uint8; three channels are RGB.
        faces: The cropped region of each frame.
    """

    crops: Image
    faces: tuple[FrameFace, ...]

    def arranged(self, order: Sequence[int]) -> FaceCrops:
        """Returns the frames at the given positions, which are ascending and may repeat."""
        faces = [
            self.faces[position] if position != before else FrameFace(self.faces[position].box, None, "repeated")
            for before, position in zip((-1, *order), order, strict=False)
        ]
        return FaceCrops(self.crops[list(order)], tuple(faces))


class FaceCropper:
    """Crops boxes and resizes them to a square without keeping their aspect ratio, as the paper does (section 3).

    Args:
        size: Side of a crop in pixels.
        margin: Margin on each side, as a fraction of the box's width and height; the result is clipped to the image.
        box: `frame`: each frame has its own box; `clip`: every frame uses the median of the boxes found in the clip.

    Raises:
        ValueError: A setting is out of range.
    """

    def __init__(self, size: int = 112, margin: float = 0.0, box: BoxPer = "frame") -> None:
        if size < 1:
            raise ValueError(f"faces.crop.size must be >= 1, got {size}")
        if not (math.isfinite(margin) and margin >= 0):
            raise ValueError(f"faces.crop.margin must be >= 0, got {margin}")
        _check_choice("faces.crop.box", box, get_args(BoxPer))
        self.size = size
        self._margin = float(margin)
        self._box = box

    def settings(self) -> dict[str, Any]:
        """Returns everything that influences the crops, as JSON-compatible values."""
        return {"size": self.size, "margin": self._margin, "box": self._box}

    def locate(
        self, sizes: Sequence[tuple[int, int]], detections: Sequence[Detection | None], every: int = 1
    ) -> list[FrameFace]:
        """Computes the region to crop from each frame of a clip.

        A frame without a face takes the box of the nearest frame with one (the earlier one in a tie), scaled if the
        image sizes differ. A frame that the detector skipped gets a box interpolated between the nearest frames before
        and after it that have one.

        Args:
            sizes: Width and height of each frame.
            detections: The face found in each frame, if any.
            every: The detector looked at every `every`-th frame and the last one.

        Raises:
            NoFaceError: No frame has a face.
        """
        found = [i for i, detection in enumerate(detections) if detection is not None]
        if not found:
            raise NoFaceError(f"no face in any of {len(sizes)} frames")
        faces = []
        for i, (size, detection) in enumerate(zip(sizes, detections, strict=True)):
            boxes = {j: _scaled(given.box, sizes[j], size) for j in found if (given := detections[j]) is not None}
            source: Source = "detected"
            if detection is None:
                between = found[0] < i < found[-1]
                source = "interpolated" if between and not _is_looked_at(i, len(sizes), every) else "nearest"
            confidence = None if detection is None else detection.confidence
            faces.append(FrameFace(self._with_margin(self._box_of(i, boxes, source), size), confidence, source))
        return faces

    def _box_of(self, i: int, boxes: Mapping[int, Box], source: Source) -> Box:
        """The box of frame `i`; `boxes` holds the detected ones by frame, in pixels of frame `i`."""
        if self._box == "clip":
            x1, y1, x2, y2 = np.median(np.array(list(boxes.values()), dtype=np.float64), axis=0).tolist()
            return x1, y1, x2, y2
        if source == "interpolated":
            before, after = max(j for j in boxes if j < i), min(j for j in boxes if j > i)
            share = (i - before) / (after - before)
            x1, y1, x2, y2 = ((1 - share) * a + share * b for a, b in zip(boxes[before], boxes[after], strict=True))
            return x1, y1, x2, y2
        # The nearest frame; the earlier one in a tie.
        return boxes[min(boxes, key=lambda j: (abs(j - i), j))]

    def crop(self, frames: Sequence[Image], faces: Sequence[FrameFace], num_channels: int) -> FaceCrops:
        """Crops the given region of each frame.

        Args:
            frames: uint8 images, BGR (H, W, 3) or grey (H, W), possibly mixed.
            faces: The region of each frame.
            num_channels: 1 for grey crops, 3 for RGB ones.
        """
        crops = [self._crop(frame, face.box, num_channels) for frame, face in zip(frames, faces, strict=True)]
        return FaceCrops(np.stack(crops), tuple(faces))

    def crop_box(self, frame: Image, box: Box, num_channels: int) -> Image:
        """Returns the crop of one face, (size, size, num_channels).

        Args:
            frame: uint8 image, BGR (H, W, 3) or grey (H, W).
            box: The detected box; the margin is added to it.
            num_channels: 1 for a grey crop, 3 for an RGB one.
        """
        return self._crop(frame, self._with_margin(box, (frame.shape[1], frame.shape[0])), num_channels)

    def _with_margin(self, box: Box, size: tuple[int, int]) -> PixelBox:
        x1, y1, x2, y2 = box
        dx, dy = self._margin * (x2 - x1), self._margin * (y2 - y1)
        left, right = _pixels(x1 - dx, x2 + dx, size[0])
        top, bottom = _pixels(y1 - dy, y2 + dy, size[1])
        return left, top, right, bottom

    def _crop(self, frame: Image, box: PixelBox, num_channels: int) -> Image:
        x1, y1, x2, y2 = box
        part = frame[y1:y2, x1:x2]
        if num_channels == 1 and part.ndim == 3:
            part = np.asarray(cv2.cvtColor(part, cv2.COLOR_BGR2GRAY), dtype=np.uint8)
        elif num_channels == 3:
            code = cv2.COLOR_GRAY2RGB if part.ndim == 2 else cv2.COLOR_BGR2RGB
            part = np.asarray(cv2.cvtColor(part, code), dtype=np.uint8)
        shrinking = part.shape[0] * part.shape[1] > self.size**2
        method = cv2.INTER_AREA if shrinking else cv2.INTER_LINEAR
        resized: npt.NDArray[Any] = cv2.resize(part, (self.size, self.size), interpolation=method)
        return resized.astype(np.uint8, copy=False).reshape(self.size, self.size, num_channels)


class FaceExtraction:
    """Face detection, fallbacks and cropping: the config group `faces`.

    Args:
        detector: Finds the faces.
        crop: Crops them.
        on_no_face: What to do with a clip without any face: `error`, `skip` (leave it out and report it) or
            `full_frame` (resize the whole frames).
        every: Run the detector on every `every`-th frame and the last one; boxes in between are interpolated.

    Raises:
        ValueError: `on_no_face` is unknown, or `every` is below 1.
    """

    def __init__(
        self, detector: FaceDetector, crop: FaceCropper, on_no_face: NoFacePolicy = "error", every: int = 1
    ) -> None:
        _check_choice("faces.on_no_face", on_no_face, get_args(NoFacePolicy))
        if every < 1:
            raise ValueError(f"faces.every must be at least 1, got {every}")
        self.crop = crop
        self.on_no_face = on_no_face
        self.detector = detector
        self._every = every

    def settings(self) -> dict[str, Any]:
        """Returns everything that influences the crops, as JSON-compatible values.

        Raises:
            DetectorError: A file of the detector is missing or not the expected one.
        """
        return {
            "detector": self.detector.settings(),
            "crop": self.crop.settings(),
            "on_no_face": self.on_no_face,
            # The default adds no entry, so that keys of existing stores stay valid.
            **({"every": self._every} if self._every > 1 else {}),
        }

    def extract(self, frames: Sequence[Image], num_channels: int) -> FaceCrops:
        """Returns the face crops of one clip. Thread-safe.

        Args:
            frames: The clip's frames in temporal order: uint8, BGR (H, W, 3) or grey (H, W), possibly mixed.
            num_channels: 1 for grey crops, 3 for RGB ones.

        Raises:
            NoFaceError: No frame has a face and `on_no_face` is not `full_frame`.
        """
        sizes = [(frame.shape[1], frame.shape[0]) for frame in frames]
        looked_at = [i for i in range(len(frames)) if _is_looked_at(i, len(frames), self._every)]
        found = dict(zip(looked_at, self.detector.detect([frames[i] for i in looked_at]), strict=True))
        try:
            faces = self.crop.locate(sizes, [found.get(i) for i in range(len(frames))], self._every)
        except NoFaceError:
            if self.on_no_face != "full_frame":
                raise
            faces = [FrameFace((0, 0, width, height), None, "full_frame") for width, height in sizes]
        return self.crop.crop(frames, faces, num_channels)


def _is_looked_at(i: int, num_frames: int, every: int) -> bool:
    return i % every == 0 or i == num_frames - 1


def _pixels(low: float, high: float, size: int) -> tuple[int, int]:
    """Rounds an interval to whole pixels within `0..size`, at least one pixel long."""
    start = min(max(math.floor(low + 0.5), 0), size - 1)
    return start, max(min(math.floor(high + 0.5), size), start + 1)


def _scaled(box: Box, size: tuple[int, int], to_size: tuple[int, int]) -> Box:
    x, y = to_size[0] / size[0], to_size[1] / size[1]
    return box[0] * x, box[1] * y, box[2] * x, box[3] * y


def _check_choice(key: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise ValueError(f"{key} must be one of {', '.join(choices)}, got {value}")
