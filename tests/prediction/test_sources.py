from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest
from video_files import scenes, write_video

from fer3d.clips.images import UnreadableError
from fer3d.clips.videos import stream_video
from fer3d.prediction.camera import Camera
from fer3d.prediction.sources import FrameFolder, Source, VideoFile, find_sources
from fer3d.prediction.trained import PredictionError

Make = Callable[..., list[Path]]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """Makes empty files, and the folders that they lie in; a name that ends in a slash is a folder."""

    def make_files(*names: str) -> list[Path]:
        paths = [tmp_path / name for name in names]
        for path, name in zip(paths, names, strict=True):
            folder = path if name.endswith("/") else path.parent
            folder.mkdir(parents=True, exist_ok=True)
            if folder != path:
                path.touch()
        return paths

    return make_files


def found(*what: Path | str) -> list[tuple[type[Source], Path | None]]:
    return [(type(source), source.path) for source in find_sources(list(map(str, what)))]


def videos(paths: Sequence[Path]) -> list[tuple[type[Source], Path | None]]:
    return [(VideoFile, path) for path in paths]


def test_what_is_named_comes_in_that_order_and_once(make: Make, tmp_path: Path) -> None:
    b, a, c = make("b.mp4", "a.MOV", "c.unknown")
    assert found(b, a, c) == videos([b, a, c])
    (tmp_path / "link.mp4").symlink_to(b)
    assert found(b, tmp_path / "link.mp4", f"{tmp_path}/../{tmp_path.name}/b.mp4", a, tmp_path) == videos([b, a])
    # A link by itself keeps the name that it has.
    assert found(tmp_path / "link.mp4") == videos([tmp_path / "link.mp4"])


def test_a_folder_stands_for_all_videos_and_folders_of_frames_below(make: Make, tmp_path: Path) -> None:
    take10, take9, deep, *_ = make(
        *("take10.mp4", "take9.mp4", "x/deep.avi", "x/poster.png", "y/frames/1.png", "notes.txt", ".hidden.mp4")
    )
    assert found(tmp_path) == [*videos([take9, take10, deep]), (FrameFolder, tmp_path / "y/frames")]


def test_images_are_frames_where_no_video_lies_beside_them(make: Make, tmp_path: Path) -> None:
    make("1.png", "2.png")
    assert found(tmp_path) == [(FrameFolder, tmp_path)]
    make("more/1.png")
    assert found(tmp_path) == [(FrameFolder, tmp_path), (FrameFolder, tmp_path / "more")]
    (video,) = make("a.mp4")
    assert found(tmp_path) == [*videos([video]), (FrameFolder, tmp_path / "more")]


def test_patterns_are_expanded_and_pass_over_what_is_no_video(make: Make, tmp_path: Path) -> None:
    a, b, deep, *_ = make("a.mp4", "b.mp4", "sub/deep.mp4", "frames/1.png", "c.txt", "empty/", "photo.png")
    assert found(tmp_path / "*.mp4") == videos([a, b])
    assert found(tmp_path / "**/*.mp4") == videos([a, b, deep])
    assert found(tmp_path / "*") == [*videos([a, b]), (FrameFolder, tmp_path / "frames"), *videos([deep])]
    (bracket,) = make("a[1].mp4")
    assert found(bracket) == videos([bracket])
    with pytest.raises(PredictionError, match=r"\*\.png does not match"):
        find_sources([f"{tmp_path}/*.png"])


def test_videos_that_a_prediction_drew_on_are_left_where_videos_are_looked_for(make: Make, tmp_path: Path) -> None:
    a, drawn, *_, own = make("a.mp4", "a.mp4.overlay.mp4", "a.mp4.json", "a.mp4.csv", "my.overlay.mp4")
    assert found(tmp_path) == videos([a, own])
    assert found(tmp_path / "*.mp4") == videos([a, own])
    assert found(drawn) == videos([drawn])


def test_a_number_is_a_camera_unless_there_is_such_a_file(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (source,) = find_sources(["0", "0"])
    assert isinstance(source, Camera)
    assert (source.name, source.path, source.is_live) == ("camera 0", None, True)
    (file,) = make("0")
    assert found("0") == videos([Path(file.name)])


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("nowhere.mp4", "nowhere.mp4 does not exist"),
        ("empty", "empty contains no videos"),
        ("photo.png", "photo.png is an image.*folder"),
        ("x*.mp4", "does not match"),
        ("1234", "1234 does not exist"),
        ("bad\0name", "does not exist"),
        (" ", "' ' does not exist"),
        ("~nobody-of-this-name/a.mp4", r"~nobody-of-this-name/a\.mp4 does not exist"),
    ],
)
def test_what_is_not_there_is_a_sentence(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, said: str
) -> None:
    make("empty/", "photo.png")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(PredictionError, match=said):
        find_sources([name])


