"""What the readers of all corpora have in common. What one corpus has alone is in the test of its reader."""

from __future__ import annotations

import os
import shutil
import time
import warnings
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from named_video_trees import full_crema_names, make_crema, make_ravdess, ravdess_names
from trees import (
    CKPLUS_IMAGES,
    CKPLUS_LABELS,
    OULU_STRONG,
    full_ckplus_codes,
    full_oulu,
    make_ckplus,
    make_oulu,
    mark_synthetic,
    touch,
)
from video_trees import make_videos, write_table

from fer3d.corpora import ckplus, crema_d, oulu_casia, ravdess
from fer3d.corpora.ckplus import CKPlus
from fer3d.corpora.crema_d import CremaD
from fer3d.corpora.oulu_casia import OuluCASIA
from fer3d.corpora.own_videos.videos import Videos
from fer3d.corpora.ravdess import RAVDESS
from fer3d.corpora.sequences import Corpus, CorpusError, CorpusWarning, Expected, FrameSequence, LabelledSequence


@dataclass(frozen=True)
class Case:
    """A corpus, what its reader says of itself, and a small tree of it."""

    make: Callable[..., Any]  # the reader of a root
    write: Callable[[Path], Any]  # the small tree
    name: str
    emotions: tuple[str, ...]
    num_channels: int
    file: str  # of the small tree, and needed
    roots: tuple[str, ...]  # others that the tree is found from, relative to its own
    ignored: tuple[str, ...]  # files that are no part of the corpus and go without saying
    unread: tuple[str, ...]  # files that look like parts of the corpus, and are not read
    says: tuple[str, ...]  # in every error about a wrong root
    full: Callable[[Path], Any] | None = None  # writes the corpus as distributed, where there is such a thing
    expected: Expected | None = None  # its counts
    lost: str = ""  # a file or folder of it, without which one sequence is missing
    chosen: tuple[str, ...] = ()  # some of the emotions, in another order, where the reader has a choice


def write_own(root: Path) -> None:
    write_table(root, make_videos(root))


def below(folder: str, *names: str) -> list[str]:
    return [f"{folder}/{name}" for name in names]


