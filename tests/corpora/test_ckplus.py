from __future__ import annotations

import time
import warnings
from collections import Counter
from pathlib import Path

import pytest
from trees import (
    CKPLUS_IMAGES,
    CKPLUS_LABELS,
    add_ckplus_frames,
    add_ckplus_label,
    ckplus_code,
    full_ckplus_codes,
    make_ckplus,
    mark_synthetic,
    read_part,
    touch,
)

from fer3d.corpora.ckplus import EMOTIONS, EXPECTED, CKPlus
from fer3d.corpora.sequences import CorpusWarning, FrameSequence


def test_constants_are_those_of_the_corpus() -> None:
    corpus = CKPlus(None)
    assert (corpus.name, corpus.num_channels, corpus.synthetic) == ("ckplus", 1, False)
    assert corpus.emotions == ("anger", "contempt", "disgust", "fear", "happy", "sadness", "surprise")
    assert sum(EXPECTED.per_emotion.values()) == EXPECTED.num_sequences


def test_reads_subject_sequence_emotion_and_frames(ckplus: Path) -> None:
    images = ckplus / CKPLUS_IMAGES
    assert read_part(CKPlus(ckplus)) == [
        FrameSequence(
            subject,
            sequence,
            emotion,
            tuple(images / subject / sequence / f"{subject}_{sequence}_{number:08d}.png" for number in (1, 2, 3)),
        )
        for subject, sequence, emotion in (
            ("S005", "001", "disgust"),
            ("S010", "002", "surprise"),
            ("S010", "004", "anger"),
        )
    ]


def test_codes_1_to_7_are_the_emotions_in_order(tmp_path: Path) -> None:
    root = make_ckplus(tmp_path, {f"S{code:03d}/001": code for code in range(1, 8)})
    assert tuple(sequence.emotion for sequence in read_part(CKPlus(root))) == EMOTIONS


@pytest.mark.parametrize(
    "images", [CKPLUS_IMAGES, f"extended-cohn-kanade-images/{CKPLUS_IMAGES}", "Cohn-Kanade-Images"]
)
@pytest.mark.parametrize("labels", ["Emotion", "Emotion_labels", "Emotion_labels/Emotion", "emotion_labels"])
def test_roots_seen_in_the_wild(tmp_path: Path, images: str, labels: str) -> None:
    root = make_ckplus(tmp_path, {"S005/001": 3}, images, labels)
    (sequence,) = read_part(CKPlus(root))
    assert sequence.emotion == "disgust"
    assert [frame.parent for frame in sequence.frames] == [root / images / "S005/001"] * 3


@pytest.mark.parametrize(
    ("images", "labels"),
    [
        (f"CK+/{CKPLUS_IMAGES}", "CK+/Emotion"),
        (f"a/extended-cohn-kanade-images/{CKPLUS_IMAGES}", "b/Emotion_labels/Emotion"),
        ("extended-cohn-kanade-images", "Emotion_labels"),
        (f"extended-cohn-kanade-images (4)/{CKPLUS_IMAGES}", "Emotion_labels(2)"),
    ],
)
def test_archives_unpacked_into_folders_of_their_own(tmp_path: Path, images: str, labels: str) -> None:
    root = make_ckplus(tmp_path, {"S005/001": 3}, images, labels)
    assert [sequence.clip_id for sequence in read_part(CKPlus(root))] == ["S005/001"]


def test_subject_folders_may_differ_in_case(tmp_path: Path) -> None:
    add_ckplus_frames(tmp_path / CKPLUS_IMAGES, "s005/001", [1])
    add_ckplus_label(tmp_path / CKPLUS_LABELS, "S005/001", ckplus_code(5), number=1)
    (sequence,) = read_part(CKPlus(tmp_path))
    assert (sequence.subject, len(sequence.frames)) == ("S005", 1)


def test_root_may_be_text_and_start_at_home(ckplus: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(ckplus.parent))
    corpus = CKPlus(f"~/{ckplus.name}")
    assert corpus.root == ckplus
    assert len(read_part(corpus)) == 3


def test_other_archives_and_what_systems_leave_are_passed_over(ckplus: Path) -> None:
    before = read_part(CKPlus(ckplus))
    for name in (
        "FACS_labels/FACS/S005/001/S005_001_00000011_facs.txt",
        "Landmarks/Landmarks/S005/001/S005_001_00000001_landmarks.txt",
        f"__MACOSX/{CKPLUS_IMAGES}/S005/001/._S005_001_00000001.png",
        f"__MACOSX/{CKPLUS_LABELS}/S005/001/._S005_001_00000011_emotion.txt",
        "ReadMeCohnKanadeDatabase_website.txt",
        ".DS_Store",
        *(
            f"{folder}{place}/.DS_Store"
            for folder in (CKPLUS_IMAGES, CKPLUS_LABELS)
            for place in ("", "/S005", "/S005/001")
        ),
        f"{CKPLUS_IMAGES}/S005/001/._S005_001_00000001.png",
        f"{CKPLUS_IMAGES}/S005/001/Thumbs.db",
        f"{CKPLUS_LABELS}/S005/001/._S005_001_00000003_emotion.txt",
    ):
        touch(ckplus / name)
    assert read_part(CKPlus(ckplus)) == before


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


