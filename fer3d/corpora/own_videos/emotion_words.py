"""Words for emotions as they stand in the names of files and folders."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable

from fer3d.corpora import ravdess

# The words of one emotion; the first is the usual one. Codes of three letters count only between separators.
_WORDS = (
    ("anger", "angry", "ang", "rage"),
    ("contempt", "contemptuous"),
    ("disgust", "disgusted", "dis"),
    ("fear", "fearful", "afraid", "scared", "fea"),
    ("happy", "happiness", "joy", "joyful", "hap"),
    ("sad", "sadness", "sorrow"),
    ("surprise", "surprised", "sur"),
    ("neutral", "neutrality", "neu"),
    ("calm", "calmness"),
    ("bored", "boredom"),
    ("confused", "confusion"),
    ("excited", "excitement"),
    ("frustrated", "frustration"),
    ("anxious", "anxiety"),
    ("pain", "painful"),
    ("pride", "proud"),
    ("shame", "ashamed"),
)
_EMOTION = {word: words[0] for words in _WORDS for word in words}
_SPLITS = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("test", "testing"), "test"),
    **dict.fromkeys(("val", "valid", "validation", "dev"), "val"),
}
_SEPARATORS = re.compile(r"[\s_.,;+()\[\]-]+")
# `sub01happy` and `HappyAnna` are two words each.
_CHANGES = re.compile(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Za-z])(?=[0-9])|(?<=[0-9])(?=[A-Za-z])")

_RAVDESS = re.compile(r"0[1-3]-0[12]-0([1-8])-0[12]-0[12]-0[12]-([0-9]{2})")
_CREMA_D = re.compile(r"(1[0-9]{3})_[A-Z]{3}_(ANG|DIS|FEA|HAP|NEU|SAD)_(?:XX|LO|MD|HI)", re.IGNORECASE)


def words_of(name: str) -> list[str]:
    """Returns what stands between the separators of a name."""
    return [word for word in _SEPARATORS.split(name) if word]


def emotion_word(name: str) -> str | None:
    """Returns the word for an emotion that a name is or has in it, in small letters; None for none or several."""
    if name.lower() in _EMOTION:
        return name.lower()
    for words in (words_of(name), _CHANGES.sub(" ", name).replace("_", " ").split()):
        found = {word.lower() for word in words if word.lower() in _EMOTION}
        if found:
            return found.pop() if len(found) == 1 else None
    return None


def split_word(name: str) -> str | None:
    """Returns train, test or val where a folder's name is one of their words."""
    return _SPLITS.get(name.strip().lower())


def one_word_each(words: Iterable[str]) -> dict[str, str]:
    """Returns for each word the one to write for its emotion: the most frequent whole word of it."""
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for word in words:
        counts[_EMOTION.get(word, word)][word] += 1
    chosen: dict[str, str] = {}
    for emotion, of_it in counts.items():
        whole = {word: count for word, count in of_it.items() if len(word) > 3 or word in ("joy", "sad")}
        best = max(whole, key=lambda word: whole[word]) if whole else emotion
        chosen |= dict.fromkeys(of_it, best)
    return chosen


def of_known_corpus(stem: str) -> tuple[str, str, str] | None:
    """Returns the corpus, the emotion and the subject that a name in the style of RAVDESS or CREMA-D tells."""
    if match := _RAVDESS.fullmatch(stem):
        return "ravdess", ravdess.EMOTIONS[int(match[1]) - 1], match[2]
    if match := _CREMA_D.fullmatch(stem):
        return "crema_d", _EMOTION[match[2].lower()], match[1]
    return None