@pytest.mark.parametrize(
    "wrong", [{"rate": 0}, {"rate": -1}, {"rate": float("nan")}, {"seconds": 0}, {"seconds": float("inf")}]
)
def test_numbers_out_of_range_are_refused(wrong: dict[str, float], tmp_path: Path) -> None:
    with pytest.raises(PredictionError, match=f"--{next(iter(wrong))} must be above 0, got"):
        find_sources([str(tmp_path)], **wrong)


def test_folders_that_cannot_be_opened_are_named(make: Make, tmp_path: Path) -> None:
    make("a.mp4")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    assert found(tmp_path) == videos([tmp_path / "a.mp4"])
    if os.geteuid():  # root may open everything
        make("closed/")[0].chmod(0)
        with pytest.raises(PredictionError, match=r"no permission .*/closed"):
            find_sources([str(tmp_path)])


@pytest.mark.parametrize("name", ["größe ü.mp4", " a'b\"c .mp4", "a\nb.mp4", os.fsdecode(b"\xff.mp4")])
def test_every_name_can_be_written_into_a_table(make: Make, name: str) -> None:
    (path,) = make(name)
    (source,) = find_sources([str(path)])
    assert source.path == path
    source.name.encode()
    if b"\xff" not in os.fsencode(name):
        assert source.name == str(path)


def test_a_folder_that_is_named_by_a_dot_has_a_name(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make("here/1.png")
    monkeypatch.chdir(tmp_path / "here")
    assert [source.name for source in find_sources(["."])] == [str(tmp_path / "here")]


def test_a_video_file_gives_its_frames_as_they_are_decoded(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mkv", scenes(20), times=[k**1.5 / 25 for k in range(20)])
    source = VideoFile(path, "a")
    for number, (frame, (second, pixels)) in enumerate(zip(source.frames(), stream_video(path, print), strict=True)):
        assert (frame.number, frame.time) == (number, second)
        np.testing.assert_array_equal(frame.pixels, pixels)
    assert source.damage is None


def test_who_leaves_early_leaves_no_thread(tmp_path: Path) -> None:
    frames = VideoFile(write_video(tmp_path / "a.mp4", scenes(60)), "a").frames()
    assert next(frames).number == 0
    frames.close()  # type: ignore[attr-defined]
    assert not [thread for thread in threading.enumerate() if thread.name == "decode"]


def test_a_folder_of_frames_has_the_times_of_its_rate(tmp_path: Path) -> None:
    for number in range(12):
        cv2.imwrite(str(tmp_path / f"frame{number}.png"), np.full((4, 6, 3), number, np.uint8))
    frames = list(FrameFolder(tmp_path, "a", rate=10).frames())
    assert [int(frame.pixels[0, 0, 0]) for frame in frames] == list(range(12))
    assert [(frame.number, frame.time) for frame in frames] == [(k, pytest.approx(k / 10)) for k in range(12)]


def test_a_folder_of_frames_ends_before_a_damaged_one_and_says_so(tmp_path: Path) -> None:
    for number in range(4):
        cv2.imwrite(str(tmp_path / f"{number}.png"), np.zeros((4, 6), np.uint8))
    (tmp_path / "2.png").write_bytes(b"no image")
    source = FrameFolder(tmp_path, "a")
    assert [frame.number for frame in source.frames()] == [0, 1]
    assert source.damage is not None
    assert "2.png" in source.damage
    (tmp_path / "0.png").write_bytes(b"")
    with pytest.raises(UnreadableError, match=r"0\.png"):
        list(FrameFolder(tmp_path, "a").frames())


def test_a_change_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "1.png"
    path.write_bytes(b"1")
    for source in (VideoFile(path, "a"), FrameFolder(tmp_path, "a")):
        before = source.state()
        assert source.state() == before
        path.write_bytes(path.read_bytes() + b"1")
        assert source.state() != before
    assert FrameFolder(tmp_path, "a", rate=10).state() != FrameFolder(tmp_path, "a", rate=20).state()
    path.unlink()
    with pytest.raises(UnreadableError, match=r"1\.png cannot be read: No such file"):
        VideoFile(path, "a").state()
