"""Epoch protocols of the user's own: one rule, one class, named on the command line."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, get_args

from hydra._internal.utils import _locate

from fer3d.evaluation.protocols import PROTOCOLS, EpochProtocol, LooksAt
from fer3d.evaluation.run_results import EvaluationError
from fer3d.training.results import EpochPredictions

_NAME = re.compile(r"[a-z][a-z0-9_]*")


class OwnProtocol(EpochProtocol):
    """An epoch protocol made of a user's rule, which needs no base class.

    Args:
        rule: An object with the attributes `name`, `meaning` and `looks_at` and the method `choose` of `EpochProtocol`.
        path: Its class, such as `my_protocol.MyRule`.
    """

    def __init__(self, rule: Any, path: str) -> None:
        self.name, self.meaning, self.looks_at, self.own = rule.name, rule.meaning, rule.looks_at, path
        self.title = rule.name.replace("_", " ") + (" (optimistic)" if self.optimistic else "")
        self._rule = rule

    def choose(self, folds: Mapping[int, EpochPredictions]) -> Any:
        """Returns what the rule chooses; `epochs` checks it.

        Raises:
            EvaluationError: The rule raises an error.
        """
        try:
            return self._rule.choose(folds)
        except Exception as error:
            said = " ".join(str(error).split())
            raise EvaluationError(f"{self.own}.choose raised {type(error).__name__}: {said}") from error


def own_protocols(paths: Sequence[str]) -> list[EpochProtocol]:
    """Makes epoch protocols of the user's own rules.

    Args:
        paths: Their classes, such as `my_protocol.MyRule`.

    Raises:
        EvaluationError: A class does not exist, needs arguments or lacks a part of the contract, or two have one name.
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
        # Hydra's own message follows the cause, and repeats it.
        said = " ".join(str(error.__cause__ or error).split())
        raise EvaluationError(
            f"--protocol {path} must name a class that is made without arguments, such as my_protocol.MyRule in "
            f"my_protocol.py of this folder: {said}"
        ) from error
    if faults := _faults(rule):
        raise EvaluationError(f"--protocol {path} is not an epoch protocol (docs/extend.md): {'; '.join(faults)}")
    return OwnProtocol(rule, path)


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
