"""The command that writes a first table."""

from __future__ import annotations

import os
import shlex
from pathlib import Path

import pytest
from fixture_types import Invoke
from hydra.core.override_parser.overrides_parser import OverridesParser

from fer3d.corpora.own_videos.videos import Videos


def write_tree(root: Path, *more: str) -> Path:
    paths = [f"{who}/{shown}/{take}.mp4" for who in ("s1", "s2") for shown in ("Happy", "sad") for take in (1, 2)]
    for path in (*paths, *more):
        file = root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(os.fsencode(path))
    return root


def test_the_table_that_it_writes_is_read_with_the_settings_that_it_prints(invoke: Invoke, tmp_path: Path) -> None:
    root = write_tree(tmp_path / "my 'videos' {1}, $HOME", "s1/sad/frames/1.png", "s1/sad/frames/2.png")
    status, out, err = invoke("init", str(root))
    assert (status, err) == (0, "")
    assert "found 8 video files and 1 folders of images" in out
    assert "emotion: guessed from names, 2 in all: happy (4), sad (5)" in out
    assert "subject: guessed from names, 2 in all: s1 (5), s2 (4)" in out
    words = shlex.split(out.splitlines()[-1])
    assert words[1:5] == ["python", "-m", "fer3d.prepare", "data=videos"]
    parsed = OverridesParser.create().parse_overrides(words[5:])
    settings = {override.key_or_group.removeprefix("data."): override.value() for override in parsed}
    assert settings == {"root": str(root), "table": "clips.csv"}
    assert len(Videos(**settings, emotions=["happy", "sad"]).read()) == 9  # type: ignore[arg-type]


def test_what_it_cannot_guess_stays_empty_and_is_said(invoke: Invoke, tmp_path: Path) -> None:
    root = write_tree(tmp_path / "videos", "x.mp4")
    status, out, _ = invoke("init", str(root), "--table", "first.csv")
    assert status == 0
    assert out.count("empty in 1 of 9 rows, to be filled in: lines 10") == 2
    assert "data.subjects=unknown" in out
    assert (root / "first.csv").read_text(encoding="utf-8").splitlines()[-1] == "x.mp4,,"


@pytest.mark.parametrize("there", ["file", "folder", "link"])
def test_nothing_is_overwritten(there: str, invoke: Invoke, tmp_path: Path) -> None:
    root = write_tree(tmp_path / "videos")
    table = root / "clips.csv"
    if there == "file":
        table.write_text("mine")
    elif there == "folder":
        table.mkdir()
    else:
        table.symlink_to("nowhere")
    before = sorted(root.rglob("*"))
    status, out, err = invoke("init", str(root))
    assert (status, out) == (1, "")
    assert "already exists and is not overwritten" in err
    assert sorted(root.rglob("*")) == before
    assert there != "file" or table.read_text() == "mine"


def test_a_folder_without_videos_is_an_error(invoke: Invoke, tmp_path: Path) -> None:
    (tmp_path / "videos").mkdir()
    (tmp_path / "videos/notes.txt").touch()
    for folder, said in (
        ("videos", "contains no video files"),
        ("nowhere", "is not a folder"),
        ("videos/notes.txt", "is not a folder"),
    ):
        status, _, err = invoke("init", str(tmp_path / folder))
        assert status == 1
        assert said in err
    assert [path.name for path in (tmp_path / "videos").iterdir()] == ["notes.txt"]


def test_a_name_that_is_no_text_is_refused(invoke: Invoke, tmp_path: Path) -> None:
    root = write_tree(tmp_path / "videos", os.fsdecode(b"s1/sad/\xff.mp4"))
    status, _, err = invoke("init", str(root))
    assert status == 1
    assert r"s1/sad/\udcff.mp4" in err
    assert not (root / "clips.csv").exists()


def test_corpora_that_are_known_are_named(invoke: Invoke, tmp_path: Path) -> None:
    names = [f"02-01-0{emotion}-01-01-01-0{actor}.mp4" for emotion in (1, 3) for actor in (1, 2)]
    root = write_tree(tmp_path / "videos", *(f"Actor_{name[-6:-4]}/{name}" for name in names))
    assert "data=ravdess reads that corpus without a table" in invoke("init", str(root))[1]
