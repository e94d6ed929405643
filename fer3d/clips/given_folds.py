"""Folds of a corpus, from the column `split` of its table: train and test, or the name of each clip's fold."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from fer3d.clips.folds import Fold, FoldError, FoldKind, dealt_folds, of_kind
from fer3d.corpora.layout import name_some

TRAIN, TEST, VAL = "train", "test", "val"
_WORDS = {TRAIN: TRAIN, TEST: TEST, VAL: VAL, "valid": VAL, "validation": VAL}
_EXPECTED = "train and test (or val), or the name of the fold that holds out the clip, such as 1 to 5"

_Key = tuple[tuple[bool, int, str], ...]


@of_kind(FoldKind.GIVEN)
def given_folds(subjects: Sequence[str], splits: Sequence[str] = (), inner_val: float = 0.0) -> list[Fold]:
    """The folds of the corpus's table, as distributed with AFEW, DFEW and FERV39k.

    `train` and `test` make one fold. Clips of `val` (`valid`, `validation`) are then kept back to choose an epoch;
    without `test`, they are held out. All other entries name folds, each of which holds out its clips, in natural
    order: 2 before 10. A subject may be on both sides of such a fold; `fer3d.clips.independence` checks that.

    Args:
        subjects: The subject of each clip.
        splits: The entry of each clip; case and surrounding space are ignored.
        inner_val: Share of the training subjects that are kept back to choose an epoch.

    Raises:
        FoldError: There is no column `split`, a clip's entry is empty, the entries mix both kinds or make no fold, a
            fold has two spellings; or `inner_val` leaves no subjects for training or inner validation, or is set
            beside `val`.
    """
    names = [split.strip() for split in splits]
    if not any(names):
        raise FoldError(
            f"cv=given needs a column split in the corpus's table: {_EXPECTED}. This corpus has none; choose another "
            "cv, such as cv=kfold10"
        )
    if empty := [subject for subject, name in zip(subjects, names, strict=True) if not name]:
        raise FoldError(
            f"the column split is empty for {len(empty)} of {len(names)} clips, of the subjects "
            f"{name_some(sorted(set(empty)))}: give each clip {_EXPECTED}"
        )
    words = [_WORDS.get(name.lower(), "") for name in names]
    if not any(words):
        return _named_folds(names, subjects, inner_val)
    if others := sorted({name for name, word in zip(names, words, strict=True) if not word}):
        mixed = sorted({name for name, word in zip(names, words, strict=True) if word})
        raise FoldError(f"the column split mixes {name_some(mixed)} with {name_some(others)}: give {_EXPECTED}")
    return [_one_fold(words, subjects, inner_val)]


def _one_fold(words: Sequence[str], subjects: Sequence[str], inner_val: float) -> Fold:
    there = set(words)
    held_out = TEST if TEST in there else VAL
    if TRAIN not in there or held_out not in there:
        raise FoldError(
            f"the column split has only {' and '.join(sorted(there))}, so there is nothing to "
            f"{'hold out' if TRAIN in there else 'train on'}: give {_EXPECTED}"
        )
    if {TRAIN, TEST, VAL} == there and inner_val:
        raise FoldError(
            f"cv.inner_val is {inner_val}, but the column split already names the clips for inner validation (val): "
            "set cv.inner_val=0"
        )
    (fold,) = dealt_folds([0 if word == held_out else -1 for word in words], subjects, inner_val)
    if held_out == VAL:
        return fold
    kept_back = tuple(index for index in fold.train if words[index] == VAL)
    train = tuple(index for index in fold.train if words[index] == TRAIN)
    return replace(fold, train=train, inner_val=kept_back or fold.inner_val)


def _named_folds(names: Sequence[str], subjects: Sequence[str], inner_val: float) -> list[Fold]:
    spellings: dict[_Key, str] = {}
    for name in names:
        first = spellings.setdefault(_natural(name), name)
        if first != name:
            raise FoldError(f"the column split spells one fold in two ways, {first!r} and {name!r}: choose one")
    if len(spellings) < 2:
        raise FoldError(f"the column split has {names[0]!r} for every clip, which is no split: give {_EXPECTED}")
    places = {key: place for place, key in enumerate(sorted(spellings))}
    return dealt_folds([places[_natural(name)] for name in names], subjects, inner_val)


def _natural(name: str) -> _Key:
    """Sort key of natural order: numbers by value, words without regard to case."""
    parts = re.findall(r"([0-9]+)|([^0-9]+)", name.casefold())
    numbers = ((number.lstrip("0"), word) for number, word in parts)
    return tuple((bool(word), len(number), word or number) for number, word in numbers)
