"""Who the people of a twin of RAVDESS or CREMA-D are and which videos they have."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from fer3d.corpora.sequences import CorpusError
from fer3d.twin.cast import CREMA_D_STREAM, RAVDESS_STREAM, PlannedSequence, Role, check_number
from fer3d.twin.settings import VideoSettings

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
# CREMA-D's sentences; it has levels of the emotion for the first alone, and none of a neutral face.
CREMA_D_SENTENCES = ("IEO", "DFA", "IOM", "ITH", "ITS", "IWL", "IWW", "MTI", "TAI", "TIE", "TSI", "WSI")
_LEVEL, _NO_LEVEL = "HI", "XX"

# RAVDESS's and CREMA-D's folds are ranges of actors; a small cast has people in as many folds as it can.
_RAVDESS_FOLD, _NUM_RAVDESS_FOLDS = 4, 6


def plan_ravdess_cast(seed: int, settings: VideoSettings, num_subjects: int = NUM_RAVDESS_ACTORS) -> list[Role]:
    """Plans RAVDESS's actors, sorted: odd ones are men, even ones women.

    Everybody says the first statement in every emotion, at normal intensity, `settings.num_takes` times.

    Raises:
        CorpusError: `num_subjects` is not between 1 and 24, or `settings.num_takes` not 1 or 2.
    """
    check_number(num_subjects, NUM_RAVDESS_ACTORS, "RAVDESS")
    _check_takes(settings, 2, "data.num_repetitions", "RAVDESS has 1 or 2 repetitions")

    def name(actor: int, take: int, emotion: str) -> str:
        return f"02-01-{RAVDESS_CODES[emotion]}-01-01-{take + 1:02d}-{actor:02d}"

    actors = sorted(_spread_ravdess()[:num_subjects])
    return [
        Role(
            actor - 1,
            f"{actor:02d}",
            _plan(actor, RAVDESS_CODES, name, settings, np.random.default_rng([seed, RAVDESS_STREAM, actor])),
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
    check_number(num_subjects, NUM_CREMA_D_ACTORS, "CREMA-D")
    _check_takes(settings, len(CREMA_D_SENTENCES), "data.num_sentences", "CREMA-D has 1 to 12 sentences")

    def name(actor: int, take: int, emotion: str) -> str:
        level = _LEVEL if take == 0 and emotion != "neutral" else _NO_LEVEL
        return f"{actor}_{CREMA_D_SENTENCES[take]}_{CREMA_D_CODES[emotion]}_{level}"

    actors = [_FIRST_CREMA_D_ACTOR + number * NUM_CREMA_D_ACTORS // num_subjects for number in range(num_subjects)]
    return [
        Role(
            actor - _FIRST_CREMA_D_ACTOR,
            str(actor),
            _plan(actor, CREMA_D_CODES, name, settings, np.random.default_rng([seed, CREMA_D_STREAM, actor])),
        )
        for actor in actors
    ]


def _plan(
    actor: int,
    emotions: Mapping[str, str],
    name: Callable[[int, int, str], str],
    settings: VideoSettings,
    rng: np.random.Generator,
) -> tuple[PlannedSequence, ...]:
    """Plans all emotions once, then again: a twin of fewer takes, like one of fewer people, is a part of this one."""
    shortest = max(1, settings.max_frames * 3 // 4)
    return tuple(
        PlannedSequence(name(actor, take, emotion), emotion, int(rng.integers(shortest, settings.max_frames + 1)))
        for take in range(settings.num_takes)
        for emotion in emotions
    )


def _spread_ravdess() -> list[int]:
    """Returns RAVDESS's actors in the order in which a growing cast takes them: fold by fold, men and women in turn."""
    return [
        fold * _RAVDESS_FOLD + place // 2 * 2 + (place + fold) % 2 + 1
        for place in range(_RAVDESS_FOLD)
        for fold in range(_NUM_RAVDESS_FOLDS)
    ]


def _check_takes(settings: VideoSettings, largest: int, key: str, corpus: str) -> None:
    if not 1 <= settings.num_takes <= largest:
        raise CorpusError(f"{key} is {settings.num_takes}, but the synthetic twin of {corpus}; set it to one of these")
