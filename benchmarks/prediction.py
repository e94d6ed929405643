"""Benchmarks prediction on videos: `python benchmarks/prediction.py`.

Uses the compact network with random weights, and a 640x480 H.264 video of one or three moving photographs of a face.
Interleaved in one process: the pipeline with its defaults; with three faces and a prediction in every frame; and a
naive loop that detects the face in every frame and predicts single clips, as many as the pipeline. `--minutes 60`
predicts a long video instead and reports memory. Needs the extra `dev` for the photograph.
"""

from __future__ import annotations

import json
import platform
import resource
import statistics
import tempfile
import time
from argparse import ArgumentParser
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import skimage.data
import torch
from omegaconf import OmegaConf

from fer3d.clips.detectors import Image, Res10Detector
from fer3d.clips.faces import FaceCropper
from fer3d.clips.preprocess import equalise
from fer3d.clips.videos import stream_video
from fer3d.configuration import compose_train
from fer3d.cores import count_cores
from fer3d.models.network import Task
from fer3d.prediction.predictor import Predictor
from fer3d.prediction.sources import VideoFile
from fer3d.training.checkpoint import Checkpoint
from fer3d.training.networks import make_network, restore_network

EMOTIONS = ("anger", "contempt", "disgust", "fear", "happy", "sadness", "surprise")
WIDTH, HEIGHT, RATE = 640, 480, 30


def pictures(num_faces: int, num_frames: int) -> Iterator[Image]:
    """Frames with swaying copies of a photographed face."""
    photograph = cv2.cvtColor(skimage.data.astronaut(), cv2.COLOR_RGB2BGR)[20:260, 120:320]
    face = cv2.resize(photograph, (200, 240)) if num_faces > 1 else cv2.resize(photograph, (300, 360))
    height, width = face.shape[:2]
    for number in range(num_frames):
        frame = np.full((HEIGHT, WIDTH, 3), 90, np.uint8)
        for place in range(num_faces):
            x = round((place + 0.5) * WIDTH / num_faces - width / 2 + 5 * np.sin(number / 9 + place))
            y = round(HEIGHT / 2 - height / 2 + 20 * np.cos(number / 13 + place))
            x, y = max(0, min(x, WIDTH - width)), max(0, min(y, HEIGHT - height))
            frame[y : y + height, x : x + width] = face
        yield frame


