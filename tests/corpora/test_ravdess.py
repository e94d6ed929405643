from __future__ import annotations

import os
import warnings
from collections import Counter
from pathlib import Path

import pytest
from named_video_trees import make_ravdess, ravdess_names
from trees import mark_synthetic, read_part, touch

from fer3d.corpora.ravdess import EMOTIONS, RAVDESS, read_tree
from fer3d.corpora.sequences import CorpusError, CorpusWarning, VideoSequence

HAPPY = "02-01-03-01-01-01-01"


@pytest.fixture
def ravdess(tmp_path: Path) -> Path:
    return make_ravdess(tmp_path / "RAVDESS")


def error_text(corpus: RAVDESS) -> str:
    with pytest.raises(CorpusError) as caught:
        corpus.read()
    return str(caught.value)


def warning_text(corpus: RAVDESS) -> str:
    with pytest.warns(CorpusWarning) as caught:
        corpus.read()
    return "\n".join(str(warning.message) for warning in caught)


def test_constants_are_those_of_the_corpus() -> None:
    corpus = RAVDESS(None)
    assert (corpus.name, corpus.num_channels, corpus.synthetic, corpus.channel) == ("ravdess", 3, False, "speech")
    assert corpus.emotions == ("neutral", "calm", "happy", "sad", "angry", "fearful", "disgust", "surprised")
    assert RAVDESS(None, channel="song").emotions == corpus.emotions[:6]


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


def test_the_whole_corpus_is_read_without_a_warning(tmp_path: Path) -> None:
    root = make_ravdess(tmp_path, ravdess_names(range(1, 25)), "Video_Speech_Actor_{actor}/Actor_{actor}")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        sequences = RAVDESS(root).read()
    counts = Counter(sequence.emotion for sequence in sequences)
    assert counts == {emotion: 96 if emotion == "neutral" else 192 for emotion in EMOTIONS}
    assert len({sequence.clip_id for sequence in sequences}) == 1440


def test_all_songs_are_read_without_a_warning_and_speech_beside_them_is_not(tmp_path: Path) -> None:
    singers = [actor for actor in range(1, 25) if actor != 18]
    songs = ravdess_names(singers, ("01", "02"), "02", num_codes=6)
    make_ravdess(tmp_path, songs, "Video_Song_Actor_{actor}/Actor_{actor}")
    make_ravdess(tmp_path, ravdess_names([1]), "Video_Speech_Actor_{actor}/Actor_{actor}")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        sequences = RAVDESS(tmp_path, channel="song").read()
    assert len(sequences) == 1012
    assert {sequence.sequence[3:5] for sequence in sequences} == {"02"}


def test_what_is_missing_is_a_warning_that_names_the_difference(tmp_path: Path) -> None:
    names = [name for name in ravdess_names(range(1, 25), ("02",)) if name != f"{HAPPY}.mp4"]
    with pytest.warns(CorpusWarning) as caught:
        RAVDESS(make_ravdess(tmp_path, names)).read()
    assert str(caught[0].message) == (
        f"RAVDESS (speech) in {tmp_path} differs from the corpus as distributed: "
        "sequences: 1439 instead of 1440; happy: 191 instead of 192"
    )
    assert Path(caught[0].filename) == Path(__file__)


def test_a_subset_of_the_emotions_in_the_stated_order_has_its_own_counts(tmp_path: Path) -> None:
    root = make_ravdess(tmp_path, ravdess_names(range(1, 25), ("02",)))
    corpus = RAVDESS(root, emotions=["surprised", "neutral"])
    assert corpus.emotions == ("surprised", "neutral")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        sequences = corpus.read()
    assert Counter(sequence.emotion for sequence in sequences) == {"neutral": 96, "surprised": 192}


@pytest.mark.parametrize(
    ("emotions", "named"),
    [
        ("happy", "'happy', but must be a list"),
        (["happy", "sadness"], "unknown 'sadness'"),
        (["happy", "sad", "happy"], "happy more than once"),
        (["happy"], "at least two"),
        ([], "at least two"),
        (["happy", 3], "unknown 3"),
    ],
)
def test_emotions_that_cannot_be_chosen(emotions: list[str], named: str) -> None:
    with pytest.raises(CorpusError) as caught:
        RAVDESS(None, emotions)
    assert named in str(caught.value)
    assert "data.emotions=[neutral,calm]" in str(caught.value)


