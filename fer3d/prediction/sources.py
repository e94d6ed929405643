"""Sources of frames: video files, folders of frame images, and cameras."""

from __future__ import annotations

import glob
import os
import queue
import re
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

from fer3d.clips.images import UnreadableError, stream_images
from fer3d.clips.videos import stream_video
from fer3d.corpora.layout import name_some, shown
from fer3d.corpora.own_videos.tree import MAX_FOLDERS, VideoTree, is_image, is_text, is_video, natural
from fer3d.corpora.sequences import CorpusError
from fer3d.prediction.camera import PATIENCE, Camera
from fer3d.prediction.steps import Frame
from fer3d.prediction.trained import ASSUMED_RATE, PredictionError, as_path

# Decoded frames that wait to be processed; at most 100 MB at 4K.
_MAX_WAITING = 4


class Source(Protocol):
    """A source of frames.

    Attributes:
        name: Its name in tables and titles.
        is_live: Whether frames arrive in real time and are dropped if the consumer is too slow.
        damage: A description of damage, known after the last frame; None for none.
        num_dropped: Number of dropped frames.
    """

    name: str
    is_live: bool
    damage: str | None
    num_dropped: int

    @property
    def path(self) -> Path | None:
        """Its file or folder; None for a camera."""

    def frames(self) -> Iterator[Frame]:
        """Yields the frames in temporal order.

        Raises:
            UnreadableError: The source cannot be read.
        """

    def state(self) -> list[Any]:
        """Returns names, sizes and modification times, which show whether the source has changed.

        Raises:
            UnreadableError: The source no longer exists.
        """


@dataclass
class VideoFile:
    """A video file, decoded ahead in a thread.

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
        """Yields the frames up to the first damage."""

        def told(damage: str) -> None:
            self.damage = damage

        for number, (second, pixels) in enumerate(_ahead(lambda: stream_video(self.path, told))):
            yield Frame(number, second, pixels)

    def state(self) -> list[Any]:
        """Returns the name, size and modification time."""
        return _states([self.path])


@dataclass
class FrameFolder:
    """A folder of frame images, in the natural order of their names.

    Attributes:
        path: The folder.
        name: See `Source`.
        rate: Frames per second; image files do not store it.
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
        """Yields the frames up to the first that cannot be read.

        Raises:
            UnreadableError: The very first frame cannot be read.
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
        """Returns names, sizes, modification times and the rate."""
        return [*_states(self.images), self.rate]


def find_sources(what: Sequence[str], *, rate: float | None = None, seconds: float | None = None) -> list[Source]:
    """Finds the sources that a user named.

    Args:
        what: Video files, folders of videos or frame images, patterns such as `*.mp4`, camera numbers.
        rate: Frames per second of frame images; None for `ASSUMED_RATE`.
        seconds: Duration of a camera; None for no limit.

    Returns:
        The unique sources in the given order; those of a folder in natural order.

    Raises:
        PredictionError: A source does not exist or contains no video and no frames; or an option is out of range or
            does not apply to any source.
    """
    for option, number in (("--rate", rate), ("--seconds", seconds)):
        if number is not None and not 0 < number < float("inf"):
            raise PredictionError(f"{option} must be above 0, got {number:g}")
    found: dict[str, Source] = {}
    for name in what:
        for source in _sources_of(name, rate or ASSUMED_RATE, seconds):
            found.setdefault(str(source.path.resolve()) if source.path else source.name, source)
    kinds = {type(source) for source in found.values()}
    for option, number, kind in (("--rate", rate, FrameFolder), ("--seconds", seconds, Camera)):
        if number is not None and kind not in kinds:
            what_for = "folders of images" if kind is FrameFolder else "a camera"
            raise PredictionError(f"{option} applies only to {what_for}, but none is given")
    return list(found.values())


def _sources_of(name: str, rate: float, seconds: float | None) -> list[Source]:
    path = as_path(name)
    if path.is_dir():
        if found := _in_folder(path, rate):
            return found
        raise PredictionError(f"{shown(path)} contains no videos and no frame images")
    if path.exists():
        if is_image(path.name):
            raise PredictionError(f"{shown(path)} is an image, not a video; for frame images give their folder")
        return [VideoFile(path, _name_of(path))]
    if re.fullmatch(r"\d{1,3}", name):
        return [Camera(int(name), seconds)]
    if glob.has_magic(name):
        matches = sorted(glob.glob(str(path), recursive=True), key=natural)  # noqa: PTH207  (of absolute paths, too)
        found = [source for match in matches for source in _matching(Path(match), rate)]
        if not found:
            raise PredictionError(f"{name} does not match any video or any folder of videos or frame images")
        return found
    raise PredictionError(
        f"{shown(path)} does not exist: give a video file, a folder, or the number of a camera such as 0"
    )


def _matching(path: Path, rate: float) -> list[Source]:
    """The sources of one match of a pattern; none if it is another kind of file."""
    if path.is_dir():
        return _in_folder(path, rate)
    return [VideoFile(path, _name_of(path))] if is_video(path.name) and not _is_overlay(path) else []


def _in_folder(folder: Path, rate: float) -> list[Source]:
    try:
        tree = VideoTree.below(folder)
    except CorpusError as error:
        raise PredictionError(
            f"{shown(folder)} contains more than {MAX_FOLDERS:,} folders: give the one that contains the videos"
        ) from error
    if tree.closed:
        closed = name_some([str(folder / name) for name in tree.closed])
        raise PredictionError(f"no permission to open {closed}: grant it, or give the videos themselves")
    videos = [folder / name for name in tree.videos if not _is_overlay(folder / name)]
    # A folder that also contains videos is not a folder of frames; the tree leaves out the root itself.
    above = [] if any(video.parent == folder for video in videos) else [folder]
    folders = [FrameFolder(each, _name_of(each), rate) for each in (*above, *map(folder.joinpath, tree.image_folders))]
    found: list[Source] = [VideoFile(video, _name_of(video)) for video in videos]
    found += [each for each in folders if each.images]
    return sorted(found, key=lambda source: natural(source.name))


def _is_overlay(path: Path) -> bool:
    """Whether a video is the overlay of an earlier prediction."""
    name = path.name.removesuffix(".overlay.mp4")
    return name != path.name and path.with_name(f"{name}.json").exists()


def _name_of(path: Path) -> str:
    """A path for tables; bytes that are not valid text are escaped."""
    path = path.resolve() if path.name in ("", "..") else path
    return str(path) if is_text([str(path)]) else shown(path)


def _ahead(make: Callable[[], Iterator[Any]]) -> Iterator[Any]:
    """Yields the values of an iterator that runs ahead in a thread."""
    waiting: queue.Queue[tuple[str, Any]] = queue.Queue(_MAX_WAITING)
    over = threading.Event()

    def put(kind: str, value: Any) -> bool:
        while not over.is_set():
            try:
                waiting.put((kind, value), timeout=PATIENCE)
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
    states = []
    for path in paths:
        try:
            state = path.stat()
        except OSError as error:
            raise UnreadableError(f"{shown(path)} cannot be read: {error.strerror or error}") from error
        states.append([path.name, state.st_size, state.st_mtime_ns])
    return states
