from __future__ import annotations

import warnings
from pathlib import Path

import pytest
from named_video_trees import CREMA_CODES, crema_names, make_crema, write_votes
from refusals import error_text
from trees import mark_synthetic, read_part, touch

from fer3d.corpora.crema_d import EMOTIONS, KNOWN_BAD, CremaD, read_tree
from fer3d.corpora.sequences import CorpusWarning, VideoSequence

POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:" + "0" * 64 + "\nsize 123456\n"


@pytest.fixture
def crema(tmp_path: Path) -> Path:
    return make_crema(tmp_path / "CREMA-D")


def read_voted(root: Path, labels: str = "face") -> tuple[list[VideoSequence], str]:
    """Returns the sequences, and what was said of those that were left out."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        sequences = CremaD(root, labels=labels).read()
    return sequences, "\n".join(str(warning.message) for warning in caught)


def test_reads_subject_sequence_emotion_and_video(crema: Path) -> None:
    sequences = read_part(CremaD(crema))
    assert len(sequences) == 24
    assert sequences[:2] == [
        VideoSequence("1001", name, emotion, crema / "VideoFlash" / f"{name}.flv")
        for name, emotion in (("1001_DFA_ANG_XX", "anger"), ("1001_DFA_DIS_XX", "disgust"))
    ]
    assert [sequence.clip_id for sequence in sequences] == sorted(sequence.clip_id for sequence in sequences)
    assert not any(sequence.columns for sequence in sequences)


@pytest.mark.parametrize(("code", "emotion"), list(zip(CREMA_CODES, EMOTIONS, strict=True)))
def test_a_code_is_its_emotion(tmp_path: Path, code: str, emotion: str) -> None:
    (sequence,) = read_part(CremaD(make_crema(tmp_path, [f"1091_IEO_{code}_MD"])))
    assert sequence.emotion == emotion


@pytest.mark.parametrize("folder", ["VideoFlash", "data/CREMA-D/VideoFlash", "videos", ""])
def test_folders_and_endings_seen_in_the_wild(tmp_path: Path, folder: str) -> None:
    make_crema(tmp_path, folder=folder)
    first = tmp_path / folder / "1001_DFA_ANG_XX.flv"
    first.rename(first.with_suffix(".MP4"))
    sequences = read_part(CremaD(tmp_path))
    assert len(sequences) == 24
    assert sequences[0].video == first.with_suffix(".MP4")
    assert len(read_part(CremaD(tmp_path / folder))) == 24


def test_clips_known_to_be_bad_are_read_and_named(tmp_path: Path) -> None:
    with pytest.warns(CorpusWarning, match="known to be bad") as caught:
        sequences, _ = read_tree(make_crema(tmp_path, [*crema_names(), *KNOWN_BAD]))
    assert KNOWN_BAD.keys() <= {sequence.sequence for sequence in sequences}
    (warning,) = caught
    assert all(f"{name} ({why})" in str(warning.message) for name, why in KNOWN_BAD.items())


@pytest.mark.parametrize(("labels", "column"), [("face", 0), ("multimodal", 1)])
def test_the_raters_majority_is_the_label_and_on_record(crema: Path, labels: str, column: int) -> None:
    votes = {name: ("S", "H") for name in crema_names()}
    votes["1001_DFA_ANG_XX"] = ("A", "D")
    write_votes(crema, votes)
    sequences, said = read_voted(crema, labels)
    assert len(sequences) == 24
    assert sequences[0].emotion == ("anger", "disgust")[column]
    assert {sequence.emotion for sequence in sequences[1:]} == {("sad", "happy")[column]}
    assert all(sequence.columns == {"labels": labels} for sequence in sequences)
    assert said == ""


def test_clips_without_a_majority_or_a_row_are_left_out_and_named(crema: Path) -> None:
    names = crema_names()
    votes = dict.fromkeys(names, ("N", "N"))
    votes[names[0]], votes[names[1]], votes[names[2]] = ("D:N", "N"), ("", "N"), ("NA", "N")
    del votes[names[3]]
    votes["1055_TIE_SAD_XX"] = ("S", "S")
    write_votes(crema, votes)
    sequences, said = read_voted(crema)
    assert {sequence.sequence for sequence in sequences} == set(names[4:])
    assert f"(3): {names[0]} (DN), {names[1]}, {names[2]}. " in said
    assert f"(1): {names[3]}. " in said


@pytest.mark.parametrize("vote", ["X", "A;B", "A:", ":", "AD"])
def test_a_vote_that_is_none_is_an_error_that_names_its_line(crema: Path, vote: str) -> None:
    votes = dict.fromkeys(crema_names(), ("N", "N"))
    votes["1001_DFA_DIS_XX"] = (vote, "N")
    write_votes(crema, votes)
    message = error_text(CremaD(crema, labels="face"))
    assert f"processedResults/summaryTable.csv, line 3 (1001_DFA_DIS_XX: '{vote}')" in message
    assert len(read_voted(crema, "multimodal")[0]) == 24


def test_two_rows_that_differ_are_an_error(crema: Path) -> None:
    table = write_votes(crema, dict.fromkeys(crema_names(), ("N", "N")))
    table.write_text(table.read_text() + '"25","1001_DFA_DIS_XX","N","1","A","1","N","1"\n')
    assert "line 26 (1001_DFA_DIS_XX)" in error_text(CremaD(crema, labels="face"))
    assert len(read_voted(crema, "multimodal")[0]) == 24


@pytest.mark.parametrize(
    "content", [b"", b"\xff\xfe", b"FileName,VoiceVote\n", b"FileName,FaceVote\n1001_DFA_ANG_XX\n"]
)
def test_a_damaged_table_is_one_error_that_names_it(crema: Path, content: bytes) -> None:
    table = write_votes(crema, {})
    table.write_bytes(content)
    assert f"{table} is not a readable table" in error_text(CremaD(crema, labels="face"))


def test_a_missing_and_a_second_table(crema: Path) -> None:
    message = error_text(CremaD(crema, labels="face"))
    assert "data.labels=face needs the raters' votes in processedResults/summaryTable.csv" in message
    votes = dict.fromkeys(crema_names(), ("N", "N"))
    first, second = write_votes(crema, votes), write_votes(crema, votes, "copy")
    message = error_text(CremaD(crema, labels="face"))
    assert str(first) in message
    assert str(second) in message


def test_pointers_of_git_lfs_are_an_error_that_names_them_all_at_once(crema: Path) -> None:
    for name in ("1001_DFA_ANG_XX", "1002_IEO_SAD_LO"):
        (crema / "VideoFlash" / f"{name}.flv").write_text(POINTER)
    message = error_text(CremaD(crema))
    assert "(2): VideoFlash/1001_DFA_ANG_XX.flv, VideoFlash/1002_IEO_SAD_LO.flv." in message
    assert "git lfs pull" in message


def test_a_clip_in_two_places_or_under_two_endings_is_an_error_that_names_both(crema: Path) -> None:
    touch(crema / "VideoFlash/1001_DFA_ANG_XX.mp4")
    touch(crema / "more/1001_DFA_SAD_XX.flv")
    message = error_text(CremaD(crema))
    assert "VideoFlash/1001_DFA_ANG_XX.flv and VideoFlash/1001_DFA_ANG_XX.mp4" in message
    assert "VideoFlash/1001_DFA_SAD_XX.flv and more/1001_DFA_SAD_XX.flv" in message


@pytest.mark.parametrize("marked", [False, True])
def test_rendered_videos_are_synthetic_and_their_clips_not_known_to_be_bad(tmp_path: Path, marked: bool) -> None:
    make_crema(tmp_path, ["1064_TIE_SAD_XX", "1064_TIE_ANG_XX"])
    if marked:
        mark_synthetic(tmp_path)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        sequences, synthetic = read_tree(tmp_path / "VideoFlash")
    assert (len(sequences), synthetic) == (2, marked)
    assert bool(caught) is not marked
