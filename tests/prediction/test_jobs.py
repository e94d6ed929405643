from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import pandas as pd
import pytest
from bright_faces import EMOTIONS, TRUST, picture, sequence, write_network
from cameras import PatientCamera
from test_camera import Capture
from video_files import write_video

import fer3d
from fer3d.clips.images import UnreadableError
from fer3d.corpora.sequences import SYNTHETIC_MARKER
from fer3d.prediction.jobs import Done, Target, run_job
from fer3d.prediction.pictures.video_writer import VideoWriterError
from fer3d.prediction.predictor import Predictor
from fer3d.prediction.sources import FrameFolder, VideoFile
from fer3d.prediction.table import TableWriter


@pytest.fixture(scope="module")
def predictor(tmp_path_factory: pytest.TempPathFactory) -> Predictor:
    path = write_network(tmp_path_factory.mktemp("network") / "last.ckpt", corpus="bright", temperature=1.5)
    return Predictor.load(path, trusted=TRUST, device="cpu")


@dataclass
class Job:
    """A video, and the files that are made of it."""

    predictor: Predictor
    video: Path
    target: Target

    def run(self, predictor: Predictor | None = None, target: Target | None = None, **settings: Any) -> Done:
        source = VideoFile(self.video, "the video")
        return run_job(predictor or self.predictor, source, target or self.target, **settings)

    @property
    def table(self) -> pd.DataFrame:
        return pd.read_csv(self.target.table, keep_default_na=False)


@pytest.fixture
def job(predictor: Predictor, tmp_path: Path) -> Job:
    video = write_video(tmp_path / "a.mp4", sequence(1, 30))
    return Job(predictor, video, Target(tmp_path / "out/a.csv", tmp_path / "out/a.json"))


def test_a_video_leaves_a_table_and_what_was_made_of_what(job: Job) -> None:
    done = job.run()
    assert done.is_new
    told = json.loads(job.target.told.read_text(encoding="utf-8"))
    assert {key: value for key, value in told.items() if key != "checksum"} == done.told
    assert told["emotions"] == list(EMOTIONS)
    video = told["video"]
    assert (video["name"], video["frames"], video["size"], video["damage"]) == ("the video", 30, [64, 48], None)
    assert (video["rate"], video["seconds"]) == (pytest.approx(25), pytest.approx(29 / 25))
    (network,) = told["networks"]
    (member,) = job.predictor.ensemble.members
    assert (network["file"], network["weights"]) == (str(member.path), member.trained.weights)
    assert (network["corpus"], network["temperature"], network["synthetic"]) == ("bright", 1.5, False)
    assert told["settings"]["stride"] == 5
    assert told["versions"]["fer3d"] == fer3d.__version__
    table = job.table
    assert set(table["file"]) == {"the video"}
    assert len(table) == told["labelled"] + sum(told["without_label"].values())
    assert told["labelled"] == (table["label"] != "").sum()
    (face,) = told["faces"]
    assert (face["face"], face["predictions"], face["label"]) == (1, len(table), "happy")


def test_what_is_done_is_not_done_again(job: Job) -> None:
    job.run()
    before = {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in job.target.files}
    done = job.run()
    assert not done.is_new
    assert done.told["faces"][0]["label"] == "happy"
    assert {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in job.target.files} == before


def other_weights(job: Job) -> Predictor:
    (member,) = job.predictor.ensemble.members
    network = write_network(job.video.with_name("other.ckpt"), temperature=2.0)
    assert member.path != network
    return Predictor.load(network, trusted=TRUST)


def edited(job: Job, old: bytes, new: bytes) -> None:
    job.target.told.write_bytes(job.target.told.read_bytes().replace(old, new))


