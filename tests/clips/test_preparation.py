from __future__ import annotations

import io
import json
import os
import resource
import shutil
import warnings
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from pictures import PictureCorpus, astronaut, carphone, grey, no_face, portrait, write_corpus
from rich.console import Console
from video_files import write_video

from fer3d.clips.contact_sheet import CELL
from fer3d.clips.detectors import Detection, Image, Res10Detector
from fer3d.clips.faces import FaceCropper, FaceExtraction, NoFacePolicy
from fer3d.clips.frames import SegmentFrames, UniformFrames
from fer3d.clips.images import read_images
from fer3d.clips.preparation import Preparation, PreparationError, prepare_clips
from fer3d.clips.preparation_report import PreparationReport
from fer3d.clips.store import ClipStore, StoreError
from fer3d.corpora.sequences import CorpusWarning, FrameSequence, VideoSequence
from fer3d.disk import DiskError


class RememberingDetector(Res10Detector):
    """Looks at a picture once, however many tests and threads show it."""

    known: dict[tuple[tuple[int, ...], bytes], Detection | None]

    def detect(self, frames: Sequence[Image]) -> list[Detection | None]:
        known = self.__dict__.setdefault("known", {})
        for frame in frames:
            if (frame.shape, frame.tobytes()) not in known:
                known[frame.shape, frame.tobytes()] = super().detect([frame])[0]
        return [known[frame.shape, frame.tobytes()] for frame in frames]


DETECTOR = RememberingDetector()


def extraction(on_no_face: NoFacePolicy = "error", **crop: Any) -> FaceExtraction:
    return FaceExtraction(DETECTOR, FaceCropper(**{"size": 24, **crop}), on_no_face)


def prepare(corpus: PictureCorpus, folder: Path, faces: FaceExtraction | None = None, **settings: Any) -> Preparation:
    return prepare_clips(corpus, faces or extraction(), folder, progress=False, **{"num_frames": 3, **settings})


def mixed_images(folder: Path) -> PictureCorpus:
    clips = {
        "S005/001": [portrait(shift) for shift in range(5)],
        "S005/002": [grey(portrait()), no_face(), astronaut()],
        "S010/001": [carphone()[0], carphone()[1]],
    }
    return write_corpus(folder, clips)


@pytest.fixture
def corpus(tmp_path: Path) -> PictureCorpus:
    return mixed_images(tmp_path / "corpus")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Preparation:
    """The store of the mixed images, to be read only."""
    folder = tmp_path_factory.mktemp("made")
    return prepare(mixed_images(folder / "corpus"), folder / "stores")


@pytest.fixture
def faceless(tmp_path: Path) -> PictureCorpus:
    clips = {"S005/001": [portrait()], "S005/002": [no_face(), no_face(4)], "S010/001": [no_face(8)]}
    return write_corpus(tmp_path / "corpus", clips)


def test_makes_a_store_of_mixed_images(made: Preparation) -> None:
    assert made.built
    store = ClipStore.open(made.store.folder)
    assert (store.folder.parent.name, store.folder.name) == ("stores", f"pictures-{store.header.key[:12]}")
    assert store.clips.shape == (3, 3, 24, 24, 1)
    assert store.clip_ids == ("S005/001", "S005/002", "S010/001")
    assert store.labels.tolist() == [0, 1, 0]
    assert store.synthetic
    assert [record.frames for record in store.records] == [
        ("002.png", "003.png", "004.png"),
        ("000.png", "001.png", "002.png"),
        ("000.png", "001.png", "001.png"),
    ]
    assert [record.sources for record in store.records] == [
        ("detected",) * 3,
        ("detected", "nearest", "detected"),
        ("detected", "detected", "repeated"),
    ]
    assert min(c for record in store.records for c in record.confidences if c is not None) > 0.98
    files = {path.name for path in store.folder.iterdir()}
    assert files == {"clips.jsonl", "clips.npy", "index.json", "report.json", "contact_sheet.png"}
    assert read_images([store.folder / "contact_sheet.png"])[0].pixels.shape[0] > 2 * CELL


