"""Decodes image files and rejects damaged ones as far as their format reveals damage."""

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

# Faults arrive as exceptions; OpenCV would also print them (libpng still does).
cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)

_SIGNATURES = {b"\x89PNG\r\n\x1a\n": "PNG", b"\xff\xd8": "JPEG", b"BM": "BMP", b"II*\0": "TIFF", b"MM\0*": "TIFF"}

# Bit depths of cameras whose values are stored in 16 bits.
_CAMERA_BITS = (8, 10, 12, 14, 16)

# How reliably a format reveals damage. PNG has checksums, which OpenCV verifies. A JPEG with flipped bits is mostly
# still a valid JPEG; see `_check_jpeg`, and `fer3d.clips.videos` for videos. Every format reveals truncation.
DAMAGE = {"PNG": "damage always shows", "JPEG": "damage mostly shows", "video": "damage mostly shows"}
DAMAGE_UNKNOWN = "only truncation shows"


class UnreadableError(Exception):
    """A file with frames cannot be read."""


class UnreadableImageError(UnreadableError):
    """An image file is missing, damaged or not an image."""


@dataclass(frozen=True, slots=True, eq=False)
class ImageFile:
    """A decoded image file.

    Attributes:
        pixels: Grey (H, W) or BGR (H, W, 3), uint8, as in the file.
        format: `PNG`, `JPEG`, `BMP`, `TIFF` or `other`, judged by the content.
    """

    pixels: Image
    format: str


def read_images(paths: Sequence[Path]) -> list[ImageFile]:
    """Reads the image files of one clip.

    Cameras with 10, 12 or 14 bits store their values in 16, and files do not say how many bits are used. All 16-bit
    images of the clip are therefore scaled together, from the smallest of 8, 10, 12, 14 and 16 bits that holds all
    their values, so that brightness does not flicker within a clip. Full 16 bits keep their upper 8. (PNG's `sBIT` does
    not help: where it is present, values are meant to fill the 16 bits already.)

    Raises:
        UnreadableImageError: A file is missing, damaged or not an image.
    """
    images = [_decoded(path) for path in paths]
    shift = _shift(pixels for pixels, _ in images)
    return [ImageFile(_eight_bits(pixels, shift), file_format) for pixels, file_format in images]


def stream_images(paths: Sequence[Path]) -> Iterator[ImageFile]:
    """Yields the images of `read_images` one by one, up to the first fault.

    At the first 16-bit file, all files are decoded once more to find the number of bits in use.

    Raises:
        UnreadableImageError: A file is missing, damaged or not an image.
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
    """Number of bits to shift 16-bit images right, so that the largest value of all fits into 8 bits."""
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
        # Unlike `imread`, which warns and continues, this rejects truncated files.
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
    """Raises a `ValueError` if libjpeg warns about the data.

    OpenCV ignores these warnings and returns an image with grey or shifted patches. Of 360 damaged JPEGs of each kind,
    simplejpeg (libjpeg-turbo) rejected 100 % of truncated ones, 99 % with 512 bytes of noise, 98 % with 20 changed
    bytes, 81 % with a stretch of zeros, 64 % with bytes removed, 26 % with one changed bit, and no intact one. Pillow
    rejected 100, 66, 15, 0, 0 and 1 %, and OpenCV little beyond the first kind. The warnings do not depend on the
    decoded size.
    """
    simplejpeg.decode_jpeg(data, "GRAY", min_height=1, min_width=1, min_factor=8, strict=True)
