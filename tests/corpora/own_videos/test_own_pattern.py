"""What a pattern of paths matches."""

from __future__ import annotations

from pathlib import Path

import pytest
from video_trees import add_video, read, refused

from fer3d.corpora.own_videos.pattern import PathPattern
from fer3d.corpora.own_videos.tree import VideoTree
from fer3d.corpora.sequences import CorpusError


@pytest.mark.parametrize(
    ("pattern", "path", "found"),
    [
        ("{subject}/{emotion}/*.mp4", "s1/happy/a.mp4", ("s1", "happy", {})),
        ("{subject}/{emotion}/*.mp4", "s1/happy/a.avi", None),
        ("{subject}/{emotion}/*.mp4", "x/s1/happy/a.mp4", None),
        ("**/{subject}/{emotion}/*.mp4", "x/y/s1/happy/a.mp4", ("s1", "happy", {})),
        ("**/{subject}/{emotion}/*.mp4", "s1/happy/a.mp4", ("s1", "happy", {})),
        ("{split}/{subject}_{emotion}_{x}.*", "test/s1_happy_b_2.mov", ("s1", "happy", {"split": "test", "x": "b_2"})),
        ("*_{subject}_{emotion}.mp4", "x_y_s1_happy.mp4", ("s1", "happy", {})),
        ("{subject}/{subject}_{emotion}.mp4", "a_b/a_b_happy.mp4", ("a_b", "happy", {})),
        ("**/{subject}/{emotion}.mp4", "x/y/s1/happy.mp4", ("s1", "happy", {})),
        ("{subject}/{subject}_{emotion}.mp4", "s1/s1_happy.mp4", ("s1", "happy", {})),
        ("{subject}/{subject}_{emotion}.mp4", "s1/s2_happy.mp4", None),
        ("Actor_{subject}/??-{emotion}-*", "Actor_07/01-happy-x.flv", ("07", "happy", {})),
        ("{subject}+({emotion})[1].mp4", "s1+(happy)[1].mp4", ("s1", "happy", {})),
        ("{subject}.{emotion}.mp4", "s1xhappy.mp4", None),
        ("{subject}/{emotion}.mp4", "s1/ha\nppy.mp4", ("s1", "ha\nppy", {})),
    ],
)
def test_what_it_matches(pattern: str, path: str, found: tuple[str, str, dict[str, str]] | None) -> None:
    tree = VideoTree(Path("root"), [path, "x.mp4"])
    if found is None:
        with pytest.raises(CorpusError, match="no video file below"):
            PathPattern(pattern, True).rows(tree)
        return
    (row,) = PathPattern(pattern, True).rows(tree)
    assert (row.path, row.emotion, row.subject, row.columns) == (path, found[1], found[0], found[2])


@pytest.mark.parametrize(
    "pattern",
    [
        "{subject}/*.mp4",
        "{subject}{emotion}.mp4",
        "{subject}/{emotion}/{}.mp4",
        "{subject}/{emotion}/{path}.mp4",
        "{subject}/{emotion}/{Take 1}.mp4",
        "{subject}/{emotion/*.mp4",
        "{subject}/emotion}/*.mp4",
        "/data/{subject}/{emotion}.mp4",
        "./{subject}/{emotion}.mp4",
    ],
)
def test_a_pattern_that_cannot_be_understood_is_refused(pattern: str) -> None:
    with pytest.raises(CorpusError, match=r"data\.pattern is"):
        PathPattern(pattern, True)


def test_a_pattern_that_nothing_matches_says_what_there_is(tmp_path: Path) -> None:
    add_video(tmp_path, "s1/happy/a.MP4")
    assert "1 video files: s1/happy/a.MP4" in refused(tmp_path, table=None, pattern="{subject}/{emotion}/*.mp4")


def test_files_that_cannot_be_used_are_errors(tmp_path: Path) -> None:
    for path in ("a/x", "a/y", "b/x", "b/y"):
        add_video(tmp_path, f"{path}.mp4")
    add_video(tmp_path, "b/z.mp4", b"")
    (tmp_path / "b/w.mp4").symlink_to("nowhere")
    said = refused(tmp_path, table=None, pattern="{subject}/{emotion}.mp4")
    assert "broken link (1): b/w.mp4" in said
    (tmp_path / "b/z.mp4").unlink()
    (tmp_path / "b/w.mp4").unlink()
    assert len(read(tmp_path, table=None, pattern="{subject}/{emotion}.mp4")[0]) == 4


def test_a_hard_pattern_ends_soon() -> None:
    tree = VideoTree(Path("root"), ["a" * 200 + ".mp4"])
    with pytest.raises(CorpusError):
        PathPattern("**/*a*a*{subject}a*a*{emotion}b.mp4", True).rows(tree)
