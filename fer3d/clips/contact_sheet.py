"""The contact sheet: one image of all crops for inspection, doubtful clips first."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from fer3d.clips.detectors import Image
from fer3d.clips.independence import Independence
from fer3d.clips.store import ClipRecord, ClipStore

LOW_CONFIDENCE = 0.9
CELL = 96
GAP = 4
CAPTION = 14
HEADING = 34
MAX_WIDTH = 2400
RED = (40, 40, 220)
ORANGE = (0, 140, 255)
BLACK = (0, 0, 0)
WHITE = 255


@dataclass(frozen=True, slots=True)
class _Cell:
    clip: int
    frame: int
    certainty: float
    caption: str

    @property
    def colour(self) -> tuple[int, int, int] | None:
        if self.certainty < 0:
            return RED
        return ORANGE if self.certainty < LOW_CONFIDENCE else None


def draw_contact_sheet(store: ClipStore, max_per_emotion: int = 240) -> Image:
    """Draws one crop per clip, grouped by emotion, least certain first.

    The crop is the last frame where sequences end at the apex, and the middle frame otherwise. A clip with a doubtful
    frame shows its most doubtful one instead, with a red border where no face was found and a fallback was used, and an
    orange one where the confidence is below 0.9.

    Args:
        store: The clips.
        max_per_emotion: Maximum number of clips per emotion; the least certain ones are shown.

    Returns:
        A BGR image (H, W, 3), uint8, at most 2400 pixels wide.
    """
    # Only `LastFrames` adds no `frames` setting; see `fer3d.clips.frames`.
    ends_at_apex = "frames" not in store.header.settings
    groups = {
        emotion: sorted(
            (_cell(i, record, ends_at_apex) for i, record in enumerate(store.records) if record.emotion == emotion),
            key=lambda cell: cell.certainty,
        )
        for emotion in store.emotions
    }
    widest = max(min(len(cells), max_per_emotion) for cells in groups.values())
    num_columns = max(8, min(widest, (MAX_WIDTH - GAP) // (CELL + GAP)))
    width = num_columns * (CELL + GAP) + GAP
    strips = [_title(store, groups, width)]
    independence = Independence(store.header.subjects_known)
    if not independence.holds:
        strips.append(_text_strip([(f"{independence.caution}: subjects unknown", RED)], width))
    for emotion, cells in groups.items():
        shown = cells[:max_per_emotion]
        count = str(len(cells)) if len(shown) == len(cells) else f"the {len(shown)} least certain of {len(cells)}"
        strips.append(_text_strip([(f"{emotion} ({count})", BLACK)], width))
        strips += [_row(store, shown[i : i + num_columns], width) for i in range(0, len(shown), num_columns)]
    return np.concatenate(strips)


def write_contact_sheet(store: ClipStore, path: Path) -> None:
    """Writes the contact sheet of `store` to a PNG file."""
    encoded = cv2.imencode(".png", draw_contact_sheet(store))[1]
    path.write_bytes(encoded.tobytes())


def _cell(clip: int, record: ClipRecord, ends_at_apex: bool) -> _Cell:
    certainties = [
        1.0 if source in ("repeated", "interpolated") else -1.0 if confidence is None else confidence
        for source, confidence in zip(record.sources, record.confidences, strict=True)
    ]
    least = min(range(len(certainties)), key=certainties.__getitem__)
    last = len(certainties) - 1 - record.sources[::-1].count("repeated")
    frame = least if certainties[least] < LOW_CONFIDENCE else last if ends_at_apex else len(certainties) // 2
    confidence = record.confidences[frame]
    measure = record.sources[frame].replace("_", " ") if confidence is None else f"{confidence:.2f}"
    # The placeholder of an unknown subject carries no information.
    unknown = record.subject.startswith("unknown-")
    name = record.clip_id.removeprefix(f"{record.subject}/") if unknown else record.clip_id
    return _Cell(clip, frame, certainties[least], f"{name} {measure}")


def _title(store: ClipStore, groups: dict[str, list[_Cell]], width: int) -> Image:
    colours = [cell.colour for cells in groups.values() for cell in cells]
    synthetic = " (SYNTHETIC)" if store.synthetic else ""
    parts = [
        (f"{store.corpus}{synthetic}: {len(store)} clips", BLACK),
        (f"fallback used: {colours.count(RED)}", RED),
        (f"confidence < {LOW_CONFIDENCE}: {colours.count(ORANGE)}", ORANGE),
    ]
    return _text_strip(parts, width)


def _text_strip(parts: list[tuple[str, tuple[int, int, int]]], width: int) -> Image:
    strip: Image = np.full((HEADING, width, 3), WHITE, dtype=np.uint8)
    left = GAP
    for text, colour in parts:
        cv2.putText(strip, text, (left, HEADING - 10), cv2.FONT_HERSHEY_SIMPLEX, 0.6, colour, 1, cv2.LINE_AA)
        left += cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, 0.6, 1)[0][0] + 24
    return strip


def _row(store: ClipStore, cells: list[_Cell], width: int) -> Image:
    row: Image = np.full((CELL + CAPTION + GAP, width, 3), WHITE, dtype=np.uint8)
    for column, cell in enumerate(cells):
        left = GAP + column * (CELL + GAP)
        row[:CELL, left : left + CELL] = _picture(store, cell)
        if cell.colour is not None:
            cv2.rectangle(row, (left + 1, 1), (left + CELL - 2, CELL - 2), cell.colour, 3)
        text_width = cv2.getTextSize(cell.caption, cv2.FONT_HERSHEY_SIMPLEX, 0.32, 1)[0][0]
        scale = 0.32 * min(1.0, CELL / text_width)
        at = (left, CELL + CAPTION - 4)
        cv2.putText(row, cell.caption, at, cv2.FONT_HERSHEY_SIMPLEX, scale, cell.colour or BLACK, 1, cv2.LINE_AA)
    return row


def _picture(store: ClipStore, cell: _Cell) -> Image:
    crop = np.asarray(store.clips[cell.clip, cell.frame])
    code = cv2.COLOR_GRAY2BGR if store.num_channels == 1 else cv2.COLOR_RGB2BGR
    return np.asarray(cv2.resize(cv2.cvtColor(crop, code), (CELL, CELL), interpolation=cv2.INTER_AREA), dtype=np.uint8)
