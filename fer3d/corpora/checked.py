"""Validates a corpus class, built-in or a user's, and reports every violation of the `Corpus` protocol."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from math import isfinite
from pathlib import Path
from typing import Any

from fer3d.corpora.layout import name_some
from fer3d.corpora.sequences import (
    Corpus,
    CorpusError,
    FrameSequence,
    LabelledSequence,
    VideoSequence,
    name_problem,
)

# Corpus names become folder names.
_NAME = re.compile(r"[a-z][a-z0-9_]*")
# Reserved for published results.
_TAKEN = re.compile(r"ckplus|oulu_casia|ravdess|crema_d|synthetic.*")


def is_own_name(name: str) -> bool:
    """Whether a user's corpus may have this name: a lower-case word that no built-in corpus uses."""
    return _NAME.fullmatch(name) is not None and _TAKEN.fullmatch(name) is None


def read_checked(corpus: Corpus) -> list[LabelledSequence]:
    """Reads a corpus and validates its class against the `Corpus` protocol.

    Returns:
        The sequences, sorted by subject and then by sequence.

    Raises:
        CorpusError: The corpus cannot be read, or its class is invalid; the message lists every fault.
    """
    _raise(corpus, list(_faults_of_class(corpus)))
    returned: Any = corpus.read()
    _raise(corpus, list(_faults_of_reading(corpus, returned)))
    sequences = list(returned)
    _raise(corpus, list(_faults_of_sequences(sequences, corpus.emotions)))
    return sorted(sequences, key=lambda sequence: (sequence.subject, sequence.sequence))


def _raise(corpus: Corpus, faults: Sequence[str]) -> None:
    if faults:
        kind = type(corpus)
        raise CorpusError(
            f"{kind.__module__}.{kind.__qualname__}, set by data._target_, is not a valid corpus (see "
            f"fer3d.corpora.sequences.Corpus): {'; '.join(faults)}"
        )


def _faults_of_class(corpus: Corpus) -> Iterator[str]:
    name, num_channels = getattr(corpus, "name", None), getattr(corpus, "num_channels", None)
    built_in = type(corpus).__module__.startswith("fer3d.")
    if not isinstance(name, str) or not (built_in or is_own_name(name)):
        yield f"its name is {name!r}, but must be a lower-case word such as my_corpus that no built-in corpus uses"
    if num_channels not in (1, 3):
        yield f"its num_channels is {num_channels!r}, but must be 1 (grey) or 3 (RGB)"
    for flag in ("synthetic", "subjects_known"):
        value = getattr(corpus, flag, True if flag == "subjects_known" else None)
        if not isinstance(value, bool):
            yield f"its {flag} is {value!r}, but must be True or False"


def _faults_of_reading(corpus: Corpus, returned: Any) -> Iterator[str]:
    if not isinstance(returned, Sequence):
        yield f"its read() returns {returned!r:.100}, but must return a list of sequences"
    root: Any = getattr(corpus, "root", None)
    if not isinstance(root, Path):
        yield f"its root is {root!r}, but must be the Path of the corpus's folder"
    emotions: Any = getattr(corpus, "emotions", None)
    if not isinstance(emotions, tuple) or len(emotions) < 2:
        yield f"its emotions are {emotions!r}, but must be a tuple of at least two names"
        return
    if twice := [emotion for emotion, count in Counter(map(str, emotions)).items() if count > 1]:
        yield f"its emotions contain {name_some(twice)} twice"
    for emotion in emotions:
        if problem := _problem(emotion):
            yield f"its emotions contain a name {problem}: {emotion!r}"


def _faults_of_sequences(sequences: Sequence[Any], emotions: Sequence[str]) -> Iterator[str]:
    """Yields each kind of fault with the sequences that have it."""
    found: dict[str, list[str]] = {}
    for number, sequence in enumerate(sequences, start=1):
        if not isinstance(sequence, FrameSequence | VideoSequence):
            found.setdefault("objects other than FrameSequence and VideoSequence", []).append(repr(sequence)[:100])
            continue
        place = sequence.clip_id if sequence.subject and sequence.sequence else f"number {number}"
        for fault in _faults_of_one(sequence, emotions):
            found.setdefault(fault, []).append(place)
    if not found:
        counts = Counter(sequence.clip_id for sequence in sequences)
        if twice := [clip_id for clip_id, count in counts.items() if count > 1]:
            found["several sequences with the same subject and name"] = twice
    for fault, places in found.items():
        yield f"its read() returns {fault}: {name_some(places)}"


def _faults_of_one(sequence: LabelledSequence, emotions: Sequence[str]) -> Iterator[str]:
    if problem := _problem(sequence.subject):
        yield f"a subject {problem}"
    if not isinstance(sequence.sequence, str) or not sequence.sequence.strip():
        yield "a sequence name that is empty or not a string"
    if sequence.emotion not in emotions:
        yield f"the emotion {sequence.emotion!r}, which is not one of its emotions ({', '.join(emotions)})"
    if isinstance(sequence, FrameSequence):
        frames: Any = sequence.frames
        if not isinstance(frames, tuple) or not frames or not all(isinstance(path, Path) for path in frames):
            yield "frames that are not a non-empty tuple of Paths"
    else:
        if not isinstance(sequence.video, Path):
            yield "a video that is not a Path"
        start, end = sequence.start, sequence.end
        times = [time for time in (start, end) if time is not None]
        if not all(isinstance(time, int | float) and isfinite(time) and time >= 0 for time in times):
            yield "a start or an end that is not a non-negative number of seconds"
        elif end is not None and end <= (start or 0):
            yield "an end that is not after the start"
    columns: Any = sequence.columns
    if not isinstance(columns, Mapping) or not all(isinstance(text, str) for pair in columns.items() for text in pair):
        yield "columns that do not map strings to strings"


def _problem(text: Any) -> str | None:
    """Why a value cannot name a subject or an emotion; None if it can."""
    if not isinstance(text, str) or not text.strip():
        return "that is empty or not a string"
    return name_problem(text)
