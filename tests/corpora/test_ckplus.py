from __future__ import annotations

import itertools
from pathlib import Path

import pytest
from refusals import error_text
from trees import (
    CKPLUS_IMAGES,
    CKPLUS_LABELS,
    add_ckplus_frames,
    add_ckplus_label,
    ckplus_code,
    make_ckplus,
    read_part,
    touch,
)

from fer3d.corpora.ckplus import EMOTIONS, CKPlus
from fer3d.corpora.sequences import CorpusWarning, FrameSequence


def test_reads_subject_sequence_emotion_and_frames(ckplus: Path) -> None:
    wanted = []
    for subject, name, emotion in (("S005", "001", "disgust"), ("S010", "002", "surprise"), ("S010", "004", "anger")):
        folder = ckplus / CKPLUS_IMAGES / subject / name
        frames = tuple(folder / f"{subject}_{name}_{number:08d}.png" for number in (1, 2, 3))
        wanted.append(FrameSequence(subject, name, emotion, frames))
    assert read_part(CKPlus(ckplus)) == wanted


def test_codes_1_to_7_are_the_emotions_in_order(tmp_path: Path) -> None:
    root = make_ckplus(tmp_path, {f"S{code:03d}/001": code for code in range(1, 8)})
    assert tuple(sequence.emotion for sequence in read_part(CKPlus(root))) == EMOTIONS


IN_ONE_FOLDER = itertools.product(
    (CKPLUS_IMAGES, f"extended-cohn-kanade-images/{CKPLUS_IMAGES}", "Cohn-Kanade-Images"),
    ("Emotion", "Emotion_labels", "Emotion_labels/Emotion", "emotion_labels"),
)
IN_FOLDERS_OF_THEIR_OWN = [
    (f"CK+/{CKPLUS_IMAGES}", "CK+/Emotion"),
    (f"a/extended-cohn-kanade-images/{CKPLUS_IMAGES}", "b/Emotion_labels/Emotion"),
    ("extended-cohn-kanade-images", "Emotion_labels"),
    (f"extended-cohn-kanade-images (4)/{CKPLUS_IMAGES}", "Emotion_labels(2)"),
]


@pytest.mark.parametrize(("images", "labels"), [*IN_ONE_FOLDER, *IN_FOLDERS_OF_THEIR_OWN])
def test_roots_seen_in_the_wild(tmp_path: Path, images: str, labels: str) -> None:
    root = make_ckplus(tmp_path, {"S005/001": 3}, images, labels)
    (sequence,) = read_part(CKPlus(root))
    assert (sequence.clip_id, sequence.emotion) == ("S005/001", "disgust")
    assert [frame.parent for frame in sequence.frames] == [root / images / "S005/001"] * 3


def test_subject_folders_may_differ_in_case(tmp_path: Path) -> None:
    add_ckplus_frames(tmp_path / CKPLUS_IMAGES, "s005/001", [1])
    add_ckplus_label(tmp_path / CKPLUS_LABELS, "S005/001", ckplus_code(5), number=1)
    (sequence,) = read_part(CKPlus(tmp_path))
    assert (sequence.subject, len(sequence.frames)) == ("S005", 1)


def test_unlabelled_sequences_have_an_empty_label_folder_or_none(ckplus: Path) -> None:
    before = read_part(CKPlus(ckplus))
    for clip_id in ("S005/002", "S010/001", "S011/001"):
        add_ckplus_frames(ckplus / CKPLUS_IMAGES, clip_id, [1, 2])
    (ckplus / CKPLUS_LABELS / "S005/002").mkdir()
    (ckplus / CKPLUS_LABELS / "S012").mkdir()
    assert read_part(CKPlus(ckplus)) == before


def test_frames_are_sorted_by_number_and_counted(tmp_path: Path) -> None:
    add_ckplus_frames(tmp_path / CKPLUS_IMAGES, "S046/002", [19, 4, 5, 8])
    # Names of unequal width, as renumbering tools leave them, sort differently as text and as numbers.
    touch(tmp_path / CKPLUS_IMAGES / "S046/002/S046_002_100.png")
    touch(tmp_path / CKPLUS_IMAGES / "S046/002/S046_002_20.JPG")
    add_ckplus_label(tmp_path / CKPLUS_LABELS, "S046/002", ckplus_code(7), number=100)
    with pytest.warns(CorpusWarning):
        (sequence,) = CKPlus(tmp_path).read()
    assert [int(frame.stem.rsplit("_")[-1]) for frame in sequence.frames] == [4, 5, 8, 19, 20, 100]


@pytest.mark.parametrize("ending", [".txt.txt", "", ".TXT", " (1).txt"])
def test_a_label_is_known_by_the_start_of_its_name(ckplus: Path, ending: str) -> None:
    before = read_part(CKPlus(ckplus))
    file = ckplus / CKPLUS_LABELS / "S005/001/S005_001_00000003_emotion.txt"
    file.rename(file.with_name(f"S005_001_00000003_emotion{ending}"))
    assert read_part(CKPlus(ckplus)) == before


