"""Files that exist whole or not at all."""

from __future__ import annotations

from pathlib import Path
from uuid import uuid4

from fer3d.disk import writing


def write_file(path: Path, content: str | bytes) -> None:
    """Writes a file under a temporary name beside `path` and renames it; an older one is replaced.

    Raises:
        DiskError: The disk is full, or may not be written to; nothing is left then.
        OSError: The file cannot be written for another reason; nothing is left then.
    """
    work = path.with_name(f".{path.name}.partial-{uuid4().hex[:6]}")
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            work.write_bytes(content.encode() if isinstance(content, str) else content)
            work.replace(path)
        finally:
            work.unlink(missing_ok=True)
