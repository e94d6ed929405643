"""Checksums for JSON-like content, and readable validation errors."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

CHECKSUM = "checksum"


def sealed(content: Mapping[str, Any]) -> dict[str, Any]:
    """Returns `content` with its checksum added as the last entry."""
    return {**content, CHECKSUM: _checksum(content)}


def check_seal(content: Mapping[str, Any]) -> None:
    """Verifies the checksum of `content`; files without a checksum, as old versions wrote them, pass.

    Raises:
        ValueError: The content was changed.
    """
    if CHECKSUM in content and content[CHECKSUM] != _checksum(content):
        raise ValueError("it was edited or damaged: its content does not match its checksum")


def first_error(error: ValidationError) -> str:
    """Formats the first validation error as `entry: message`."""
    first = error.errors(include_url=False, include_input=False)[0]
    where = ".".join(map(str, first["loc"])) or "the whole"
    return f"{where}: {first['msg'][:1].lower()}{first['msg'][1:]}"


def _checksum(content: Mapping[str, Any]) -> str:
    """SHA-256 of the values after a JSON round trip, independent of key order."""
    plain = json.loads(json.dumps({key: value for key, value in content.items() if key != CHECKSUM}))
    return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()
