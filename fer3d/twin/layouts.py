"""The layouts that a twin can be written in, each with its people, its camera and its files: CK+'s and Oulu-CASIA's.

Those of videos are in `video_layouts`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import ClassVar

import cv2
import numpy as np
from numpy.typing import NDArray

from fer3d.corpora.sequences import CorpusError
from fer3d.twin.cast import (
    CKPLUS_STREAM,
    EMOTION_CODES,
    NUM_OULU_SUBJECTS,
    NUM_SUBJECTS,
    OULU_STREAM,
    PlannedSequence,
    Role,
    plan_cast,
    plan_oulu_cast,
)
from fer3d.twin.expressions import perform
from fer3d.twin.head_model import FloatArray
from fer3d.twin.people import Person
from fer3d.twin.settings import TwinSettings

Picture = NDArray[np.uint8]

# Noise does not compress: a higher level takes several times as long for a few percent.
_PNG_OPTIONS = (cv2.IMWRITE_PNG_COMPRESSION, 1)
_JPEG_OPTIONS = (cv2.IMWRITE_JPEG_QUALITY, 95)


class Layout(ABC):
    """What makes a twin that of one corpus. A layout has no state, so that it can be sent to another process.

    Attributes:
        name: The `name` of the corpus, which the twin's marker file records.
        title: The corpus's usual name, such as `CK+`.
        format: A number to raise when the same seed and settings no longer give the same images.
        settings: How hard, how varied and how large its twin is, unless told otherwise.
        num_subjects: Number of people of the full twin, which is the most there can be.
        in_colour: Whether pictures are (height, width, 3) in OpenCV's order, rather than grey (height, width).
        stream: The first of the random streams of this twin; see `cast`.
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
            CorpusError: `num_subjects` is not between 1 and that of the full twin.
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
        """Writes the pictures of one sequence, in the order of time, and its label.

        Raises:
            CorpusError, OSError: A picture could not be written.
        """

    def write_tables(self, root: Path, roles: Sequence[Role], seed: int) -> None:  # noqa: B027
        """Writes what the corpus has beside its sequences: nothing, unless told otherwise."""


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


CKPLUS, OULU = CKPlusLayout(), OuluLayout()


def _write_picture(path: Path, picture: Picture, options: Sequence[int]) -> None:
    if not cv2.imwrite(str(path), picture, options):
        raise CorpusError(f"Could not write {path}.")
