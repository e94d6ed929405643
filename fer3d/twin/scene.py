"""Test videos of several people with ground truth, composed of image sequences on disk.

`python -m fer3d.twin.scene people.mp4 --twin outputs/corpora/synthetic_ckplus` writes one. With `--held-out-by RESULT`
it shows only people who are held out in that fold, whose network has not seen them.

Nothing is rendered: a person is a soft-edged picture that moves over a painted backdrop and plays a sequence from
neutral to the apex and back. 12 seconds with three people take about three seconds.
"""

from __future__ import annotations

import json
import math
from argparse import ArgumentParser
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal, get_args
from uuid import uuid4

import cv2
import numpy as np
from numpy.typing import NDArray

from fer3d.atomic_file import write_file
from fer3d.corpora.ckplus import read_tree
from fer3d.corpora.sequences import SYNTHETIC_MARKER, CorpusError, FrameSequence
from fer3d.twin.recording import Recorder

Picture = NDArray[np.uint8]
Plot = Literal["together", "crossing", "leaving"]

# Source pictures are cropped to this width, as a share of their height: in the twin of CK+ the shoulders span the whole
# width.
_WIDEST = 0.8
# Frames per second at which a source sequence is played. CK+ was filmed faster, but this is easier to follow.
_SOURCE_RATE = 15
# Seconds that a face pauses at the apex and at neutral.
_PAUSE = 0.5
# This preset has no lookahead, so that the same pictures give the same bytes.
_CODEC, _OPTIONS = "libx264", {"crf": "20", "preset": "superfast"}


@dataclass(frozen=True, slots=True)
class Shot:
    """What happens between two cuts.

    Attributes:
        people: The people's indices in the list of subjects, from left to right.
        plot: `together`: they sway side by side; `crossing`: the first and the last swap places, one passing in
            front of the other; `leaving`: the first and then the last one walk out of the picture and come back.
        seconds: The duration.
    """

    people: tuple[int, ...]
    plot: Plot = "together"
    seconds: float = 4.0


@dataclass(frozen=True, slots=True)
class Visible:
    """A person in one frame.

    Attributes:
        subject: The corpus's id.
        box: x1, y1, x2, y2 of the person's picture in pixels, within the frame; the head is in the middle of the whole.
        share: The visible share of the picture; the rest is behind others or beyond the border.
        emotion: The emotion.
        strength: Position in the sequence: 0 for neutral, 1 for the apex.
    """

    subject: str
    box: tuple[int, int, int, int]
    share: float
    emotion: str
    strength: float


@dataclass(frozen=True, slots=True)
class Scene:
    """Ground truth of a test video.

    Attributes:
        size: Width and height in pixels.
        rate: Frames per second.
        cuts: Indices of the first frame of each shot, except the first shot.
        frames: The visible people in each frame, the frontmost last.
    """

    size: tuple[int, int]
    rate: int
    cuts: tuple[int, ...]
    frames: tuple[tuple[Visible, ...], ...]


