"""Atomic file writes: a file is complete or absent."""

from __future__ import annotations

from pathlib import Path
from uuid import uuid4

from fer3d.disk import writing


def write_file(path: Path, content: str | bytes) -> None:
    """Writes `content` to a temporary file beside `path` and renames it, replacing an existing file.

    An error leaves no temporary file behind.

    Raises:
        DiskError: The disk is full, or `path` is not writable.
        OSError: Writing failed for another reason.
    """
    work = path.with_name(f".{path.name}.partial-{uuid4().hex[:6]}")
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            work.write_bytes(content.encode() if isinstance(content, str) else content)
            work.replace(path)
        finally:
            work.unlink(missing_ok=True)