@pytest.mark.parametrize(("missing", "numbers"), [(2, "2 frames, numbered from 1 to 3"), (1, "from 2 to 3")])
def test_missing_frames_before_the_peak_are_named(ckplus: Path, missing: int, numbers: str) -> None:
    (ckplus / CKPLUS_IMAGES / f"S010/002/S010_002_{missing:08d}.png").unlink()
    with pytest.warns(CorpusWarning) as caught:
        assert len(CKPlus(ckplus).read()) == 3
    assert "S010/002 (" in str(caught[0].message)
    assert numbers in str(caught[0].message)


def test_frames_after_the_peak_are_named(ckplus: Path) -> None:
    add_ckplus_frames(ckplus / CKPLUS_IMAGES, "S010/002", [4])
    with pytest.warns(CorpusWarning) as caught:
        assert len(CKPlus(ckplus).read()) == 3
    assert "S010/002 (to frame 4 instead of 3)" in str(caught[0].message)


@pytest.mark.parametrize("text", ["   3.0000000e+00\n", "3", "3.0", "\t3.0000000e+00\r\n\n"])
def test_labels_are_numbers_however_written(tmp_path: Path, text: str) -> None:
    add_ckplus_frames(tmp_path / CKPLUS_IMAGES, "S005/001", [1])
    add_ckplus_label(tmp_path / CKPLUS_LABELS, "S005/001", text, number=1)
    assert read_part(CKPlus(tmp_path))[0].emotion == "disgust"


@pytest.mark.parametrize("content", [b"", b"happy", b"3 4", "\u0663".encode(), b"\xff\xfe3\x00", b"3" * 10**6])
def test_an_unreadable_label_is_an_error_that_names_the_file(ckplus: Path, content: bytes) -> None:
    file = add_ckplus_label(ckplus / CKPLUS_LABELS, "S010/002", "", number=3)
    file.write_bytes(content)
    message = error_text(CKPlus(ckplus))
    assert str(file.relative_to(ckplus)) in message
    assert str(ckplus) in message
    assert len(message) < 500


@pytest.mark.parametrize("text", ["0.0000000e+00", "8.0000000e+00", "-1", "2.5", "nan", "inf", "1e400"])
def test_a_code_outside_1_to_7_is_an_error_that_names_file_and_range(ckplus: Path, text: str) -> None:
    file = add_ckplus_label(ckplus / CKPLUS_LABELS, "S010/002", text, number=3)
    message = error_text(CKPlus(ckplus))
    assert f"{file.relative_to(ckplus)} contains {text}" in message
    assert "1..7 (1 anger, 2 contempt, 3 disgust, 4 fear, 5 happy, 6 sadness, 7 surprise)" in message


@pytest.mark.parametrize("second", ["S005_001_00000012_emotion.txt", "S005_001_00000003_emotion (1).txt"])
def test_two_labels_of_one_sequence_are_an_error(ckplus: Path, second: str) -> None:
    label = ckplus / CKPLUS_LABELS / "S005/001/S005_001_00000003_emotion.txt"
    label.with_name(second).write_text(label.read_text())
    message = error_text(CKPlus(ckplus))
    assert all(words in message for words in (f"{CKPLUS_LABELS}/S005/001", label.name, second, "Keep one"))


@pytest.mark.parametrize(
    ("second", "named"),
    [
        ("S005/001/S005_001_00000002.jpg", "S005_001_00000002.jpg and S005_001_00000002.png"),
        ("s005/001/s005_001_00000001.png", "S005 and s005"),
    ],
    ids=["frame", "subject"],
)
def test_two_names_of_one_thing_are_an_error(ckplus: Path, second: str, named: str) -> None:
    touch(ckplus / CKPLUS_IMAGES / second)
    assert named in error_text(CKPlus(ckplus))


def test_labelled_sequences_without_frames_are_an_error_that_names_them(ckplus: Path) -> None:
    labels = ckplus / CKPLUS_LABELS
    add_ckplus_label(labels, "S077/001", ckplus_code(1))
    add_ckplus_label(labels, "S005/009", ckplus_code(1))
    add_ckplus_label(labels, "S010/007", ckplus_code(1))
    touch(ckplus / CKPLUS_IMAGES / "S010/007/.DS_Store")
    message = error_text(CKPlus(ckplus))
    assert "(3): S005/009, S010/007, S077/001." in message
    assert str(ckplus) in message
    assert "extended-cohn-kanade-images.zip" in message


def test_a_sequence_without_its_peak_is_an_error_that_names_it(ckplus: Path) -> None:
    (ckplus / CKPLUS_IMAGES / "S010/002/S010_002_00000003.png").unlink()
    message = error_text(CKPlus(ckplus))
    assert "peak" in message
    assert "S010/002 (frame 3)" in message


