"""Image files: decoded, and refused when they are damaged as far as their format can tell."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import simplejpeg

from fer3d.clips.detectors import Image
from fer3d.corpora.layout import shown

# What is wrong with an image comes as an exception; OpenCV would print it as well, and libpng still does.
cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)

_SIGNATURES = {b"\x89PNG\r\n\x1a\n": "PNG", b"\xff\xd8": "JPEG", b"BM": "BMP", b"II*\0": "TIFF", b"MM\0*": "TIFF"}

# How many bits a camera's number may have where a file stores 16.
_CAMERA_BITS = (8, 10, 12, 14, 16)

# A PNG has checksums, and OpenCV compares them. A JPEG whose bits are others than they were is mostly still a JPEG; see
# `_check_jpeg`; of videos see `fer3d.clips.videos`. Every format tells when a file is cut short.
DAMAGE = {"PNG": "damage always shows", "JPEG": "damage mostly shows", "video": "damage mostly shows"}
DAMAGE_UNKNOWN = "damage shows only where a file is cut short"


class UnreadableError(Exception):
    """A file that holds frames and cannot be read."""


class UnreadableImageError(UnreadableError):
    """An image file that is missing, damaged or no image."""


@dataclass(frozen=True, slots=True, eq=False)
class ImageFile:
    """A decoded image file.

    Attributes:
        pixels: Grey (H, W) or BGR (H, W, 3), uint8, whichever the file is.
        format: `PNG`, `JPEG`, `BMP`, `TIFF` or `other`, by the file's content.
    """

    pixels: Image
    format: str


def read_image(path: Path) -> ImageFile:
    """Reads an image file by itself.

    Raises:
        UnreadableImageError: The file is missing, damaged or no image.
    """
    return read_images([path])[0]


def read_images(paths: Sequence[Path]) -> list[ImageFile]:
    """Reads the image files of one clip.

    Cameras of 10, 12 or 14 bits store their numbers in 16, and no file says how many of them are used. So 16 bits
    become 8 by the smallest of 8, 10, 12, 14 and 16 bits that holds every number of every one of these images:
    brightness does not flicker within a clip, and full 16 bits keep their upper 8. (PNG's `sBIT` does not help: where
    it is there, the numbers are meant to fill the 16 bits already.)

    Raises:
        UnreadableImageError: A file is missing, damaged or no image.
    """
    images = [_decoded(path) for path in paths]
    shift = _shift(pixels for pixels, _ in images)
    return [ImageFile(_eight_bits(pixels, shift), file_format) for pixels, file_format in images]


def stream_images(paths: Sequence[Path]) -> Iterator[ImageFile]:
    """Yields what `read_images` returns, one after the other, up to the first fault.

    With the first file of 16 bits, all files are decoded once more: no other way tells how many bits are used.

    Raises:
        UnreadableImageError: A file is missing, damaged or no image.
    """
    shift = None
    for path in paths:
        pixels, file_format = _decoded(path)
        if pixels.dtype == np.uint16 and shift is None:
            shift = _shift(_up_to_a_fault(paths))
        yield ImageFile(_eight_bits(pixels, shift or 0), file_format)


def _up_to_a_fault(paths: Sequence[Path]) -> Iterator[npt.NDArray[Any]]:
    with suppress(UnreadableImageError):
        for path in paths:
            yield _decoded(path)[0]


def _shift(images: Iterable[npt.NDArray[Any]]) -> int:
    """By how many bits images of 16 are shifted, so that the largest number of all becomes one of 8."""
    largest = max((int(pixels.max()) for pixels in images if pixels.dtype == np.uint16), default=0)
    return next(bits for bits in _CAMERA_BITS if largest < 1 << bits) - 8


def _eight_bits(pixels: npt.NDArray[Any], shift: int) -> Image:
    return (pixels >> shift if pixels.dtype == np.uint16 else pixels).astype(np.uint8, copy=False)


def _decoded(path: Path) -> tuple[npt.NDArray[Any], str]:
    try:
        data = path.read_bytes()
        file_format = next((name for start, name in _SIGNATURES.items() if data.startswith(start)), "other")
        if file_format == "JPEG":
            _check_jpeg(data)
        # Unlike `imread`, which warns and goes on, this refuses truncated files.
        array = np.frombuffer(data, dtype=np.uint8)
        image = cv2.imdecode(array, cv2.IMREAD_ANYCOLOR | cv2.IMREAD_ANYDEPTH) if data else None
        if image is not None and image.dtype.name not in ("uint8", "uint16"):
            image = cv2.imdecode(array, cv2.IMREAD_ANYCOLOR)
    except (OSError, cv2.error, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else error
        raise UnreadableImageError(f"{shown(path)} cannot be read: {reason}") from error
    if image is None:
        raise UnreadableImageError(f"{shown(path)} is not a readable image ({len(data):,} bytes)")
    return np.asarray(image), file_format


def _check_jpeg(data: bytes) -> None:
    """Raises a `ValueError` where libjpeg warns about the data.

    OpenCV drops these warnings and returns an image with grey or shifted patches. Of 360 damaged JPEGs of each kind,
    simplejpeg (libjpeg-turbo) refused all that were cut short, 99 % with 512 bytes of noise, 98 % with 20 changed
    bytes, 81 % with a stretch of zeros, 64 % with bytes taken out, 26 % with one changed bit, and no intact one. Pillow
    refused 100, 66, 15, 0, 0 and 1 %, OpenCV little but the first. The warnings do not depend on the size decoded to.
    """
    simplejpeg.decode_jpeg(data, "GRAY", min_height=1, min_width=1, min_factor=8, strict=True)
