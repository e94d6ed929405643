"""The layouts that a twin can be written in, each with its people, camera and files as in the real corpus."""

from __future__ import annotations

import csv
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import ClassVar

import cv2
import numpy as np
from numpy.typing import NDArray

from fer3d.corpora.sequences import CorpusError
from fer3d.twin.cast import (
    CKPLUS_STREAM,
    CREMA_D_CODES,
    CREMA_D_STREAM,
    EMOTION_CODES,
    NUM_CREMA_D_ACTORS,
    NUM_OULU_SUBJECTS,
    NUM_RAVDESS_ACTORS,
    NUM_SUBJECTS,
    OULU_STREAM,
    RAVDESS_CODES,
    RAVDESS_STREAM,
    PlannedSequence,
    Role,
    plan_cast,
    plan_crema_d_cast,
    plan_oulu_cast,
    plan_ravdess_cast,
)
from fer3d.twin.expressions import perform, perform_talking
from fer3d.twin.head_model import FloatArray
from fer3d.twin.people import Person
from fer3d.twin.recording import Recorder
from fer3d.twin.settings import TwinSettings, VideoSettings

Picture = NDArray[np.uint8]

# Noise does not compress; a higher level takes several times as long and saves a few percent.
_PNG_OPTIONS = (cv2.IMWRITE_PNG_COMPRESSION, 1)
_JPEG_OPTIONS = (cv2.IMWRITE_JPEG_QUALITY, 95)
# The frame rate of RAVDESS's and CREMA-D's cameras.
_RATE = Fraction(30_000, 1001)
# Published share of clips whose majority vote, by the face alone, is the intended emotion.
FACE_RIGHT = {"happy": 0.96, "neutral": 0.92, "anger": 0.65, "disgust": 0.63, "fear": 0.52, "sadness": 0.33}
_TIED_SHARE = 0.1
_COLUMNS = ("FileName", "VoiceVote", "VoiceLevel", "FaceVote", "FaceLevel", "MultiModalVote", "MultiModalLevel")


class Layout(ABC):
    """How a twin imitates one corpus. A layout is stateless, so that it can be sent to another process.

    Attributes:
        name: The `name` of the corpus, recorded in the twin's marker file.
        title: The corpus's usual name, such as `CK+`.
        format: A version to increase when the same seed and settings give other images.
        settings: The default difficulty, variety and size.
        num_subjects: Number of people of the full twin, the maximum.
        in_colour: Whether pictures are (height, width, 3) in BGR order rather than grey (height, width).
        stream: The first of this twin's random streams; see `cast`.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    format: ClassVar[int]
    settings: ClassVar[TwinSettings]
    num_subjects: ClassVar[int]
    in_colour: ClassVar[bool]
    stream: ClassVar[int]

    @abstractmethod
    def plan_cast(self, seed: int, settings: TwinSettings, num_subjects: int) -> list[Role]:
        """Plans the people and their sequences, sorted by subject.

        Raises:
            CorpusError: `num_subjects` is not between 1 and the full twin's.
        """

    def perform(
        self,
        sequence: PlannedSequence,
        person: Person,
        action_names: np.ndarray,
        settings: TwinSettings,
        rng: np.random.Generator,
    ) -> FloatArray:
        """Returns the (num_frames, A) strengths of the facial actions; see `expressions.perform`."""
        return perform(sequence.emotion, sequence.num_frames, person, action_names, settings, rng)

    @abstractmethod
    def write_sequence(self, root: Path, subject: str, sequence: PlannedSequence, pictures: Iterable[Picture]) -> None:
        """Writes the pictures of one sequence, in temporal order, and its label.

        Raises:
            CorpusError, OSError: A picture could not be written.
        """

    def write_tables(self, root: Path, roles: Sequence[Role], seed: int) -> None:  # noqa: B027
        """Writes the corpus's tables, if it has any."""