def test_clips_are_what_extraction_makes_of_the_last_frames(made: Preparation) -> None:
    long = extraction().extract([portrait(shift) for shift in (2, 3, 4)], 1)
    short = extraction().extract(carphone()[:2], 1)
    np.testing.assert_array_equal(made.store.clips[0], long.crops)
    np.testing.assert_array_equal(made.store.clips[2], short.crops[[0, 1, 1]])


def test_colour_is_stored_as_rgb(tmp_path: Path) -> None:
    corpus = write_corpus(tmp_path / "corpus", {"P001/Anger": [portrait(), grey(portrait())]}, num_channels=3)
    clip = prepare(corpus, tmp_path / "stores", num_frames=2).store.clips[0].astype(float)
    red, _, blue = (clip[0, ..., channel].mean() for channel in range(3))
    assert red > blue + 10
    np.testing.assert_array_equal(clip[1, ..., 0], clip[1, ..., 2])


def test_second_run_finds_the_store_and_writes_nothing(corpus: PictureCorpus, tmp_path: Path) -> None:
    first = prepare(corpus, tmp_path / "stores")
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "stores").rglob("*")}
    second = prepare(corpus, tmp_path / "stores")
    assert not second.built
    assert second.report == first.report
    assert second.store.digest == first.store.digest
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "stores").rglob("*")} == before


def test_a_store_that_several_need_at_once_is_made_once(corpus: PictureCorpus, tmp_path: Path) -> None:
    # Threads have locks of their own, as processes do.
    with ThreadPoolExecutor() as pool:
        both = list(pool.map(lambda _: prepare(corpus, tmp_path / "stores", num_workers=1), range(2)))
    assert sorted(made.built for made in both) == [False, True]
    assert both[0].store.folder == both[1].store.folder
    assert list((tmp_path / "stores").iterdir()) == [both[0].store.folder]


def test_whatever_matters_makes_another_store(corpus: PictureCorpus, tmp_path: Path) -> None:
    def key(**changes: Any) -> str:
        return prepare(corpus, tmp_path / "stores", **changes).store.folder.name

    one = key()
    keys = {one, key(num_frames=2), key(faces=extraction(margin=0.2)), key(on_unreadable="skip")}
    corpus.emotions = ("happy", "anger")
    keys.add(key())
    corpus.emotions = ("anger", "happy")
    corpus.num_channels = 3
    keys.add(key())
    corpus.num_channels = 1
    assert key() == one
    used, unused = corpus.sequences[0].frames[-1], corpus.sequences[0].frames[0]
    os.utime(unused, (1, 1))
    assert key() == one
    os.utime(used, (1, 1))
    keys.add(key())
    assert len(keys) == 7


def test_content_does_not_depend_on_where_the_corpus_lies(corpus: PictureCorpus, tmp_path: Path) -> None:
    here = prepare(corpus, tmp_path / "stores").store
    moved = tmp_path / "moved"
    shutil.copytree(corpus.root, moved)
    for number, sequence in enumerate(corpus.sequences):
        frames = tuple(moved / path.relative_to(corpus.root) for path in sequence.frames)
        corpus.sequences[number] = type(sequence)(sequence.subject, sequence.sequence, sequence.emotion, frames)
    corpus.root = moved
    # `copytree` keeps the times of change, so the very same store is found.
    assert not prepare(corpus, tmp_path / "stores").built
    os.utime(corpus.sequences[0].frames[-1])
    there = prepare(corpus, tmp_path / "stores").store
    assert there.folder != here.folder
    assert there.digest == here.digest


def test_number_of_workers_does_not_change_the_content(corpus: PictureCorpus, tmp_path: Path) -> None:
    faces = FaceExtraction(Res10Detector(), FaceCropper(size=24))
    digests = {prepare(corpus, tmp_path / str(n), faces, num_workers=n).store.digest for n in (1, 3)}
    assert len(digests) == 1