HAPPY = "02-01-03-01-01-01-01"
CASES = [
    Case(
        make=CKPlus,
        write=partial(make_ckplus, codes={"S005/001": 3, "S010/002": 7, "S010/004": 1}),
        name="ckplus",
        emotions=("anger", "contempt", "disgust", "fear", "happy", "sadness", "surprise"),
        num_channels=1,
        file=f"{CKPLUS_IMAGES}/S005/001/S005_001_00000003.png",
        roots=("..",),
        ignored=(
            "FACS/S005/001/S005_001_00000003_facs.txt",
            "FACS_labels/FACS/S005/001/S005_001_00000011_facs.txt",
            "Landmarks/Landmarks/S005/001/S005_001_00000001_landmarks.txt",
            "Emotion_labels.zip",
            "ReadMeCohnKanadeDatabase_website.txt",
            "OriginalImg/VL/Strong/P001/Anger/000.jpeg",
            "theirs/S001/baseline/001.png",
            f"{CKPLUS_LABELS}/S005/001/._S005_001_00000003_emotion.txt",
            *(f"{CKPLUS_LABELS}{place}/.DS_Store" for place in ("", "/S005", "/S005/001")),
        ),
        unread=(
            *below(CKPLUS_IMAGES, "S011 /001/S011_001_00000001.png", "S011 (1)/001/S011_001_00000001.png"),
            *below(CKPLUS_IMAGES, "S11/001/S011_001_00000001.png", "S\u0661\u0661\u0661/001/S011_001_00000001.png"),
            *below(CKPLUS_IMAGES, "S005/001 (1)/S005_001_00000001.png", "S005/S005_001_00000001.png"),
            *below(CKPLUS_IMAGES, "S005/001/preview_7.png", "S005/001/S005_001_00000003 (1).png"),
            *below(CKPLUS_IMAGES, "S005/002/S010_002_00000001.png", "S005_001_00000001.png"),
            *below(CKPLUS_LABELS, "S011 /001/S011_001_00000001_emotion.txt", "S005/1/S005_001_00000001_emotion.txt"),
            *below(CKPLUS_LABELS, "S005/S005_002_00000001_emotion.txt", "S005/001/S005_001_00000003_facs.txt"),
            *below(CKPLUS_LABELS, "S005/001/.hidden"),
        ),
        says=("jeffcohn.net", "extended-cohn-kanade-images.zip", "Emotion_labels.zip", "Pittsburgh", "licence"),
        full=lambda root: make_ckplus(root, full_ckplus_codes(), num_frames=1),
        expected=ckplus.EXPECTED,
        lost=f"{CKPLUS_LABELS}/{max(full_ckplus_codes())}",
    ),
    Case(
        make=OuluCASIA,
        write=make_oulu,
        name="oulu_casia",
        emotions=("anger", "disgust", "fear", "happy", "sadness", "surprise"),
        num_channels=3,
        file=f"{OULU_STRONG}/P001/Fear/001.jpeg",
        roots=("..", "OriginalImg", "OriginalImg/VL", OULU_STRONG),
        ignored=(
            f"{OULU_STRONG}/.DS_Store",
            f"{OULU_STRONG}/P001/.DS_Store",
            "OriginalImg/NI/Strong/P003/Anger/000.jpeg",
            "PreProcess_Img/VL_Acropped/Strong/P001/Anger/000.jpeg",
            "PreProcess_Img/NI_Bcropped/P001/Anger/000.jpeg",
            "cohn-kanade-images/S005/001/S005_001_00000001.png",
            "fer2013/train/angry/Training_10118481.jpg",
            "holiday/001.jpg",
            "trial/P001/session/001.jpg",
            "B_OriginalImg.zip",
            "change_log.txt",
        ),
        unread=(
            *below(
                f"{OULU_STRONG}/P001", "Anger/first 000.jpeg", "Fear_old/000.jpeg", "landmarks/000.jpeg", "000.jpeg"
            ),
            *below(OULU_STRONG, "P01 /Fear/000.jpeg", "P01/Fear/000.jpeg", "notes/Anger/000.jpeg", "P003"),
        ),
        says=("University of Oulu", "Center for Machine Vision and Signal Analysis", "licence agreement", OULU_STRONG),
        full=full_oulu,
        expected=oulu_casia.EXPECTED,
        lost=f"{OULU_STRONG}/P080/Happiness",
    ),
    Case(
        make=RAVDESS,
        write=make_ravdess,
        name="ravdess",
        emotions=("neutral", "calm", "happy", "sad", "angry", "fearful", "disgust", "surprised"),
        num_channels=3,
        file=f"Actor_01/{HAPPY}.mp4",
        roots=("..",),
        ignored=(
            "Audio_Speech_Actors_01-24/Actor_01/03-01-03-01-01-01-01.wav",
            "Actor_01/03-01-03-01-01-01-01.mp4",
            f"Actor_01/{HAPPY}.csv",
            "Video_Speech_Actor_01.zip",
            "README.txt",
        ),
        unread=(
            *below("Actor_01", "02-01-09-01-01-01-01.mp4", "02-01-03-01-01-01-25.mp4", "02-01-03-01-01-03-01.mp4"),
            *below("Actor_01", f"{HAPPY} (1).mp4", f"{HAPPY}.mp4.part", HAPPY),
            "holiday.mov",
        ),
        says=("zenodo.org/records/1188976", "Actor_12"),
        full=lambda root: make_ravdess(root, ravdess_names(range(1, 25), ("02",))),
        expected=ravdess.expected("speech", ravdess.EMOTIONS),
        lost=f"Actor_01/{HAPPY}.mp4",
        chosen=("surprised", "neutral"),
    ),
    Case(
        make=CremaD,
        write=make_crema,
        name="crema_d",
        emotions=("anger", "disgust", "fear", "happy", "neutral", "sad"),
        num_channels=3,
        file="VideoFlash/1001_DFA_ANG_XX.flv",
        roots=("..", "VideoFlash"),
        ignored=(
            "AudioWAV/1001_DFA_ANG_XX.wav",
            "AudioMP3/1001_DFA_ANG_XX.mp3",
            "VideoFlash/1001_DFA_ANG_XX.wav",
            "SentenceFilenames.csv",
            "README.md",
            ".git/lfs/objects/ab/1001_DFA_ANG_XX.flv",
        ),
        unread=(
            *below("VideoFlash", "1001_DFA_SUR_XX.flv", "1040_ITH_SAD_X.flv"),
            *below("VideoFlash", "1001_DFA_ANG_XX (1).flv", "1001_DFA_ANG_XX.flv.part"),
            "old/intro.flv",
        ),
        says=("Git LFS", "VideoFlash", "1001_DFA_ANG_XX.flv"),
        full=lambda root: make_crema(root, full_crema_names()),
        expected=crema_d.EXPECTED,
        lost="VideoFlash/1001_DFA_HAP_XX.flv",
        chosen=("neutral", "anger"),
    ),
    Case(
        make=lambda root: Videos(root, "clips.csv", emotions=["happy", "angry"]),
        write=write_own,
        name="videos",
        emotions=("happy", "angry"),
        num_channels=3,
        file="anna/angry/take1.mp4",
        roots=(),
        ignored=("anna/.hidden.mp4", "anna/notes.txt", "clips_old.csv"),
        unread=("new.MOV", "anna/angry/take3.mp4", "elsewhere/1.png"),
        says=(),
    ),
]
each_case = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
each_distributed = pytest.mark.parametrize("case", [case for case in CASES if case.full], ids=lambda case: case.name)


