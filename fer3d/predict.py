"""Predicts emotions over time: `fer3d predict VIDEO... --with outputs/<run>/fold_001/last.ckpt`."""

from __future__ import annotations

import argparse
import signal
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fer3d.command import orderly_end, user_errors
from fer3d.cores import tell_libraries

if TYPE_CHECKING:
    from fer3d.prediction.jobs import Done, Target
    from fer3d.prediction.predictor import Predictor
    from fer3d.prediction.sources import Source

_PICTURES = ("overlay", "timeline", "page")
# Faces that are named in a line.
_MAX_NAMED = 6
_SETTINGS = ("stride", "detect_every", "window", "smooth", "max_entropy", "max_faces")


def predict(arguments: Sequence[str] | None = None) -> None:
    """Predicts videos and writes what was found.

    Args:
        arguments: The command line; None for the real one.
    """
    parser = _parser()
    options = parser.parse_args(arguments)
    if not options.what:
        parser.error(
            "no video is named: fer3d predict VIDEO... --with CHECKPOINT... (what stands right after --overlay, "
            "--timeline or --page is the file to write)"
        )
    with user_errors():
        tell_libraries()
        from fer3d.prediction.predictor import Predictor
        from fer3d.prediction.sources import find_sources
        from fer3d.prediction.targets import make_targets

        sources = find_sources(options.what, rate=options.rate, seconds=options.seconds)
        targets = make_targets(sources, options.out, {kind: getattr(options, kind) for kind in _PICTURES})
        predictor = Predictor.load(
            *options.networks,
            device=options.device,
            trusted=options.trust,
            **{name: getattr(options, name) for name in _SETTINGS if getattr(options, name) is not None},
        )
        _predict_all(predictor, sources, targets, options.out)


def _predict_all(predictor: Predictor, sources: Sequence[Source], targets: Sequence[Target], out: Path) -> None:
    from fer3d.clips.images import UnreadableError
    from fer3d.prediction.jobs import run_job
    from fer3d.prediction.pictures.video_writer import VideoWriterError
    from fer3d.prediction.table import TableWriter
    from fer3d.prediction.targets import is_table
    from fer3d.prediction.trained import PredictionError

    if predictor.ensemble.caution:
        print(predictor.ensemble.caution, flush=True)
    done: list[tuple[Source, Done | None, str]] = []
    with ExitStack() as stack:
        shared = stack.enter_context(TableWriter(out, predictor.emotions)) if is_table(out) else None
        for source, target in zip(sources, targets, strict=True):
            watcher = _Watcher(source)
            try:
                with _ended_by_signals(source):
                    result = run_job(predictor, source, target, shared=shared, watch=watcher)
                _say(predictor, source, result, target, watcher)
                done.append((source, result, ""))
            except (UnreadableError, PredictionError, VideoWriterError) as error:
                watcher.clear()
                print(f"fer3d: {error}", file=sys.stderr, flush=True)
                done.append((source, None, str(error)))
        if not any(result for _, result, _ in done):
            # Within the block, so that no empty table takes an older one's place.
            _finish(done, out, predictor.emotions)
    _finish(done, out, predictor.emotions)


def _finish(done: Sequence[tuple[Source, Done | None, str]], out: Path, emotions: Sequence[str]) -> None:
    from fer3d.corpora.layout import shown
    from fer3d.prediction.targets import is_table, summary_path

    failed = sum(result is None for _, result, _ in done)
    if is_table(out) and failed < len(done):
        print(f"the table: {shown(out)}")
    if len(done) > 1:
        _write_summary(summary_path(out), done, emotions)
        print(f"all of them: {shown(summary_path(out))}")
        if failed:
            raise SystemExit(f"fer3d: {failed} of {len(done)} videos could not be predicted; they are named above")
    elif failed:
        sys.exit(1)


@contextmanager
def _ended_by_signals(source: Source) -> Iterator[None]:
    """Lets Ctrl-C and SIGTERM switch a camera off, which has no other end, instead of breaking off; once."""
    from fer3d.prediction.camera import Camera

    if not isinstance(source, Camera) or threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    def stop(*_: object) -> None:
        source.stop()
        restore()

    for number, handler in before.items():
        if handler != signal.SIG_IGN:
            signal.signal(number, stop)
    try:
        yield
    finally:
        restore()


def _write_summary(path: Path, done: Sequence[tuple[Source, Done | None, str]], emotions: Sequence[str]) -> None:
    """Writes a row a face of each video, one for a video without any, and one for a video that failed."""
    import csv
    import io

    from fer3d.atomic_file import write_file

    text = io.StringIO(newline="")
    counts = ("face", "frames", "seconds", "predictions", "labelled", "label")
    names = ("file", *counts, *emotions, "caution", "warnings", "problem")
    writer = csv.DictWriter(text, names, extrasaction="ignore")
    writer.writeheader()
    for source, result, problem in done:
        if result is None:
            writer.writerow({"file": source.name, "problem": problem})
            continue
        told = result.told
        shared = {
            "file": source.name,
            "frames": told["video"]["frames"],
            "seconds": told["video"]["seconds"],
            "caution": told["caution"],
            "warnings": "; ".join(told["warnings"]),
        }
        for face in told["faces"] or [{"predictions": 0, "labelled": 0}]:
            writer.writerow({**shared, **face})
    write_file(path, text.getvalue())


