"""What offline runs of W&B wrote, read back from their files."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

from wandb.proto.wandb_internal_pb2 import Record


def records(folder: Path) -> list[Any]:
    """What an offline run wrote; its own process may still be at it when `finish` returns."""
    (file,) = folder.glob("run-*.wandb")
    deadline = time.monotonic() + 30
    while not (found := parse(file.read_bytes())) or not of_kind(found, "exit"):
        assert time.monotonic() < deadline, f"{file} never got its last record"
        time.sleep(0.05)
    return found


def parse(data: bytes) -> list[Any]:
    """Protocol buffers in LevelDB's log format, after 7 bytes of W&B's own."""
    found, position, content = [], 7, b""
    while position + 7 <= len(data):
        left_in_block = 32768 - position % 32768
        if left_in_block < 7:
            position += left_in_block
            continue
        length, kind = int.from_bytes(data[position + 4 : position + 6], "little"), data[position + 6]
        if position + 7 + length > len(data):
            break
        content += data[position + 7 : position + 7 + length]
        position += 7 + length
        if kind in (1, 4):  # a whole record, or the last part of one
            found.append(Record.FromString(content))
            content = b""
    return found


def of_kind(found: list[Any], kind: str) -> list[Any]:
    return [getattr(record, kind) for record in found if record.WhichOneof("record_type") == kind]


def values(items: Any) -> dict[str, Any]:
    return {"/".join(item.nested_key) or item.key: json.loads(item.value_json) for item in items}
