"""Where frames come from: video files, folders of frame images, and cameras."""

from __future__ import annotations

import glob
import os
import queue
import re
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import cv2
import numpy as np

from fer3d.clips.images import UnreadableError, stream_images
from fer3d.clips.videos import stream_video
from fer3d.corpora.layout import shown
from fer3d.corpora.own_videos.tree import VideoTree, is_image, is_video, natural
from fer3d.prediction.steps import Frame
from fer3d.prediction.trained import ASSUMED_RATE, PredictionError, as_path

# Decoded frames that wait to be looked at: even of 4K, they take no more than 100 MB.
_MAX_WAITING = 4
# Seconds until a thread that waits looks whether it is still wanted.
_PATIENCE = 0.2


class Source(Protocol):
    """Where frames come from.

    Attributes:
        name: What it is called, in tables and titles.
        is_live: Whether frames come at their own pace, and are lost where nobody is quick enough.
        damage: What was wrong with it, known once all frames have come; None for nothing.
        num_dropped: Frames that a camera gave while nobody was ready for them.
    """

    name: str
    is_live: bool
    damage: str | None
    num_dropped: int

    @property
    def path(self) -> Path | None:
        """Its file or folder; None for a camera."""

    def frames(self) -> Iterator[Frame]:
        """Yields the frames in the order of time.

        Raises:
            UnreadableError: It cannot be read.
        """

    def state(self) -> list[Any]:
        """Returns what tells whether it has changed since: names, sizes and times of change."""


@dataclass
class VideoFile:
    """A video file; decoded in a thread, ahead of whoever looks at its frames.

    Attributes:
        path: The file.
        name: See `Source`.
    """

    path: Path
    name: str
    is_live = False
    num_dropped = 0
    damage: str | None = field(default=None, init=False)

    def frames(self) -> Iterator[Frame]:
        """Yields the frames up to the first fault."""

        def told(damage: str) -> None:
            self.damage = damage

        for number, (second, pixels) in enumerate(_ahead(lambda: stream_video(self.path, told))):
            yield Frame(number, second, pixels)

    def state(self) -> list[Any]:
        """Returns size and time of change."""
        return _states([self.path])


@dataclass
class FrameFolder:
    """A folder of frame images, in the natural order of their names.

    Attributes:
        path: The folder.
        name: See `Source`.
        rate: Frames a second; image files do not tell.
    """

    path: Path
    name: str
    rate: float = ASSUMED_RATE
    is_live = False
    num_dropped = 0
    damage: str | None = field(default=None, init=False)

    @cached_property
    def images(self) -> list[Path]:
        """The image files."""
        names = sorted((entry.name for entry in os.scandir(self.path) if is_image(entry.name)), key=natural)
        return [self.path / name for name in names if not name.startswith(".")]

    def frames(self) -> Iterator[Frame]:
        """Yields the frames up to the first one that cannot be read.

        Raises:
            UnreadableError: That is the first of all.
        """
        number = -1
        try:
            for number, image in enumerate(_ahead(lambda: stream_images(self.images))):
                yield Frame(number, number / self.rate, image.pixels)
        except UnreadableError as error:
            if number < 0:
                raise
            self.damage = str(error)

    def state(self) -> list[Any]:
        """Returns names, sizes and times of change, and the rate."""
        return [*_states(self.images), self.rate]


class Camera:
    """A camera: of the frames that it gives, the newest one, whenever somebody is ready for it.

    Args:
        number: The camera's number.
        seconds: How long to look; None until somebody stops it.
        capture: Gives the frames instead of the camera of that number, as `cv2.VideoCapture` does.

    Attributes:
        began: When the first frame came, by `time.monotonic`; None before that.
    """

    is_live = True
    damage: str | None = None
    path: Path | None = None

    def __init__(self, number: int, seconds: float | None = None, capture: Any = None) -> None:
        self.name = f"camera {number}"
        self.num_dropped = 0
        self.began: float | None = None
        self._number, self._seconds, self._capture = number, seconds, capture
        self._newest: queue.Queue[tuple[int, float, Any] | None] = queue.Queue(1)
        self._over = threading.Event()

    def frames(self) -> Iterator[Frame]:
        """Yields frames as they come; their numbers count those that were dropped, too.

        Raises:
            PredictionError: There is no such camera, or it gives no frames.
        """
        # OpenCV prints what it cannot open.
        capture = self._capture or _quietly(lambda: cv2.VideoCapture(self._number))
        if not capture.isOpened():
            raise PredictionError(
                f"{self._number} is taken for the number of a camera, and there is none that can be opened; 0 is the "
                "first one. Is another program using it? A file or folder of that name is given as ./0"
            )
        thread = threading.Thread(target=self._grab, args=(capture,), name="camera", daemon=True)
        thread.start()
        first = None
        try:
            while not self._over.is_set():
                try:
                    grabbed = self._newest.get(timeout=_PATIENCE)
                except queue.Empty:
                    continue
                if grabbed is None:
                    break
                number, second, pixels = grabbed
                first = second if first is None else first
                if self._seconds is not None and second - first >= self._seconds:
                    break
                yield Frame(number, second - first, pixels)
        finally:
            self._over.set()
            thread.join(timeout=5)
            capture.release()
        if first is None:
            raise PredictionError(f"{self.name} was opened, and gives no frames")

    def stop(self) -> None:
        """Ends the frames, as if the camera had been switched off."""
        self._over.set()

    def state(self) -> list[Any]:
        """Returns nothing that comes back: what a camera sees is new each time."""
        return [time.time()]

    def _grab(self, capture: Any) -> None:
        last = -1.0
        number = 0
        while not self._over.is_set():
            is_read, pixels = capture.read()
            if not is_read:
                break
            # Drivers stamp a frame when it is taken; what does not rise is no stamp.
            stamp = float(capture.get(cv2.CAP_PROP_POS_MSEC)) / 1000
            second = stamp if stamp > last else max(time.monotonic(), last + 1e-3)
            last = second
            self.began = time.monotonic() if self.began is None else self.began
            while True:
                try:
                    self._newest.put_nowait((number, second, np.asarray(pixels)))
                    break
                except queue.Full:
                    try:
                        self._newest.get_nowait()
                        self.num_dropped += 1
                    except queue.Empty:
                        pass
            number += 1
        while not self._over.is_set():
            try:
                self._newest.put(None, timeout=_PATIENCE)
                break
            except queue.Full:
                continue


