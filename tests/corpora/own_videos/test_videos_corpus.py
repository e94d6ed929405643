"""Own videos as a corpus: what is read, and under which names."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from trees import mark_synthetic
from video_trees import EMOTIONS, HEADER, SUBJECTS, add_frames, add_video, make_videos, read, refused, write_table

from fer3d.corpora.own_videos.videos import Videos
from fer3d.corpora.sequences import Corpus, FrameSequence, VideoSequence


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "my videos"
    write_table(folder, make_videos(folder))
    return folder


def ids(root: Path, **settings: Any) -> list[str]:
    return [sequence.clip_id for sequence in read(root, **settings)[0]]


def test_a_table_is_read_whole(root: Path) -> None:
    corpus: Corpus = Videos(root, "clips.csv", emotions=["happy", "angry"])
    sequences = corpus.read()
    assert corpus.emotions == ("happy", "angry")
    assert (corpus.name, corpus.num_channels, corpus.synthetic, corpus.root) == ("videos", 3, False, root)
    assert [sequence.clip_id for sequence in sequences] == sorted(
        f"{subject}/{emotion}/take{take}" for subject in SUBJECTS for emotion in EMOTIONS for take in (1, 2)
    )
    first = sequences[0]
    assert first == VideoSequence("anna", "angry/take1", "angry", root / "anna/angry/take1.mp4")


def test_emotions_that_are_not_given_are_those_found_and_said(root: Path) -> None:
    corpus = Videos(root, "clips.csv")
    with pytest.warns(match="in alphabetical order, angry, happy"):
        corpus.read()
    assert corpus.emotions == ("angry", "happy")


def test_a_class_that_one_subject_alone_shows_is_named(root: Path) -> None:
    table = root / "clips.csv"
    assert "only one subject" not in read(root)[1]
    table.write_text(table.read_text().replace("anna/angry/take1.mp4,angry", "anna/angry/take1.mp4,agnry"))
    assert "only one subject shows agnry (anna)" in read(root)[1]


def test_a_pattern_reads_the_same_as_a_table(root: Path) -> None:
    assert read(root, table=None, pattern="{subject}/{emotion}/*.mp4")[0] == read(root)[0]


def test_parts_of_a_file_and_other_columns(root: Path) -> None:
    row = "anna/angry/take1.mp4,{},anna,{},{},{},{}"
    rows = [row.format("angry", "1.5", "3", "train", "indoors"), row.format("happy", "3", "", "test", "")]
    rows.append("ben/happy/take1.mp4,happy,ben,,2e0,test,")
    write_table(root, rows, HEADER + ",start,end,split,place")
    sequences, _ = read(root)
    assert [(one.clip_id, one.start, one.end) for one in sequences if isinstance(one, VideoSequence)] == [
        ("anna/angry/take1@1.5-3.0", 1.5, 3.0),
        ("anna/angry/take1@3.0-", 3.0, None),
        ("ben/happy/take1@0.0-2.0", None, 2.0),
    ]
    assert [sequence.columns for sequence in sequences] == [
        {"split": "train", "place": "indoors"},
        {"split": "test", "place": ""},
        {"split": "test", "place": ""},
    ]


def test_folders_of_frames_are_in_the_order_of_their_numbers(root: Path) -> None:
    add_frames(root, "anna/x")
    add_frames(root, "ben/y", ["b_9.JPG", "b_10.JPG"])
    rows = ["anna/x,angry,anna", "ben/y,happy,ben"]
    (root / "ben/y/Thumbs.db").touch()
    write_table(root, rows)
    first, second = read(root)[0]
    assert isinstance(first, FrameSequence)
    assert first.clip_id == "anna/x"
    assert first.frames == tuple(root / "anna/x" / name for name in ("1.png", "2.png", "10.png"))
    assert isinstance(second, FrameSequence)
    assert [path.name for path in second.frames] == ["b_9.JPG", "b_10.JPG"]


def test_a_pattern_that_ends_in_a_slash_is_of_folders_of_frames(root: Path) -> None:
    for path in ("anna/angry/f1", "anna/happy/f1", "ben/happy/f1"):
        add_frames(root / "frames", path)
    sequences, said = read(root, table=None, pattern="frames/{subject}/{emotion}/{take}/")
    clip_ids = [sequence.clip_id for sequence in sequences]
    assert clip_ids == ["anna/frames/angry/f1", "anna/frames/happy/f1", "ben/frames/happy/f1"]
    assert sequences[0].columns == {"take": "f1"}
    assert "anna/angry/take1.mp4" in said


def test_clip_ids_are_unique_and_do_not_hang_on_the_other_rows(tmp_path: Path) -> None:
    paths = ["a/s1.mp4", "a/s1.avi", "x/a/s1.mp4", "a/x/s1.mp4", "b/s1.mp4"]
    labels = ["no,a", "no,a", "yes,a", "yes,a", "no,b"]
    write_table(tmp_path, [f"{add_video(tmp_path, path)},{said}" for path, said in zip(paths, labels, strict=True)])
    assert ids(tmp_path) == ["a/a/x/s1.mp4", "a/s1.avi", "a/s1.mp4", "a/x/a/s1.mp4", "b/s1"]


def test_files_that_no_row_names_are_named(root: Path) -> None:
    for path in ("new.MOV", "anna/.hidden.mp4", "anna/notes.txt"):
        add_video(root, path)
    write_table(root, make_videos(root)[1:])
    _, said = read(root)
    assert "(2): anna/angry/take1.mp4; new.MOV" in said
    assert "hidden" not in said


def test_folders_of_frames_that_are_not_read_are_named_too(root: Path) -> None:
    for path in ("frames/anna/angry", "frames/ben/happy", "elsewhere"):
        add_frames(root, path)
    _, said = read(root)
    assert "does not name these folders of images, which are not read (3): elsewhere; frames/anna/angry" in said
    _, said = read(root, table=None, pattern="frames/{subject}/{emotion}/")
    assert "does not match these folders of images, which are not read (1): elsewhere" in said
    assert "(12): anna/angry/take1.mp4" in said


def test_without_subjects_every_file_is_a_person_of_its_own(root: Path) -> None:
    video = "anna/angry/take1.mp4"
    rows = [f"{video},angry,0,1", f"{video},happy,1,2", "ben/happy/take1.mp4,happy,,"]
    write_table(root, rows, "path,emotion,start,end")
    sequences, said = read(root, subjects="unknown")
    assert "NOT SUBJECT-INDEPENDENT" in said
    assert not Videos(root, "clips.csv", subjects="unknown").subjects_known
    subjects = {sequence.sequence: sequence.subject for sequence in sequences}
    assert subjects["anna/angry/take1@0.0-1.0"] == subjects["anna/angry/take1@1.0-2.0"]
    assert len(set(subjects.values())) == 2
    assert Videos(root, "clips.csv").subjects_known


@pytest.mark.parametrize("header", ["path,emotion", "path,emotion,person"])
def test_a_table_without_subjects_says_why_that_leaks_and_how_to_go_on(root: Path, header: str) -> None:
    rows = [row if "person" in header else row.rpartition(",")[0] for row in make_videos(root)]
    write_table(root, rows, header)
    said = refused(root)
    assert all(words in said for words in ("no column `subject`", "leak", "data.subjects=unknown", "NOT SUBJECT-INDEP"))
    assert ("is it person?" in said) == ("person" in header)
    assert len(read(root, subjects="unknown")[0]) == 12


def test_a_pattern_without_subjects_says_so_too(root: Path) -> None:
    said = refused(root, table=None, pattern="*/{emotion}/*.mp4")
    assert all(words in said for words in ("no {subject}", "leak", "data.subjects=unknown"))
    assert len(read(root, table=None, pattern="*/{emotion}/*.mp4", subjects="unknown")[0]) == 12


def test_emotions_that_were_not_asked_for_are_an_error_or_left_out_and_counted(root: Path) -> None:
    rows = [*make_videos(root), f"{add_video(root, 'ben/c.mp4')},calm,ben", f"{add_video(root, 'ben/b.mp4')},bored,ben"]
    write_table(root, rows)
    said = refused(root, emotions=["happy", "angry"])
    assert "calm 1 times, first in line 14: ben/c.mp4" in said
    assert "bored 1 times, first in line 15: ben/b.mp4" in said
    sequences, said = read(root, emotions=["happy", "angry"], others="skip")
    assert len(sequences) == 12
    assert "leaves out 2 clips: bored (1), calm (1)" in said


def test_a_class_that_nobody_shows_is_named(root: Path) -> None:
    assert "no clip shows calm" in read(root, emotions=["happy", "angry", "calm"])[1]


def test_numbers_can_be_emotions(root: Path) -> None:
    write_table(root, [row.replace(",angry,", ",0,").replace(",happy,", ",1,") for row in make_videos(root)])
    corpus = Videos(root, "clips.csv", emotions=[1, 0])
    corpus.read()
    assert corpus.emotions == ("1", "0")


@pytest.mark.parametrize("place", [".", "anna", "..", "anna/angry"])
def test_a_twin_is_synthetic_wherever_its_marker_is(root: Path, place: str) -> None:
    mark_synthetic(root / place)
    corpus = Videos(root, "clips.csv", emotions=EMOTIONS)
    corpus.read()
    assert corpus.synthetic


def test_paths_may_be_absolute_or_lead_out_which_is_said(root: Path) -> None:
    outside = root.parent / "else"
    rows = [f"{outside / add_video(outside, 'a.mp4')},angry,ben", f"../else/{add_video(outside, 'b.mp4')},happy,ben"]
    write_table(root, [*make_videos(root), *rows])
    sequences, said = read(root)
    assert [one.clip_id for one in sequences if "else" in one.clip_id] == ["ben/else/a", "ben/else/b"]
    assert "outside of data.root (2): line 14" in said


def test_the_table_may_lie_elsewhere(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (root / "clips.csv").rename(tmp_path / "t.csv")
    assert len(read(root, table=tmp_path / "t.csv")[0]) == 12
    monkeypatch.chdir(tmp_path)
    assert f"set data.table={tmp_path / 't.csv'}" in refused(root, table="t.csv")


def test_paths_as_windows_writes_them(root: Path) -> None:
    (root / "clips.csv").write_bytes((root / "clips.csv").read_bytes().replace(b"/", b"\\").replace(b"\n", b"\r\n"))
    assert len(read(root)[0]) == 12


def test_names_of_any_kind_are_read_back(tmp_path: Path) -> None:
    names = [
        f"{name}.mp4" for name in ("ä ö", " blanks ", 'quo"te', "com,ma", "semi;colon", "line\nbreak", "\u202eright")
    ]
    quoted = ['"{}"'.format(add_video(tmp_path, name).replace('"', '""')) for name in names]
    rows = [f"{name},{EMOTIONS[index % 2]},{SUBJECTS[index % 3]}" for index, name in enumerate(quoted)]
    write_table(tmp_path, rows)
    found = {one.video.name for one in read(tmp_path)[0] if isinstance(one, VideoSequence)}
    assert found == set(names)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"table": None}, "not set"),
        ({"pattern": "{subject}/{emotion}.mp4"}, "both set"),
        ({"others": "drop"}, "data.others"),
        ({"subjects": "none"}, "data.subjects"),
        ({"num_channels": 2}, "data.num_channels"),
        ({"name": "My videos"}, "data.name"),
        ({"name": "ckplus"}, "data.name"),
        ({"emotions": ["happy"]}, "data.emotions"),
        ({"emotions": ["happy", "Happy"]}, "data.emotions"),
        ({"emotions": ["happy", ""]}, "data.emotions"),
        ({"emotions": ["happy", "a/b"]}, "data.emotions"),
    ],
)
def test_a_wrong_setting_is_named(root: Path, settings: dict[str, Any], said: str) -> None:
    assert said in refused(root, **settings)


def test_names_that_are_no_text_are_refused(root: Path) -> None:
    (root / "anna/angry/take1.mp4").rename(root / "anna/angry" / os.fsdecode(b"\xff.mp4"))
    said = refused(root, table=None, pattern="{subject}/{emotion}/*.mp4")
    assert "not valid UTF-8" in said
    assert r"\udcff" in said