def test_all_unreadable_images_are_named_at_once_and_can_be_replaced(corpus: PictureCorpus, tmp_path: Path) -> None:
    damaged = [corpus.sequences[1].frames[2], corpus.sequences[2].frames[-1]]
    intact = [path.read_bytes() for path in damaged]
    for path, content in zip(damaged, intact, strict=True):
        path.write_bytes(content[:-2000])
    with pytest.raises(PreparationError, match=r"is not a readable image.*clips.on_unreadable=skip") as caught:
        prepare(corpus, tmp_path / "stores", num_workers=1)
    assert all(str(path) in str(caught.value) for path in damaged)
    assert "2 of 3 clips" in str(caught.value)
    assert "leave out S005/002, S010/001." in str(caught.value)
    # The other clip is done already.
    assert [place.suffix for place in (tmp_path / "stores").iterdir()] == [".unfinished"]
    for path, content in zip(damaged, intact, strict=True):
        path.write_bytes(content)
    made = prepare(corpus, tmp_path / "stores")
    assert made.store.clip_ids == ("S005/001", "S005/002", "S010/001")
    assert list((tmp_path / "stores").iterdir()) == [made.store.folder]


@pytest.mark.parametrize(
    ("content", "reason"),
    [(None, "No such file"), (b"", r"\(0 bytes\)"), (b"not an image", r"not a readable image \(12 bytes\)")],
)
def test_unreadable_image_may_cost_its_clip_only(
    corpus: PictureCorpus, tmp_path: Path, content: bytes | None, reason: str
) -> None:
    path = corpus.sequences[0].frames[3]
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    made = prepare(corpus, tmp_path / "stores", on_unreadable="skip", num_frames=2)
    assert made.store.clip_ids == ("S005/002", "S010/001")
    (skipped,) = made.report.skipped
    assert skipped.clip_id == "S005/001"
    assert str(path) in skipped.reason
    with pytest.raises(PreparationError, match=reason):
        prepare(corpus, tmp_path / "stores", num_frames=2)


def test_clips_without_a_face_are_all_named_and_may_be_skipped(faceless: PictureCorpus, tmp_path: Path) -> None:
    with pytest.raises(PreparationError, match=r"2 of 3 clips: S005/002, S010/001\. Set `faces\.on_no_face`"):
        prepare(faceless, tmp_path / "stores")
    # The clip that has one is done, whatever becomes of the others.
    assert [place.suffix for place in (tmp_path / "stores").iterdir()] == [".unfinished"]
    made = prepare(faceless, tmp_path / "stores", extraction("skip"))
    assert made.store.clip_ids == ("S005/001",)
    assert [(clip.clip_id, clip.reason) for clip in made.report.skipped] == [
        ("S005/002", "no face in any of 2 frames"),
        ("S010/001", "no face in any of 1 frames"),
    ]
    out = io.StringIO()
    made.report.print(Console(file=out, width=100))
    assert "skipped S005/002: no face in any of 2 frames" in out.getvalue()


def test_clips_without_a_face_may_keep_full_frames(faceless: PictureCorpus, tmp_path: Path) -> None:
    made = prepare(faceless, tmp_path / "stores", extraction("full_frame"))
    assert made.store.records[1].sources == ("full_frame", "full_frame", "repeated")
    assert made.store.records[1].boxes == ((0, 0, 200, 240),) * 3
    assert made.report.num_frames_by_source == {"detected": 1, "nearest": 0, "full_frame": 3, "repeated": 5}
    assert made.report.fallback_clips == ("S005/002", "S010/001")


@pytest.mark.parametrize("sequences", [0, 1])
def test_no_clip_left(faceless: PictureCorpus, tmp_path: Path, sequences: int) -> None:
    faceless.sequences = faceless.sequences[1 : 1 + sequences]
    reason = ("the corpus has no sequences", "S005/002: no face in any of 2 frames")[sequences]
    with pytest.raises(PreparationError, match=f"No clip is left to store: {reason}"):
        prepare(faceless, tmp_path / "stores", extraction("skip"))


