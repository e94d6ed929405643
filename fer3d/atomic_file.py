"""Files that exist whole or not at all."""

from __future__ import annotations

from pathlib import Path
from uuid import uuid4


def write_file(path: Path, content: str | bytes) -> None:
    """Writes a file under a temporary name beside `path` and renames it; an older one is replaced.

    Raises:
        OSError: The file cannot be written; nothing is left then.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    work = path.with_name(f".{path.name}.partial-{uuid4().hex[:6]}")
    try:
        work.write_bytes(content.encode() if isinstance(content, str) else content)
        work.replace(path)
    finally:
        work.unlink(missing_ok=True)
