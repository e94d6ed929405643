"""What a corpus reader returns: a table of labelled sequences, and the check of what the corpus should hold."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

# The generator writes this file last into a synthetic twin, so that its images are known wherever they are read from.
SYNTHETIC_MARKER = "synthetic_twin.json"


# Of an emotion's or a subject's name.
_MAX_NAME = 100


class CorpusError(Exception):
    """A corpus that cannot be read: what was looked for, where, and what to do about it."""


class CorpusWarning(UserWarning):
    """A corpus that can be read but differs from what was distributed."""


@dataclass(frozen=True, slots=True)
class FrameSequence:
    """One labelled sequence of image files.

    Attributes:
        subject: The subject's id as the corpus spells it, such as `S005`; sorting these strings sorts the subjects.
        sequence: The sequence's id within the subject, such as `001`.
        emotion: One of the corpus's `emotions`.
        frames: Every frame's path, in the order of time; never empty.
        columns: What else the corpus says of the sequence, by name, such as `split`.
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
    """One labelled sequence that is a video file, or a part of one.

    Attributes:
        subject: As of a `FrameSequence`.
        sequence: As of a `FrameSequence`.
        emotion: As of a `FrameSequence`.
        video: The file's path.
        start: Where the sequence begins, in seconds of the video; None for its first frame.
        end: Where it ends, in seconds, exclusive; None for the end of the video.
        columns: As of a `FrameSequence`.
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
        num_channels: 1 for a corpus that becomes grey, 3 for one that stays RGB.
        root: The folder that holds the corpus; asking for it raises a `CorpusError` while none is configured.
        synthetic: Whether the images are rendered, so that everything measured on them must say so. Valid after
            `read`.
        subjects_known: Whether `subject` says who is seen. Where nobody knows, no split is subject-independent, and
            everything measured must say so. May be left out: then it is true.
    """

    name: str
    emotions: tuple[str, ...]
    num_channels: int
    synthetic: bool

    @property
    def root(self) -> Path:
        """The folder that holds the corpus."""

    def read(self) -> Sequence[LabelledSequence]:
        """Returns the labelled sequences, in any order; no `clip_id` is there twice.

        Raises:
            CorpusError: The root is missing or does not hold this corpus.
        """


@dataclass(frozen=True, slots=True)
class Expected:
    """What a complete corpus holds.

    Attributes:
        num_sequences: Number of labelled sequences.
        num_subjects: Number of subjects with a labelled sequence.
        per_emotion: Number of sequences of each emotion.
    """

    num_sequences: int
    num_subjects: int
    per_emotion: Mapping[str, int]

    def check(self, sequences: Sequence[LabelledSequence], corpus: str, root: Path) -> None:
        """Warns with a `CorpusWarning` that names every difference between `sequences` and this."""
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
    """What keeps a text from being an emotion's or a subject's name; None for nothing."""
    if set(text) & set("/\\"):
        return "with / or \\, which separate folders"
    if text in (".", "..") or not text.isprintable():
        return "that cannot name a folder"
    if len(text) > _MAX_NAME:
        return f"of more than {_MAX_NAME} characters"
    return None