class CKPlusLayout(Layout):
    """CK+: `cohn-kanade-images/S005/001/S005_001_00000001.png`, grey, with label files under `Emotion`."""

    name = "ckplus"
    title = "CK+"
    format = 1
    settings = TwinSettings()
    num_subjects = NUM_SUBJECTS
    in_colour = False
    stream = CKPLUS_STREAM

    def plan_cast(self, seed: int, settings: TwinSettings, num_subjects: int) -> list[Role]:
        """See `cast.plan_cast`."""
        return plan_cast(seed, settings, num_subjects)

    def write_sequence(self, root: Path, subject: str, sequence: PlannedSequence, pictures: Iterable[Picture]) -> None:
        """Writes PNG files and the label file."""
        stem = f"{subject}_{sequence.name}"
        images = root / "cohn-kanade-images" / subject / sequence.name
        images.mkdir(parents=True)
        for number, picture in enumerate(pictures, start=1):
            _write_picture(images / f"{stem}_{number:08d}.png", picture, _PNG_OPTIONS)
        labels = root / "Emotion" / subject / sequence.name
        labels.mkdir(parents=True)
        label = labels / f"{stem}_{sequence.num_frames:08d}_emotion.txt"
        label.write_text(f"   {EMOTION_CODES[sequence.emotion]:.7e}\n", encoding="ascii")


class OuluLayout(Layout):
    """Oulu-CASIA, visible camera in strong light: `OriginalImg/VL/Strong/P001/Anger/000.jpeg`, 320x240, in colour."""

    name = "oulu_casia"
    title = "Oulu-CASIA"
    format = 1
    settings = TwinSettings(width=320, height=240, mean_extra_frames=4.0, max_frames=20)
    num_subjects = NUM_OULU_SUBJECTS
    in_colour = True
    stream = OULU_STREAM

    def plan_cast(self, seed: int, settings: TwinSettings, num_subjects: int) -> list[Role]:
        """See `cast.plan_oulu_cast`."""
        return plan_oulu_cast(seed, settings, num_subjects)

    def write_sequence(self, root: Path, subject: str, sequence: PlannedSequence, pictures: Iterable[Picture]) -> None:
        """Writes JPEG files; their folder's name is the label."""
        images = root / "OriginalImg" / "VL" / "Strong" / subject / sequence.name
        images.mkdir(parents=True)
        for number, picture in enumerate(pictures):
            _write_picture(images / f"{number:03d}.jpeg", picture, _JPEG_OPTIONS)


class TalkingLayout(Layout):
    """Base of the twins of talking people.

    Attributes:
        codes: The corpus's code of each emotion.
        recorder: Encoder of the videos.
    """

    in_colour = True
    codes: ClassVar[Mapping[str, str]]
    recorder: ClassVar[Recorder]

    def perform(
        self,
        sequence: PlannedSequence,
        person: Person,
        action_names: np.ndarray,
        settings: TwinSettings,
        rng: np.random.Generator,
    ) -> FloatArray:
        """See `expressions.perform_talking`."""
        emotions, rate = tuple(self.codes), float(self.recorder.rate)
        return perform_talking(
            sequence.emotion, emotions, sequence.num_frames, rate, person, action_names, _for_video(settings), rng
        )


class RavdessLayout(TalkingLayout):
    """RAVDESS, video only: `Actor_01/02-01-06-01-01-01-01.mp4`, H.264, 1280x720 in colour.

    Pictures are rendered at half the size, which costs a quarter; prepared faces have fewer pixels than that.
    """

    name = "ravdess"
    title = "RAVDESS"
    format = 1
    settings = VideoSettings(
        width=640, height=360, background=(0.85, 1.15), blur=(0.8, 1.3), noise=(0.5, 1.5), num_takes=2
    )
    num_subjects = NUM_RAVDESS_ACTORS
    stream = RAVDESS_STREAM
    codes = RAVDESS_CODES
    # This preset has no lookahead, with which libx264's bytes are not always reproducible.
    recorder = Recorder("libx264", {"crf": "22", "preset": "superfast"}, _RATE, zoom=2)

    def plan_cast(self, seed: int, settings: TwinSettings, num_subjects: int) -> list[Role]:
        """See `cast.plan_ravdess_cast`."""
        return plan_ravdess_cast(seed, _for_video(settings), num_subjects)

    def write_sequence(self, root: Path, subject: str, sequence: PlannedSequence, pictures: Iterable[Picture]) -> None:
        """Writes the video, whose name is the label."""
        folder = root / f"Actor_{subject}"
        folder.mkdir(exist_ok=True)
        self.recorder.record(folder / f"{sequence.name}.mp4", pictures)


