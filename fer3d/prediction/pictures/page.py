"""Page: a self-contained HTML file with the video, face boxes, and curves with a draggable time cursor."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import av
import numpy as np
import numpy.typing as npt
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from fer3d.atomic_folder import work_folder
from fer3d.prediction.pictures.style import PictureInfo, emotion_colours, face_colour, short
from fer3d.prediction.pictures.video_writer import Fit, VideoFormat, VideoWriter
from fer3d.prediction.steps import Prediction, Step

# Every Chromium and Firefox plays VP9 in WebM; builds without licensed decoders lack H.264. At these settings libvpx is
# about as fast as x264 with `veryfast`, and its files are as small. A key frame every 60 frames makes seeking fast.
_OPTIONS = {"deadline": "realtime", "cpu-used": "8", "row-mt": "1", "g": "60"}
_VP9 = VideoFormat("libvpx-vp9", _OPTIONS | {"crf": "36"}, ticks=1000, longer=640, shorter=640, bit_rate=0)
# Bytes of the video; base64 in the page adds a third.
MOST_BYTES = 60_000_000
# Bits per second below which faces are unrecognisable.
_LEAST_BIT_RATE = 50_000
_LEAST_GAP = 60  # minimum milliseconds between frames of a re-encoded video
_CHUNK = 3 * 2**18  # bytes of a data block in the page; a multiple of three needs no base64 padding

_SCRIPTS = ("page_data.js", "page_curves.js", "page.js")
_DATA = ("times", "boxes", "predictions")
_WHOLE = 65534  # encodes 1 in the data; 65535 encodes a missing value


class Page:
    """Writes a self-contained HTML file: the video with face boxes, and all predictions.

    The video is at most 640 x 640 pixels, without sound. If it exceeds 60 MB, it is re-encoded with fewer frames and
    pixels; if that cannot suffice, from 2.4 hours on, it is left out and the page says so. Data are buffered on disk,
    so memory does not grow.

    A context manager. The file appears after the block, and only if it ended without an exception.

    Args:
        path: The file.
        info: What to show; the caution stands in the heading and over the video, the provenance in a table.
        rate: Approximate frames per second; frames keep their own times.
        most_bytes: Maximum size of the embedded video.

    Raises:
        VideoWriterError: FFmpeg cannot encode the video.
        DiskError: The disk is full or not writable.
    """

    def __init__(self, path: Path, info: PictureInfo, *, rate: float = 25.0, most_bytes: int = MOST_BYTES) -> None:
        self._path, self._info = path, info
        self._rate = rate if rate > 0 else 25.0
        self._most_bytes = most_bytes
        self._fit: Fit | None = None
        self._time = -1  # of the last frame, in milliseconds
        self._num_frames = 0
        self._said: dict[tuple[str, str], int] = {}
        self._left_out = False
        self._block = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            self._work = stack.enter_context(work_folder(self._path))
            # Runs after the files are closed; skipped after an exception.
            stack.push(lambda kind, error, trace: self._finish() if kind is None else None)
            self._files = {name: stack.enter_context((self._work / name).open("wb")) for name in _DATA}
            self._video = stack.enter_context(VideoWriter(self._work / "video.webm", self._rate, _VP9))
            self._block = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._block.__exit__(kind, error, trace)

    def add(self, step: Step) -> None:
        """Adds one frame."""
        self._fit = self._fit.again(step.frame.pixels) if self._fit else Fit.of(step.frame.pixels, _VP9)
        self._time = max(round(step.frame.time * 1000), self._time + 1)
        self._files["times"].write(np.uint32(self._time).tobytes())
        for face in step.faces:
            x1, y1, x2, y2 = self._fit.box(face.box)
            width, height = self._fit.width, self._fit.height
            self._record("boxes", face.face, _shares([x1 / width, y1 / height, x2 / width, y2 / height]))
        for prediction in step.predictions:
            if prediction.face is not None:
                self._predict(prediction.face, prediction)
        self._left_out = self._left_out or self._too_long()
        if not self._left_out:
            self._video.add(self._fit.picture(step.frame.pixels), self._time / 1000)
        self._num_frames += 1

    def _predict(self, face: int, prediction: Prediction) -> None:
        said = self._said.setdefault((prediction.label, short(prediction.why)), len(self._said))
        shares = np.full(2 * len(self._info.emotions), _WHOLE + 1, np.uint16)
        if prediction.smoothed is not None and prediction.probabilities is not None:
            shares = _shares([*prediction.smoothed, *prediction.probabilities])
        self._record("predictions", face, [said, *shares])

    def _record(self, name: str, face: int, values: Sequence[int] | npt.NDArray[np.uint16]) -> None:
        """Writes a record: frame number (low and high 16 bits), identity, values."""
        high, low = divmod(self._num_frames, 65536)
        self._files[name].write(np.array([low, high, face, *values], np.uint16).tobytes())

    def _too_long(self) -> bool:
        """Whether the video cannot be made small enough, or already far exceeds the limit."""
        if self._bit_rate() < _LEAST_BIT_RATE:
            return True
        video = self._work / "video.webm"
        return self._num_frames % 256 == 255 and video.exists() and video.stat().st_size > 10 * self._most_bytes

    def _bit_rate(self) -> float:
        return 0.9 * 8 * self._most_bytes / (self._time / 1000 + 1)

    def _finish(self) -> None:
        video, sentence = self._final_video()
        environment = Environment(
            loader=PackageLoader("fer3d", "prediction/pictures"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        folder = files("fer3d.prediction.pictures")
        parts = [folder.joinpath(name).read_text(encoding="utf-8") for name in _SCRIPTS]
        script = f'"use strict";\n(() => {{\n{"".join(parts)}}})();\n'
        digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
        blocks = [(name, _blocks(self._work / name)) for name in _DATA]
        rows = [(name, _as_text(value)) for name, value in self._info.source.items() if name != "warnings"]
        page = environment.get_template("page.html.j2").generate(
            title=self._info.title or self._path.stem,
            caution=self._info.caution,
            warnings=[str(warning) for warning in self._info.source.get("warnings", ())],
            sentence=sentence,
            rows=rows,
            width=self._fit.width if self._fit else 16,
            height=self._fit.height if self._fit else 9,
            colours=[emotion_colours(len(self._info.emotions), dark=dark) for dark in (False, True)],
            facts={
                "emotions": self._info.emotions,
                "said": [*self._said],
                "faceColours": [face_colour(number + 1) for number in range(8)],
                "interval": self._interval(),
            },
            blocks=[*blocks, ("video", _blocks(video) if video else iter(()))],
            script=Markup(script),
            script_digest=digest,
        )
        work = self._work / "page.html"
        with work.open("w", encoding="utf-8") as file:
            file.writelines(page)
        work.replace(self._path)

    def _interval(self) -> float:
        """Mean seconds from one frame to the next."""
        return self._time / 1000 / (self._num_frames - 1) if self._num_frames > 1 else 1 / self._rate

    def _final_video(self) -> tuple[Path | None, str]:
        """The file to embed, and a note about it."""
        room = f"the {self._most_bytes / 1e6:.3g} MB limit of this page"
        left_out = f"The video is left out: it is too long for {room}."
        video = self._work / "video.webm"
        if not self._num_frames:
            return None, "The source has no frames."
        if self._left_out:
            return None, left_out
        if video.stat().st_size <= self._most_bytes:
            return video, ""
        smaller, bit_rate = self._work / "smaller.webm", self._bit_rate()
        for _ in range(2):  # The encoder may exceed the bit rate.
            _encode_again(video, smaller, 1 / self._interval(), round(bit_rate))
            size = smaller.stat().st_size
            if size <= self._most_bytes:
                return smaller, f"The video has lower quality, to fit into {room}."
            bit_rate *= 0.9 * self._most_bytes / size
        return None, left_out


def _encode_again(video: Path, smaller: Path, rate: float, bit_rate: int) -> None:
    """Re-encodes a video at a bit rate with fewer pixels and frames; remaining frames keep their times."""
    form = replace(_VP9, options=_OPTIONS, longer=426, shorter=426, bit_rate=bit_rate)
    fit: Fit | None = None
    last = -_LEAST_GAP
    with av.open(str(video)) as container, VideoWriter(smaller, min(rate, 1000 / _LEAST_GAP), form) as writer:
        for frame in container.decode(video=0):
            time = round(float(frame.time or 0) * 1000)
            if time - last >= _LEAST_GAP:
                pixels = frame.to_ndarray(format="bgr24").astype(np.uint8, copy=False)
                fit = fit or Fit.of(pixels, form)
                writer.add(fit.picture(pixels), time / 1000)
                last = time


def _blocks(path: Path) -> Iterator[str]:
    """Yields a file as blocks of base64 that decode independently."""
    with path.open("rb") as file:
        while block := file.read(_CHUNK):
            yield base64.b64encode(block).decode()


def _shares(values: Sequence[float]) -> npt.NDArray[np.uint16]:
    return np.asarray(np.rint(np.clip(values, 0, 1) * _WHOLE), np.uint16)


def _as_text(value: Any) -> str:
    """A value as text; mappings and lists are joined by commas."""
    match value:
        case Mapping():
            return ", ".join(f"{name} {_as_text(one)}" for name, one in value.items())
        case list() | tuple():
            return ", ".join(map(_as_text, value))
        case bool():
            return "yes" if value else "no"
        case _:
            return str(value)