class FailingDetector(Res10Detector):
    """Breaks down at the second clip."""

    num_calls = 0

    def detect(self, frames: Sequence[Image]) -> list[Detection | None]:
        self.num_calls += 1
        if self.num_calls == 2:
            raise KeyboardInterrupt
        return DETECTOR.detect(frames)


def test_an_interrupted_preparation_goes_on_where_it_stopped(corpus: PictureCorpus, tmp_path: Path) -> None:
    faces = FaceExtraction(detector := FailingDetector(), FaceCropper(size=24))
    with pytest.raises(KeyboardInterrupt):
        prepare(corpus, tmp_path / "stores", faces, num_workers=1)
    assert [path.suffix for path in (tmp_path / "stores").iterdir()] == [".unfinished"]
    detector.num_calls = 10
    made = prepare(corpus, tmp_path / "stores", faces)
    # The first clip is not made again.
    assert detector.num_calls == 12
    assert list((tmp_path / "stores").iterdir()) == [made.store.folder]
    whole = prepare(corpus, tmp_path / "other", extraction())
    for name in ("index.json", "clips.npy"):
        assert (made.store.folder / name).read_bytes() == (whole.store.folder / name).read_bytes()


@pytest.mark.parametrize(
    ("clips", "pairs"),
    [
        ({"P001/Anger": [0, 1], "P001/Happy": [2], "P002/Anger": [0]}, (("P001/Anger", "P002/Anger"),)),
        ({"P001/Anger": [0, 1], "P001/Happy": [2, 1], "P002/Anger": [3]}, (("P001/Anger", "P001/Happy"),)),
        ({"P001/Anger": [0, 1], "P001/Happy": [2], "P001/Anger again": [1]}, ()),
        ({"P001/Anger": [0, 0], "P001/Happy": [2], "P002/Anger": [3]}, ()),
    ],
    ids=["two subjects", "two emotions", "the same subject and emotion", "one clip"],
)
def test_an_image_in_clips_of_two_subjects_or_emotions_is_named(
    tmp_path: Path, clips: dict[str, list[int]], pairs: tuple[tuple[str, str], ...]
) -> None:
    images = {clip_id: [portrait(shift) for shift in shifts] for clip_id, shifts in clips.items()}
    corpus = write_corpus(tmp_path / "corpus", images)
    # Another file with the same pixels.
    last = corpus.sequences[-1].frames[-1]
    last.write_bytes(cv2.imencode(".bmp", read_images([last])[0].pixels)[1].tobytes())
    for built in (True, False):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            made = prepare(corpus, tmp_path / "stores")
        assert made.built is built
        assert made.report.shared_images == pairs
        assert [w.category for w in caught] == [CorpusWarning] * len(pairs)
        assert all(clip_id in str(caught[0].message) for pair in pairs for clip_id in pair)
        assert all(Path(w.filename) == Path(__file__) for w in caught)


def test_a_copy_of_an_image_is_named_where_one_of_both_is_shown(tmp_path: Path) -> None:
    def corpus(name: str, *shifts: int) -> PictureCorpus:
        images = {"P001/Anger": [portrait(), portrait(1)], "P002/Anger": [portrait(shift) for shift in shifts]}
        return write_corpus(tmp_path / name, images)

    with pytest.warns(CorpusWarning, match="P001/Anger and P002/Anger"):
        prepare(corpus("one", 2, 0), tmp_path / "stores", num_frames=1)
    assert prepare(corpus("none", 0, 2), tmp_path / "stores", num_frames=1).built


def test_report_says_what_each_format_tells_of_damage(corpus: PictureCorpus, tmp_path: Path) -> None:
    frame = corpus.sequences[0].frames[-1]
    frame.write_bytes(cv2.imencode(".bmp", portrait())[1].tobytes())
    report = prepare(corpus, tmp_path / "stores").report
    assert report.num_images_by_format == {"BMP": 1, "PNG": 7}
    out = io.StringIO()
    report.print(Console(file=out, width=100))
    assert "1 (only truncation shows)" in out.getvalue()
    assert "7 (damage always shows)" in out.getvalue()