# What a change returns is what the job is then run with.
CHANGES: dict[str, Callable[[Job], Any]] = {
    "another video": lambda job: write_video(job.video, sequence(2, 33)) and {},
    "a video written anew": lambda job: os.utime(job.video),
    "no table": lambda job: job.target.files[0].unlink(),
    "no record": lambda job: job.target.told.unlink(),
    "an edited record": lambda job: edited(job, b'"frames": 30', b'"frames": 31'),
    "a damaged record": lambda job: edited(job, b"}", b""),
    "another file in its place": lambda job: job.target.told.write_bytes(b"[]") and {},
    "another setting": lambda job: {
        "predictor": Predictor(job.predictor.ensemble, replace(job.predictor.settings, smooth=0))
    },
    "another network": lambda job: {"predictor": other_weights(job)},
    "another caution": lambda job: (job.video.parent / SYNTHETIC_MARKER).touch(),
    "one more file": lambda job: {"target": replace(job.target, timeline=job.target.told.with_suffix(".svg"))},
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_what_has_changed_is_done_anew(job: Job, change: Callable[[Job], Any]) -> None:
    job.run()
    changed = change(job) or {}
    assert job.run(**changed).is_new
    assert not job.run(**changed).is_new


def test_the_same_video_elsewhere_is_another(job: Job) -> None:
    job.run()
    copy = job.video.with_name("b.mp4")
    copy.hardlink_to(job.video)
    assert replace(job, video=copy).run().is_new


def test_a_job_that_breaks_off_is_not_taken_for_an_earlier_one(job: Job) -> None:
    """Otherwise its table would pass for that of the settings before."""
    job.run()
    other = Predictor(job.predictor.ensemble, replace(job.predictor.settings, stride=2))

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        job.run(other, watch=stop)
    assert sorted(path.name for path in job.target.told.parent.iterdir()) == ["a.csv"]
    assert job.run().is_new


def test_rows_go_into_a_shared_table_too(job: Job, tmp_path: Path) -> None:
    shared = tmp_path / "all.csv"
    target = Target(None, job.target.told)
    with TableWriter(shared, EMOTIONS) as writer:
        assert job.run(target=target, shared=writer).is_new
        # A table that begins empty needs the rows of what was done, too.
        assert job.run(target=target, shared=writer).is_new
    rows = pd.read_csv(shared, keep_default_na=False)
    told = job.run(target=target).told
    assert len(rows) == 2 * (told["labelled"] + sum(told["without_label"].values()))


def test_what_is_unlike_the_training_is_said(job: Job, tmp_path: Path) -> None:
    path = write_video(tmp_path / "short.mkv", sequence(0, 40))
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])
    told = replace(job, video=path).run().told
    assert told["video"]["damage"].startswith("damaged after")
    assert told["warnings"][0] == told["video"]["damage"]
    assert told["video"]["frames"] < 40


def test_a_video_that_cannot_be_read_leaves_nothing(job: Job) -> None:
    job.video.write_bytes(b"no video at all\n" * 20)
    with pytest.raises(UnreadableError, match=r"a\.mp4"):
        job.run()
    assert list(job.target.told.parent.iterdir()) == []
    job.video.unlink()
    with pytest.raises(UnreadableError, match=r"a\.mp4 cannot be read"):
        job.run()


def test_pictures_are_made_beside(job: Job) -> None:
    made = {kind: job.target.told.with_suffix(suffix) for kind, suffix in (("overlay", ".mp4"), ("timeline", ".svg"))}
    target = replace(job.target, **made, page=job.target.told.with_suffix(".html"))
    assert job.run(target=target).is_new
    assert all(path.stat().st_size > 1000 for path in target.files[2:])
    # Their own seconds are the video's.
    assert [frame.time for frame in VideoFile(made["overlay"], "a").frames()] == pytest.approx(
        [frame.time for frame in VideoFile(job.video, "a").frames()], abs=0.001
    )
    assert not job.run(target=target).is_new


def test_a_camera_leaves_what_it_saw_and_how_late_it_was_told(predictor: Predictor, tmp_path: Path) -> None:
    target = Target(tmp_path / "a.csv", tmp_path / "a.json")
    stamps = [20.0 * k for k in range(10)]
    late: list[float | None] = []
    camera = PatientCamera(Capture(stamps, pace=0.02))
    done = run_job(predictor, camera, target, watch=lambda step, latency: late.append(latency))
    video = done.told["video"]
    assert (video["frames"], video["dropped_frames"], len(late)) == (10, 0, 10)
    assert all(latency is not None and 0 <= latency < 30 for latency in late)
    assert 0 <= video["latency_seconds"]["median"] <= video["latency_seconds"]["95%"] < 30
    assert done.told["warnings"][0] == "camera 0 gave no more frames after 0.18 s"
    # What a camera sees is new each time.
    assert run_job(predictor, PatientCamera(Capture(stamps[:1])), target).is_new


def test_a_folder_of_frames_has_a_rate(predictor: Predictor, tmp_path: Path) -> None:
    folder = tmp_path / "frames"
    folder.mkdir()
    for number, frame in enumerate(sequence(2, 20)):
        cv2.imwrite(str(folder / f"{number}.png"), frame)
    target = Target(tmp_path / "a.csv", tmp_path / "a.json")
    told = run_job(predictor, FrameFolder(folder, "a", rate=30), target).told
    assert (told["video"]["frames"], told["video"]["rate"], told["faces"][0]["label"]) == (20, 30, "sad")
    assert run_job(predictor, FrameFolder(folder, "a", rate=15), target).is_new
    assert not run_job(predictor, FrameFolder(folder, "a", rate=15), target).is_new
    cv2.imwrite(str(folder / "20.png"), picture())
    assert run_job(predictor, FrameFolder(folder, "a", rate=15), target).is_new


def test_a_video_that_cannot_be_drawn_on_says_so(job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    target = replace(job.target, overlay=job.target.told.with_suffix(".mp4"))

    def refuse(*_: object) -> None:
        raise VideoWriterError("no encoder")

    monkeypatch.setattr("fer3d.prediction.pictures.overlay.Overlay.add", refuse)
    with pytest.raises(VideoWriterError):
        job.run(target=target)
    assert list(job.target.told.parent.iterdir()) == []
