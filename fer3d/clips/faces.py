"""From the frames of one clip to its face crops: boxes, fallbacks where no face was found, cropping."""

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
    """What was cropped out of one frame.

    Attributes:
        box: x1, y1, x2, y2 in whole pixels, x2 and y2 exclusive: exactly what was cropped.
        confidence: The detector's, where this frame's own face was found.
        source: `detected`: found in this frame; `interpolated`: not looked for, so taken from the frames around it;
            `nearest`: not found, so taken from the clip's other frames; `full_frame`: found in no frame of the clip;
            `repeated`: this frame is a repetition of the one before.
    """

    box: PixelBox
    confidence: float | None
    source: Source


@dataclass(frozen=True, slots=True)
class FaceCrops:
    """The crops of one clip.

    Attributes:
        crops: (T, size, size, num_channels) uint8; three channels are RGB.
        faces: What was cropped, one entry a frame.
    """

    crops: Image
    faces: tuple[FrameFace, ...]

    def arranged(self, order: Sequence[int]) -> FaceCrops:
        """Returns the frames at the given positions, which ascend and may repeat."""
        faces = [
            self.faces[position] if position != before else FrameFace(self.faces[position].box, None, "repeated")
            for before, position in zip((-1, *order), order, strict=False)
        ]
        return FaceCrops(self.crops[list(order)], tuple(faces))


class FaceCropper:
    """Crops boxes and resizes them to a square, without keeping their aspect ratio, as the paper does (section 3).

    Args:
        size: Side of a crop in pixels.
        margin: What to add on each side, as a fraction of the box's width and height; the result is clipped to the
            image.
        box: `frame`: each frame's own box; `clip`: the median box of all faces found in the clip, for every frame.

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
        """Returns everything that influences the crops, as JSON can hold it."""
        return {"size": self.size, "margin": self._margin, "box": self._box}

    def locate(
        self, sizes: Sequence[tuple[int, int]], detections: Sequence[Detection | None], every: int = 1
    ) -> list[FrameFace]:
        """Decides what to crop out of each frame of a clip.

        A frame without a face takes the box of the nearest frame that has one (of two equally near ones the earlier),
        scaled where the two images differ in size. A frame that was not looked at takes a box in between those of the
        nearest frames before and after it that have one.

        Args:
            sizes: Width and height of each frame.
            detections: What was found in each frame.
            every: Of how many frames one was looked at, besides the last one.

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
        """The box of frame `i`, given those that were found, by frame, in pixels of this one."""
        if self._box == "clip":
            x1, y1, x2, y2 = np.median(np.array(list(boxes.values()), dtype=np.float64), axis=0).tolist()
            return x1, y1, x2, y2
        if source == "interpolated":
            before, after = max(j for j in boxes if j < i), min(j for j in boxes if j > i)
            share = (i - before) / (after - before)
            x1, y1, x2, y2 = ((1 - share) * a + share * b for a, b in zip(boxes[before], boxes[after], strict=True))
            return x1, y1, x2, y2
        # The nearest, and of two the earlier.
        return boxes[min(boxes, key=lambda j: (abs(j - i), j))]

    def crop(self, frames: Sequence[Image], faces: Sequence[FrameFace], num_channels: int) -> FaceCrops:
        """Crops each frame's box.

        Args:
            frames: BGR (H, W, 3) or grey (H, W) images, uint8, mixed at will.
            faces: What to crop, one entry a frame.
            num_channels: 1 for grey crops, 3 for RGB ones.
        """
        crops = [self._crop(frame, face.box, num_channels) for frame, face in zip(frames, faces, strict=True)]
        return FaceCrops(np.stack(crops), tuple(faces))

    def crop_box(self, frame: Image, box: Box, num_channels: int) -> Image:
        """Returns a face's crop out of one frame, (size, size, num_channels).

        Args:
            frame: BGR (H, W, 3) or grey (H, W), uint8.
            box: The face as it was found, to which the margin is added.
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
    """Detection, fallbacks and cropping in one: the config group `faces`.

    Args:
        detector: Finds the faces.
        crop: Crops them.
        on_no_face: What becomes of a clip without any face: `error`, `skip` (the clip is left out and reported), or
            `full_frame` (its whole frames are resized).
        every: Of how many frames of a clip one is looked at, besides the last one; boxes in between are interpolated.

    Raises:
        ValueError: `on_no_face` is none of these, or `every` is below 1.
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
        """Returns everything that influences the crops, as JSON can hold it.

        Raises:
            DetectorError: A file of the detector is missing or not the expected one.
        """
        return {
            "detector": self.detector.settings(),
            "crop": self.crop.settings(),
            "on_no_face": self.on_no_face,
            # Stores that were made before there was a choice keep their names.
            **({"every": self._every} if self._every > 1 else {}),
        }

    def extract(self, frames: Sequence[Image], num_channels: int) -> FaceCrops:
        """Returns the face crops of one clip. May be called from several threads at once.

        Args:
            frames: The clip's frames in the order of time: BGR (H, W, 3) or grey (H, W), uint8, mixed at will.
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
    """Rounds an interval to whole pixels of `0..size`, at least one of them."""
    start = min(max(math.floor(low + 0.5), 0), size - 1)
    return start, max(min(math.floor(high + 0.5), size), start + 1)


def _scaled(box: Box, size: tuple[int, int], to_size: tuple[int, int]) -> Box:
    x, y = to_size[0] / size[0], to_size[1] / size[1]
    return box[0] * x, box[1] * y, box[2] * x, box[3] * y


def _check_choice(key: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise ValueError(f"{key} must be one of {', '.join(choices)}, got {value}")