class _Watcher:
    """Shows how far a video is, where somebody looks, and what a camera sees."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._is_seen = sys.stderr.isatty()
        self._began = time.monotonic()
        self._next = self._began + 0.5
        self.num_frames = 0

    @property
    def rate(self) -> float:
        """Frames a second so far."""
        return self.num_frames / max(time.monotonic() - self._began, 1e-9)

    def __call__(self, step: Any, latency: float | None) -> None:
        """Learns that a step is done."""
        self.num_frames += 1
        if latency is not None:
            for prediction in step.predictions:
                what = prediction.label or prediction.why
                who = "" if prediction.face is None else f"face {prediction.face}: "
                print(
                    f"{prediction.time_to:8.2f} s  {who}{what}  "
                    f"({latency:.2f} s after it was seen, {self._source.num_dropped} frames dropped)",
                    flush=True,
                )
        elif self._is_seen and time.monotonic() >= self._next:
            self._next = time.monotonic() + 0.5
            text = f"{step.frame.time:.0f} s, {self.rate:.0f} frames/s: {self._source.name}"
            print(f"\r{text[:100]:100}", end="", file=sys.stderr, flush=True)

    def clear(self) -> None:
        """Takes the line away."""
        if self._is_seen:
            print(f"\r{'':100}\r", end="", file=sys.stderr, flush=True)


def _say(predictor: Predictor, source: Source, result: Done, target: Target, watcher: _Watcher) -> None:
    from fer3d.corpora.layout import shown

    watcher.clear()
    told = result.told
    name, files = shown(source.name), ", ".join(map(shown, target.files))
    if not result.is_new:
        print(f"{name}: done already, {files}", flush=True)
        return
    faces = [f"face {face['face']} {face['label'] or 'without a label'}" for face in told["faces"]]
    more = f" and {len(faces) - _MAX_NAMED} more" if len(faces) > _MAX_NAMED else ""
    seen = f": {', '.join(faces[:_MAX_NAMED])}{more}" if faces else ""
    print(
        f"{name}: {told['video']['frames']:,} frames, {len(faces)} face{'s' * (len(faces) != 1)}{seen}; "
        f"predictions with a label: {told['labelled']:,}, without: {sum(told['without_label'].values()):,}; "
        f"{watcher.rate:.0f} frames/s",
        flush=True,
    )
    if told["caution"] != predictor.ensemble.caution:
        print(f"  {told['caution']}", flush=True)
    if len(told["networks"]) < (number := len(predictor.ensemble.members)):
        print(f"  by the {len(told['networks'])} of {number} networks that have not seen this subject", flush=True)
    for warning in told["warnings"]:
        print(f"  warning: {warning}", flush=True)
    print(f"  {files}", flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="fer3d predict",
        usage="fer3d predict WHAT... --with CHECKPOINT... [options]",
        description="Predicts the emotions of all faces of videos over time, with trained networks.",
    )
    add = parser.add_argument
    what = "video files, folders of videos or of frame images, patterns such as '*.mp4', a camera's number such as 0"
    add("what", nargs="*", metavar="WHAT", help=what)
    add(
        *("--with", "-w"),
        dest="networks",
        action="extend",
        nargs="+",
        type=Path,
        required=True,
        metavar="CHECKPOINT",
        help="last.ckpt of a fold, or an ONNX file; several are averaged, and a run's folder stands for all its folds",
    )
    add(
        "--out",
        type=Path,
        default=Path("predictions"),
        help="a folder for a table a video (default: predictions), or one .csv or .parquet for the rows of all",
    )
    for kind, what in (
        ("overlay", "the video with the faces drawn on it (.mp4)"),
        ("timeline", "a picture of the curves (.svg, .png, .pdf)"),
        ("page", "one page with the video and its curves (.html)"),
    ):
        add(
            f"--{kind}", nargs="?", type=Path, const=Path(), metavar="FILE", help=f"{what}; beside the table by default"
        )
    add("--stride", type=int, metavar="N", help="a prediction every N frames (5)")
    add("--detect-every", type=int, metavar="N", help="look for faces in every N-th frame, and track between (5)")
    add("--window", type=float, metavar="SECONDS", help="length of a clip (as the training clips)")
    add("--smooth", type=float, metavar="SECONDS", help="average over so much of the past; 0 for not at all (0.5)")
    add("--max-entropy", type=float, metavar="SHARE", help="no label above this share of the largest entropy (0.8)")
    add("--max-faces", type=int, metavar="N", help="follow at most N faces at a time (all)")
    add("--rate", type=float, metavar="FPS", help="frames a second of folders of images (30)")
    add("--seconds", type=float, metavar="SECONDS", help="look through a camera for so long (until Ctrl-C)")
    add("--device", default="auto", metavar="NAME", help="auto, cpu or cuda (auto)")
    add(
        "--trust",
        action="append",
        default=[],
        metavar="PACKAGE",
        help="let a checkpoint name code of this package of your own; repeatable",
    )
    return parser


if __name__ == "__main__":
    with orderly_end("finished files are complete, and the same command continues"):
        predict()