class CremaDLayout(TalkingLayout):
    """CREMA-D: `VideoFlash/1001_IEO_HAP_HI.flv`, FLV1, 480x360 in colour, and a table of simulated votes."""

    name = "crema_d"
    title = "CREMA-D"
    format = 1
    settings = VideoSettings(width=480, height=360)
    num_subjects = NUM_CREMA_D_ACTORS
    stream = CREMA_D_STREAM
    codes = CREMA_D_CODES
    recorder = Recorder("flv", {"qmin": "2", "qmax": "6", "b": "1500000"}, _RATE)

    def plan_cast(self, seed: int, settings: TwinSettings, num_subjects: int) -> list[Role]:
        """See `cast.plan_crema_d_cast`."""
        return plan_crema_d_cast(seed, _for_video(settings), num_subjects)

    def write_sequence(self, root: Path, subject: str, sequence: PlannedSequence, pictures: Iterable[Picture]) -> None:
        """Writes the video, whose name is the label."""
        folder = root / "VideoFlash"
        folder.mkdir(exist_ok=True)
        self.recorder.record(folder / f"{sequence.name}.flv", pictures)

    def write_tables(self, root: Path, roles: Sequence[Role], seed: int) -> None:
        """Writes `processedResults/summaryTable.csv`: simulated majority votes, as accurate as CREMA-D's.

        The videos were never rated. The accuracy per emotion is the one published for the face alone; face and voice
        together are assumed to halve the errors.
        """
        table = root / "processedResults" / "summaryTable.csv"
        table.parent.mkdir()
        with table.open("w", encoding="ascii", newline="") as file:
            writer = csv.writer(file, quoting=csv.QUOTE_NONNUMERIC, lineterminator="\n")
            writer.writerow(("", *_COLUMNS))
            rows: list[tuple[str, ...]] = []
            for role in roles:
                rng = np.random.default_rng([seed, self.stream, role.index, 1])
                rows += [(sequence.name, *_judge(sequence.emotion, rng)) for sequence in role.sequences]
            writer.writerows((str(number), *row) for number, row in enumerate(rows, start=1))


CKPLUS, OULU, RAVDESS, CREMA_D = CKPlusLayout(), OuluLayout(), RavdessLayout(), CremaDLayout()


def _write_picture(path: Path, picture: Picture, options: Sequence[int]) -> None:
    if not cv2.imwrite(str(path), picture, options):
        raise CorpusError(f"Could not write {path}.")


def _judge(emotion: str, rng: np.random.Generator) -> list[str]:
    """Returns vote and level for voice, face and both. A vote is a letter, or `A:D` for a tie."""
    right = FACE_RIGHT[emotion]
    cells = []
    for share in (0.6, right, (1 + right) / 2):
        own, other = (CREMA_D_CODES[name][0] for name in (emotion, _other(emotion, rng)))
        if rng.random() < share:
            vote = own
        elif rng.random() < _TIED_SHARE:
            vote = ":".join(sorted((own, other)))
        else:
            vote = other
        cells += [vote, ":".join(f"{level:.2f}" for level in rng.uniform(40, 80, vote.count(":") + 1))]
    return cells


def _other(emotion: str, rng: np.random.Generator) -> str:
    """Draws the emotion that an expression is mistaken for, most often neutral."""
    if emotion != "neutral" and rng.random() < 0.5:
        return "neutral"
    return str(rng.choice([name for name in CREMA_D_CODES if name != emotion]))


def _for_video(settings: TwinSettings) -> VideoSettings:
    if not isinstance(settings, VideoSettings):
        raise TypeError("A twin of talking people takes VideoSettings.")
    return settings
