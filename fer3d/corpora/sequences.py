"""Labelled sequences, the `Corpus` protocol, and the check for completeness."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

# The generator writes this file last into a synthetic twin; readers recognise the twin by it.
SYNTHETIC_MARKER = "synthetic_twin.json"


# Maximum length of an emotion's or a subject's name.
_MAX_NAME = 100


class CorpusError(Exception):
    """A corpus cannot be read; the message says what was expected, where, and what to do."""


class CorpusWarning(UserWarning):
    """A corpus can be read but differs from the distribution."""


@dataclass(frozen=True, slots=True)
class FrameSequence:
    """One labelled sequence of image files.

    Attributes:
        subject: The subject's id as the corpus spells it, such as `S005`; sorting the strings sorts the subjects.
        sequence: The sequence's id within the subject, such as `001`.
        emotion: One of the corpus's `emotions`.
        frames: Paths of all frames in temporal order; never empty.
        columns: Additional values by name, such as `split`.
    """

    subject: str
    sequence: str
    emotion: str
    frames: tuple[Path, ...]
    columns: Mapping[str, str] = field(default_factory=dict, hash=False)

    @property
    def clip_id(self) -> str:
        """The sequence's id within the corpus, such as `S005/001`."""
        return f"{self.subject}/{self.sequence}"


@dataclass(frozen=True, slots=True)
class VideoSequence:
    """One labelled sequence that is a video file or a part of one.

    Attributes:
        subject: See `FrameSequence`.
        sequence: See `FrameSequence`.
        emotion: See `FrameSequence`.
        video: Path of the file.
        start: Start of the sequence in seconds; None: the first frame.
        end: End of the sequence in seconds, exclusive; None: the end of the video.
        columns: See `FrameSequence`.
    """

    subject: str
    sequence: str
    emotion: str
    video: Path
    start: float | None = None
    end: float | None = None
    columns: Mapping[str, str] = field(default_factory=dict, hash=False)

    @property
    def clip_id(self) -> str:
        """The sequence's id within the corpus, such as `01/02-01-06-01-02-01-01`."""
        return f"{self.subject}/{self.sequence}"


LabelledSequence = FrameSequence | VideoSequence


class Corpus(Protocol):
    """A data set as distributed.

    Attributes:
        name: One lower-case word for folder names and plots, such as `ckplus`.
        emotions: The class names; a label is an index into this tuple.
        num_channels: 1 for grey, 3 for RGB.
        root: The corpus's folder; reading it raises a `CorpusError` if none is configured.
        synthetic: Whether the images are rendered; results measured on them must say so. Valid after `read`.
        subjects_known: Whether `subject` identifies people. If not, no split is subject-independent, and results must
            say so. Optional; default: True.
    """

    name: str
    emotions: tuple[str, ...]
    num_channels: int
    synthetic: bool

    @property
    def root(self) -> Path:
        """The corpus's folder."""

    def read(self) -> Sequence[LabelledSequence]:
        """Returns the labelled sequences in any order, with unique `clip_id`s.

        Raises:
            CorpusError: The root is missing or does not contain this corpus.
        """


@dataclass(frozen=True, slots=True)
class Expected:
    """Size of a complete corpus.

    Attributes:
        num_sequences: Number of labelled sequences.
        num_subjects: Number of subjects with a labelled sequence.
        per_emotion: Number of sequences per emotion.
    """

    num_sequences: int
    num_subjects: int
    per_emotion: Mapping[str, int]

    def check(self, sequences: Sequence[LabelledSequence], corpus: str, root: Path) -> None:
        """Warns with a `CorpusWarning` that lists all differences between `sequences` and the complete corpus."""
        found = Counter(sequence.emotion for sequence in sequences)
        pairs = [
            ("sequences", len(sequences), self.num_sequences),
            ("subjects", len({sequence.subject for sequence in sequences}), self.num_subjects),
            *((emotion, found[emotion], count) for emotion, count in self.per_emotion.items()),
        ]
        differences = [f"{what}: {have} instead of {want}" for what, have, want in pairs if have != want]
        if differences:
            message = f"{corpus} in {root} differs from the corpus as distributed: {'; '.join(differences)}"
            warnings.warn(message, CorpusWarning, stacklevel=3)


def name_problem(text: str) -> str | None:
    """Why a string cannot name an emotion or a subject; None if it can."""
    if set(text) & set("/\\"):
        return "with / or \\, which separate folders"
    if text in (".", "..") or not text.isprintable():
        return "that cannot name a folder"
    if len(text) > _MAX_NAME:
        return f"of more than {_MAX_NAME} characters"
    return None
