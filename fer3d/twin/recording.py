"""Encodes pictures as a video file."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import cast

import av
import numpy as np
from numpy.typing import NDArray

from fer3d.corpora.sequences import CorpusError


@dataclass(frozen=True, slots=True)
class Recorder:
    """A video encoder.

    Attributes:
        codec: FFmpeg's name of the encoder.
        options: The encoder's options.
        rate: Frames per second.
        zoom: Factor by which to enlarge pictures.
    """

    codec: str
    options: Mapping[str, str]
    rate: Fraction
    zoom: int = 1

    def record(self, path: Path, pictures: Iterable[NDArray[np.uint8]]) -> None:
        """Encodes pictures one by one in one thread, so that the same pictures give the same bytes.

        Args:
            path: The file to write; its suffix decides the container.
            pictures: (height, width, 3) pictures in BGR order, all of the same even size.

        Raises:
            OSError: The disk is full or not writable.
            CorpusError: FFmpeg fails for another reason.
        """
        try:
            self._record(path, pictures)
        except av.FFmpegError as error:
            # FFmpegError cannot be pickled on its way between processes.
            if isinstance(error, OSError):
                raise OSError(error.errno, error.strerror, str(path)) from error
            raise CorpusError(f"Could not write {path}: {error.strerror}.") from error

    def _record(self, path: Path, pictures: Iterable[NDArray[np.uint8]]) -> None:
        with av.open(str(path), "w") as container:
            options = {"threads": "1", **self.options}
            stream = cast(av.VideoStream, container.add_stream(self.codec, rate=self.rate, options=options))
            stream.pix_fmt = "yuv420p"
            for number, picture in enumerate(pictures):
                height, width = (self.zoom * side for side in picture.shape[:2])
                if number == 0:
                    stream.width, stream.height = width, height
                frame = av.VideoFrame.from_ndarray(picture, "bgr24").reformat(
                    width, height, "yuv420p", interpolation="BICUBIC"
                )
                frame.pts, frame.time_base = number, 1 / self.rate
                container.mux(stream.encode(frame))
            container.mux(stream.encode())