def write_scene(
    path: Path,
    source: Path | Sequence[FrameSequence],
    *,
    subjects: Sequence[str] | None = None,
    shots: Sequence[Shot] | None = None,
    num_people: int = 3,
    seconds: float = 12.0,
    size: tuple[int, int] = (640, 480),
    rate: int = 30,
    seed: int = 0,
) -> Scene:
    """Writes an H.264 video, and its ground truth beside it as `<name>.json`.

    The same arguments give the same video. Every frame shows the word SYNTHETIC.

    Args:
        path: The file to write, ending in `.mp4`; an existing one is replaced.
        source: The root of a synthetic twin in CK+'s layout, or sequences of any corpus, from neutral to the apex.
        subjects: The subjects to show; None for all.
        shots: The shots; None for three of the first `num_people`: together, leaving and crossing.
        num_people: Number of people if there are no `shots`.
        seconds: Duration of the video if there are no `shots`.
        size: Width and height in pixels, even numbers.
        rate: Frames per second.
        seed: Seed of sequences, places, movements and backdrops.

    Raises:
        CorpusError: The source cannot be read, is not a synthetic twin, or lacks a subject; a number is out of range.
        OSError: The disk is full or not writable.
    """
    rng = np.random.default_rng(seed)
    cast = _cast(source, subjects, rng)
    if shots is None:
        everybody, third = tuple(range(num_people)), seconds / 3
        shots = [Shot(everybody, "together", third), Shot(everybody[::-1], "leaving", third)]
        shots.append(Shot(everybody, "crossing", third))
    _check(path, shots, cast, size, rate)
    starts, truth = [0], []

    def pictures() -> Iterator[Picture]:
        for turn, shot in enumerate(shots):
            num_frames = max(round(shot.seconds * rate), 1)
            # Each person plays all sequences before repeating one.
            played = [played[turn % len(played)] for played in (cast[place] for place in shot.people)]
            stage = _Stage(shot, played, size, rng)
            for number in range(num_frames):
                picture, visible = stage.play(number / rate)
                truth.append(visible)
                yield picture
            starts.append(starts[-1] + num_frames)

    path.parent.mkdir(parents=True, exist_ok=True)
    work = path.with_name(f".{path.stem}.partial-{uuid4().hex[:6]}{path.suffix}")
    try:
        Recorder(_CODEC, _OPTIONS, Fraction(rate)).record(work, pictures())
        scene = Scene(size, rate, tuple(starts[1:-1]), tuple(truth))
        write_file(path.with_suffix(".json"), json.dumps({"synthetic": True, **asdict(scene)}) + "\n")
        work.replace(path)
    finally:
        work.unlink(missing_ok=True)
    return scene


def read_scene(path: Path) -> Scene:
    """Reads the ground truth of a video that `write_scene` wrote.

    Args:
        path: The video.
    """
    found: dict[str, Any] = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
    frames = [
        tuple(Visible(**{**person, "box": tuple(person["box"])}) for person in frame) for frame in found["frames"]
    ]
    width, height = found["size"]
    return Scene((width, height), found["rate"], tuple(found["cuts"]), tuple(frames))


def _cast(
    source: Path | Sequence[FrameSequence], subjects: Sequence[str] | None, rng: np.random.Generator
) -> list[list[FrameSequence]]:
    """Returns the sequences of each subject, shuffled."""
    sequences, synthetic = read_tree(source) if isinstance(source, Path) else (source, True)
    if not synthetic:
        raise CorpusError(
            f"{source} has no {SYNTHETIC_MARKER}: only people of a synthetic twin may be shown as SYNTHETIC"
        )
    known: dict[str, list[FrameSequence]] = {}
    for sequence in sequences:
        known.setdefault(sequence.subject, []).append(sequence)
    wanted = list(known) if subjects is None else list(subjects)
    if missing := [subject for subject in wanted if subject not in known]:
        raise CorpusError(f"no sequence of {', '.join(missing)}; the source has {', '.join(known)}")
    return [[known[subject][i] for i in rng.permutation(len(known[subject]))] for subject in wanted]


def _check(path: Path, shots: Sequence[Shot], cast: Sequence[object], size: tuple[int, int], rate: int) -> None:
    if path.suffix != ".mp4":
        raise CorpusError(f"a scene must be an .mp4 file, got {path.name}")
    if any(side < 64 or side % 2 for side in size) or rate < 1:
        raise CorpusError(
            f"a scene needs even sides of at least 64 pixels and at least 1 frame per second, got {size}, {rate}"
        )
    if not shots:
        raise CorpusError("a scene needs at least one shot")
    for shot in shots:
        if shot.plot not in get_args(Plot):
            raise CorpusError(f"a plot must be one of {', '.join(get_args(Plot))}, got {shot.plot}")
        if not shot.people or len(set(shot.people)) < len(shot.people) or not shot.seconds > 0:
            raise CorpusError(f"a shot needs distinct people and a positive duration, got {shot}")
        if not all(0 <= place < len(cast) for place in shot.people):
            raise CorpusError(f"a shot has the people {shot.people}, but people are numbered from 0 to {len(cast) - 1}")