@pytest.fixture
def root(case: Case, tmp_path: Path) -> Path:
    """The corpus's small tree, alone in a folder."""
    folder = tmp_path / "data" / "a corpus"
    folder.mkdir(parents=True)
    case.write(folder)
    return folder


def read(corpus: Corpus) -> tuple[list[LabelledSequence], str]:
    """Returns the sequences and the warnings, other than that a small tree is not the whole corpus."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        sequences = list(corpus.read())
    assert all(issubclass(warning.category, CorpusWarning) for warning in caught)
    # Python shows the line of the caller.
    assert corpus.name == "videos" or all(warning.filename == __file__ for warning in caught)
    said = [text for warning in caught if "as distributed: " not in (text := str(warning.message))]
    return sequences, "\n".join(said)


def error_text(corpus: Corpus) -> str:
    with pytest.raises(CorpusError) as caught:
        read(corpus)
    return str(caught.value)


def labels(sequences: list[LabelledSequence]) -> dict[str, str]:
    return {sequence.clip_id: sequence.emotion for sequence in sequences}


def files(sequence: LabelledSequence) -> tuple[Path, ...]:
    return sequence.frames if isinstance(sequence, FrameSequence) else (sequence.video,)


@each_case
def test_sequences_are_sorted_unique_labelled_and_always_the_same(case: Case, root: Path) -> None:
    corpus = case.make(root)
    sequences, said = read(corpus)
    assert said == ""
    assert (corpus.name, corpus.emotions, corpus.num_channels) == (case.name, case.emotions, case.num_channels)
    assert corpus.root == root
    order = [(sequence.subject, sequence.sequence) for sequence in sequences]
    assert order == sorted(set(order))
    assert {sequence.emotion for sequence in sequences} <= set(case.emotions)
    assert all(file.is_file() and file.is_relative_to(root) for sequence in sequences for file in files(sequence))
    assert any(root / case.file in files(sequence) for sequence in sequences)
    assert read(case.make(root))[0] == sequences


@each_case
def test_a_root_may_have_many_names(case: Case, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = labels(read(case.make(root))[0])
    link = root.parent / "link"
    link.symlink_to(root)
    monkeypatch.setenv("HOME", str(root.parent))
    monkeypatch.chdir(root.parent)
    for name in (str(root), f"~/{root.name}", root.name, link):
        assert labels(read(case.make(name))[0]) == wanted, name
    assert case.make(f"~/{root.name}").root == root
    link.unlink()
    for place in case.roots:
        assert labels(read(case.make(root / place))[0]) == wanted, place
    monkeypatch.chdir(root)
    assert labels(read(case.make("."))[0]) == wanted


@each_case
def test_links_that_lead_back_end_and_are_no_second_copy(case: Case, root: Path) -> None:
    wanted = labels(read(case.make(root))[0])
    for folder in (root, root / Path(case.file).parts[0]):
        (folder / "again").symlink_to(root)
    assert labels(read(case.make(root))[0]) == wanted


@each_case
def test_a_twin_is_synthetic_wherever_the_root_points_and_behind_links(case: Case, root: Path, tmp_path: Path) -> None:
    disguise = tmp_path / "disguise"
    disguise.mkdir()
    for path in root.iterdir():
        (disguise / path.name).symlink_to(path)
    for marked in (False, True):
        if marked:
            mark_synthetic(root)
        for place in (root, disguise, *(root / place for place in case.roots)):
            corpus = case.make(place)
            read(corpus)
            assert corpus.synthetic is marked, place


@each_case
def test_what_systems_leave_and_other_archives_hold_is_ignored(case: Case, root: Path) -> None:
    before = read(case.make(root))
    folder, name = (root / case.file).parent, Path(case.file).name
    for litter in (".DS_Store", f"._{name}", "Thumbs.db", "desktop.ini"):
        touch(folder / litter)
    for file in (".DS_Store", f"__MACOSX/{case.file}", f"__MACOSX/{Path(case.file).parent}/._{name}", *case.ignored):
        touch(root / file)
    assert read(case.make(root)) == before


@pytest.mark.parametrize(
    ("case", "name"), [pytest.param(case, name, id=f"{case.name}-{name!a}") for case in CASES for name in case.unread]
)
def test_whatever_is_not_read_is_named(case: Case, name: str, root: Path) -> None:
    before = read(case.make(root))[0]
    old = set(root.rglob("*"))
    touch(root / name)
    sequences, said = read(case.make(root))
    assert sequences == before
    place = next(part for part in (Path(name), *Path(name).parents) if repr(str(part))[1:-1] in said)
    # What was there before does not tell what is not read.
    assert root / place not in {root, *old}


@each_case
@pytest.mark.parametrize("kind", ["folder", "broken link", "link to itself", "pipe"])
def test_what_should_be_a_file_and_is_not_is_an_error_that_names_it(case: Case, kind: str, root: Path) -> None:
    file = root / case.file
    file.unlink()
    if kind == "folder":
        file.mkdir()
    elif kind == "pipe":
        os.mkfifo(file)
    else:
        file.symlink_to(file if kind == "link to itself" else "nowhere")
    message = error_text(case.make(root))
    assert case.file in message
    assert str(root) in message


@each_case
def test_names_that_are_no_text_can_be_printed(case: Case, root: Path) -> None:
    file = root / case.file
    touch(file.with_name(os.fsdecode(b"\xff") + file.name))
    said = read(case.make(root))[1]
    assert r"\udcff" in said
    said.encode()


@each_case
@pytest.mark.parametrize("root", [None, ""])
def test_an_unset_root_says_what_to_do(case: Case, root: str | None) -> None:
    message = error_text(case.make(root))
    assert "data.root is not set" in message
    assert all(words in message for words in case.says)


@each_case
@pytest.mark.parametrize(
    ("place", "problem"),
    [
        ("nowhere", "does not exist"),
        ("~no such user/corpus", "does not exist"),
        ("archive.zip", "not a folder"),
        ("empty", "is empty"),
        ("x" * 300, "cannot be opened"),
    ],
)
def test_a_wrong_root_is_named_in_full(
    case: Case, place: str, problem: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    touch(tmp_path / "archive.zip")
    (tmp_path / "empty").mkdir()
    message = error_text(case.make(place))
    assert f"data.root is {tmp_path / place}" in message
    assert problem in message
    assert all(words in message for words in case.says)


@each_distributed
def test_a_root_with_something_else_says_what_it_holds(case: Case, tmp_path: Path) -> None:
    touch(tmp_path / "archive.zip")
    (tmp_path / "photographs").mkdir()
    message = error_text(case.make(tmp_path))
    assert f"{tmp_path} and contains archive.zip, photographs/." in message
    assert all(words in message for words in case.says)


@each_distributed
def test_the_whole_corpus_gives_no_warning_and_without_a_sequence_one_that_names_it(case: Case, tmp_path: Path) -> None:
    assert case.full is not None
    assert case.expected is not None
    case.full(tmp_path)
    corpus = case.make(tmp_path)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", ".*known to be bad")
        start = time.process_time()
        sequences = corpus.read()
        seconds = time.process_time() - start
        if case.chosen:
            some = case.make(tmp_path, emotions=list(case.chosen))
            assert some.emotions == case.chosen
            assert some.read() == [sequence for sequence in sequences if sequence.emotion in case.chosen]
    counts = Counter(sequence.emotion for sequence in sequences)
    assert len(sequences) == len(labels(sequences)) == case.expected.num_sequences
    assert len({sequence.subject for sequence in sequences}) == case.expected.num_subjects
    assert counts == case.expected.per_emotion
    assert seconds < 2

    lost = tmp_path / case.lost
    shutil.rmtree(lost) if lost.is_dir() else lost.unlink()
    with pytest.warns(CorpusWarning) as caught:
        (emotion,) = counts - Counter(sequence.emotion for sequence in corpus.read())
    differences = f"sequences: {len(sequences) - 1} instead of {len(sequences)}; "
    differences += f"{emotion}: {counts[emotion] - 1} instead of {counts[emotion]}"
    last = caught[-1]
    assert str(last.message).endswith(f" in {tmp_path} differs from the corpus as distributed: {differences}")
    assert Path(last.filename) == Path(__file__)


@pytest.mark.parametrize(
    ("make", "choice", "said"),
    [
        (OuluCASIA, {"camera": "VIS"}, ("VL, NI",)),
        (OuluCASIA, {"light": "strong"}, ("Strong, Weak, Dark",)),
        (OuluCASIA, {"images": "faces"}, ("original, cropped",)),
        (RAVDESS, {"channel": "both"}, ("speech, song",)),
        (CremaD, {"labels": "voice"}, ("intended, face, multimodal",)),
        (CremaD, {"emotions": ["anger", "surprise"]}, ("'surprise'", "CREMA-D has anger, disgust")),
        (RAVDESS, {"emotions": ["happy", "sadness"]}, ("'sadness'", "has neutral, calm")),
        # Nobody sings of disgust.
        (RAVDESS, {"channel": "song", "emotions": ["happy", "disgust"]}, ("'disgust'", "song has neutral")),
        (RAVDESS, {"emotions": "happy"}, ("must be a list", "data.emotions=[neutral,calm]")),
        (RAVDESS, {"emotions": ["happy", "sad", "happy"]}, ("happy more than once", "data.emotions=[neutral,calm]")),
        (RAVDESS, {"emotions": ["happy"]}, ("at least two", "data.emotions=[neutral,calm]")),
        (RAVDESS, {"emotions": []}, ("at least two", "data.emotions=[neutral,calm]")),
        (RAVDESS, {"emotions": ["happy", 3]}, (" 3", "data.emotions=[neutral,calm]")),
    ],
)
def test_an_impossible_choice_names_the_key_and_the_options(
    make: Callable[..., Corpus], choice: dict[str, Any], said: tuple[str, ...]
) -> None:
    with pytest.raises(CorpusError) as caught:
        make(None, **choice)
    assert all(words in str(caught.value) for words in (f"data.{list(choice)[-1]}", *said))
