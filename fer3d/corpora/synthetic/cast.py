"""Who the people of the twin are and which sequences they have: CK+'s counts, without any image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fer3d.corpora.sequences import CorpusError
from fer3d.corpora.synthetic.settings import TwinSettings

# CK+'s code of each emotion in its label files.
EMOTION_CODES = {"anger": 1, "contempt": 2, "disgust": 3, "fear": 4, "happy": 5, "sadness": 6, "surprise": 7}
EMOTIONS = tuple(EMOTION_CODES)
NUM_SUBJECTS = 118
SEQUENCES_PER_EMOTION = {
    "anger": 45,
    "contempt": 18,
    "disgust": 59,
    "fear": 25,
    "happy": 69,
    "sadness": 28,
    "surprise": 83,
}
# Number of sequences -> number of people who have that many.
SUBJECTS_PER_SIZE = {1: 21, 2: 22, 3: 47, 4: 20, 5: 7, 6: 1}
_REDUCED_SIZE = 3
_NUM_SWAPS = 5_000


@dataclass(frozen=True, slots=True)
class PlannedSequence:
    """One sequence to render.

    Attributes:
        name: The sequence's id within the subject, such as `001`.
        emotion: One of `EMOTIONS`.
        num_frames: Its length, neutral to apex.
    """

    name: str
    emotion: str
    num_frames: int


@dataclass(frozen=True, slots=True)
class Role:
    """One person of the cast.

    Attributes:
        index: Position in the cast, from 0; seeds everything drawn for this person.
        subject: The subject's id, such as `S005`.
        sequences: What this person performs, each emotion at most once.
    """

    index: int
    subject: str
    sequences: tuple[PlannedSequence, ...]


def plan_cast(seed: int, settings: TwinSettings, num_subjects: int = NUM_SUBJECTS) -> list[Role]:
    """Plans the people and their sequences, sorted by subject.

    With all 118 subjects the counts per emotion and per person are CK+'s. A smaller cast has three sequences a person
    and its emotions as balanced as that allows.

    Raises:
        CorpusError: `num_subjects` is not between 1 and 118.
    """
    if not 1 <= num_subjects <= NUM_SUBJECTS:
        raise CorpusError(f"The synthetic twin has 1 to {NUM_SUBJECTS} subjects, not {num_subjects}.")
    rng = np.random.default_rng([seed, 0])
    sizes, quotas = _margins(num_subjects, rng)
    performs = _shuffle(_fill(sizes, quotas), rng)
    lengths = iter(_draw_lengths(int(sizes.sum()), settings, rng))
    roles = []
    for index, subject in enumerate(_draw_subjects(num_subjects, rng)):
        emotions = [EMOTIONS[i] for i in rng.permutation(np.flatnonzero(performs[index]))]
        names = sorted(rng.choice(np.arange(1, 9), size=len(emotions), replace=False))
        sequences = tuple(
            PlannedSequence(f"{name:03d}", emotion, next(lengths))
            for name, emotion in zip(names, emotions, strict=True)
        )
        roles.append(Role(index, subject, sequences))
    return roles


def _margins(num_subjects: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Returns how many sequences each person has and how many each emotion has."""
    if num_subjects == NUM_SUBJECTS:
        sizes = np.repeat(list(SUBJECTS_PER_SIZE), list(SUBJECTS_PER_SIZE.values()))
        return rng.permutation(sizes), np.array([SEQUENCES_PER_EMOTION[emotion] for emotion in EMOTIONS])
    sizes = np.full(num_subjects, _REDUCED_SIZE)
    return sizes, np.bincount(np.arange(sizes.sum()) % len(EMOTIONS), minlength=len(EMOTIONS))


def _fill(sizes: np.ndarray, quotas: np.ndarray) -> np.ndarray:
    """Returns a boolean table (people, emotions) with these row and column sums.

    Serving the largest rows first, from the columns with most left, finds a table whenever there is one (Gale, Ryser).
    """
    table = np.zeros((len(sizes), len(quotas)), dtype=bool)
    left = quotas.copy()
    for person in np.argsort(-sizes, kind="stable"):
        chosen = np.argsort(-left, kind="stable")[: sizes[person]]
        table[person, chosen] = True
        left[chosen] -= 1
    return table


def _shuffle(table: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Exchanges emotions between random pairs of people, which keeps all row and column sums."""
    if len(table) < 2:
        return table
    for _ in range(_NUM_SWAPS):
        one, other = rng.integers(len(table), size=2)
        gives = np.flatnonzero(table[one] & ~table[other])
        takes = np.flatnonzero(table[other] & ~table[one])
        if len(gives) and len(takes):
            exchanged = [rng.choice(gives), rng.choice(takes)]
            table[np.ix_([one, other], exchanged)] ^= True
    return table


def _draw_lengths(num_sequences: int, settings: TwinSettings, rng: np.random.Generator) -> Sequence[int]:
    num_short = max(1, round(settings.short_share * num_sequences))
    short = rng.integers(6, 10, size=num_short)
    # CK+ has one labelled sequence of 6 frames, its shortest.
    short[0] = 6
    extra = rng.geometric(1 / (1 + settings.mean_extra_frames), size=num_sequences - num_short) - 1
    lengths = np.concatenate([short, np.minimum(10 + extra, settings.max_frames)])
    return [int(length) for length in rng.permutation(lengths)]


def _draw_subjects(num_subjects: int, rng: np.random.Generator) -> list[str]:
    """Draws ids with gaps, most of them below S139 and a few far above, as in CK+."""
    above = [501, 502, 503, 504, 505, 506, 895, 999]
    num_above = min(len(above), num_subjects // 15)
    below = rng.choice(np.arange(5, 139), size=num_subjects - num_above, replace=False)
    return [f"S{number:03d}" for number in sorted([*below, *above[:num_above]])]
