"""A small folder of videos with its table: real files of a real face, which `torture.videos` damages."""

from __future__ import annotations

import csv
import io
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
from numpy.typing import NDArray

TABLE = "clips.csv"
COLUMNS = ("path", "emotion", "subject", "start", "end", "row")
NUM_FRAMES = 12
RATE = 25
# The encoder by file suffix.
CODECS = {
    ".mp4": "libx264",
    ".flv": "flv",
    ".avi": "mpeg4",
    ".mov": "libx264",
    ".webm": "libvpx",
    ".mkv": "libx264",
}
# A video's path, and its parts that are clips.
_VIDEOS = {
    "anna/take_a1.mp4": ("",),
    "anna/take_a2.flv": ("",),
    "ben/take_b1.avi": ("",),
    "ben/take_b2.mov": ("",),
    "carla/take_c1.webm": ("",),
    "carla/take_c2.mkv": ("0 0.24", "0.24 "),
}
_FRAMES = "dora/take_d1"
# Valid files that are not clips of a face.
AUDIO, FACELESS, SHORT = "sound.mp4", "faceless.mp4", "short.mp4"

Image = NDArray[np.uint8]
Cells = dict[str, str]


def write_folder(root: Path, spares: Path) -> None:
    """Writes the folder and, elsewhere, replacement files."""
    for number, path in enumerate((*_VIDEOS, _FRAMES)):
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        faces = [_photograph(100 + 4 * k, 20 + number, 0.75 + 0.02 * k) for k in range(NUM_FRAMES)]
        if path == _FRAMES:
            (root / path).mkdir()
            for k, image in enumerate(faces[:6], start=8):
                (root / path / f"{k}.png").write_bytes(cv2.imencode(".png", image)[1].tobytes())
        else:
            _write_video(root / path, faces)
    spares.mkdir()
    _write_video(spares / SHORT, [_photograph(96, 24, 0.9)])
    _write_video(spares / FACELESS, [_photograph(20 + k, 260, 1) for k in range(NUM_FRAMES)])
    _write_sound(spares / AUDIO)
    Folder(root, spares).write()


def first_rows() -> list[Cells]:
    """The rows of the intact table; the last column identifies clips, whatever else changes."""
    parts = [(path, part) for path, all_parts in {**_VIDEOS, _FRAMES: ("",)}.items() for part in all_parts]
    rows = []
    for number, (path, part) in enumerate(parts):
        start, _, end = part.partition(" ")
        cells = (path, ("happy", "sad")[number % 2], path.split("/")[0], start, end, f"id{number}")
        rows.append(dict(zip(COLUMNS, cells, strict=True)))
    return rows


@dataclass
class Folder:
    """The folder and the table to write.

    Attributes:
        root: The folder.
        spares: The folder of replacement files.
        rows: The cells of the table, by column.
        columns: The columns in order, by their names in the header.
        delimiter: Delimiter between cells.
        content: The table's bytes, if they differ from those of the rows.
    """

    root: Path
    spares: Path
    rows: list[Cells] = field(default_factory=first_rows)
    columns: dict[str, str] = field(default_factory=lambda: dict(zip(COLUMNS, COLUMNS, strict=True)))
    delimiter: str = ","
    content: bytes | None = None

    @property
    def table(self) -> Path:
        """Where the table is."""
        return self.root / TABLE

    @property
    def text(self) -> str:
        """The table made from the rows."""
        return "".join(self._lines())

    def write(self) -> None:
        """Writes the table, unless something else replaced it."""
        if not self.table.exists():
            self.table.write_bytes(self.text.encode("utf-8") if self.content is None else self.content)

    def lines(self) -> dict[str, set[int]]:
        """The line numbers of each row; a name may contain a line break."""
        found: dict[str, set[int]] = {}
        number = 1
        for row, line in zip([{"row": ""}, *self.rows], self._lines(), strict=True):
            last = number + line.count("\n")
            found.setdefault(row["row"], set()).update(range(number, last))
            number = last
        return found

    def _lines(self) -> Sequence[str]:
        cells = [list(self.columns.values()), *([row[name] for name in self.columns] for row in self.rows)]
        return [self._line(each) for each in cells]

    def _line(self, cells: Sequence[str]) -> str:
        text = io.StringIO()
        csv.writer(text, delimiter=self.delimiter, lineterminator="\n").writerow(cells)
        return text.getvalue()


def copy_folder(source: Path, spares: Path, root: Path) -> Folder:
    """A copy to damage, with its source's modification times and without the table."""
    shutil.copytree(source, root)
    (root / TABLE).unlink()
    return Folder(root, spares)


def _photograph(left: int, top: int, brightness: float) -> Image:
    import skimage.data

    photograph: Any = skimage.data.astronaut()  # type: ignore[no-untyped-call]
    return np.asarray(cv2.convertScaleAbs(photograph[top : top + 240, left : left + 208, ::-1], alpha=brightness))


def _write_video(path: Path, images: Sequence[Image]) -> None:
    with av.open(str(path), "w") as output:
        stream: Any = output.add_stream(CODECS[path.suffix], rate=RATE, options={"g": "6"})
        stream.height, stream.width = images[0].shape[:2]
        stream.pix_fmt = "yuv420p"
        stream.codec_context.thread_count = 1
        if path.suffix not in (".mp4", ".mov", ".mkv"):
            stream.bit_rate = 2_000_000
        for image in images:
            output.mux(stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="bgr24")))
        output.mux(stream.encode(None))


def _write_sound(path: Path) -> None:
    with av.open(str(path), "w") as output:
        stream: Any = output.add_stream("aac", rate=16_000, layout="mono")
        stream.codec_context.thread_count = 1
        for k in range(8):
            wave = np.sin(np.arange(1024 * k, 1024 * (k + 1)) / 9).astype(np.float32)[None]
            frame = av.AudioFrame.from_ndarray(wave, format="fltp", layout="mono")
            frame.sample_rate, frame.pts = 16_000, 1024 * k
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
