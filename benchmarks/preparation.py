"""Benchmarks face detection in videos, and the accuracy of `faces.every`: `python benchmarks/preparation.py FOLDER`.

For every mp4, flv, avi, mov, webm or mkv below FOLDER: frames per second of the decoder alone, of the detector alone,
and of preparation, which does both and crops; for several values of `faces.every`, the speed and the distance of the
interpolated boxes from detected ones. `--every 1 --repeats 10` prepares the same videos ten times, to show that memory
does not grow with their number.
"""

from __future__ import annotations

import resource
import tempfile
import time
from argparse import ArgumentParser
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fer3d.clips.detectors import Res10Detector
from fer3d.clips.faces import FaceCropper, FaceExtraction
from fer3d.clips.frames import UniformFrames
from fer3d.clips.preparation import prepare_clips
from fer3d.clips.sequence_frames import read_frames
from fer3d.clips.store import ClipStore
from fer3d.cores import count_cores
from fer3d.corpora.sequences import VideoSequence

ENDINGS = {".mp4", ".flv", ".avi", ".mov", ".webm", ".mkv"}
SAMPLING = UniformFrames(stored=32)


@dataclass
class Folder:
    """The videos below a folder as a corpus of one subject and two emotions."""

    root: Path
    repeats: int
    name: str = "benchmark"
    emotions: tuple[str, ...] = ("a", "b")
    num_channels: int = 3
    synthetic: bool = True

    def read(self) -> list[VideoSequence]:
        """Returns one sequence per video, or several of the same video."""
        paths = sorted(path for path in self.root.rglob("*") if path.suffix.lower() in ENDINGS)
        named = [
            (f"{number:06d}-{repeat}", path) for repeat in range(self.repeats) for number, path in enumerate(paths)
        ]
        # Each starts at another time, so that clips are not reused.
        return [
            VideoSequence("s", name, "ab"[number % 2], path, start=int(name.partition("-")[2]) * 1e-6)
            for number, (name, path) in enumerate(named)
        ]


def prepared(corpus: Folder, every: int) -> tuple[ClipStore, float]:
    """Prepares the videos; returns the store and frames per second."""
    with tempfile.TemporaryDirectory() as folder:
        started = time.perf_counter()
        faces = FaceExtraction(Res10Detector(), FaceCropper(), "full_frame", every)
        made = prepare_clips(
            corpus, faces, Path(folder), num_frames=16, sampling=SAMPLING, on_unreadable="skip", progress=False
        )
        return made.store, made.report.num_images / (time.perf_counter() - started)


def alone(corpus: Folder, detect: bool) -> float:
    """Frames per second of the decoder, or of the detector on decoded frames."""
    sequences, detector = corpus.read(), Res10Detector()
    with ThreadPoolExecutor(count_cores()) as pool:
        started = time.perf_counter()
        frames = list(pool.map(lambda sequence: read_frames(sequence, SAMPLING, 16).pixels, sequences))
        if detect:
            started = time.perf_counter()
            list(pool.map(detector.detect, frames))
        return sum(map(len, frames)) / (time.perf_counter() - started)


def distances(store: ClipStore, truth: ClipStore) -> np.ndarray:
    """Distance of the centres of interpolated boxes from detected ones, as a fraction of the detected width."""
    found = []
    for ours, theirs in zip(store.records, truth.records, strict=True):
        for source, box, right, told in zip(ours.sources, ours.boxes, theirs.boxes, theirs.sources, strict=True):
            if (source, told) == ("interpolated", "detected"):
                centres = [np.array([b[0] + b[2], b[1] + b[3]]) / 2 for b in (box, right)]
                found.append(np.linalg.norm(centres[0] - centres[1]) / (right[2] - right[0]))
    return np.array(found)


def main(arguments: Sequence[str] | None = None) -> None:
    """Prints the results."""
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--every", type=int, nargs="*", default=[1, 2, 4, 8])
    parser.add_argument("--repeats", type=int, default=1)
    options = parser.parse_args(arguments)
    corpus = Folder(options.folder, options.repeats)
    print(f"{len(corpus.read())} videos, {count_cores()} cores")
    if options.repeats == 1:
        print(f"decoder alone: {alone(corpus, detect=False):.1f} frames/s")
        print(f"detector alone: {alone(corpus, detect=True):.1f} frames/s")
    truth, _ = prepared(corpus, 1) if options.every != [1] else (None, None)
    for every in options.every:
        store, speed = prepared(corpus, every)
        moved = distances(store, truth) if truth is not None else np.array([])
        line = f"faces.every={every}: {speed:.1f} frames/s"
        if len(moved):
            median, most = np.quantile(moved, (0.5, 0.95))
            line += f", interpolated boxes off by {median:.3f} (95 %: {most:.3f}) of their width"
        print(line, flush=True)
    print(f"peak memory: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6:.2f} GB")


if __name__ == "__main__":
    main()