def test_a_report_without_these_counts_is_still_read(corpus: PictureCorpus, tmp_path: Path) -> None:
    folder = prepare(corpus, tmp_path / "stores").store.folder
    fields = json.loads((folder / "report.json").read_text())
    del fields["num_images_by_format"], fields["shared_images"]
    (folder / "report.json").write_text(json.dumps(fields))
    assert not prepare(corpus, tmp_path / "stores").built


def test_a_disk_too_small_is_said_before_anything_is_read(corpus: PictureCorpus, tmp_path: Path) -> None:
    with pytest.raises(DiskError, match=r"clips .*about [\d,]+ MB in .*stores, .* has [\d,]+ MB left; .* outputs "):
        prepare(corpus, tmp_path / "stores", extraction(size=100_000), num_frames=10_000)
    assert not (tmp_path / "stores").exists()


class UnreadCorpus(PictureCorpus):
    def read(self) -> list[FrameSequence]:
        raise AssertionError("the corpus was read")


@pytest.mark.parametrize("place", ["file", "file/stores", "link"])
def test_a_place_that_cannot_be_written_is_said_before_the_corpus_is_read(tmp_path: Path, place: str) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to("nowhere")
    with pytest.raises(DiskError, match=r"cannot be written.* outputs "):
        prepare(UnreadCorpus(tmp_path, []), tmp_path / place)


def test_a_write_that_fails_names_the_store_and_leaves_nothing(corpus: PictureCorpus, tmp_path: Path) -> None:
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
    try:
        with pytest.raises(DiskError, match=r"stores/\.pictures-\w+\.unfinished cannot be written: .* outputs "):
            prepare(corpus, tmp_path / "stores")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert list((tmp_path / "stores").iterdir()) == []


def test_a_reason_that_is_no_text_can_be_written_and_printed(corpus: PictureCorpus, tmp_path: Path) -> None:
    first = corpus.sequences[0]
    missing = first.frames[0].with_name("\udcff.png")
    corpus.sequences[0] = FrameSequence(first.subject, first.sequence, first.emotion, (missing,))
    made = prepare(corpus, tmp_path / "stores", on_unreadable="skip")
    assert PreparationReport.read(made.store.folder) == made.report
    made.report.print(Console(file=io.TextIOWrapper(io.BytesIO(), encoding="utf-8")))


def test_report_counts(made: Preparation) -> None:
    report = made.report
    assert report.subjects_known
    assert (report.num_sequences, report.num_clips, report.num_images) == (3, 3, 8)
    assert report.num_frames_by_source == {"detected": 7, "nearest": 1, "full_frame": 0, "repeated": 1}
    assert report.fallback_clips == ("S005/002",)
    assert report.confidence_histogram == (0,) * 9 + (7,)
    assert PreparationReport.read(made.store.folder) == report


def test_report_of_unknown_subjects_says_what_follows(corpus: PictureCorpus, tmp_path: Path) -> None:
    corpus.subjects_known = False
    made = prepare(corpus, tmp_path / "stores")
    assert not made.store.header.subjects_known
    assert not PreparationReport.read(made.store.folder).subjects_known
    out = io.StringIO()
    made.report.print(Console(file=out, width=100))
    assert "pictures (synthetic, NOT SUBJECT-INDEPENDENT)" in out.getvalue()
    assert "the subjects are unknown" in out.getvalue()


def test_progress_bar_counts_frames(corpus: PictureCorpus, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    prepare(corpus, tmp_path / "quiet")
    assert capsys.readouterr().out == ""
    prepare_clips(corpus, extraction(), tmp_path / "loud", num_frames=3)
    assert "8/8 frames" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["index.json", "report.json"])
