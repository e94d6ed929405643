"""The command as a process: stopped at any moment, watching a camera, and at a video that is long."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from pathlib import Path

import pandas as pd
import processes
import pytest
from bright_faces import sequence, write_network
from video_files import write_video

pytestmark = pytest.mark.slow

PICTURES = ("--overlay", "--timeline", "--page")


@pytest.fixture
def network(tmp_path: Path) -> Path:
    return write_network(tmp_path / "last.ckpt")


@pytest.fixture
def video(tmp_path: Path) -> Path:
    return write_video(tmp_path / "a.mp4", [*sequence(0, 60), *sequence(2, 60)] * 10, rate=30)


def start(*command: str) -> subprocess.Popen[str]:
    tests = str(Path(__file__).parent)
    path = os.pathsep.join((tests, f"{tests}/prediction"))
    return processes.start(*command, env={**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"})


def predict(video: Path, network: Path, *options: str) -> subprocess.Popen[str]:
    out = str(video.with_name("out"))
    return start(
        "-m", "fer3d.predict", str(video), "--with", str(network), "--trust", "bright_faces", "--out", out, *options
    )


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
@pytest.mark.parametrize("delay", [0.0, 1.0])
def test_a_prediction_that_is_stopped_leaves_no_half_written_file(
    video: Path, network: Path, number: signal.Signals, delay: float
) -> None:
    out = video.with_name("out")
    process = predict(video, network, *PICTURES)
    processes.wait_until(lambda: out.is_dir() and any(out.iterdir()), process)
    time.sleep(delay)
    process.send_signal(number)
    _, err = process.communicate(timeout=60)
    if process.returncode == 0:
        pytest.skip("it was done before")
    whole = {path.name for path in out.iterdir() if not path.name.startswith(".")}
    assert "a.mp4.json" not in whole
    if number == signal.SIGKILL:
        assert process.returncode == -number
    else:
        assert process.returncode == 128 + number
        assert err.splitlines()[-1].startswith("fer3d: stopped by ")
        assert not [path for path in out.iterdir() if path.name.startswith(".")]
    again = predict(video, network, *PICTURES)
    assert again.communicate(timeout=120)[0].count("frames/s") == 1
    assert again.returncode == 0
    # What was killed is tidied up by the next one.
    assert sorted(path.name for path in out.iterdir()) == [
        *("a.mp4.csv", "a.mp4.html", "a.mp4.json", "a.mp4.overlay.mp4", "a.mp4.timeline.svg")
    ]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_camera_that_is_switched_off_keeps_its_rows(tmp_path: Path, network: Path, number: signal.Signals) -> None:
    """There is no camera here: what gives its frames instead is an endless one."""
    code = (
        "import sys, time, cv2\n"
        "from bright_faces import picture\n"
        "class Endless:\n"
        "    def __init__(self, number): self.k = -1\n"
        "    def isOpened(self): return True\n"
        "    def read(self): time.sleep(0.03); self.k += 1; return True, picture((10, 10, 1, 100))\n"
        "    def get(self, what): return self.k * 1000 / 30\n"
        "    def release(self): pass\n"
        "cv2.VideoCapture = Endless\n"
        "from fer3d.command import orderly_end\n"
        "from fer3d.predict import predict\n"
        "with orderly_end(): predict(sys.argv[1:])\n"
    )
    out = tmp_path / "camera.csv"
    process = start("-c", code, "0", "--with", str(network), "--trust", "bright_faces", "--out", str(out))
    assert process.stdout is not None
    lines = [process.stdout.readline() for _ in range(8)]
    process.send_signal(number)
    rest, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (0, "")
    assert "(latency " in lines[-1]
    rows = pd.read_csv(out)
    assert len(rows) >= 8
    assert rows["label"].iloc[-1] == "happy"
    told = json.loads((tmp_path / "camera.json").read_text())["video"]
    assert told["frames"] == rows["frame"].iloc[-1] + 1 - told["dropped_frames"]
    assert 0 <= told["latency_seconds"]["median"] < 10
    assert "predictions with a label" in rest


LONG = """
import resource, sys, time
from pathlib import Path
from fer3d.prediction.jobs import Target, run_job
from fer3d.prediction.predictor import Predictor
from fer3d.prediction.sources import VideoFile

video, network = map(Path, sys.argv[1:])
predictor = Predictor.load(network, trusted=("bright_faces",))
began, number = time.monotonic(), 0


def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def watch(step, latency):
    global number
    if not number and step.predictions:
        print("first", time.monotonic() - began, flush=True)
    number += 1
    if number in (2000, 20000):
        print(number, peak(), flush=True)


files = [video.with_name(name) for name in ("a.csv", "a.json", "a.mp4", "a.svg", "a.html")]
target = Target(*files)
told = run_job(predictor, VideoFile(video, "long"), target, watch=watch).told
print("end", peak(), told["video"]["frames"], flush=True)
"""


def test_memory_does_not_grow_with_the_length_of_a_video(tmp_path: Path, network: Path) -> None:
    scenes = [*sequence(0, 60), *sequence(1, 60, seed=3)]
    video = write_video(tmp_path / "long.mp4", (scenes * 167)[:20_000], rate=30)
    process = start("-c", LONG, str(video), str(network))
    out, err = process.communicate(timeout=600)
    assert (process.returncode, err) == (0, "")
    told = {line.split()[0]: line.split()[1:] for line in out.splitlines()}
    assert float(told["first"][0]) < 3
    early, late, end = (float(told[name][0]) for name in ("2000", "20000", "end"))
    assert int(told["end"][1]) == 20_000
    # Megabytes; the frames alone would be 180 in full, and their crops 20.
    assert late - early < 12
    assert end - early < 25


def test_help_comes_at_once() -> None:
    began = time.monotonic()
    process = start("-X", "importtime", "-m", "fer3d.predict", "--help")
    out, err = process.communicate(timeout=30)
    assert process.returncode == 0
    assert "--with CHECKPOINT" in out
    assert not {"torch", "numpy", "cv2", "av", "hydra"} & {line.rpartition("|")[2].strip() for line in err.splitlines()}
    assert time.monotonic() - began < 10