@pytest.mark.parametrize(
    "name",
    [
        f"{CKPLUS_IMAGES}/S011 /001/S011_001_00000001.png",
        f"{CKPLUS_IMAGES}/S011 (1)/001/S011_001_00000001.png",
        f"{CKPLUS_IMAGES}/S11/001/S011_001_00000001.png",
        f"{CKPLUS_IMAGES}/S\u0661\u0661\u0661/001/S011_001_00000001.png",
        f"{CKPLUS_IMAGES}/S005/001 (1)/S005_001_00000001.png",
        f"{CKPLUS_IMAGES}/S005/S005_001_00000001.png",
        f"{CKPLUS_IMAGES}/S005/001/preview_7.png",
        f"{CKPLUS_IMAGES}/S005/001/S005_001_00000003 (1).png",
        f"{CKPLUS_IMAGES}/S005/002/S010_002_00000001.png",
        f"{CKPLUS_IMAGES}/S005_001_00000001.png",
        f"{CKPLUS_LABELS}/S011 /001/S011_001_00000001_emotion.txt",
        f"{CKPLUS_LABELS}/S005/1/S005_001_00000001_emotion.txt",
        f"{CKPLUS_LABELS}/S005/S005_002_00000001_emotion.txt",
        f"{CKPLUS_LABELS}/S005/001/S005_001_00000003_facs.txt",
        f"{CKPLUS_LABELS}/S005/001/.hidden",
    ],
)
def test_whatever_is_not_read_is_named(ckplus: Path, name: str) -> None:
    touch(ckplus / name)
    with pytest.warns(CorpusWarning) as caught:
        sequences = CKPlus(ckplus).read()
    assert len(sequences) == 3
    place = next(part for part in (Path(name), *Path(name).parents) if repr(str(part))[1:-1] in str(caught[0].message))
    # The tree and a good subject or sequence in it do not say what is not read.
    assert place.parts[1:] not in ((), ("S005",), ("S005", "001"))
    assert Path(caught[0].filename) == Path(__file__)


def test_many_files_that_are_not_read_are_one_sentence(ckplus: Path) -> None:
    for number in range(20):
        touch(ckplus / CKPLUS_IMAGES / f"{number:02d}.txt")
    with pytest.warns(CorpusWarning) as caught:
        CKPlus(ckplus).read()
    message = str(caught[0].message)
    assert "(20)" in message
    assert "07.txt and 12 more" in message


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


def test_sequences_are_sorted_by_subject_and_then_by_sequence(tmp_path: Path) -> None:
    ids = ["S999/001", "S005/010", "S138/002", "S005/002", "S501/001"]
    root = make_ckplus(tmp_path, dict.fromkeys(ids, 1))
    assert [sequence.clip_id for sequence in read_part(CKPlus(root))] == sorted(ids)


@pytest.mark.parametrize("text", ["   3.0000000e+00\n", "3", "3.0", "\t3.0000000e+00\r\n\n"])
def test_labels_are_numbers_however_written(tmp_path: Path, text: str) -> None:
    add_ckplus_frames(tmp_path / CKPLUS_IMAGES, "S005/001", [1])
    add_ckplus_label(tmp_path / CKPLUS_LABELS, "S005/001", text, number=1)
    assert read_part(CKPlus(tmp_path))[0].emotion == "disgust"


def test_a_missing_sequence_is_a_warning_that_names_the_difference(tmp_path: Path) -> None:
    codes = full_ckplus_codes()
    last = max(codes)
    assert codes.pop(last) == EMOTIONS.index("surprise") + 1
    with pytest.warns(CorpusWarning) as caught:
        CKPlus(make_ckplus(tmp_path, codes, num_frames=1)).read()
    message = str(caught[0].message)
    assert message == (
        f"CK+ in {tmp_path} differs from the corpus as distributed: sequences: 326 instead of 327; "
        "surprise: 82 instead of 83"
    )
    assert Path(caught[0].filename) == Path(__file__)


def test_the_whole_corpus_is_read_quickly_and_without_a_warning(tmp_path: Path) -> None:
    root = make_ckplus(tmp_path, full_ckplus_codes(), num_frames=6)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        start = time.process_time()
        sequences = CKPlus(root).read()
        seconds = time.process_time() - start
    assert len(sequences) == len({sequence.clip_id for sequence in sequences}) == 327
    assert len({sequence.subject for sequence in sequences}) == 118
    assert Counter(sequence.emotion for sequence in sequences) == EXPECTED.per_emotion
    assert seconds < 1


def test_real_images_are_not_synthetic(ckplus: Path) -> None:
    corpus = CKPlus(ckplus)
    read_part(corpus)
    assert corpus.synthetic is False


def test_a_twin_is_synthetic_wherever_the_root_points(ckplus: Path) -> None:
    mark_synthetic(ckplus)
    for root in (ckplus, ckplus.parent):
        corpus = CKPlus(root)
        read_part(corpus)
        assert corpus.synthetic is True


def test_a_twin_is_synthetic_behind_a_link(ckplus: Path, tmp_path: Path) -> None:
    mark_synthetic(ckplus)
    disguise = tmp_path / "disguise"
    disguise.mkdir()
    for name in (CKPLUS_IMAGES, CKPLUS_LABELS):
        (disguise / name).symlink_to(ckplus / name)
    corpus = CKPlus(disguise)
    assert read_part(corpus)[0].frames[0] == disguise / CKPLUS_IMAGES / "S005/001/S005_001_00000001.png"
    assert corpus.synthetic is True
