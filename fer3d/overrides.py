"""Settings in the grammar of Hydra's command line, written so that Hydra reads the same values back."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override, Quote, QuotedString
from hydra.errors import HydraException
from omegaconf import OmegaConf

_INTERPOLATION = re.compile(r"(\\*)\$\{")


def override(key: str, value: Any) -> str:
    """Writes a setting as on the command line.

    Args:
        key: The setting, such as `name` or `+fold`.
        value: A text, number, boolean or None; or lists, mappings and configurations of them, whose keys are texts.
            Text stays text, also where it looks like a number, and `${` is not a reference to another setting.

    Raises:
        ValueError: Hydra's grammar has no such value.
    """
    return f"{key}={written(value)}"


def written(value: Any) -> str:
    """Writes the value of a setting; see `override`."""
    if OmegaConf.is_config(value):
        value = OmegaConf.to_container(value, resolve=True)
    if isinstance(value, str):
        # A backslash escapes `${`.
        return quoted(_INTERPOLATION.sub(lambda match: 2 * match[1] + r"\${", value))
    if isinstance(value, Mapping):
        return "{" + ",".join(f"{_key(key)}:{written(element)}" for key, element in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ",".join(map(written, value)) + "]"
    if value is None or isinstance(value, bool | int | float):
        return "null" if value is None else str(value).lower()
    raise ValueError(f"{value!r} of kind {type(value).__name__} cannot be written as a setting")


def quoted(text: str) -> str:
    """Writes a text, in quotes only where Hydra would read something else; `${` in it refers to another setting."""
    bare = str(Override._get_value_element_as_str(text))
    return bare if bare and _read(bare) == text else QuotedString(text, Quote.single).with_quotes()


def given_text(argument: str) -> str:
    """Reads the value of `key=value` as a text, with or without quotes.

    Args:
        argument: An argument that Hydra itself does not see.
    """
    text = argument.partition("=")[2]
    read = _read(text)
    # As Hydra does, so that a value that `override` has written is read back.
    return str(OmegaConf.create({"text": read}).text) if isinstance(read, str) else text


def is_readable(text: str) -> bool:
    """Whether Hydra can read a text as the value of a setting, of whatever type."""
    try:
        OverridesParser.create().parse_override(f"x={text}")
    except HydraException:
        return False
    return True


def _key(key: Any) -> str:
    text = str(Override._get_value_element_as_str(str(key)))
    if not isinstance(key, str) or _read(f"{{{text}:0}}") != {key: 0}:
        raise ValueError(f"{key!r} cannot be written as the key of a setting")
    return text


def _read(text: str) -> Any:
    try:
        return OverridesParser.create().parse_override(f"x={text}").value()
    except HydraException:
        return None
