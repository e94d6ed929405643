from __future__ import annotations

import os
from pathlib import Path

import pytest
from trees import CKPLUS_IMAGES, CKPLUS_LABELS, add_ckplus_label, ckplus_code, make_ckplus, read_part, touch

from fer3d.corpora.ckplus import CKPlus
from fer3d.corpora.sequences import CorpusError, CorpusWarning

HOW_TO_GET = (
    "data.root",
    "Pittsburgh",
    "jeffcohn.net",
    "extended-cohn-kanade-images.zip",
    "Emotion_labels.zip",
    "licence",
)


def error_text(corpus: CKPlus) -> str:
    with pytest.raises(CorpusError) as caught:
        corpus.read()
    return str(caught.value)


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


def test_many_bad_labels_are_one_sentence(tmp_path: Path) -> None:
    root = make_ckplus(tmp_path, {f"S{number:03d}/001": 9 for number in range(20)})
    message = error_text(CKPlus(root))
    assert "(20)" in message
    assert "and 12 more" in message


@pytest.mark.parametrize("second", ["S005_001_00000012_emotion.txt", "S005_001_00000003_emotion (1).txt"])
def test_two_labels_of_one_sequence_are_an_error(ckplus: Path, second: str) -> None:
    label = ckplus / CKPLUS_LABELS / "S005/001/S005_001_00000003_emotion.txt"
    label.with_name(second).write_text(label.read_text())
    message = error_text(CKPlus(ckplus))
    assert all(words in message for words in (f"{CKPLUS_LABELS}/S005/001", label.name, second, "Keep one"))


def test_one_frame_under_two_names_is_an_error(ckplus: Path) -> None:
    touch(ckplus / CKPLUS_IMAGES / "S005/001/S005_001_00000002.jpg")
    assert "S005_001_00000002.jpg and S005_001_00000002.png" in error_text(CKPlus(ckplus))


def test_one_subject_under_two_names_is_an_error(ckplus: Path) -> None:
    touch(ckplus / CKPLUS_IMAGES / "s005/001/s005_001_00000001.png")
    assert "S005 and s005" in error_text(CKPlus(ckplus))


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


@pytest.mark.parametrize("kind", ["folder", "broken link", "link to itself", "pipe"])
@pytest.mark.parametrize(
    "name",
    [f"{CKPLUS_IMAGES}/S005/001/S005_001_00000003.png", f"{CKPLUS_LABELS}/S005/001/S005_001_00000003_emotion.txt"],
)
def test_what_should_be_a_file_and_is_not_is_an_error_that_names_it(ckplus: Path, name: str, kind: str) -> None:
    file = ckplus / name
    file.unlink()
    if kind == "folder":
        file.mkdir()
    elif kind == "pipe":
        os.mkfifo(file)
    else:
        file.symlink_to(file if kind == "link to itself" else "nowhere")
    assert name in error_text(CKPlus(ckplus))


def test_what_is_not_read_is_named_beside_the_error_that_it_may_explain(ckplus: Path) -> None:
    (ckplus / CKPLUS_IMAGES / "S005").rename(ckplus / CKPLUS_IMAGES / "S005 ")
    message = error_text(CKPlus(ckplus))
    assert "S005/001" in message
    assert f"'{CKPLUS_IMAGES}/S005 '" in message


def test_names_that_are_no_text_can_be_printed(ckplus: Path) -> None:
    (ckplus / CKPLUS_IMAGES / "S005").rename(ckplus / CKPLUS_IMAGES / os.fsdecode(b"S005\xff"))
    assert r"S005\udcff" in error_text(CKPlus(ckplus)).encode().decode()


@pytest.mark.parametrize("root", [None, ""])
def test_an_unset_root_says_what_to_do(root: str | None) -> None:
    message = error_text(CKPlus(root))
    assert "data.root is not set" in message
    assert all(words in message for words in (*HOW_TO_GET, "cohn-kanade-images", "Emotion_labels"))


def test_a_missing_root_is_named(tmp_path: Path) -> None:
    message = error_text(CKPlus(tmp_path / "nowhere"))
    assert f"data.root is {tmp_path / 'nowhere'}, which does not exist" in message
    assert all(words in message for words in HOW_TO_GET)


def test_a_relative_root_is_named_in_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert str(tmp_path / "nowhere") in error_text(CKPlus("nowhere"))


def test_an_archive_is_not_a_root(tmp_path: Path) -> None:
    archive = touch(tmp_path / "Emotion_labels.zip")
    assert f"{archive}, which is a file, not a folder" in error_text(CKPlus(archive))


def test_an_empty_root_is_an_error(tmp_path: Path) -> None:
    assert f"data.root is {tmp_path}, which is empty" in error_text(CKPlus(tmp_path))


def test_a_wrong_root_says_what_it_holds(tmp_path: Path) -> None:
    touch(tmp_path / "extended-cohn-kanade-images.zip")
    (tmp_path / "photographs").mkdir()
    message = error_text(CKPlus(tmp_path))
    assert "no folder cohn-kanade-images" in message
    assert f"{tmp_path} and contains extended-cohn-kanade-images.zip, photographs/." in message
    assert all(words in message for words in HOW_TO_GET)


@pytest.mark.parametrize(("missing", "present"), [(CKPLUS_LABELS, CKPLUS_IMAGES), (CKPLUS_IMAGES, CKPLUS_LABELS)])
def test_a_root_with_one_of_the_two_folders_says_which_is_missing(ckplus: Path, missing: str, present: str) -> None:
    (ckplus / missing).rename(ckplus.parent / "elsewhere")
    message = error_text(CKPlus(ckplus))
    assert f"no folder {missing}" in message
    assert f"{ckplus} and contains {present}/." in message


def test_labels_that_are_all_missing_are_an_error(ckplus: Path) -> None:
    for file in (ckplus / CKPLUS_LABELS).rglob("*.txt"):
        file.unlink()
    assert f"{ckplus / CKPLUS_LABELS} contains subject folders but no file named *_emotion.txt.\n" in error_text(
        CKPlus(ckplus)
    )


def test_labels_that_all_have_other_names_are_named(ckplus: Path) -> None:
    for file in (ckplus / CKPLUS_LABELS).rglob("*.txt"):
        file.rename(file.with_name("label.txt"))
    message = error_text(CKPlus(ckplus))
    assert "no file named *_emotion.txt." in message
    assert f"{CKPLUS_LABELS}/S005/001/label.txt" in message


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


def test_the_other_archives_other_corpora_and_links_are_no_parts_that_lie_elsewhere(ckplus: Path) -> None:
    for name in (
        "FACS/S005/001/S005_001_00000003_facs.txt",
        "FACS_labels/FACS/S005/001/S005_001_00000003_facs.txt",
        "Landmarks/S005/001/S005_001_00000001_landmarks.txt",
        "Emotion_labels.zip",
        "OriginalImg/VL/Strong/P001/Anger/000.jpeg",
        "theirs/S001/baseline/001.png",
    ):
        touch(ckplus / name)
    (ckplus / "again").symlink_to(ckplus)
    (ckplus / "one").symlink_to(ckplus / CKPLUS_IMAGES / "S005/001")
    assert len(read_part(CKPlus(ckplus))) == 3


def test_a_root_of_an_unknown_user_is_a_missing_one() -> None:
    assert "~no such user/CK+, which does not exist" in error_text(CKPlus("~no such user/CK+"))


def test_a_root_that_cannot_be_opened_is_named() -> None:
    assert "cannot be opened (File name too long)" in error_text(CKPlus("x" * 300))
