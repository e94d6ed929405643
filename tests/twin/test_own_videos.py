"""A folder of own videos, copied out of a twin: its names, its table, its label."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from fer3d.corpora.layout import in_synthetic_twin
from fer3d.corpora.own_videos.videos import Videos
from fer3d.corpora.sequences import SYNTHETIC_MARKER
from fer3d.twin.own_videos import TABLE_NAME, OwnVideos

CODES = {1: "neutral", 4: "sad", 8: "surprised"}


@pytest.fixture
def own(tmp_path: Path) -> OwnVideos:
    twin = tmp_path / "twin"
    for actor in (3, 20):
        for repetition in (1, 2):
            for code in CODES:
                path = twin / f"Actor_{actor:02d}" / f"02-01-{code:02d}-01-01-{repetition:02d}-{actor:02d}.mp4"
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(path.name)
    (twin / SYNTHETIC_MARKER).write_text(json.dumps({}))
    return OwnVideos(twin, tmp_path / "my runs" / "own")


@pytest.mark.filterwarnings("ignore:.*data.emotions is not set")
def test_the_first_table_is_right_and_what_is_read_is_synthetic(own: OwnVideos) -> None:
    own.make()
    corpus = Videos(own.folder, table=TABLE_NAME)
    sequences = corpus.read()
    assert corpus.synthetic
    assert corpus.emotions == tuple(CODES.values())
    assert len(sequences) == 12
    for sequence in sequences:
        _, _, code, _, _, repetition, actor = sequence.video.read_text().removesuffix(".mp4").split("-")
        assert (sequence.subject, sequence.emotion) == (f"Person {actor}", CODES[int(code)])
        assert sequence.video.name == f"{sequence.emotion} {int(repetition)}.mp4"


def test_what_is_there_is_left_as_it_is(own: OwnVideos) -> None:
    own.make()
    table = own.folder / TABLE_NAME
    table.write_text(table.read_text().replace("sad", "gloomy"))
    before = {path: path.stat().st_mtime_ns for path in own.folder.rglob("*")}
    own.make()
    assert {path: path.stat().st_mtime_ns for path in own.folder.rglob("*")} == before
    assert not any(in_synthetic_twin(path) for path in own.folder.parents)