def test_nobody_sings_of_disgust() -> None:
    with pytest.raises(CorpusError, match=r"unknown 'disgust'; RAVDESS's song has neutral"):
        RAVDESS(None, ["happy", "disgust"], channel="song")


def test_an_unknown_channel_names_the_key_and_the_options() -> None:
    with pytest.raises(CorpusError, match=r"data\.channel is 'both', .*speech, song"):
        RAVDESS(None, channel="both")


def test_sound_and_what_is_made_from_clips_and_litter_do_not_matter(ravdess: Path) -> None:
    before = read_part(RAVDESS(ravdess))
    for name in (
        "Audio_Speech_Actors_01-24/Actor_01/03-01-03-01-01-01-01.wav",
        "Actor_01/03-01-03-01-01-01-01.mp4",
        f"Actor_01/{HAPPY}.csv",
        "Actor_01/.DS_Store",
        f"Actor_01/._{HAPPY}.mp4",
        f"__MACOSX/Actor_01/{HAPPY}.mp4",
        "Video_Speech_Actor_01.zip",
        "README.txt",
    ):
        touch(ravdess / name)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*as distributed: sequences")
        warnings.filterwarnings("error", ".*not read")
        assert RAVDESS(ravdess).read() == before


@pytest.mark.parametrize(
    "name",
    [
        "Actor_01/02-01-09-01-01-01-01.mp4",
        "Actor_01/02-01-03-01-01-01-25.mp4",
        "Actor_01/02-01-03-01-01-03-01.mp4",
        f"Actor_01/{HAPPY} (1).mp4",
        f"Actor_01/{HAPPY}.mp4.part",
        f"Actor_01/{HAPPY}",
        "holiday.mov",
    ],
)
def test_whatever_is_not_read_is_named(ravdess: Path, name: str) -> None:
    before = read_part(RAVDESS(ravdess))
    touch(ravdess / name)
    with pytest.warns(CorpusWarning) as caught:
        assert RAVDESS(ravdess).read() == before
    assert any(f"(1): {name}. " in str(warning.message) for warning in caught)


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


@pytest.mark.parametrize("kind", ["folder", "broken link", "pipe"])
def test_a_clip_that_is_no_file_is_an_error_that_names_it(ravdess: Path, kind: str) -> None:
    clip = ravdess / "Actor_01" / f"{HAPPY}.mp4"
    clip.unlink()
    if kind == "folder":
        clip.mkdir()
    elif kind == "pipe":
        os.mkfifo(clip)
    else:
        clip.symlink_to("nowhere")
    assert f"(1): Actor_01/{HAPPY}.mp4. Restore" in error_text(RAVDESS(ravdess))


def test_an_unset_a_missing_and_a_wrong_root_say_what_to_do(tmp_path: Path) -> None:
    message = error_text(RAVDESS(None))
    assert all(words in message for words in ("data.root is not set", "zenodo.org/records/1188976", "Actor_12"))
    assert "nowhere, which does not exist" in error_text(RAVDESS(tmp_path / "nowhere"))
    touch(tmp_path / "Video_Speech_Actor_01.zip")
    assert "contains Video_Speech_Actor_01.zip" in error_text(RAVDESS(tmp_path))


def test_a_root_with_the_other_channel_only(tmp_path: Path) -> None:
    root = make_ravdess(tmp_path, ravdess_names(channel="02", num_codes=6))
    assert "with data.channel=speech in data.root" in error_text(RAVDESS(root))


@pytest.mark.parametrize("marked", [False, True])
def test_rendered_videos_are_synthetic_wherever_the_root_points(ravdess: Path, marked: bool) -> None:
    if marked:
        mark_synthetic(ravdess)
    corpus = RAVDESS(ravdess / "Actor_01")
    read_part(corpus)
    assert corpus.synthetic is marked
    assert read_tree(ravdess)[1] is marked
