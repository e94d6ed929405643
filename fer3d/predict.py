"""Predicts emotions over time: `fer3d predict VIDEO... --with outputs/<run>/fold_001/last.ckpt`."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fer3d.command import orderly_end, user_errors

if TYPE_CHECKING:
    from fer3d.prediction.jobs import Done, Target
    from fer3d.prediction.predictor import Predictor
    from fer3d.prediction.sources import Source

_PICTURES = {"overlay": ".overlay.mp4", "timeline": ".timeline.svg", "page": ".html"}
# What each picture's file may end in.
_ENDINGS = {"overlay": (".mp4",), "timeline": (".svg", ".png", ".pdf"), "page": (".html", ".htm")}


def predict(arguments: Sequence[str] | None = None) -> None:
    """Predicts videos and writes what was found.

    Args:
        arguments: The command line; None for the real one.
    """
    options = _parser().parse_args(arguments)
    with user_errors():
        from fer3d.prediction.predictor import Predictor
        from fer3d.prediction.sources import find_sources

        settings = ("stride", "detect_every", "window", "smooth", "max_entropy", "max_faces")
        _check_files(options)
        sources = find_sources(options.what, rate=options.rate, seconds=options.seconds)
        predictor = Predictor.load(
            *options.networks,
            device=options.device,
            trusted=options.trust,
            **{name: getattr(options, name) for name in settings if getattr(options, name) is not None},
        )
        _predict_all(predictor, sources, options)


def _predict_all(predictor: Predictor, sources: Sequence[Source], options: argparse.Namespace) -> None:
    from fer3d.clips.images import UnreadableError
    from fer3d.prediction.jobs import run_job
    from fer3d.prediction.table import TableWriter
    from fer3d.prediction.trained import PredictionError

    targets = _targets(sources, options)
    if predictor.ensemble.caution:
        print(predictor.ensemble.caution, flush=True)
    done: list[tuple[Source, Done | None, str]] = []
    with ExitStack() as stack:
        shared = stack.enter_context(TableWriter(options.out, predictor.emotions)) if _is_table(options.out) else None
        for source, target in zip(sources, targets, strict=True):
            watcher = _Watcher(source)
            try:
                with _ended_by_ctrl_c(source):
                    result = run_job(predictor, source, target, shared=shared, watch=watcher)
                _say(source, result, target, watcher)
                done.append((source, result, ""))
            except (UnreadableError, PredictionError) as error:
                watcher.clear()
                print(f"fer3d: {error}", file=sys.stderr, flush=True)
                done.append((source, None, str(error)))
    if len(sources) > 1:
        where = _summary_path(options.out)
        _write_summary(where, done, predictor.emotions)
        print(f"all of them: {where}")
    failed = [source.name for source, result, _ in done if result is None]
    if failed and len(sources) > 1:
        raise SystemExit(f"fer3d: {len(failed)} of {len(sources)} videos could not be predicted; they are named above")
    if failed:
        sys.exit(1)


@contextmanager
def _ended_by_ctrl_c(source: Source) -> Iterator[None]:
    """Lets Ctrl-C switch a camera off, which has no other end, instead of breaking off."""
    from fer3d.prediction.camera import Camera

    if not isinstance(source, Camera):
        yield
        return
    before = signal.signal(signal.SIGINT, lambda *_: source.stop())
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _targets(sources: Sequence[Source], options: argparse.Namespace) -> list[Target]:
    """The files of each video: below the folder of results as the videos lie below the folder that holds them all."""
    from fer3d.prediction.jobs import Target

    paths = [source.path.absolute() for source in sources if source.path]
    above = Path(os.path.commonpath([path.parent for path in paths])) if paths else Path()
    targets = []
    for source in sources:
        if source.path:
            name = source.path.absolute().relative_to(above)
        else:
            name = Path(f"{source.name.replace(' ', '_')}_{time.strftime('%Y%m%d-%H%M%S')}")
        base = options.out.with_suffix("").joinpath(name) if _is_table(options.out) and len(sources) > 1 else None
        base = base or (options.out.with_suffix("") if _is_table(options.out) else options.out / name)
        pictures: dict[str, Path | None] = dict.fromkeys(_PICTURES)
        for kind, suffix in _PICTURES.items():
            chosen = getattr(options, kind)
            if chosen is not None:
                pictures[kind] = chosen if chosen != Path() else base.with_name(base.name + suffix)
        table = None if _is_table(options.out) else base.with_name(base.name + ".csv")
        targets.append(Target(table=table, told=base.with_name(base.name + ".json"), **pictures))
    return targets


def _is_table(path: Path) -> bool:
    from fer3d.prediction.table import TABLE_ENDINGS

    return path.suffix.lower() in TABLE_ENDINGS


def _summary_path(out: Path) -> Path:
    return out.with_name(f"{out.stem}.summary.csv") if _is_table(out) else out / "summary.csv"


def _write_summary(path: Path, done: Sequence[tuple[Source, Done | None, str]], emotions: Sequence[str]) -> None:
    """Writes a row a face of each video, one for a video without any, and one for a video that failed."""
    import csv
    import io

    from fer3d.atomic_file import write_file

    text = io.StringIO(newline="")
    names = ("file", "face", "frames", "seconds", "predictions", "labelled", "label", *emotions, "caution", "problem")
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
            "problem": "; ".join(told["warnings"]),
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
            text = f"{self._source.name}: {step.frame.time:.0f} s, {self.rate:.0f} frames/s"
            print(f"\r{text[:100]:100}", end="", file=sys.stderr, flush=True)

    def clear(self) -> None:
        """Takes the line away."""
        if self._is_seen:
            print(f"\r{'':100}\r", end="", file=sys.stderr, flush=True)


def _say(source: Source, result: Done, target: Target, watcher: _Watcher) -> None:
    watcher.clear()
    told = result.told
    if not result.is_new:
        print(f"{source.name}: done already, {', '.join(map(str, target.files))}", flush=True)
        return
    faces = told["faces"]
    labels = [f"face {face['face']} {face['label'] or 'without a label'}" for face in faces[:6]]
    seen = f"{len(faces)} face{'s' * (len(faces) != 1)}{f' ({chr(44).join(labels)})' if labels else ''}"
    print(
        f"{source.name}: {told['video']['frames']:,} frames, {seen}, {told['labelled']} predictions with a label, "
        f"{sum(told['without_label'].values())} without; {watcher.rate:.0f} frames/s",
        flush=True,
    )
    for warning in told["warnings"]:
        print(f"  unlike the training clips: {warning}" if ":" in warning else f"  {warning}", flush=True)
    print(f"  {', '.join(map(str, target.files))}", flush=True)


def _check_files(options: argparse.Namespace) -> None:
    """Finds out before any work which files cannot be written as asked.

    Raises:
        PredictionError: One cannot.
    """
    from fer3d.prediction.table import check_table_path
    from fer3d.prediction.trained import PredictionError

    if _is_table(options.out):
        check_table_path(options.out)
    elif options.out.suffix and not options.out.is_dir():
        raise PredictionError(f"--out is {options.out}: give a folder, or a table that ends in .csv or .parquet")
    for kind, endings in _ENDINGS.items():
        chosen = getattr(options, kind)
        if chosen in (None, Path()):
            continue
        if chosen.suffix.lower() not in endings:
            raise PredictionError(f"--{kind} is {chosen}, and should end in {' or '.join(endings)}")
        if len(options.what) > 1 or any(Path(name).is_dir() for name in options.what):
            from fer3d.prediction.sources import find_sources

            if len(find_sources(options.what)) > 1:
                raise PredictionError(
                    f"--{kind} {chosen} is one file, and there are several videos: give --{kind} alone, and each gets "
                    "one beside its table"
                )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="fer3d predict",
        description="Predicts the emotions of all faces of videos over time, with trained networks.",
    )
    add = parser.add_argument
    add("what", nargs="+", metavar="WHAT", help="video files, folders, patterns such as '*.mp4', a camera's number")
    add(
        *("--with", "-w"),
        dest="networks",
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
    add("--rate", type=float, default=30.0, metavar="FPS", help="frames a second of folders of images (30)")
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
