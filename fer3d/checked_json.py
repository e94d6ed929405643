"""What a file of plain values says is checked against what was written: its checksum, its entries and their kinds."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

CHECKSUM = "checksum"


def sealed(content: Mapping[str, Any]) -> dict[str, Any]:
    """Adds the checksum of plain values as their last entry."""
    return {**content, CHECKSUM: _checksum(content)}


def check_seal(content: Mapping[str, Any]) -> None:
    """Compares values with their checksum; what has none, as earlier versions wrote it, is taken as it is.

    Raises:
        ValueError: They were changed.
    """
    if CHECKSUM in content and content[CHECKSUM] != _checksum(content):
        raise ValueError("it was edited or damaged: its content and its checksum differ")


def first_error(error: ValidationError) -> str:
    """The first thing that a validation found, as `entry: what is wrong`."""
    first = error.errors(include_url=False, include_input=False)[0]
    where = ".".join(map(str, first["loc"])) or "the whole"
    return f"{where}: {first['msg'][:1].lower()}{first['msg'][1:]}"


def _checksum(content: Mapping[str, Any]) -> str:
    """SHA-256 of the values as JSON gives them back, in whatever order they stand."""
    plain = json.loads(json.dumps({key: value for key, value in content.items() if key != CHECKSUM}))
    return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()
