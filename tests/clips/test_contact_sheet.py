from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from fer3d.clips.contact_sheet import (
    CELL,
    GAP,
    HEADING,
    MAX_WIDTH,
    ORANGE,
    RED,
    draw_contact_sheet,
    write_contact_sheet,
)
from fer3d.clips.images import read_images
from fer3d.clips.store import ClipRecord, ClipStore, StoreHeader, StoreWriter

FIRST_ROW = 2 * HEADING


def make_store(
    folder: Path,
    confidences: list[tuple[float | None, ...]],
    num_channels: int = 1,
    source: str = "nearest",
    *,
    subjects_known: bool = True,
) -> ClipStore:
    """Each clip's pixels are its number plus 100; `None` stands for a frame whose own face was not found."""
    header = StoreHeader(
        corpus="ckplus",
        synthetic=True,
        emotions=("anger", "happy"),
        num_channels=num_channels,
        num_frames=len(confidences[0]),
        size=16,
        key="",
        settings={},
        versions={},
        subjects_known=subjects_known,
    )
    folder.mkdir()
    with StoreWriter(folder, header) as writer:
        for i, values in enumerate(confidences):
            sources = tuple("detected" if value is not None else source for value in values)
            frames, boxes = ("a.png",) * len(values), ((0, 0, 9, 9),) * len(values)
            record = ClipRecord(f"S001/{i:03d}", "S001", "anger", frames, boxes, values, sources)
            writer.add(record, np.full(header.clip_shape, 100 + i, dtype=np.uint8))
        return writer.seal()


def cell(sheet: np.ndarray, column: int) -> np.ndarray:
    left = GAP + column * (CELL + GAP)
    return sheet[FIRST_ROW : FIRST_ROW + CELL, left : left + CELL]


def border(picture: np.ndarray) -> tuple[int, ...]:
    return tuple(picture[2, CELL // 2].tolist())


def test_least_certain_come_first_and_are_marked(tmp_path: Path) -> None:
    sheet = draw_contact_sheet(make_store(tmp_path / "s", [(0.99, 0.98), (0.99, 0.7), (None, 0.99), (0.95, 1.0)]))
    cells = [cell(sheet, column) for column in range(4)]
    assert [int(c[CELL // 2, CELL // 2, 0]) for c in cells] == [102, 101, 103, 100]
    assert [border(c) for c in cells] == [RED, ORANGE, (103,) * 3, (100,) * 3]


@pytest.mark.parametrize("source", ["repeated", "interpolated"])
def test_frames_without_a_confidence_of_their_own_are_no_reason_for_doubt(tmp_path: Path, source: str) -> None:
    sheet = draw_contact_sheet(make_store(tmp_path / "s", [(0.99, None)], source=source))
    assert border(cell(sheet, 0)) == (100, 100, 100)


def test_doubtful_frame_is_shown_instead_of_the_apex(tmp_path: Path) -> None:
    store = make_store(tmp_path / "s", [(0.99, 0.6, 0.99), (0.99, 0.95, 0.99)])
    marked = np.array(store.clips)
    for frame in range(3):
        marked[:, frame] = 10 * frame
    store.clips = marked
    sheet = draw_contact_sheet(store)
    assert int(cell(sheet, 0)[CELL // 2, CELL // 2, 0]) == 10
    assert int(cell(sheet, 1)[CELL // 2, CELL // 2, 0]) == 20


def test_colour_crops_keep_their_colour(tmp_path: Path) -> None:
    store = make_store(tmp_path / "s", [(0.99,)], num_channels=3)
    rgb = np.array(store.clips)
    rgb[:] = (250, 20, 10)
    store.clips = rgb
    path = tmp_path / "sheet.png"
    write_contact_sheet(store, path)
    assert cell(read_images([path])[0].pixels, 0)[50, 50].tolist() == [10, 20, 250]


@pytest.mark.parametrize("num_clips", [1, 60])
def test_size_stays_readable(tmp_path: Path, num_clips: int) -> None:
    sheet = draw_contact_sheet(make_store(tmp_path / "s", [(0.99,)] * num_clips))
    height, width = sheet.shape[:2]
    assert width <= MAX_WIDTH
    num_rows = -(-num_clips // ((width - GAP) // (CELL + GAP)))
    assert height >= num_rows * CELL + 3 * HEADING
    assert sheet.dtype == np.uint8


def test_large_corpora_show_the_least_certain_clips(tmp_path: Path) -> None:
    store = make_store(tmp_path / "s", [(1.0 - i / 100,) for i in range(8)])
    sheet = draw_contact_sheet(store, max_per_emotion=2)
    assert [int(cell(sheet, column)[50, 50, 0]) for column in range(2)] == [107, 106]
    assert (cell(sheet, 2) == 255).all()


def test_a_sheet_of_unknown_subjects_says_what_follows(tmp_path: Path) -> None:
    plain = draw_contact_sheet(make_store(tmp_path / "known", [(0.99, 0.98)]))
    told = draw_contact_sheet(make_store(tmp_path / "unknown", [(0.99, 0.98)], subjects_known=False))
    assert len(told) == len(plain) + HEADING
    said = told[HEADING : 2 * HEADING]
    written = (said != 255).any(-1).any(0)
    # All of it fits.
    assert written.any()
    assert not written[-GAP:].any()
    np.testing.assert_array_equal(np.delete(told, slice(HEADING, 2 * HEADING), 0), plain)