def test_damaged_store_is_not_rebuilt_silently(corpus: PictureCorpus, tmp_path: Path, name: str) -> None:
    folder = prepare(corpus, tmp_path / "stores").store.folder
    (folder / name).write_text("{")
    with pytest.raises(StoreError, match=r"(?i)delete .*run `python -m fer3d\.prepare` again"):
        prepare(corpus, tmp_path / "stores")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"num_frames": 0}, "clips.num_frames must be from 1 to 10,000, got 0"),
        ({"on_unreadable": "ignore"}, "clips.on_unreadable must be one of error, skip, got ignore"),
        ({"sampling": UniformFrames(stored=2)}, r"frames\.stored is 2"),
    ],
)
def test_bad_settings_are_refused_before_anything_is_read(
    tmp_path: Path, settings: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        prepare(UnreadCorpus(tmp_path, []), tmp_path / "stores", **settings)
    assert not (tmp_path / "stores").exists()


def test_videos_and_folders_of_images_become_clips_alike(tmp_path: Path) -> None:
    frames = [portrait(shift) for shift in range(0, 12, 2)]
    corpus = write_corpus(tmp_path / "corpus", {"S005/001": frames}, num_channels=3)
    write_video(tmp_path / "corpus" / "a.mkv", frames, codec="ffv1", pix_fmt="bgr0")
    whole = VideoSequence("S010", "001", "anger", tmp_path / "corpus" / "a.mkv")
    corpus.sequences += [whole, replace(whole, sequence="002", start=0.04, end=0.16)]
    with pytest.warns(CorpusWarning, match="S005/001 and S010/001"):
        made = prepare(corpus, tmp_path / "stores")
    np.testing.assert_array_equal(made.store.clips[0], made.store.clips[1])
    np.testing.assert_array_equal(made.store.clips[2], extraction().extract(frames[1:4], 3).crops)
    assert made.store.records[1].frames == ("0.120 s", "0.160 s", "0.200 s")
    assert made.report.num_images_by_format == {"FFV1 in Matroska": 6, "PNG": 3}


def with_videos(folder: Path, *names: str) -> tuple[PictureCorpus, list[Path]]:
    """A corpus of an image and of videos that are still to be written."""
    corpus = write_corpus(folder / "corpus", {"S005/001": [portrait()]})
    videos = [VideoSequence("S010", name, "anger", corpus.root / name) for name in names]
    corpus.sequences += videos
    return corpus, [video.video for video in videos]


def test_a_damaged_tail_keeps_the_frames_before_it_and_is_named(tmp_path: Path) -> None:
    corpus, (path,) = with_videos(tmp_path, "a.mkv")
    write_video(path, [portrait(shift) for shift in range(0, 20, 2)], codec="ffv1", pix_fmt="bgr0")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.warns(CorpusWarning, match=r"1 damaged video.* S010/a\.mkv \(damaged after"):
        made = prepare(corpus, tmp_path / "stores")
    assert made.store.clip_ids == ("S005/001", "S010/a.mkv")
    assert list(made.report.damaged) == ["S010/a.mkv"]
    with pytest.warns(CorpusWarning, match=r"S010/a\.mkv"):
        assert not prepare(corpus, tmp_path / "stores").built


def test_an_unreadable_video_follows_the_policy(tmp_path: Path) -> None:
    corpus, (path,) = with_videos(tmp_path, "a.mp4")
    path.write_bytes(b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n")
    with pytest.raises(PreparationError, match=r"1 of 2 clips.*a\.mp4.*git lfs pull"):
        prepare(corpus, tmp_path / "stores")
    made = prepare(corpus, tmp_path / "stores", on_unreadable="skip")
    assert [clip.clip_id for clip in made.report.skipped] == ["S010/a.mp4"]


def test_what_a_corpus_says_besides_is_kept_and_makes_another_store(tmp_path: Path) -> None:
    corpus = write_corpus(tmp_path / "corpus", {"S005/001": [portrait()]})
    plain = prepare(corpus, tmp_path / "stores").store
    corpus.sequences[0] = replace(corpus.sequences[0], columns={"split": "train"})
    told = prepare(corpus, tmp_path / "stores").store
    assert (plain.splits, told.splits) == (("",), ("train",))
    assert plain.digest != told.digest
    corpus.subjects_known = False
    assert prepare(corpus, tmp_path / "stores").store.digest not in (plain.digest, told.digest)


def test_the_store_keeps_more_frames_than_the_network_takes(tmp_path: Path) -> None:
    frames = [portrait(shift) for shift in range(0, 16, 2)]
    corpus = write_corpus(tmp_path / "corpus", {"S005/001": frames, "S010/001": [portrait(1), portrait(3)]})
    made = [
        prepare(corpus, tmp_path / "stores", num_frames=2, sampling=kind(stored=4))
        for kind in (UniformFrames, SegmentFrames)
    ]
    assert [one.built for one in made] == [True, False]
    store = made[0].store
    assert store.clips.shape[:2] == (2, 4)
    assert store.records[0].frames == ("001.png", "003.png", "005.png", "007.png")
    assert store.records[1].frames == ("000.png", "000.png", "001.png", "001.png")
    assert store.records[1].sources == ("detected", "repeated", "detected", "repeated")


def test_a_corrected_label_costs_no_detection(corpus: PictureCorpus, tmp_path: Path) -> None:
    faces = FaceExtraction(detector := FailingDetector(), FaceCropper(size=24))
    detector.num_calls = 10
    first = prepare(corpus, tmp_path / "stores", faces)
    num_calls = detector.num_calls
    corpus.sequences[0] = replace(corpus.sequences[0], emotion="happy", columns={"split": "test"})
    corpus.sequences[1] = replace(corpus.sequences[1], frames=corpus.sequences[1].frames[:2])
    again = prepare(corpus, tmp_path / "stores", faces)
    assert detector.num_calls == num_calls + 1
    assert again.store.clip_emotions[0] == "happy"
    assert again.store.splits[0] == "test"
    for row in (0, 2):
        np.testing.assert_array_equal(again.store.clips[row], first.store.clips[row])
        assert again.store.records[row].boxes == first.store.records[row].boxes
    whole = prepare(corpus, tmp_path / "other", extraction())
    assert whole.store.digest == again.store.digest


def test_a_damaged_store_passes_no_clip_on(corpus: PictureCorpus, tmp_path: Path) -> None:
    first = prepare(corpus, tmp_path / "stores").store
    content = bytearray((first.folder / "clips.npy").read_bytes())
    content[-100] ^= 1
    (first.folder / "clips.npy").write_bytes(content)
    corpus.sequences[0] = replace(corpus.sequences[0], emotion="happy")
    again = prepare(corpus, tmp_path / "stores").store
    assert again.digest == prepare(corpus, tmp_path / "other").store.digest


def test_what_is_known_to_be_wrong_is_said_before_anything_is_made(corpus: PictureCorpus, tmp_path: Path) -> None:
    def check(sequences: Sequence[Any], _: Any) -> None:
        raise ValueError(f"{len(sequences)} sequences are too few")

    with pytest.raises(ValueError, match="3 sequences are too few"):
        prepare(corpus, tmp_path / "stores", check=check)
    assert not (tmp_path / "stores").exists()


def test_files_that_are_no_videos_at_first_sight_are_named_before_anything_is_decoded(tmp_path: Path) -> None:
    faces = FaceExtraction(detector := FailingDetector(), FaceCropper(size=24))
    corpus, paths = with_videos(tmp_path, "b.mp4", "c.mp4")
    for path in paths:
        path.touch()
    with pytest.raises(PreparationError, match=r"2 of 3 clips.*b\.mp4 is empty.*c\.mp4 is empty"):
        prepare(corpus, tmp_path / "stores", faces)
    assert detector.num_calls == 0
    assert list((tmp_path / "stores").iterdir()) == []
