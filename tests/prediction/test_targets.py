from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from made_steps import EMOTIONS, made_steps
from small_disk import SmallDisk
from video_files import scenes, write_video

from fer3d.disk import DiskError
from fer3d.prediction.camera import Camera
from fer3d.prediction.jobs import Target
from fer3d.prediction.pictures.overlay import Overlay
from fer3d.prediction.pictures.style import PictureInfo
from fer3d.prediction.sources import FrameFolder, Source, VideoFile
from fer3d.prediction.table import TableWriter
from fer3d.prediction.targets import BESIDE, make_targets, summary_path
from fer3d.prediction.trained import PredictionError

NONE = {"overlay": None, "timeline": None, "page": None}
ALL = dict.fromkeys(NONE, BESIDE)


def videos(*paths: Path | str) -> list[Source]:
    return [VideoFile(Path(path), str(path)) for path in paths]


def files(targets: Sequence[Target], below: Path) -> list[list[str]]:
    return [[str(path.relative_to(below)) for path in target.files] for target in targets]


def test_a_videos_files_have_its_name(tmp_path: Path) -> None:
    assert files(make_targets(videos(tmp_path / "v/talk.mp4"), tmp_path / "out", ALL), tmp_path / "out") == [
        ["talk.mp4.csv", "talk.mp4.json", "talk.mp4.overlay.mp4", "talk.mp4.timeline.svg", "talk.mp4.html"]
    ]


def test_files_lie_as_the_videos_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    sources = [*videos(tmp_path / "a/x.mp4", "../a/b/x.mp4", "./../c/../c/y.mp4"), FrameFolder(tmp_path / "a/x", "x")]
    made = files(make_targets(sources, Path("out"), NONE), Path("out"))
    assert made == [
        ["a/x.mp4.csv", "a/x.mp4.json"],
        ["a/b/x.mp4.csv", "a/b/x.mp4.json"],
        ["c/y.mp4.csv", "c/y.mp4.json"],
        ["a/x.csv", "a/x.json"],
    ]


def test_no_file_lies_outside_of_the_folder_of_results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a/b").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "a/b")
    for target in make_targets(videos("../x.mp4", "../../y.mp4", "z.mp4"), Path("out"), ALL):
        assert all(path.resolve().is_relative_to(tmp_path / "a/b/out") for path in target.files)


def test_long_names_are_shortened_and_stay_apart(tmp_path: Path) -> None:
    names = ["ü" * 125 + f"{number}.mp4" for number in range(2)]
    first, second = make_targets(videos(*(tmp_path / name for name in names)), tmp_path / "out", ALL)
    assert not set(first.files) & set(second.files)
    for path in first.files:
        assert path.name.startswith("ü" * 60)
        # With room for a work folder's name.
        assert len(path.name.encode()) < 155
    with TableWriter(tmp_path / "out" / first.files[0].name, EMOTIONS):
        pass


def test_one_table_takes_the_rows_of_all(tmp_path: Path) -> None:
    out = tmp_path / "t.parquet"
    (alone,) = make_targets(videos("a.mp4"), out, ALL)
    assert alone.table is None
    assert files([alone], tmp_path) == [["t.json", "t.overlay.mp4", "t.timeline.svg", "t.html"]]
    several = make_targets(videos("a.mp4", "b.mp4"), out, NONE)
    assert files(several, tmp_path) == [["t/a.mp4.json"], ["t/b.mp4.json"]]
    assert summary_path(out) == tmp_path / "t.summary.csv"
    assert summary_path(tmp_path) == tmp_path / "summary.csv"


def test_a_camera_gets_files_of_its_own_each_time(tmp_path: Path) -> None:
    ((table, _),) = files(make_targets([Camera(2)], tmp_path, NONE), tmp_path)
    assert table.startswith("camera_2_20")


@pytest.mark.parametrize(
    ("pictures", "said"),
    [
        ({"overlay": Path("a.mov")}, r"--overlay is a\.mov, but must end in \.mp4"),
        ({"timeline": Path("a")}, r"--timeline is a, but must end in \.svg or \.png or \.pdf"),
        ({"page": Path("a.mp4")}, r"--page is a\.mp4, but must end in \.html"),
    ],
)
def test_pictures_have_their_endings(pictures: dict[str, Path], said: str, tmp_path: Path) -> None:
    with pytest.raises(PredictionError, match=said):
        make_targets(videos("a.mp4"), tmp_path, NONE | pictures)