class _Stage:
    """Plays one shot."""

    def __init__(
        self, shot: Shot, played: Sequence[FrameSequence], size: tuple[int, int], rng: np.random.Generator
    ) -> None:
        self._shot, self._size = shot, size
        self._backdrop = _paint_backdrop(size, rng)
        self._actors = [_Actor(sequence, size, len(played), rng) for sequence in played]

    def play(self, second: float) -> tuple[Picture, tuple[Visible, ...]]:
        picture = self._backdrop.copy()
        # The frontmost person at each place, at a quarter of the size.
        owners = np.full((self._size[1] // 4, self._size[0] // 4), -1)
        placed = []
        for number, actor in enumerate(self._actors):
            image, strength = actor.face(second)
            x, y = actor.place(second, *self._way(number, second / self._shot.seconds))
            box = _paste(picture, image, actor.edges, round(x), round(y))
            owners[box[1] // 4 : -(-box[3] // 4), box[0] // 4 : -(-box[2] // 4)] = number
            placed.append((actor, box, strength))
        _write_synthetic(picture)
        visible = [
            Visible(actor.subject, box, round(min(share, 1.0), 3), actor.emotion, round(strength, 3))
            for number, (actor, box, strength) in enumerate(placed)
            if (share := 16 * float((owners == number).sum()) / actor.edges.size) > 0
        ]
        return picture, tuple(visible)

    def _way(self, number: int, done: float) -> tuple[float, float]:
        """Returns a person's column in slots, and how far they are beyond the border, from -1 (left) to 1 (right)."""
        last = len(self._actors) - 1
        if number not in (0, last):
            return number, 0.0
        if self._shot.plot == "crossing":
            share = _eased((done - 0.15) / 0.7)
            return number + share * (last - 2 * number), 0.0
        if self._shot.plot == "leaving":
            begin = 0.1 + 0.15 * (number == last and last > 0)
            away = _eased((done - begin) / 0.2) - _eased((done - begin - 0.45) / 0.2)
            return number, away if number == last and last > 0 else -away
        return number, 0.0


class _Actor:
    """One person in one shot: pictures and movement.

    Attributes:
        subject: The corpus's id.
        emotion: The emotion.
        edges: (height, width, 1) opacity of the pictures, from 0 to 1.
    """

    def __init__(
        self, sequence: FrameSequence, size: tuple[int, int], num_people: int, rng: np.random.Generator
    ) -> None:
        self.subject, self.emotion = sequence.subject, sequence.emotion
        self._slot = size[0] / num_people
        height = min(0.75 * size[1], self._slot / _WIDEST) * rng.uniform(0.85, 1.0)
        self._pictures = [_read(frame, round(height)) for frame in sequence.frames]
        self.edges = _soften(*self._pictures[0].shape[:2])
        self._middle = size[1] * rng.uniform(0.5, 0.6)
        self._periods, self._phases = rng.uniform(3, 6, 2), rng.uniform(0, 2 * math.pi, 2)
        self._start = rng.uniform(0, 1)

    def face(self, second: float) -> tuple[Picture, float]:
        """Returns the picture at a time in seconds, and the strength of the expression."""
        last = len(self._pictures) - 1
        rise = last / _SOURCE_RATE
        place = (second + self._start) % (2 * rise + 2 * _PAUSE)
        # Up, at the apex, down, at neutral.
        shown = min(place, rise) - min(max(place - rise - _PAUSE, 0), rise)
        number = min(max(round(shown * _SOURCE_RATE), 0), last)
        return self._pictures[number], number / last if last else 1.0

    def place(self, second: float, column: float, beyond: float) -> tuple[float, float]:
        """Returns the centre of the picture at a time in seconds."""
        sway = np.sin(2 * math.pi * second / self._periods + self._phases) * 0.06 * self._slot
        x = (column + 0.5) * self._slot + beyond * self._slot * 1.1 + float(sway[0])
        return x, self._middle + float(sway[1]) / 2


def _read(path: Path, height: int) -> Picture:
    """Returns the middle of a picture, scaled to a height, in BGR order."""
    image = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if image is None:
        raise CorpusError(f"{path} cannot be read as an image")
    width = min(image.shape[1], round(_WIDEST * image.shape[0]))
    left = (image.shape[1] - width) // 2
    part = image[:, left : left + width]
    size = (round(height * width / image.shape[0]), height)
    return np.asarray(cv2.resize(part, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)


def _soften(height: int, width: int) -> NDArray[np.float32]:
    """Returns an oval with soft edges, (height, width, 1)."""
    y, x = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
    radius = (x**4 + y**4) ** 0.25
    edges: NDArray[np.float32] = np.clip((1 - radius) / 0.12, 0, 1).astype(np.float32)[..., None]
    return edges


def _paste(picture: Picture, image: Picture, edges: NDArray[np.float32], x: int, y: int) -> tuple[int, int, int, int]:
    """Pastes an image centred at x, y; returns the part of its box within the picture."""
    left, top = x - image.shape[1] // 2, y - image.shape[0] // 2
    x1, y1 = (min(max(value, 0), side) for value, side in ((left, picture.shape[1]), (top, picture.shape[0])))
    x2 = min(max(left + image.shape[1], x1), picture.shape[1])
    y2 = min(max(top + image.shape[0], y1), picture.shape[0])
    part = slice(y1 - top, y2 - top), slice(x1 - left, x2 - left)
    under = picture[y1:y2, x1:x2]
    under[:] = under + edges[part] * (image[part].astype(np.float32) - under)
    return x1, y1, x2, y2


def _paint_backdrop(size: tuple[int, int], rng: np.random.Generator) -> Picture:
    coarse = rng.uniform(0, 60, (4, 5, 1)) + rng.uniform(0, 25, (4, 5, 3)) + rng.uniform(20, 150)
    smooth = cv2.resize(coarse.astype(np.float32), size, interpolation=cv2.INTER_CUBIC)
    backdrop: Picture = np.clip(smooth + rng.normal(0, 2, smooth.shape), 0, 255).astype(np.uint8)
    return backdrop


def _write_synthetic(picture: Picture) -> None:
    scale = picture.shape[1] / 640
    for colour, thickness in (((0, 0, 0), 4), ((255, 255, 255), 1)):
        where = (round(10 * scale), picture.shape[0] - round(12 * scale))
        width = max(round(thickness * scale), 1)
        cv2.putText(picture, "SYNTHETIC", where, cv2.FONT_HERSHEY_SIMPLEX, 0.7 * scale, colour, width, cv2.LINE_AA)


def _eased(share: float) -> float:
    share = min(max(share, 0.0), 1.0)
    return share * share * (3 - 2 * share)


def main(arguments: Sequence[str] | None = None) -> None:
    """Writes a scene of three people.

    Args:
        arguments: The arguments; None for those of the command line.
    """
    parser = ArgumentParser(description="Writes a video of three people of a synthetic twin in CK+'s layout.")
    parser.add_argument("video", type=Path, help="the file to write, ending in .mp4")
    parser.add_argument("--twin", type=Path, required=True, help="the twin's folder")
    parser.add_argument(
        "--held-out-by", type=Path, metavar="RESULT", help="a fold's result.json; shows only its held-out people"
    )
    options = parser.parse_args(arguments)
    told = json.loads(options.held_out_by.read_text(encoding="utf-8")) if options.held_out_by else {}
    scene = write_scene(options.video, options.twin, subjects=told.get("subjects"))
    print(f"{options.video}: {len(scene.frames)} SYNTHETIC frames")


if __name__ == "__main__":
    main()
