"""The cast of each twin: its people and their sequences, as the real corpus has them. Nothing is rendered here."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from fer3d.corpora.sequences import CorpusError
from fer3d.twin.settings import TwinSettings, VideoSettings

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
# Number of sequences -> number of people with that many.
SUBJECTS_PER_SIZE = {1: 21, 2: 22, 3: 47, 4: 20, 5: 7, 6: 1}
_REDUCED_SIZE = 3
_NUM_SWAPS = 5_000

# Oulu-CASIA's folder of each emotion.
OULU_FOLDERS = {
    "anger": "Anger",
    "disgust": "Disgust",
    "fear": "Fear",
    "happy": "Happiness",
    "sadness": "Sadness",
    "surprise": "Surprise",
}
NUM_OULU_SUBJECTS = 80
_SHORTEST_OULU = 9

NUM_RAVDESS_ACTORS, NUM_CREMA_D_ACTORS = 24, 91
_FIRST_CREMA_D_ACTOR = 1001

# RAVDESS's code and CREMA-D's of each emotion.
RAVDESS_CODES = {
    "neutral": "01",
    "calm": "02",
    "happy": "03",
    "sadness": "04",
    "anger": "05",
    "fear": "06",
    "disgust": "07",
    "surprise": "08",
}
CREMA_D_CODES = {
    "anger": "ANG",
    "disgust": "DIS",
    "fear": "FEA",
    "happy": "HAP",
    "neutral": "NEU",
    "sadness": "SAD",
}
# CREMA-D's sentences. Only the first is said at several levels of the emotion, except for neutral.
CREMA_D_SENTENCES = ("IEO", "DFA", "IOM", "ITH", "ITS", "IWL", "IWW", "MTI", "TAI", "TIE", "TSI", "WSI")
_LEVEL, _NO_LEVEL = "HI", "XX"

# RAVDESS's folds are ranges of actors; a small cast is spread over as many folds as possible.
_RAVDESS_FOLD, _NUM_RAVDESS_FOLDS = 4, 6

# The second word of every seed, after the user's: the cast is drawn from [seed, stream], its people from
# [seed, stream + 1] and their takes from [seed, stream + 2]. So twins with the same seed have no person in common.
CKPLUS_STREAM, OULU_STREAM, RAVDESS_STREAM, CREMA_D_STREAM = 0, 3, 6, 9


@dataclass(frozen=True, slots=True)
class PlannedSequence:
    """One sequence to render.

    Attributes:
        name: The sequence's id within the subject, such as `001` in CK+ and `Anger` in Oulu-CASIA.
        emotion: One of `expressions.PROTOTYPES`.
        num_frames: Its length.
    """

    name: str
    emotion: str
    num_frames: int


@dataclass(frozen=True, slots=True)
class Role:
    """One person of the cast.

    Attributes:
        index: Position in the cast, from 0; part of the seed of everything drawn for this person.
        subject: The subject's id, such as `S005` in CK+ and `P001` in Oulu-CASIA.
        sequences: The sequences that this person performs.
        female: This person's sex; None if the corpus does not tell.
    """

    index: int
    subject: str
    sequences: tuple[PlannedSequence, ...]
    female: bool | None = None


def plan_cast(seed: int, settings: TwinSettings, num_subjects: int = NUM_SUBJECTS) -> list[Role]:
    """Plans CK+'s people and their sequences, sorted by subject.

    With all 118 subjects the counts per emotion and per person are CK+'s. A smaller cast has three sequences per
    person, with the emotions as balanced as possible.

    Raises:
        CorpusError: `num_subjects` is not between 1 and 118.
    """
    _check_number(num_subjects, NUM_SUBJECTS, "CK+")
    rng = np.random.default_rng([seed, CKPLUS_STREAM])
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


def plan_oulu_cast(seed: int, settings: TwinSettings, num_subjects: int = NUM_OULU_SUBJECTS) -> list[Role]:
    """Plans Oulu-CASIA's people, sorted by subject, each of whom performs all six emotions once, in 9 frames or more.

    Raises:
        CorpusError: `num_subjects` is not between 1 and 80.
    """
    _check_number(num_subjects, NUM_OULU_SUBJECTS, "Oulu-CASIA")
    rng = np.random.default_rng([seed, OULU_STREAM])
    extra = _draw_extra(num_subjects * len(OULU_FOLDERS), settings, rng)
    lengths = _SHORTEST_OULU + np.minimum(extra, max(0, settings.max_frames - _SHORTEST_OULU))
    remaining = iter(lengths.tolist())
    return [
        Role(
            index,
            f"P{index + 1:03d}",
            tuple(PlannedSequence(folder, emotion, next(remaining)) for emotion, folder in OULU_FOLDERS.items()),
        )
        for index in range(num_subjects)
    ]


def plan_ravdess_cast(seed: int, settings: VideoSettings, num_subjects: int = NUM_RAVDESS_ACTORS) -> list[Role]:
    """Plans RAVDESS's actors, sorted: odd ones are men, even ones women.

    Everybody says the first statement in every emotion, at normal intensity, `settings.num_takes` times.

    Raises:
        CorpusError: `num_subjects` is not between 1 and 24, or `settings.num_takes` not 1 or 2.
    """
    _check_number(num_subjects, NUM_RAVDESS_ACTORS, "RAVDESS")
    _check_takes(settings, 2, "data.num_repetitions", "RAVDESS has 1 or 2 repetitions")

    def name(actor: int, take: int, emotion: str) -> str:
        return f"02-01-{RAVDESS_CODES[emotion]}-01-01-{take + 1:02d}-{actor:02d}"

    actors = sorted(_spread_ravdess()[:num_subjects])
    return [
        Role(
            actor - 1,
            f"{actor:02d}",
            _plan_videos(actor, RAVDESS_CODES, name, settings, np.random.default_rng([seed, RAVDESS_STREAM, actor])),
            female=actor % 2 == 0,
        )
        for actor in actors
    ]


def plan_crema_d_cast(seed: int, settings: VideoSettings, num_subjects: int = NUM_CREMA_D_ACTORS) -> list[Role]:
    """Plans CREMA-D's actors, sorted and evenly spread over its numbers.

    Everybody says the first `settings.num_takes` sentences in every emotion.

    Raises:
        CorpusError: `num_subjects` is not between 1 and 91, or `settings.num_takes` not between 1 and 12.
    """
    _check_number(num_subjects, NUM_CREMA_D_ACTORS, "CREMA-D")
    _check_takes(settings, len(CREMA_D_SENTENCES), "data.num_sentences", "CREMA-D has 1 to 12 sentences")

    def name(actor: int, take: int, emotion: str) -> str:
        level = _LEVEL if take == 0 and emotion != "neutral" else _NO_LEVEL
        return f"{actor}_{CREMA_D_SENTENCES[take]}_{CREMA_D_CODES[emotion]}_{level}"

    actors = [_FIRST_CREMA_D_ACTOR + number * NUM_CREMA_D_ACTORS // num_subjects for number in range(num_subjects)]
    return [
        Role(
            actor - _FIRST_CREMA_D_ACTOR,
            str(actor),
            _plan_videos(actor, CREMA_D_CODES, name, settings, np.random.default_rng([seed, CREMA_D_STREAM, actor])),
        )
        for actor in actors
    ]


def _check_number(num_subjects: int, largest: int, corpus: str) -> None:
    """Raises a `CorpusError` if a twin cannot have that number of people."""
    if not 1 <= num_subjects <= largest:
        raise CorpusError(
            f"data.num_subjects is {num_subjects}, but the synthetic twin of {corpus} has 1 to {largest} people; set "
            "it to a number in that range"
        )


def _margins(num_subjects: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Returns how many sequences each person has and how many each emotion has."""
    if num_subjects == NUM_SUBJECTS:
        sizes = np.repeat(list(SUBJECTS_PER_SIZE), list(SUBJECTS_PER_SIZE.values()))
        return rng.permutation(sizes), np.array([SEQUENCES_PER_EMOTION[emotion] for emotion in EMOTIONS])
    sizes = np.full(num_subjects, _REDUCED_SIZE)
    return sizes, np.bincount(np.arange(sizes.sum()) % len(EMOTIONS), minlength=len(EMOTIONS))


