"""Where frames come from: video files, folders of frame images, and cameras; and how they are found."""

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

# Decoded frames that wait to be looked at: even of 4K, they take no more than 100 MB.
_MAX_WAITING = 4


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
        """Returns what tells whether it has changed since: names, sizes and times of change.

        Raises:
            UnreadableError: It is gone.
        """


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


def find_sources(what: Sequence[str], *, rate: float | None = None, seconds: float | None = None) -> list[Source]:
    """Finds what a user named.

    Args:
        what: Video files, folders of videos or of frame images or of both, patterns such as `*.mp4`, numbers of
            cameras.
        rate: Frames a second of frame images; None for `ASSUMED_RATE`.
        seconds: How long to look through a camera; None for no end.

    Returns:
        The sources in the order named, each once; a folder's in natural order.

    Raises:
        PredictionError: Something is not there, or holds no video and no frames; or a number is out of range, or for
            what is not there.
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
            raise PredictionError(f"{option} is for {what_for}, and none is named")
    return list(found.values())


def _sources_of(name: str, rate: float, seconds: float | None) -> list[Source]:
    path = as_path(name)
    if path.is_dir():
        if found := _in_folder(path, rate):
            return found
        raise PredictionError(f"{shown(path)} holds no video and no frame images")
    if path.exists():
        if is_image(path.name):
            raise PredictionError(f"{shown(path)} is an image and no video; for frame images name their folder")
        return [VideoFile(path, _name_of(path))]
    if re.fullmatch(r"\d{1,3}", name):
        return [Camera(int(name), seconds)]
    if glob.has_magic(name):
        matches = sorted(glob.glob(str(path), recursive=True), key=natural)  # noqa: PTH207  (of absolute paths, too)
        found = [source for match in matches for source in _matching(Path(match), rate)]
        if not found:
            raise PredictionError(f"{name} matches no video and no folder of videos or of frame images")
        return found
    raise PredictionError(
        f"there is no {shown(path)}: name a video file, a folder, or the number of a camera such as 0"
    )


def _matching(path: Path, rate: float) -> list[Source]:
    """What a pattern's match stands for; other files and folders may match, too."""
    if path.is_dir():
        return _in_folder(path, rate)
    return [VideoFile(path, _name_of(path))] if is_video(path.name) and not _is_overlay(path) else []


def _in_folder(folder: Path, rate: float) -> list[Source]:
    try:
        tree = VideoTree.below(folder)
    except CorpusError as error:
        raise PredictionError(
            f"{shown(folder)} has more than {MAX_FOLDERS:,} folders: name the one that holds the videos"
        ) from error
    if tree.closed:
        closed = name_some([str(folder / name) for name in tree.closed])
        raise PredictionError(f"these folders cannot be opened: {closed}. Allow it, or name the videos themselves")
    videos = [folder / name for name in tree.videos if not _is_overlay(folder / name)]
    # A folder with videos among its images is none of frames; the tree leaves out the root itself.
    above = [] if any(video.parent == folder for video in videos) else [folder]
    folders = [FrameFolder(each, _name_of(each), rate) for each in (*above, *map(folder.joinpath, tree.image_folders))]
    found: list[Source] = [VideoFile(video, _name_of(video)) for video in videos]
    found += [each for each in folders if each.images]
    return sorted(found, key=lambda source: natural(source.name))


def _is_overlay(path: Path) -> bool:
    """Whether a video is one that an earlier prediction has drawn on, and left where videos are looked for."""
    name = path.name.removesuffix(".overlay.mp4")
    return name != path.name and path.with_name(f"{name}.json").exists()


def _name_of(path: Path) -> str:
    """A path as tables have it; one that holds bytes which are no text can only be shown."""
    path = path.resolve() if path.name in ("", "..") else path
    return str(path) if is_text([str(path)]) else shown(path)


def _ahead(make: Callable[[], Iterator[Any]]) -> Iterator[Any]:
    """Yields what an iterator yields, which a thread runs ahead of the caller."""
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
