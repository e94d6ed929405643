"""Epoch protocols of the user's own: one rule, one class, one method, named on the command line."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal, Protocol, get_args

import numpy as np
from hydra._internal.utils import _locate

from fer3d.evaluation.protocols import PROTOCOLS, EpochProtocol
from fer3d.evaluation.run_results import EvaluationError, RunResults
from fer3d.training.results import EpochPredictions

LooksAt = Literal["nothing", "inner_val", "held_out"]
_NAME = re.compile(r"[a-z][a-z0-9_]*")


class EpochRule(Protocol):
    """A rule for which epoch of each fold counts. Its class is made without arguments.

    Attributes:
        name: A lower-case word, such as `early_enough`, for tables, CSV and JSON.
        meaning: The rule in a sentence.
        looks_at: What `choose` is given: the predictions of the `held_out` clips, which makes the result optimistic,
            and fer3d says so wherever it stands; those of the training subjects kept back by `cv.inner_val`; or
            `nothing` but the number of epochs.
    """

    name: str
    meaning: str
    looks_at: LooksAt

    def choose(self, folds: Mapping[int, EpochPredictions]) -> Mapping[int, int]:
        """Returns the number of the epoch that counts in each fold, from 1, by the number of the fold.

        Args:
            folds: By number, what each fold's network said of the clips that the rule looks at, after each epoch;
                arrays without a clip where it looks at `nothing`.
        """
        ...


def own_protocols(paths: Sequence[str]) -> list[EpochProtocol]:
    """Makes epoch protocols of a user's own rules.

    Args:
        paths: Their classes, such as `my_protocol.MyRule`.

    Raises:
        EvaluationError: There is no such class, it is no `EpochRule`, or two have one name.
    """
    made = [_own_protocol(path) for path in paths]
    for name, count in Counter(protocol.name for protocol in made).items():
        if count > 1:
            raise EvaluationError(f"two epoch protocols have the name {name}: {', '.join(paths)}")
    return made


def _own_protocol(path: str) -> EpochProtocol:
    try:
        rule: Any = _locate(path)()
    except Exception as error:
        said = " ".join(str(error).split())
        raise EvaluationError(
            f"--protocol {path} must name a class that is made without arguments, such as my_protocol.MyRule: {said}"
        ) from error
    if faults := _faults(rule):
        raise EvaluationError(f"--protocol {path} is no rule for epochs: {'; '.join(faults)}")
    optimistic = rule.looks_at == "held_out"
    title = rule.name.replace("_", " ") + (" (optimistic)" if optimistic else "")
    return EpochProtocol(rule.name, optimistic, title, rule.meaning, path, lambda run: _chosen(rule, path, run))


def _faults(rule: Any) -> list[str]:
    name, looks_at = getattr(rule, "name", None), getattr(rule, "looks_at", None)
    faults = []
    if not isinstance(name, str) or not _NAME.fullmatch(name) or name in [protocol.name for protocol in PROTOCOLS]:
        faults.append(f"its name is {name!r}, and must be a lower-case word that no other protocol has")
    if looks_at not in get_args(LooksAt):
        faults.append(f"its looks_at is {looks_at!r}, and must be one of {', '.join(get_args(LooksAt))}")
    if not isinstance(meaning := getattr(rule, "meaning", None), str) or not meaning.strip():
        faults.append(f"its meaning is {meaning!r}, and must be a sentence")
    if not callable(getattr(rule, "choose", None)):
        faults.append("it has no method choose")
    return faults


def _chosen(rule: EpochRule, path: str, run: RunResults) -> dict[int, int]:
    given = {fold.fold: _looked_at(rule, fold.inner_val, fold) for fold in run.folds}
    if lacking := [number for number, clips in given.items() if clips is None]:
        raise EvaluationError(
            f"{run.folder} kept no training subjects back in {len(lacking)} folds, so that {path} can choose no epoch: "
            "train with, for example, cv.inner_val=0.1"
        )
    chosen: Any = rule.choose({number: clips for number, clips in given.items() if clips is not None})
    wrong = not isinstance(chosen, Mapping) or set(chosen) != set(given)
    if wrong or not all(_is_epoch(chosen[fold.fold], len(fold.logits)) for fold in run.folds):
        raise EvaluationError(
            f"{path} must choose an epoch from 1 to {run.num_epochs} for each fold, {{1: 5, 2: 7}} for example, and "
            f"chose {str(chosen)[:200]}"
        )
    return {number: int(chosen[number]) for number in given}


def _looked_at(rule: EpochRule, inner_val: EpochPredictions | None, fold: EpochPredictions) -> EpochPredictions | None:
    if rule.looks_at == "inner_val":
        return inner_val
    held_out = EpochPredictions(
        logits=fold.logits.copy(), labels=fold.labels.copy(), clip_ids=fold.clip_ids, subjects=fold.subjects
    )
    if rule.looks_at == "held_out":
        return held_out
    return replace(held_out, logits=held_out.logits[:, :0], labels=held_out.labels[:0], clip_ids=(), subjects=())


def _is_epoch(chosen: Any, num_epochs: int) -> bool:
    return isinstance(chosen, int | np.integer) and not isinstance(chosen, bool) and 1 <= int(chosen) <= num_epochs