@pytest.mark.parametrize("foreign", ["S005_002_00000004.png", "S010_001_00000002.png", "s011_001_00000009.PNG"])
def test_a_frame_of_another_sequence_is_an_error_that_names_it(ckplus: Path, foreign: str) -> None:
    touch(ckplus / CKPLUS_IMAGES / "S005/001" / foreign)
    assert f"{CKPLUS_IMAGES}/S005/001/{foreign}" in error_text(CKPlus(ckplus))


@pytest.mark.parametrize("foreign", ["S005_002_00000003_emotion.txt", "S010_001_00000003_emotion.txt"])
def test_a_label_of_another_sequence_is_an_error_that_names_it(ckplus: Path, foreign: str) -> None:
    label = ckplus / CKPLUS_LABELS / "S005/001/S005_001_00000003_emotion.txt"
    label.rename(label.with_name(foreign))
    assert f"{CKPLUS_LABELS}/S005/001/{foreign}" in error_text(CKPlus(ckplus))


@pytest.mark.parametrize("kind", ["folder", "broken link"])
def test_a_label_that_is_no_file_is_an_error_that_names_it(ckplus: Path, kind: str) -> None:
    name = f"{CKPLUS_LABELS}/S005/001/S005_001_00000003_emotion.txt"
    (ckplus / name).unlink()
    if kind == "folder":
        (ckplus / name).mkdir()
    else:
        (ckplus / name).symlink_to("nowhere")
    assert name in error_text(CKPlus(ckplus))


def test_what_is_not_read_is_named_beside_the_error_that_it_may_explain(ckplus: Path) -> None:
    (ckplus / CKPLUS_IMAGES / "S005").rename(ckplus / CKPLUS_IMAGES / "S005 ")
    message = error_text(CKPlus(ckplus))
    assert "S005/001" in message
    assert f"'{CKPLUS_IMAGES}/S005 '" in message


@pytest.mark.parametrize(("missing", "present"), [(CKPLUS_LABELS, CKPLUS_IMAGES), (CKPLUS_IMAGES, CKPLUS_LABELS)])
def test_a_root_with_one_of_the_two_folders_says_which_is_missing(ckplus: Path, missing: str, present: str) -> None:
    (ckplus / missing).rename(ckplus.parent / "elsewhere")
    message = error_text(CKPlus(ckplus))
    assert f"no folder {missing}" in message
    assert f"{ckplus} and contains {present}/." in message


@pytest.mark.parametrize("renamed", [False, True])
def test_a_folder_without_labels_is_an_error_that_names_what_lies_there(ckplus: Path, renamed: bool) -> None:
    for file in (ckplus / CKPLUS_LABELS).rglob("*.txt"):
        file.rename(file.with_name("label.txt")) if renamed else file.unlink()
    message = error_text(CKPlus(ckplus))
    assert f"{ckplus / CKPLUS_LABELS} contains subject folders but no file named *_emotion.txt." in message
    assert (f"{CKPLUS_LABELS}/S005/001/label.txt" in message) == renamed


@pytest.mark.parametrize(
    ("what", "images", "labels"),
    [("images", f"copy/{CKPLUS_IMAGES}", "unused"), ("labels", "unused", "Emotion_labels")],
)
def test_two_copies_are_an_error_that_names_both(ckplus: Path, what: str, images: str, labels: str) -> None:
    make_ckplus(ckplus, {"S005/001": 3}, images, labels)
    message = error_text(CKPlus(ckplus))
    assert f"several folders of {what}" in message
    both = (CKPLUS_IMAGES, images) if what == "images" else (CKPLUS_LABELS, labels)
    assert all(str(ckplus / folder) in message for folder in both)


def test_a_subject_that_lies_in_the_root_is_shown(ckplus: Path) -> None:
    (ckplus / CKPLUS_IMAGES / "S005").rename(ckplus / "S005")
    message = error_text(CKPlus(ckplus))
    assert "have no frames such as S005/001/S005_001_00000001.png (1): S005/001." in message
    assert "not read, because they are in the wrong place (1): S005." in message


@pytest.mark.parametrize("to", ["", "elsewhere/deeper", CKPLUS_IMAGES, f"{CKPLUS_LABELS} of mine/S005/001"])
def test_a_label_beside_its_folders_is_named(ckplus: Path, to: str) -> None:
    label = ckplus / CKPLUS_LABELS / "S005/001/S005_001_00000003_emotion.txt"
    (ckplus / to).mkdir(parents=True, exist_ok=True)
    label.rename(ckplus / to / label.name)
    with pytest.warns(CorpusWarning) as caught:
        CKPlus(ckplus).read()
    place = "Emotion of mine/S005" if "mine" in to else Path(to, label.name).as_posix()
    assert sum(f"(1): {place}. " in str(warning.message) for warning in caught) == 1


def test_a_link_to_a_sequence_is_no_part_that_lies_elsewhere(ckplus: Path) -> None:
    (ckplus / "one").symlink_to(ckplus / CKPLUS_IMAGES / "S005/001")
    assert len(read_part(CKPlus(ckplus))) == 3