def find_sources(what: Sequence[str], *, rate: float = ASSUMED_RATE, seconds: float | None = None) -> list[Source]:
    """Finds what a user named.

    Args:
        what: Video files, folders of videos or of frame images or of both, patterns such as `*.mp4`, numbers of
            cameras.
        rate: Frames a second of frame images.
        seconds: How long to look through a camera; None for no end.

    Returns:
        The sources in the order named, each once; a folder's in natural order.

    Raises:
        PredictionError: Something is not there, or holds no video and no frames.
    """
    found: dict[str, Source] = {}
    for name in what:
        for source in _sources_of(name, rate, seconds):
            found.setdefault(str(source.path.resolve()) if source.path else source.name, source)
    return list(found.values())


def _sources_of(name: str, rate: float, seconds: float | None) -> list[Source]:
    path = as_path(name)
    if path.is_dir():
        return _in_folder(path, rate)
    if path.exists():
        if is_image(path.name):
            raise PredictionError(f"{shown(path)} is an image and no video; for frame images name their folder")
        return [VideoFile(path, str(path))]
    if re.fullmatch(r"\d{1,3}", name):
        return [Camera(int(name), seconds)]
    if glob.has_magic(name):
        matches = sorted(glob.glob(str(path), recursive=True), key=natural)  # noqa: PTH207  (of absolute paths, too)
        chosen = [match for match in matches if Path(match).is_dir() or is_video(match)]
        if not chosen:
            raise PredictionError(f"{name} matches no video and no folder")
        return [source for match in chosen for source in _sources_of(match, rate, seconds)]
    raise PredictionError(
        f"there is no {shown(path)}: name a video file, a folder, or the number of a camera such as 0"
    )


def _in_folder(folder: Path, rate: float) -> list[Source]:
    direct = FrameFolder(folder, str(folder), rate)
    tree = VideoTree.below(folder)
    if not tree.videos and direct.images:
        return [direct]
    found: list[Source] = [VideoFile(folder / name, str(folder / name)) for name in tree.videos]
    found += [FrameFolder(folder / name, str(folder / name), rate) for name in tree.image_folders]
    if not found:
        raise PredictionError(f"{shown(folder)} holds no video and no frame images")
    return sorted(found, key=lambda source: natural(source.name))


def _ahead(make: Callable[[], Iterator[Any]]) -> Iterator[Any]:
    """Yields what an iterator yields, which a thread runs ahead of the caller."""
    waiting: queue.Queue[tuple[str, Any]] = queue.Queue(_MAX_WAITING)
    over = threading.Event()

    def put(kind: str, value: Any) -> bool:
        while not over.is_set():
            try:
                waiting.put((kind, value), timeout=_PATIENCE)
                return True
            except queue.Full:
                continue
        return False

    def run() -> None:
        try:
            with closing(make()) as values:  # type: ignore[type-var]
                for value in values:
                    if not put("value", value):
                        return
            put("end", None)
        except BaseException as error:
            put("error", error)

    thread = threading.Thread(target=run, name="decode", daemon=True)
    thread.start()
    try:
        while True:
            kind, value = waiting.get()
            if kind == "value":
                yield value
            elif kind == "error":
                raise value
            else:
                return
    finally:
        over.set()
        thread.join()


def _states(paths: Sequence[Path]) -> list[Any]:
    states = [path.stat() for path in paths]
    return [[path.name, state.st_size, state.st_mtime_ns] for path, state in zip(paths, states, strict=True)]


def _quietly(make: Callable[[], Any]) -> Any:
    level = cv2.utils.logging.getLogLevel()
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    try:
        return make()
    finally:
        cv2.utils.logging.setLogLevel(level)
