"""Predicts emotions over time: `fer3d predict VIDEO... --with outputs/<run>/fold_001/last.ckpt`."""

from __future__ import annotations

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
from fer3d.options import CommandParser

if TYPE_CHECKING:
    from fer3d.prediction.jobs import Done, Target
    from fer3d.prediction.predictor import Predictor
    from fer3d.prediction.sources import Source

_PICTURES = ("overlay", "timeline", "page")
# Maximum number of faces named in a line.
_MAX_NAMED = 6
_SETTINGS = ("stride", "detect_every", "window", "smooth", "max_entropy", "max_faces", "detector_engine")


def predict(arguments: Sequence[str] | None = None) -> None:
    """Predicts videos and writes the results.

    Args:
        arguments: Command-line arguments; None for those of the process.
    """
    parser = _parser()
    options = parser.parse_args(arguments)
    if not options.what:
        parser.error(
            "no video given: fer3d predict VIDEO... --with CHECKPOINT... (an argument right after --overlay, "
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
            # Exits within the block, so that an empty table does not replace an older one.
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
        print(f"summary: {shown(summary_path(out))}")
        if failed:
            raise SystemExit(f"fer3d: {failed} of {len(done)} videos could not be predicted; see above")
    elif failed:
        sys.exit(1)


@contextmanager
def _ended_by_signals(source: Source) -> Iterator[None]:
    """Makes the first Ctrl-C or SIGTERM stop a camera, so that its files are completed."""
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
    """Writes one row per face and video; a video without faces, or that failed, has one row as well."""
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
    """Shows progress on a terminal, and the predictions of a camera."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._is_seen = sys.stderr.isatty()
        self._began = time.monotonic()
        self._next = self._began + 0.5
        self.num_frames = 0

    @property
    def rate(self) -> float:
        """Frames per second so far."""
        return self.num_frames / max(time.monotonic() - self._began, 1e-9)

    def __call__(self, step: Any, latency: float | None) -> None:
        """Counts a step."""
        self.num_frames += 1
        if latency is not None:
            for prediction in step.predictions:
                what = prediction.label or prediction.why
                who = "" if prediction.face is None else f"face {prediction.face}: "
                print(
                    f"{prediction.time_to:8.2f} s  {who}{what}  "
                    f"(latency {latency:.2f} s, {self._source.num_dropped} frames dropped)",
                    flush=True,
                )
        elif self._is_seen and time.monotonic() >= self._next:
            self._next = time.monotonic() + 0.5
            text = f"{step.frame.time:.0f} s, {self.rate:.0f} frames/s: {self._source.name}"
            print(f"\r{text[:100]:100}", end="", file=sys.stderr, flush=True)

    def clear(self) -> None:
        """Clears the progress line."""
        if self._is_seen:
            print(f"\r{'':100}\r", end="", file=sys.stderr, flush=True)


def _say(predictor: Predictor, source: Source, result: Done, target: Target, watcher: _Watcher) -> None:
    from fer3d.corpora.layout import shown

    watcher.clear()
    told = result.told
    name, files = shown(source.name), ", ".join(map(shown, target.files))
    if not result.is_new:
        print(f"{name}: already done, {files}", flush=True)
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
        print(f"  by the {len(told['networks'])} of {number} networks not trained on this subject", flush=True)
    for warning in told["warnings"]:
        print(f"  warning: {warning}", flush=True)
    print(f"  {files}", flush=True)


def _parser() -> CommandParser:
    parser = CommandParser("predict", "Predicts the emotions of all faces in videos over time, with trained networks.")
    parser.usage = "fer3d predict WHAT... --with CHECKPOINT... [options]"
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
        help="last.ckpt of a fold, an ONNX file, or a run folder for all its folds; several networks are averaged",
    )
    parser.add_out("predictions, with one table per video; a .csv or .parquet file is one for all videos", "PATH")
    parser.set_defaults(out=Path("predictions"))
    for kind, what in (
        ("overlay", "write the video with boxes, labels and bars (.mp4)"),
        ("timeline", "write a figure of the curves (.svg, .png, .pdf)"),
        ("page", "write a page with the video and its curves (.html)"),
    ):
        add(
            f"--{kind}", nargs="?", type=Path, const=Path(), metavar="FILE", help=f"{what}; beside the table by default"
        )
    add("--stride", type=int, metavar="N", help="predict every N frames (5)")
    add("--detect-every", type=int, metavar="N", help="detect faces every N frames, and track them in between (5)")
    add("--window", type=float, metavar="SECONDS", help="length of a clip (median of the training clips)")
    add("--smooth", type=float, metavar="SECONDS", help="time constant of the smoothing; 0 for none (0.5)")
    add("--max-entropy", type=float, metavar="SHARE", help="withhold labels above this normalised entropy (0.8)")
    add("--max-faces", type=int, metavar="N", help="track at most N faces at a time (no limit)")
    engines = "opencv, openvino or openvino-bf16 (as on the training clips)"
    add("--detector-engine", metavar="NAME", help=f"what runs the face detector: {engines}")
    add("--rate", type=float, metavar="FPS", help="frames per second of folders of images (30)")
    add("--seconds", type=float, metavar="SECONDS", help="duration of a camera (until Ctrl-C)")
    add("--device", default="auto", metavar="NAME", help="auto, cpu or cuda (auto)")
    parser.add_trust()
    return parser


if __name__ == "__main__":
    with orderly_end("finished files are complete, and the same command continues"):
        predict()