def test_several_videos_do_not_go_into_one_picture(tmp_path: Path) -> None:
    with pytest.raises(PredictionError, match=r"a\.html is one file for 2 videos"):
        make_targets(videos("a.mp4", "b.mp4"), tmp_path, {**NONE, "page": Path("a.html")})


def test_no_video_is_written_over(tmp_path: Path) -> None:
    a, b = (write_video(tmp_path / name, scenes(3)) for name in ("a.mp4", "b.mp4"))
    link = tmp_path / "link.mp4"
    link.symlink_to(a)
    for overlay in (a, link, tmp_path / "x/../a.mp4"):
        with pytest.raises(PredictionError, match=r"is one of the videos|would overwrite"):
            make_targets(videos(a), tmp_path / "out", {**NONE, "overlay": overlay})
    # As after `predict a.mp4 --with NETWORK --overlay b.mp4` of somebody who meant two videos.
    with pytest.raises(PredictionError, match=r"b\.mp4 would overwrite"):
        make_targets(videos(a), tmp_path / "out", {**NONE, "overlay": b})
    drawn = write_video(tmp_path / "a.mp4.overlay.mp4", scenes(3))
    with pytest.raises(
        PredictionError, match=r"a\.mp4\.overlay\.mp4 would be written for .*, but is one of the videos"
    ):
        make_targets(videos(a, drawn), tmp_path, {**NONE, "overlay": BESIDE})


def test_an_overlay_may_be_made_anew(tmp_path: Path) -> None:
    path = tmp_path / "drawn.mp4"
    with Overlay(path, PictureInfo(EMOTIONS, source={"checkpoint": "c0ffee"})) as overlay:
        for step in made_steps(4, height=48, width=64):
            overlay.add(step)
    (target,) = make_targets(videos("a.mp4"), tmp_path, {**NONE, "overlay": path})
    assert target.overlay == path


def test_no_table_of_somebody_elses_is_written_over(tmp_path: Path) -> None:
    labels = tmp_path / "clips.csv"
    labels.write_text("path,emotion,subject\n")
    with pytest.raises(PredictionError, match=r"--out .*clips\.csv exists and is not a table"):
        make_targets(videos("a.mp4"), labels, NONE)
    for content in ("", "file,face,time_from\n"):
        labels.write_text(content)
        make_targets(videos("a.mp4"), labels, NONE)


def test_no_video_gets_the_file_of_the_summary(tmp_path: Path) -> None:
    summary = tmp_path / "v/summary"
    with pytest.raises(PredictionError, match=r"summary\.csv would be written for .*summary, but is written for all"):
        make_targets([FrameFolder(summary, str(summary)), *videos(tmp_path / "v/a.mp4")], tmp_path, NONE)
    make_targets([FrameFolder(summary, str(summary))], tmp_path, NONE)


@pytest.mark.parametrize("out", ["results.xlsx", "a.json", "v1.5"])
def test_what_is_neither_a_folder_nor_a_table_is_refused(out: str, tmp_path: Path) -> None:
    with pytest.raises(PredictionError, match=r"give a folder, or a table that ends in \.csv or \.parquet"):
        make_targets(videos("a.mp4"), tmp_path / out, NONE)
    (tmp_path / out).mkdir()
    make_targets(videos("a.mp4"), tmp_path / out, NONE)


def test_what_is_in_the_way_is_named_before_any_work(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DiskError, match=r"file.* cannot be written: .*Not a directory"):
        make_targets(videos("a.mp4"), tmp_path / "file/out", NONE)
    (tmp_path / "a.mp4.csv").mkdir()
    with pytest.raises(PredictionError, match=r"a\.mp4\.csv would be written for a\.mp4, but is a folder"):
        make_targets(videos("a.mp4"), tmp_path, NONE)
    with pytest.raises(PredictionError, match=r"a\.mp4\.csv is a folder"):
        make_targets(videos("a.mp4"), tmp_path / "a.mp4.csv", NONE)


def test_a_disk_that_may_not_be_written_to_is_named(small_disk: SmallDisk) -> None:
    small_disk.make_read_only()
    with pytest.raises(DiskError, match="cannot be written"):
        make_targets(videos("a.mp4"), small_disk.folder / "out", NONE)
