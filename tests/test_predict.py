"""The command: what it says, what it leaves, and what it does with everything that is no plain video."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import av
import cv2
import numpy as np
import pandas as pd
import pytest
from bright_faces import EMOTIONS, picture, sequence, write_corpus, write_network
from fixture_types import Invoke
from small_disk import SmallDisk
from video_files import write_video

from fer3d.clips.detectors import Image
from fer3d.prediction.table import columns


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_network(tmp_path_factory.mktemp("network") / "last.ckpt")


@pytest.fixture
def predict(invoke: Invoke, network: Path, tmp_path: Path) -> Invoke:
    """Predicts into the folder `out`, unless told otherwise; the last argument may be options."""

    def run(*arguments: Path | str) -> tuple[int, str, str]:
        given = [str(argument) for argument in arguments]
        options = [] if "--with" in given else ["--with", str(network), "--trust", "bright_faces"]
        out = [] if "--out" in given else ["--out", str(tmp_path / "out")]
        return invoke("predict", *given, *options, *out)

    return run


def table(path: Path) -> pd.DataFrame:
    numbers = [name for name in columns(EMOTIONS) if name not in ("file", "label", "why", "caution")]
    return pd.read_csv(path, keep_default_na=False, na_values=dict.fromkeys(numbers, ""))


@pytest.fixture
def video(tmp_path: Path) -> Path:
    return write_video(tmp_path / "happy.mp4", sequence(1, 40), rate=30)


def test_a_video_leaves_a_table_and_a_line(predict: Invoke, video: Path, tmp_path: Path) -> None:
    status, out, err = predict(video, "--stride", "4", "--smooth", "0.2")
    assert (status, err) == (0, "")
    rows = table(tmp_path / "out/happy.mp4.csv")
    labelled = int((rows["label"] != "").sum())
    first, *_, files = out.splitlines()
    counts = f"predictions with a label: {labelled}, without: {len(rows) - labelled}"
    assert re.match(rf".*happy\.mp4: 40 frames, 1 face: face 1 happy; {counts}; \d+ frames/s$", first)
    assert files.split() == [f"{tmp_path}/out/happy.mp4.csv,", f"{tmp_path}/out/happy.mp4.json"]
    assert set(rows["frame"]) == {*range(0, 40, 4), 39}
    assert set(rows.loc[rows["frame"] > 12, "label"]) == {"happy"}
    assert json.loads((tmp_path / "out/happy.mp4.json").read_text())["settings"]["smooth"] == 0.2


def test_what_comes_from_rendered_faces_is_called_so_first(predict: Invoke, video: Path, tmp_path: Path) -> None:
    network = write_network(tmp_path / "rendered.ckpt", synthetic=True)
    status, out, _ = predict(video, "--with", network, "--trust", "bright_faces")
    assert (status, out.startswith("SYNTHETIC: trained on rendered faces")) == (0, True)
    assert set(table(tmp_path / "out/happy.mp4.csv")["caution"]) == {"SYNTHETIC: trained on rendered faces (test)"}


def test_it_is_said_which_networks_have_seen_the_subject(predict: Invoke, tmp_path: Path) -> None:
    corpus = write_corpus(tmp_path / "corpus", [12, 12])
    data = {"_target_": "fer3d.corpora.own_videos.Videos", "root": str(corpus), "table": "clips.csv"}
    for number, subjects in enumerate([("P0",), ("P1",), ("P0",)]):
        write_network(tmp_path / f"run/fold_{number:03d}/last.ckpt", data=data, subjects=subjects)
    run = ["--with", tmp_path / "run", "--trust", "bright_faces"]
    _, out, _ = predict(corpus / "P0/happy", *run)
    assert "  by the 1 of 3 networks not trained on this subject" in out.splitlines()
    assert set(table(tmp_path / "out/happy.csv")["caution"]) == {""}
    assert "networks that" not in predict(write_video(tmp_path / "other.mp4", sequence(1, 20)), *run)[1]
    _, out, _ = predict(corpus / "P0/sad", "--with", tmp_path / "run/fold_000", "--trust", "bright_faces")
    assert "  SEEN IN TRAINING: the networks were trained on clips of this subject" in out.splitlines()


def sound(path: Path) -> Path:
    with av.open(str(path), "w") as output:
        stream = output.add_stream("aac", rate=8000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        frame.sample_rate = 8000
        output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    return path


def test_what_is_no_video_is_named_and_the_others_go_on(predict: Invoke, video: Path, tmp_path: Path) -> None:
    bad = {
        "empty.mp4": (b"", "0 bytes"),
        "text.mp4": (b"a text, and no video\n" * 40, "not a video"),
        "pointer.mp4": (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 12\n", "git lfs pull"),
        "cut.mp4": (video.read_bytes()[: video.stat().st_size // 2], "moov"),
        "noise.avi": (np.random.default_rng(0).bytes(5000), "not a video"),
    }
    for name, (content, _) in bad.items():
        (tmp_path / name).write_bytes(content)
    sound(tmp_path / "sound.mp4")
    (tmp_path / "frames").mkdir()
    (tmp_path / "frames/1.png").write_bytes(b"no image")
    status, out, err = predict(tmp_path)
    assert status == 1
    *lines, last = err.splitlines()
    said = {name: what for name, (_, what) in bad.items()} | {"sound.mp4": "no video stream", "1.png": "not a readable"}
    assert len(lines) == len(said)
    for name, what in said.items():
        (line,) = (line for line in lines if name in line)
        assert line.startswith("fer3d: ")
        assert what in line
    assert last == "fer3d: 7 of 8 videos could not be predicted; see above"
    assert "happy.mp4: 40 frames" in out
    summary = pd.read_csv(tmp_path / "out/summary.csv", keep_default_na=False)
    assert len(summary) == 8
    assert summary.set_index("file")["problem"].eq("").sum() == 1
    (row,) = summary[summary["label"] != ""].to_dict("records")
    assert (row["file"], row["face"], row["frames"], row["label"]) == (str(video), "1", "40", "happy")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "happy.mp4.csv",
        "happy.mp4.json",
        "summary.csv",
    ]


def test_a_single_video_that_fails_is_one_sentence(predict: Invoke, tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    path.touch()
    for out in ("out", "all.csv"):
        status, said, err = predict(path, "--out", tmp_path / out)
        assert (status, said, err.count("\n")) == (1, "", 1)
        assert err.startswith(f"fer3d: {path} is empty (0 bytes)")
    assert [name.name for name in tmp_path.iterdir() if name.is_file()] == ["a.mp4"]


def test_a_table_is_not_lost_to_videos_that_fail(predict: Invoke, video: Path, tmp_path: Path) -> None:
    out = tmp_path / "all.csv"
    assert predict(video, "--out", out)[0] == 0
    before = out.read_bytes()
    for name in ("a.mp4", "b.mp4"):
        (tmp_path / name).touch()
    status, _, err = predict(tmp_path / "a.mp4", tmp_path / "b.mp4", "--out", out)
    assert (status, err.splitlines()[-1].startswith("fer3d: 2 of 2 videos")) == (1, True)
    assert out.read_bytes() == before
    assert len(pd.read_csv(tmp_path / "all.summary.csv")) == 2


def large(image: Image, height: int, width: int) -> Image:
    return cv2.resize(image, (width, height), interpolation=cv2.INTER_NEAREST)


def write_images(folder: Path, images: list[Image]) -> None:
    folder.mkdir()
    for number, image in enumerate(images):
        cv2.imwrite(str(folder / f"{number}.png"), image)


def test_odd_videos_are_predicted_as_far_as_they_go(predict: Invoke, tmp_path: Path) -> None:
    folder = tmp_path / "odd"
    folder.mkdir()
    frames = sequence(2, 24)
    write_video(folder / "small.mp4", [large(frame, 64, 64) for frame in frames])
    write_video(folder / "vertical.mp4", [large(frame, 96, 54) for frame in frames])
    write_video(folder / "turned.mp4", [np.ascontiguousarray(np.rot90(frame)) for frame in frames], rotation=-90)
    write_video(folder / "single.mp4", frames[:1])
    write_video(folder / "slow.mkv", frames[:6], times=[5.0 * k for k in range(6)])
    write_video(folder / "fast.mkv", [frame for frame in frames for _ in range(8)], times=[k / 240 for k in range(192)])
    write_video(folder / "uneven.mkv", frames, times=[k / 30 + (k % 3) * 0.008 for k in range(24)])
    first, second = (
        write_video(
            tmp_path / f"{n}.h264",
            [large(frame, 48 * n, 64 * n) for frame in frames],
            codec="libx264",
            pix_fmt="yuv420p",
        )
        for n in (1, 2)
    )
    (folder / "changing.mpg").write_bytes(first.read_bytes() + second.read_bytes())
    write_images(folder / "sixteen bits", [frame.astype(np.uint16) << 4 for frame in frames])
    write_images(folder / "sizes", [*frames[:12], *(large(frame, 60, 80) for frame in frames)])
    cut = write_video(folder / "cut.mkv", frames * 2)
    cut.write_bytes(cut.read_bytes()[: cut.stat().st_size * 3 // 4])
    status, out, err = predict(folder)
    assert (status, err) == (0, "")
    found = pd.read_csv(tmp_path / "out/summary.csv", keep_default_na=False)
    found["file"] = found["file"].map(lambda name: Path(name).name)
    assert not found["problem"].any()
    labels = found.groupby("file")["label"].agg(set).to_dict()
    assert {name for name, those in labels.items() if "sad" not in those} == {"single.mp4", "slow.mkv"}
    numbers = found.groupby("file")["frames"].first().to_dict()
    assert (numbers["single.mp4"], numbers["fast.mkv"], numbers["changing.mpg"], numbers["sizes"]) == (1, 192, 48, 36)
    assert "damaged after" in found.set_index("file")["warnings"]["cut.mkv"]
    assert re.search(r"\n  warning: damaged after", out)
    turned = json.loads((tmp_path / "out/turned.mp4.json").read_text())["video"]
    assert (turned["size"], turned["frames"]) == ([64, 48], 24)


@pytest.mark.slow
def test_a_large_video_is_predicted(predict: Invoke, tmp_path: Path) -> None:
    video = write_video(
        tmp_path / "large.mkv",
        [large(frame, 2160, 3840) for frame in sequence(0, 12)],
        rate=30,
        codec="mjpeg",
        pix_fmt="yuvj420p",
        color_range=2,
    )
    status, out, _ = predict(video, "--overlay")
    assert (status, "face 1 anger" in out) == (0, True)


def test_one_table_holds_the_rows_of_all(predict: Invoke, video: Path, tmp_path: Path) -> None:
    other = write_video(tmp_path / "sad.mp4", sequence(2, 31), rate=30)
    assert predict(video, other)[0] == 0
    apart = pd.concat([table(tmp_path / f"out/{name}.mp4.csv") for name in ("happy", "sad")], ignore_index=True)
    # The second time, too: a table that is made anew needs the rows of what was done before.
    for name, read in (("all.parquet", pd.read_parquet), ("all.csv", table), ("all.csv", table)):
        status, out, _ = predict(video, other, "--out", tmp_path / name)
        assert status == 0
        pd.testing.assert_frame_equal(read(tmp_path / name), apart, check_dtype=False)
    assert out.splitlines()[-1] == f"summary: {tmp_path}/all.summary.csv"


@pytest.mark.parametrize("name", ["größe ü.mp4", ' it\'s "a" .mp4', "a\nb.mp4", os.fsdecode(b"\xff\xfe.mp4")])
def test_any_name_will_do(predict: Invoke, video: Path, tmp_path: Path, name: str) -> None:
    path = video.rename(tmp_path / name)
    pictures = ["--page", "--timeline"] if "\n" in name else []
    status, out, err = predict(path, *pictures)
    assert (status, err) == (0, "")
    # A line is a line, whatever a name holds.
    assert len(out.splitlines()) == 2
    (named,) = set(table(tmp_path / f"out/{name}.csv")["file"])
    assert named == str(path) or b"\xff" in os.fsencode(name)
    assert predict(path, *pictures)[1].count("already done") == 1


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nowhere.mp4"], "nowhere.mp4 does not exist"),
        (["{video}", "--with", "nowhere.ckpt"], "--with is nowhere.ckpt, which is not a file"),
        (["{video}", "--with", "{folder}"], "contains no checkpoint"),
        (["{video}", "--with", "{video}"], "is not a checkpoint of this version of fer3d"),
        (["{video}", "--with", "{network}"], "--trust bright_faces"),
        (["{video}", "--stride", "0"], "--stride must be at least 1, got 0"),
        (["{video}", "--max-entropy", "2"], "--max-entropy must be"),
        (["{video}", "--device", "gpu"], "--device must be auto, cpu or cuda, got gpu"),
        (["{video}", "--out", "{folder}/a.xlsx"], "give a folder, or a table that ends in .csv or .parquet"),
        (["{video}", "--out", "{video}/x"], "Not a directory"),
        (["{video}", "--overlay", "{video}"], "would overwrite"),
        (["{video}", "--seconds", "3"], "--seconds applies only to a camera"),
        (["{video}", "--rate", "3"], "--rate applies only to folders of images"),
        (["{folder}", "--page", "{folder}/a.html"], "is one file for 2 videos"),
        (["{folder}/*.avi"], "does not match"),
        (["97"], "camera 97 cannot be opened"),
    ],
)
def test_what_is_wrong_is_one_sentence(
    predict: Invoke, video: Path, network: Path, tmp_path: Path, arguments: list[str], said: str
) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    for name in ("a.mp4", "b.mp4"):
        (folder / name).hardlink_to(video)
    before = video.read_bytes()
    status, out, err = predict(*(each.format(video=video, network=network, folder=folder) for each in arguments))
    assert (status, out, err.count("\n")) == (1, "", 1)
    assert err.startswith("fer3d: ")
    assert said in err
    assert video.read_bytes() == before


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "the following arguments are required: --with"),
        (["--with", "last.ckpt", "talk.mp4"], "no video given: fer3d predict VIDEO... --with CHECKPOINT..."),
        (["talk.mp4", "--with", "last.ckpt", "--stride", "often"], "argument --stride: invalid int value: 'often'"),
        (["talk.mp4", "--with"], "argument --with/-w: expected at least one argument"),
    ],
)
def test_a_wrong_command_line_says_how_it_goes(invoke: Invoke, arguments: list[str], said: str) -> None:
    status, out, err = invoke("predict", *arguments)
    assert (status, out) == (2, "")
    usage, last = err.splitlines()
    assert usage == "usage: fer3d predict WHAT... --with CHECKPOINT... [options]"
    assert last == f"fer3d predict: error: {said}" or last.startswith(f"fer3d predict: error: {said}")


@pytest.mark.parametrize("num_left", [0, 40_000])
def test_a_full_disk_is_a_sentence_and_leaves_nothing(
    predict: Invoke, video: Path, small_disk: SmallDisk, num_left: int
) -> None:
    small_disk.fill(num_left)
    status, _, err = predict(video, "--out", small_disk.folder / "out", "--page", "--stride", "1")
    assert (status, err.count("\n")) == (1, 1)
    assert re.search(r"fer3d: .* cannot be written: No space left on device", err)
    assert not [path for path in small_disk.folder.rglob("*") if path.is_file() and path.name != "filler"]


def test_several_faces_are_counted_and_named(predict: Invoke, tmp_path: Path) -> None:
    crowd = [picture(*((4 + 30 * n, 14, n % 3, 100) for n in range(8)), width=256)] * 20
    video = write_video(tmp_path / "crowd.mp4", crowd, rate=30)
    _, out, _ = predict(video)
    assert "20 frames, 8 faces: face 1 anger, face 2 happy, " in out
    assert " and 2 more; " in out
    # Nobody is there.
    nobody = write_video(tmp_path / "nobody.mp4", [picture()] * 12)
    _, out, _ = predict(nobody)
    assert "12 frames, 0 faces; predictions with a label: 0, without: 3" in out