def _fill(sizes: np.ndarray, quotas: np.ndarray) -> np.ndarray:
    """Returns a boolean table (people, emotions) with these row and column sums.

    Filling the largest rows first, from the columns with most left, finds a table if one exists (Gale, Ryser).
    """
    table = np.zeros((len(sizes), len(quotas)), dtype=bool)
    left = quotas.copy()
    for person in np.argsort(-sizes, kind="stable"):
        chosen = np.argsort(-left, kind="stable")[: sizes[person]]
        table[person, chosen] = True
        left[chosen] -= 1
    return table


def _shuffle(table: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Exchanges emotions between random pairs of people, which preserves row and column sums."""
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
    extra = _draw_extra(num_sequences - num_short, settings, rng)
    lengths = np.concatenate([short, np.minimum(10 + extra, settings.max_frames)])
    return [int(length) for length in rng.permutation(lengths)]


def _draw_extra(num_sequences: int, settings: TwinSettings, rng: np.random.Generator) -> np.ndarray:
    return rng.geometric(1 / (1 + settings.mean_extra_frames), size=num_sequences) - 1


def _draw_subjects(num_subjects: int, rng: np.random.Generator) -> list[str]:
    """Draws ids with gaps, most of them below S139 and a few far above, as in CK+."""
    above = [501, 502, 503, 504, 505, 506, 895, 999]
    num_above = min(len(above), num_subjects // 15)
    below = rng.choice(np.arange(5, 139), size=num_subjects - num_above, replace=False)
    return [f"S{number:03d}" for number in sorted([*below, *above[:num_above]])]


def _plan_videos(
    actor: int,
    emotions: Mapping[str, str],
    name: Callable[[int, int, str], str],
    settings: VideoSettings,
    rng: np.random.Generator,
) -> tuple[PlannedSequence, ...]:
    """Plans every emotion once, then again, so that a twin with fewer takes is a part of the full one."""
    shortest = max(1, settings.max_frames * 3 // 4)
    return tuple(
        PlannedSequence(name(actor, take, emotion), emotion, int(rng.integers(shortest, settings.max_frames + 1)))
        for take in range(settings.num_takes)
        for emotion in emotions
    )


def _spread_ravdess() -> list[int]:
    """Returns RAVDESS's actors in the order in which a growing cast adds them: fold by fold, men and women in turn."""
    return [
        fold * _RAVDESS_FOLD + place // 2 * 2 + (place + fold) % 2 + 1
        for place in range(_RAVDESS_FOLD)
        for fold in range(_NUM_RAVDESS_FOLDS)
    ]


def _check_takes(settings: VideoSettings, largest: int, key: str, corpus: str) -> None:
    if not 1 <= settings.num_takes <= largest:
        raise CorpusError(f"{key} is {settings.num_takes}, but the synthetic twin of {corpus}; set it to one of these")
