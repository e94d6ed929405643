from __future__ import annotations

import warnings
from pathlib import Path

import pytest
from named_video_trees import make_ravdess, ravdess_names
from refusals import error_text
from trees import read_part, touch

from fer3d.corpora.ravdess import EMOTIONS, RAVDESS
from fer3d.corpora.sequences import VideoSequence

HAPPY = "02-01-03-01-01-01-01"


@pytest.fixture
def ravdess(tmp_path: Path) -> Path:
    return make_ravdess(tmp_path / "RAVDESS")


def test_reads_subject_sequence_emotion_and_the_video_without_sound(tmp_path: Path) -> None:
    names = [f"{modality}-01-{code}-01-02-01-12.mp4" for modality in ("01", "02") for code in ("06", "01")]
    root = make_ravdess(tmp_path, names)
    assert read_part(RAVDESS(root)) == [
        VideoSequence("12", stem, emotion, root / "Actor_12" / f"{stem}.mp4")
        for stem, emotion in (("02-01-01-01-02-01-12", "neutral"), ("02-01-06-01-02-01-12", "fearful"))
    ]


@pytest.mark.parametrize("code", range(1, 9))
def test_a_code_is_its_emotion(tmp_path: Path, code: int) -> None:
    (sequence,) = read_part(RAVDESS(make_ravdess(tmp_path, [f"02-01-{code:02d}-01-01-01-01.mp4"])))
    assert sequence.emotion == EMOTIONS[code - 1]


@pytest.mark.parametrize(
    "folder",
    [
        "Actor_{actor}",
        "Video_Speech_Actor_{actor}/Actor_{actor}",
        "Video_Speech_Actor_{actor}",
        "1188976/videos/Video_Speech_Actor_{actor}/Actor_{actor}",
        "actor_{actor}",
        "",
    ],
)
def test_folders_seen_in_the_wild(tmp_path: Path, folder: str) -> None:
    sequences = read_part(RAVDESS(make_ravdess(tmp_path, folder=folder)))
    assert len(sequences) == 2 * 60
    assert sequences[0].video == tmp_path / folder.format(actor="01") / f"{sequences[0].sequence}.mp4"
    assert [sequence.clip_id for sequence in sequences] == sorted(sequence.clip_id for sequence in sequences)


def test_root_may_be_one_actors_folder_and_relative(ravdess: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ravdess / "Actor_02")
    sequences = read_part(RAVDESS("."))
    assert {sequence.subject for sequence in sequences} == {"02"}
    assert sequences[0].video == Path("02-01-01-01-01-01-02.mp4")


def test_never_both_files_of_a_take_and_the_one_that_is_there(ravdess: Path) -> None:
    (ravdess / "Actor_01" / f"{HAPPY}.mp4").unlink()
    (ravdess / "Actor_01" / "01-01-04-01-01-01-01.mp4").unlink()
    sequences = read_part(RAVDESS(ravdess))
    takes = [sequence.sequence[3:] for sequence in sequences]
    assert len(takes) == len(set(takes)) == 120
    assert [s.sequence for s in sequences if s.sequence.startswith("01-")] == ["01-01-03-01-01-01-01"]


def test_all_songs_are_read_without_a_warning_and_speech_beside_them_is_not(tmp_path: Path) -> None:
    singers = [actor for actor in range(1, 25) if actor != 18]
    songs = ravdess_names(singers, ("01", "02"), "02", num_codes=6)
    make_ravdess(tmp_path, songs, "Video_Song_Actor_{actor}/Actor_{actor}")
    make_ravdess(tmp_path, ravdess_names([1]), "Video_Speech_Actor_{actor}/Actor_{actor}")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        corpus = RAVDESS(tmp_path, channel="song")
        sequences = corpus.read()
    assert corpus.emotions == EMOTIONS[:6]
    assert len(sequences) == 1012
    assert {sequence.sequence[3:5] for sequence in sequences} == {"02"}


@pytest.mark.parametrize("folder", ["Actor_02", "Video_Speech_Actor_02", "Actor_01/Actor_02"])
def test_a_file_in_another_actors_folder_is_an_error_that_names_it(ravdess: Path, folder: str) -> None:
    file = ravdess / "Actor_01" / f"{HAPPY}.mp4"
    (ravdess / folder).mkdir(exist_ok=True)
    file.rename(ravdess / folder / file.name)
    assert f"(1): {folder}/{HAPPY}.mp4. Move them" in error_text(RAVDESS(ravdess))


def test_a_file_in_two_places_is_an_error_that_names_both(ravdess: Path) -> None:
    touch(ravdess / "Video_Speech_Actor_01/Actor_01" / f"{HAPPY}.mp4")
    message = error_text(RAVDESS(ravdess))
    assert f"Actor_01/{HAPPY}.mp4 and Video_Speech_Actor_01/Actor_01/{HAPPY}.mp4" in message


def test_links_to_what_is_there_are_no_second_place(ravdess: Path) -> None:
    before = read_part(RAVDESS(ravdess))
    (ravdess / "Video_Speech_Actor_01").mkdir()
    (ravdess / "Video_Speech_Actor_01/Actor_01").symlink_to(ravdess / "Actor_01")
    (ravdess / "flat").mkdir()
    (ravdess / "flat" / f"{HAPPY}.mp4").symlink_to(ravdess / "Actor_01" / f"{HAPPY}.mp4")
    (ravdess / "Actor_01/again").symlink_to(ravdess)
    assert [(s.clip_id, s.emotion) for s in read_part(RAVDESS(ravdess))] == [(s.clip_id, s.emotion) for s in before]


def test_a_root_with_the_other_channel_only(tmp_path: Path) -> None:
    root = make_ravdess(tmp_path, ravdess_names(channel="02", num_codes=6))
    assert "with data.channel=speech in data.root" in error_text(RAVDESS(root))