def film(path: Path, num_faces: int, num_frames: int) -> Path:
    """Writes these frames as a video."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=RATE, options={"preset": "veryfast"})
        stream.width, stream.height, stream.pix_fmt, stream.time_base = WIDTH, HEIGHT, "yuv420p", Fraction(1, RATE)
        for frame in pictures(num_faces, num_frames):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="bgr24")))
        container.mux(stream.encode(None))
    return path


def checkpoint(path: Path, model: str) -> Path:
    """Writes a checkpoint of an untrained network."""
    config: Any = OmegaConf.to_container(compose_train([f"model={model}", "name=benchmark"]), resolve=True)
    network = make_network(config["model"], Task(len(EMOTIONS), config["clips"]["num_frames"], 112, 1))
    told = {"corpus": "none", "synthetic": True, "clip_store": "", "subjects": (), "digest": "", "fold": 1}
    Checkpoint(state_dict=network.state_dict(), emotions=EMOTIONS, config=config, num_channels=1, **told).write(path)
    return path


def pipeline(predictor: Predictor, video: Path) -> int:
    """Predicts a video; returns its number of frames."""
    return sum(1 for _ in predictor.steps(VideoFile(video, video.name)))


def naive(network: torch.nn.Module, video: Path, stride: int) -> int:
    """The naive loop: OpenCV reads a frame and detects its face, and the network predicts one clip at a time."""
    detector, cropper, clip = Res10Detector(), FaceCropper(), deque[Image](maxlen=10)
    capture, number = cv2.VideoCapture(str(video)), 0
    while True:
        is_read, frame = capture.read()
        if not is_read:
            return number
        (found,) = detector.detect([frame])
        if found is not None:
            clip.append(cropper.crop_box(frame, found.box, 1))
        if len(clip) == 10 and number % stride == 0:
            given = torch.from_numpy(np.moveaxis(equalise(np.stack(clip)[None]), -1, 1)).float() / 255
            with torch.inference_mode():
                network(given).softmax(1)
        number += 1


def parts(predictor: Predictor, video: Path) -> dict[str, float]:
    """Milliseconds of each part alone."""
    frames = [pixels for _, pixels in stream_video(video, lambda _: None)][:60]
    ensemble, trained = predictor.ensemble, predictor.ensemble.trained
    detector, cropper = trained.extraction.detector, trained.extraction.crop
    found = [(frame, face.box) for frame, face in zip(frames, detector.detect(frames), strict=True) if face is not None]
    crops = [cropper.crop_box(frame, box, 1) for frame, box in found]
    clips = np.stack([np.stack([ensemble.prepared(crop) for crop in crops[: trained.num_stored]])] * 16)
    return {
        "decoding, a frame": _timed(lambda: sum(1 for _ in stream_video(video, lambda _: None))),
        "looking for faces, a frame": _timed(lambda: len(detector.detect(frames))),
        "cropping, a face": _timed(lambda: len([cropper.crop_box(frame, box, 1) for frame, box in found])),
        "CLAHE, a crop": _timed(lambda: len([ensemble.prepared(crop) for crop in crops])),
        "network, a clip of a batch of 16": _timed(lambda: len(ensemble.probabilities(clips))),
        "network, a clip alone": _timed(lambda: len(ensemble.probabilities(clips[:1]))),
    }


def _timed(work: Callable[[], int]) -> float:
    """Milliseconds per item, the median of three."""
    work()
    found = []
    for _ in range(3):
        started = time.perf_counter()
        number = work()
        found.append((time.perf_counter() - started) * 1000 / number)
    return statistics.median(found)


def main(arguments: Sequence[str] | None = None) -> None:
    """Prints the results as a table and as JSON."""
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="compact", help="compact or full")
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=20, help="length of the videos")
    parser.add_argument("--minutes", type=int, help="predict a video of this length and report memory")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        path = checkpoint(Path(folder) / "last.ckpt", options.model)
        if options.minutes:
            _long(Predictor.load(path), Path(folder), options.minutes)
            return
        one, three = (film(Path(folder) / f"{n}.mp4", n, options.seconds * RATE) for n in (1, 3))
        default, each_frame = Predictor.load(path), Predictor.load(path, stride=1)
        network = restore_network(Checkpoint.read(path))
        turns: dict[str, Callable[[], int]] = {
            "one face, defaults": lambda: pipeline(default, one),
            "three faces, a prediction every frame": lambda: pipeline(each_frame, three),
            "naive loop, one face": lambda: naive(network, one, default.settings.stride),
        }
        speeds: dict[str, list[float]] = {name: [] for name in turns}
        for _ in range(options.turns):
            for name, work in turns.items():
                started = time.perf_counter()
                speeds[name].append(work() / (time.perf_counter() - started))
        told = {
            "machine": f"{count_cores()} cores, {_processor()}",
            "versions": {"torch": torch.__version__, "opencv": cv2.__version__, "av": av.__version__},
            "model": options.model,
            "frames_a_second": {name: round(statistics.median(found), 1) for name, found in speeds.items()},
            "spread": {name: [round(min(found), 1), round(max(found), 1)] for name, found in speeds.items()},
            "ratio_to_naive": round(
                statistics.median(
                    ours / theirs
                    for ours, theirs in zip(speeds["one face, defaults"], speeds["naive loop, one face"], strict=True)
                ),
                2,
            ),
            "milliseconds": {name: round(found, 3) for name, found in parts(default, one).items()},
        }
    for name, found in told["frames_a_second"].items():
        print(f"{name:40} {found:8.1f} frames/s  ({told['spread'][name][0]} to {told['spread'][name][1]})")
    print(f"{'pipeline / naive loop':40} {told['ratio_to_naive']:8.2f}")
    for name, found in told["milliseconds"].items():
        print(f"{name:40} {found:8.3f} ms")
    print(json.dumps(told))


def _long(predictor: Predictor, folder: Path, minutes: int) -> None:
    video = film(folder / "long.mp4", 1, minutes * 60 * RATE)
    started, first = time.perf_counter(), 0.0
    for number, step in enumerate(predictor.steps(VideoFile(video, "long")), start=1):
        if not first and any(prediction.probabilities is not None for prediction in step.predictions):
            first = time.perf_counter() - started
        if number % max(minutes * 60 * RATE // 6, 1) == 0:
            memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
            speed = number / (time.perf_counter() - started)
            print(f"{number / RATE / 60:6.1f} min: {memory:.0f} MB at most, {speed:.0f} frames/s", flush=True)
    print(f"first row after {first:.2f} s")


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    return next((line.partition(": ")[2] for line in lines if line.startswith("model name")), platform.processor())


if __name__ == "__main__":
    main()
