from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from pictures import grey, portrait

from fer3d.clips.detectors import Image
from fer3d.clips.images import DAMAGE, UnreadableImageError, read_images, stream_images


def encoded(image: Image, suffix: str, *options: int) -> bytes:
    return cv2.imencode(suffix, image, options)[1].tobytes()


def file_of(folder: Path, data: bytes) -> Path:
    path = folder / "000.image"
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("image", [portrait(), grey(portrait())], ids=["colour", "grey"])
@pytest.mark.parametrize(
    ("suffix", "options", "file_format"),
    [
        (".png", (), "PNG"),
        (".jpg", (), "JPEG"),
        (".jpg", (cv2.IMWRITE_JPEG_PROGRESSIVE, 1, cv2.IMWRITE_JPEG_QUALITY, 60), "JPEG"),
        (".jpg", (cv2.IMWRITE_JPEG_RST_INTERVAL, 4), "JPEG"),
        (".bmp", (), "BMP"),
        (".tiff", (), "TIFF"),
        (".webp", (), "other"),
    ],
)
def test_intact_images_are_what_opencv_makes_of_them(
    tmp_path: Path, image: Image, suffix: str, options: tuple[int, ...], file_format: str
) -> None:
    data = encoded(image, suffix, *options)
    read = read_images([file_of(tmp_path, data)])[0]
    assert read.format == file_format
    np.testing.assert_array_equal(read.pixels, cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_ANYCOLOR))


@pytest.mark.parametrize("suffix", [".png", ".tiff"])
@pytest.mark.parametrize("bits", [10, 12, 14, 16])
@pytest.mark.parametrize("colour", [False, True])
def test_cameras_of_more_than_8_bits_are_read_at_their_range(
    tmp_path: Path, suffix: str, bits: int, colour: bool
) -> None:
    picture = portrait() if colour else grey(portrait())
    deep = (picture.astype(np.uint16) << (bits - 8)) + 1
    deep.flat[0] = (1 << bits) - 1
    read = read_images([file_of(tmp_path, encoded(deep, suffix))])[0]
    assert read.pixels.dtype == np.uint8
    assert read.pixels.flat[0] == 255
    np.testing.assert_array_equal(read.pixels.flat[1:], picture.flat[1:])


def test_images_of_16_bits_are_scaled_together(tmp_path: Path) -> None:
    paths = files_of(tmp_path, ramp(200), ramp(4095), ramp(900))
    assert [int(image.pixels.max()) for image in read_images(paths)] == [200 >> 4, 255, 900 >> 4]
    assert [int(read_images([path])[0].pixels.max()) for path in paths] == [200, 255, 900 >> 2]
    eight = tmp_path / "8.png"
    eight.write_bytes(encoded(grey(portrait()), ".png"))
    np.testing.assert_array_equal(read_images([paths[1], eight])[1].pixels, grey(portrait()))
    assert read_images([]) == []


def ramp(brightest: int, dtype: type[np.generic] = np.uint16) -> bytes:
    return encoded(np.linspace(0, brightest, 12).astype(dtype).reshape(3, 4), ".png")


def files_of(folder: Path, *contents: bytes) -> list[Path]:
    paths = [folder / f"{number}.png" for number in range(len(contents))]
    for path, content in zip(paths, contents, strict=True):
        path.write_bytes(content)
    return paths


@pytest.mark.parametrize(
    "images",
    [
        [ramp(200, np.uint8), encoded(portrait(), ".jpg")],
        [ramp(200), ramp(4095), ramp(900)],
        [ramp(200, np.uint8), ramp(900), ramp(4095)],
        [],
    ],
    ids=["8 bits", "16 bits", "16 bits after 8", "none"],
)
def test_images_that_are_read_one_after_the_other_are_the_same(tmp_path: Path, images: list[bytes]) -> None:
    paths = files_of(tmp_path, *images)
    for one, other in zip(stream_images(paths), read_images(paths), strict=True):
        assert one.format == other.format
        np.testing.assert_array_equal(one.pixels, other.pixels)


@pytest.mark.parametrize(("first", "brightest"), [(ramp(200, np.uint8), 200), (ramp(900), 900 >> 2)])
def test_images_before_a_damaged_one_are_read(tmp_path: Path, first: bytes, brightest: int) -> None:
    images = stream_images(files_of(tmp_path, first, first, b"no image", ramp(65535)))
    assert [int(next(images).pixels.max()) for _ in range(2)] == [brightest] * 2
    with pytest.raises(UnreadableImageError, match=r"2\.png"):
        next(images)


def zeroed(data: bytes, place: int) -> bytes:
    return data[:place] + bytes(4096) + data[place + 4096 :]


def noise(data: bytes, place: int) -> bytes:
    return data[:place] + random.Random(0).randbytes(512) + data[place + 512 :]


@pytest.mark.parametrize(
    "damage",
    [lambda data, place: data[:place], lambda data, _: data[:-2], zeroed, noise],
    ids=["cut short", "without its end", "zeroed", "noise"],
)
@pytest.mark.parametrize("place", [0.3, 0.5, 0.8])
def test_damaged_jpegs_are_refused(tmp_path: Path, damage: Callable[[bytes, int], bytes], place: float) -> None:
    data = encoded(portrait(), ".jpg")
    path = file_of(tmp_path, damage(data, int(place * len(data))))
    with pytest.raises(UnreadableImageError, match=r"000\.image"):
        read_images([path])


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".tiff", ".jpg"])
def test_images_cut_short_are_refused_in_every_format_and_opencv_prints_nothing(
    tmp_path: Path, suffix: str, capfd: pytest.CaptureFixture[str]
) -> None:
    data = encoded(portrait(), suffix)
    for kept in (0, 1, 30, len(data) // 2, len(data) - 100):
        with pytest.raises(UnreadableImageError, match=r"000\.image"):
            read_images([file_of(tmp_path, data[:kept])])
    assert "[" not in capfd.readouterr().err


def test_what_is_said_of_each_format_holds(tmp_path: Path) -> None:
    for suffix, file_format in ((".png", "PNG"), (".bmp", "BMP"), (".tiff", "TIFF")):
        data = bytearray(encoded(portrait(), suffix))
        data[len(data) // 2] ^= 1
        path = file_of(tmp_path, bytes(data))
        if file_format in DAMAGE:
            with pytest.raises(UnreadableImageError):
                read_images([path])
        else:
            assert not np.array_equal(read_images([path])[0].pixels, portrait())


def test_a_missing_file_and_a_folder_are_named(tmp_path: Path) -> None:
    with pytest.raises(UnreadableImageError, match=r"nowhere\.png cannot be read: No such file or directory$"):
        read_images([tmp_path / "nowhere.png"])
    with pytest.raises(UnreadableImageError, match=r"cannot be read: Is a directory$"):
        read_images([tmp_path])
