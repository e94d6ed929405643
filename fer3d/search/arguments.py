"""Arguments of what a configuration names by `_target_`, checked before it is called with them."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any, Union

from hydra.utils import get_object
from pydantic import TypeAdapter, ValidationError

_PLAIN = {"int": int, "float": float, "bool": bool, "str": str, "None": type(None)}
_KINDS = {"int": "a whole number", "float": "a number", "bool": "true or false", "str": "a text", "None": "null"}


def check_arguments(where: str, settings: Mapping[str, Any]) -> None:
    """Checks that what `_target_` names takes the other settings, and of what kind the plain ones are.

    Args:
        where: The settings' key, such as `hydra.sweeper.sampler`.
        settings: `_target_` and arguments.

    Raises:
        ValueError: There is no such thing, or it takes no such argument, or one of another kind.
    """
    target = settings.get("_target_")
    try:
        made = get_object(str(target))
    except Exception as error:
        raise ValueError(f"{where}._target_={target} names nothing that can be made: {error}") from error
    takes = {
        name: parameter
        for name, parameter in inspect.signature(made).parameters.items()
        if parameter.kind is not inspect.Parameter.VAR_POSITIONAL
    }
    takes_any = any(parameter.kind is inspect.Parameter.VAR_KEYWORD for parameter in takes.values())
    for name, value in settings.items():
        if name.startswith("_"):
            continue
        if name in takes:
            _check_kind(f"{where}.{name}", str(takes[name].annotation), value)
        elif not takes_any:
            raise ValueError(f"{where}.{name} is no setting of {target}: {hint(name, takes)}")


def hint(name: str, known: Mapping[str, Any]) -> str:
    """What to write instead of a name that is not known."""
    close = get_close_matches(name, known, n=1)
    return f"did you mean {close[0]}?" if close else f"it has {', '.join(sorted(known)) or 'none'}"


def _check_kind(where: str, annotation: str, value: Any) -> None:
    """Checks a value against an annotation of plain kinds, as which it is written; of others, the call itself does."""
    kinds = [kind.strip() for kind in annotation.split("|")]
    if not all(kind in _PLAIN for kind in kinds):
        return
    allowed: Any = Union[tuple(_PLAIN[kind] for kind in kinds)]  # noqa: UP007
    try:
        TypeAdapter(allowed).validate_python(value, strict=True)
    except ValidationError as error:
        wanted = " or ".join(_KINDS[kind] for kind in kinds)
        raise ValueError(f"{where} must be {wanted}, got {value!r}") from error
