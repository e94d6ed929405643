"""A table is checked whole: every fault with its line, all at once, before anything is decoded."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from video_trees import HEADER, add_frames, add_video, make_videos, read, refused, write_table

TAKE = "anna/angry/take1.mp4"
ROW = f"{TAKE},angry,anna"
TIMES = HEADER + ",start,end"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    write_table(tmp_path, make_videos(tmp_path))
    return tmp_path


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r"])
def test_tables_of_all_kinds_are_read(root: Path, delimiter: str, encoding: str, line_end: str) -> None:
    rows = [HEADER.title(), "", *make_videos(root), ",,", ""]
    text = line_end.join(rows).replace(",", delimiter)
    (root / "clips.csv").write_bytes(text.encode(encoding))
    assert len(read(root)[0]) == 12


def test_a_delimiter_in_quotes_and_at_the_end_of_lines_is_none(root: Path) -> None:
    rows = [f'"{row.partition(",")[0]}",{row.partition(",")[2]},"a, b; c"' for row in make_videos(root)]
    write_table(root, [row + "," for row in rows], HEADER + ',"notes, if any"')
    sequences, _ = read(root)
    assert {tuple(sequence.columns.items()) for sequence in sequences} == {(("notes, if any", "a, b; c"),)}


def test_a_column_without_a_name_is_kept(root: Path) -> None:
    write_table(root, [f"{number},{row}" for number, row in enumerate(make_videos(root))], f",{HEADER}")
    assert sorted(int(sequence.columns["column 1"]) for sequence in read(root)[0]) == list(range(12))


def test_line_numbers_count_the_breaks_within_quotes(root: Path) -> None:
    write_table(root, ['"a\n\nb.mp4",happy,ben', "none.mp4,happy,ben", ROW])
    said = refused(root)
    assert r"line 2: 'a\n\nb.mp4'; line 5: none.mp4" in said


@pytest.mark.parametrize(
    ("row", "header", "said"),
    [
        ("none.mp4,happy,ben", HEADER, "no such file or folder"),
        ("Anna/angry/TAKE1.mp4,happy,ben", HEADER, f"did you mean {TAKE}"),
        ("anna/angry/take1.avi,happy,ben", HEADER, f"did you mean {TAKE}"),
        ("x" * 300 + ",happy,ben", HEADER, "cannot be opened"),
        ("link.mp4,happy,ben", HEADER, "cannot be opened"),
        ("pipe.mp4,happy,ben", HEADER, "neither a file nor a folder"),
        ("frames/1.png,happy,ben", HEADER, "name their folder"),
        ("anna/angry,happy,ben", HEADER, "a folder of videos"),
        ("anna,happy,ben", HEADER, "a folder without images"),
        ("mixed,happy,ben", HEADER, "a#.png, b#.png"),
        ("same,happy,ben", HEADER, "01.png, 1.png"),
        ("dangling,happy,ben", HEADER, "an image that is not a file"),
        (",happy,ben", HEADER, "an empty cell in the column path"),
        (f"{TAKE}, ,ben", HEADER, "an empty cell in the column emotion"),
        (f"{TAKE},happy,", HEADER, "an empty cell in the column subject"),
        (f"{TAKE},happy", HEADER, "not 3 cells"),
        (f"{TAKE},happy,ben,1", HEADER, "not 3 cells"),
        (f"{TAKE},happy,ben/2", HEADER, "subject with /"),
        (f"{TAKE},happy,..", HEADER, "cannot name a folder"),
        (f'{TAKE},"sa\nd",ben', HEADER, "emotion that cannot name a folder"),
        (f"{TAKE},{'x' * 101},ben", HEADER, "more than 100 characters"),
        (f"{TAKE},happy,ben,x,2", TIMES, "start is not a number"),
        (f"{TAKE},happy,ben,1,nan", TIMES, "end is not a number"),
        (f"{TAKE},happy,ben,1,inf", TIMES, "end is not a number"),
        (f"{TAKE},happy,ben,1,1e999", TIMES, "end is not a number"),
        (f"{TAKE},happy,ben,0:01,0:02", TIMES, "start is not a number"),
        (f"{TAKE},happy,ben,-1,2", TIMES, "start is negative"),
        (f"{TAKE},happy,ben,2,2", TIMES, "end is not after start"),
        (f"{TAKE},happy,ben,,0", TIMES, "end is not after start"),
        ("frames,happy,ben,1,2", TIMES, "only video files have them"),
    ],
)
def test_a_wrong_row_is_an_error_that_names_its_line(root: Path, row: str, header: str, said: str) -> None:
    (root / "link.mp4").symlink_to("link.mp4")
    os.mkfifo(root / "pipe.mp4")
    add_video(root, "empty.mp4", b"")
    add_video(root, "pointer.mp4", b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n")
    add_frames(root, "frames")
    add_frames(root, "mixed", ["a1.png", "b1.png"])
    add_frames(root, "same", ["1.png", "01.png"])
    add_video(root, add_frames(root, "hole") + "/2.png", b"")
    (root / add_frames(root, "dangling") / "3.png").symlink_to("nowhere")
    more = "," * header.count(",")
    right = ["cleo/happy/take1.mp4,happy,cleo", "ben/angry/take1.mp4,angry,ben"]
    write_table(root, [right[0] + more[2:], row, right[1] + more[2:]], header)
    message = refused(root)
    assert said in message
    assert "line 3" in message
    assert "line 2" not in message
    assert "line 5" not in message or "\n" in row
    assert message.endswith("run the same command again.")


@pytest.mark.parametrize(
    ("header", "said"),
    [
        ("path,label,subject", "no column `emotion` (1): line 1: path,label,subject; is it label?"),
        ("filename,emotion,subject", "is it filename?"),
        ("path,emotions,subject", "is it emotions?"),
        ("path,emotion,subject,subject", "more than once (1): line 1: subject"),
        ("path", "no column `emotion`"),
    ],
)
def test_a_wrong_header_is_named(root: Path, header: str, said: str) -> None:
    write_table(root, make_videos(root), header)
    assert said in refused(root)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is empty"),
        (b"\xef\xbb\xbf \n\n", "is empty"),
        (HEADER.encode(), "without rows below (1): line 2"),
        (b"PK\x03\x04" + b"x" * 50, "save it as CSV"),
        (HEADER.encode("utf-16"), "UTF-16"),
        (b"\0" * 100, "is not a text file"),
        (b"version https://git-lfs.github.com/spec/v1\n", "git lfs pull"),
        (f"{HEADER}\n{ROW}\nb\xe4r,happy,ben\n".encode("latin-1"), "not in UTF-8 (save the table as UTF-8"),
        (f"{HEADER}\n{ROW}\nb\xe4r,happy,ben\n".encode("latin-1"), "CSV UTF-8) (1): line 3"),
        (f"{HEADER}\n{ROW}\nb\0r,happy,ben\n".encode(), "a NUL byte, which is not allowed in text (1): line 3"),
        (f'{HEADER}\n{ROW}\n"b,happy,ben\n{ROW}\n'.encode(), "wrong quotes"),
        (f'{HEADER}\n{ROW}\n"b"r,happy,ben\n{ROW}\n'.encode(), "line 3 (',' expected after '\"')"),
        (f"{HEADER}\n{'x' * 200_000},a,b\n".encode(), "line 2 (field larger than field limit"),
    ],
)
def test_what_is_no_table_is_named(root: Path, content: bytes, said: str) -> None:
    (root / "clips.csv").write_bytes(content)
    assert said in refused(root)


def test_a_table_that_is_not_there_and_a_folder_are_named(root: Path) -> None:
    assert "clips.txt, which does not exist" in refused(root, table="clips.txt")
    assert "anna, which is a folder" in refused(root, table="anna")


def test_all_faults_are_said_at_once_and_the_first_of_each_kind_are_named(root: Path) -> None:
    rows = [f"none{number}.mp4,happy,ben" for number in range(30)]
    write_table(root, [*rows, ROW + "/x", "anna/happy/take1.mp4,,anna"])
    said = refused(root)
    assert "32 faults" in said
    assert "(30): line 2: none0.mp4; " in said
    assert "none19.mp4; and 10 more" in said
    assert "line 32" in said
    assert "line 33" in said


OTHER_NAMES = ("link.mp4", "hard.mp4", "folder/angry/take1.mp4", "copy.mp4")


@pytest.mark.parametrize("other", [TAKE, f"./{TAKE}", f"anna/../{TAKE}", f" {TAKE}", *OTHER_NAMES])
@pytest.mark.parametrize(
    ("label", "unlike"), [("happy,anna", "emotion angry and happy"), ("angry,ben", "subject anna and ben")]
)
def test_the_same_pixels_under_two_labels_or_subjects_are_an_error(
    root: Path, other: str, label: str, unlike: str
) -> None:
    (root / "link.mp4").symlink_to(TAKE)
    (root / "hard.mp4").hardlink_to(root / TAKE)
    (root / "folder").symlink_to("anna")
    add_video(root, "copy.mp4", (root / TAKE).read_bytes())
    write_table(root, [*make_videos(root), f"{other},{label}"])
    said = refused(root)
    assert "the same pixels" in said
    assert all(words in said for words in ("line 2:", "line 14:", unlike))


def test_copies_of_a_file_with_the_same_label_are_named(root: Path) -> None:
    add_video(root, "copy.mp4", (root / TAKE).read_bytes())
    write_table(root, [*make_videos(root), "copy.mp4,angry,anna"])
    sequences, said = read(root)
    assert len(sequences) == 13
    assert f"the same bytes (1): line 2: {TAKE} and line 14: copy.mp4" in said
    assert "the same pixels" in refused(root, subjects="unknown")


def test_copies_of_a_folder_of_frames_are_found(root: Path) -> None:
    rows = ["frames,angry,anna", "copied,angry,ben", "other,angry,ben"]
    for name, last in (("frames", b"x"), ("copied", b"x"), ("other", b"y")):
        for number, content in enumerate((b"a" * 70_000, b"b", last)):
            add_video(root, f"{name}/{number}.png", content)
    write_table(root, [*make_videos(root), *rows])
    said = refused(root)
    assert "line 14: frames and line 15: copied" in said
    assert "line 16" not in said


@pytest.mark.parametrize(
    ("spans", "said"),
    [
        ((("0", "2"), ("2", "3")), ""),
        ((("2", ""), ("", "2")), ""),
        ((("0", "2"), ("1.99", "3")), "line 2: {0} and line 3: {0}"),
        ((("", ""), ("1", "3")), "line 2: {0} and line 3: {0}"),
        ((("0", "9"), ("1", "2"), ("3", "4")), "line 2: {0} and line 4: {0}"),
    ],
)
@pytest.mark.parametrize("emotion", ["angry", "happy"])
def test_parts_that_overlap_are_named(root: Path, spans: tuple[tuple[str, str], ...], said: str, emotion: str) -> None:
    emotions = ["angry", *[emotion] * (len(spans) - 1)]
    rows = [f"{TAKE},{shown},anna,{start},{end}" for (start, end), shown in zip(spans, emotions, strict=True)]
    write_table(root, [*rows, "ben/happy/take1.mp4,happy,ben,,"], TIMES)
    if said and emotion == "happy":
        message = refused(root)
        assert "the same pixels" in message
    else:
        sequences, message = read(root)
        assert len(sequences) == len(rows) + 1
        assert ("overlap" in message) == bool(said)
    assert said.format(TAKE) in message


def test_the_same_pixels_in_two_splits_are_an_error(root: Path) -> None:
    rows = [f"{TAKE},angry,anna,0,2,train", f"{TAKE},angry,anna,1,3,test", "ben/happy/take1.mp4,happy,ben,,,test"]
    write_table(root, rows, TIMES + ",split")
    assert "split train and test" in refused(root)


def test_a_split_that_is_missing_is_named(root: Path) -> None:
    rows = make_videos(root)
    write_table(root, [rows[0] + ",train", rows[1] + ",", *[row + ",test" for row in rows[2:]]], HEADER + ",split")
    assert "column split, although other rows have a value (1): line 3" in refused(root)


@pytest.mark.parametrize(
    ("name", "spelling", "said"),
    [
        ("angry", "Angry", "Angry 1 times, first in line 2: {0}, angry 5 times"),
        ("anna", "ANNA", "ANNA 1 times, first in line 2: {0}, anna 3 times"),
    ],
)
def test_spellings_of_one_name_are_an_error_that_proposes_one(root: Path, name: str, spelling: str, said: str) -> None:
    first, *rows = make_videos(root)
    write_table(root, [first.replace(f",{name}", f",{spelling}"), *rows])
    message = refused(root)
    assert said.format(TAKE) in message
    assert "write a" in message


def test_subjects_that_differ_in_zeros_are_named(root: Path) -> None:
    rows = [row.replace(",anna", ",s1").replace(",ben", ",s01").replace(",cleo", ",s10") for row in make_videos(root)]
    write_table(root, rows)
    sequences, said = read(root)
    assert len(sequences) == 12
    assert "(1): s1, s01" in said


def test_one_subject_or_one_emotion_is_too_few(root: Path) -> None:
    rows = make_videos(root)
    write_table(root, rows[:4])
    assert "only one subject" in refused(root)
    write_table(root, [row for row in rows if "angry" in row])
    assert "only one emotion" in refused(root)
    assert "only one emotion" in refused(root, subjects="unknown")
    write_table(root, rows)
    assert "fewer than two" in refused(root, emotions=["angry", "calm"], others="skip")
