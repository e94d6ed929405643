"""Predicts one video and writes its files: atomically, and skipped if they exist for the same inputs."""

from __future__ import annotations

import hashlib
import json
import platform
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np

import fer3d
from fer3d.atomic_file import write_file
from fer3d.checked_json import check_seal, sealed
from fer3d.disk import writing
from fer3d.prediction.camera import Camera
from fer3d.prediction.predictor import Predictor
from fer3d.prediction.sources import Source
from fer3d.prediction.steps import Step
from fer3d.prediction.table import TableWriter, row_of
from fer3d.prediction.video_record import VideoRecord

_LIBRARIES = ("av", "numpy", "opencv-python-headless", "scipy", "torch", "onnxruntime")


@dataclass(frozen=True)
class Target:
    """The output files of one video.

    Attributes:
        table: Its table; None if its rows go into a shared table.
        told: The JSON file with the provenance and the summary.
        overlay: The video with the faces drawn on it; None for none.
        timeline: The figure of the curves; None for none.
        page: The HTML page; None for none.
    """

    table: Path | None
    told: Path
    overlay: Path | None = None
    timeline: Path | None = None
    page: Path | None = None

    @property
    def files(self) -> list[Path]:
        """All files of the video."""
        return [path for path in (self.table, self.told, self.overlay, self.timeline, self.page) if path is not None]


@dataclass(frozen=True)
class Done:
    """The result of a video.

    Attributes:
        told: The content of its JSON file.
        is_new: Whether it was predicted now; False if its files existed.
    """

    told: Mapping[str, Any]
    is_new: bool


Watch = Callable[[Step, float | None], None]


def run_job(
    predictor: Predictor,
    source: Source,
    target: Target,
    *,
    shared: TableWriter | None = None,
    watch: Watch | None = None,
) -> Done:
    """Predicts a video, unless all its files exist and were made from the same inputs.

    Args:
        predictor: The networks and settings.
        source: The video.
        target: Its files.
        shared: A table of several videos that also receives the rows.
        watch: Called with each step and, for a camera, the latency in seconds.

    Raises:
        UnreadableError, PredictionError: The video cannot be read.
        DiskError: A file cannot be written.
    """
    chosen, caution = predictor.unseen(source)
    told = _told(chosen, source, caution, target)
    if shared is None and (before := _made_before(target, told["key"])):
        return Done(before, is_new=False)
    # The other files are about to be replaced, so the old record no longer describes them.
    with writing(target.told):
        target.told.unlink(missing_ok=True)
    made = _predict(chosen, source, target, told, caution, shared, watch)
    write_file(target.told, json.dumps(sealed(made), indent=2, ensure_ascii=False) + "\n")
    return Done(made, is_new=True)


def _predict(
    predictor: Predictor,
    source: Source,
    target: Target,
    told: dict[str, Any],
    caution: str,
    shared: TableWriter | None,
    watch: Watch | None,
) -> dict[str, Any]:
    emotions = predictor.emotions
    record = VideoRecord(predictor.ensemble.trained, predictor.span)
    latencies: list[float] = []
    warnings: list[str] = told["warnings"]
    with ExitStack() as stack:
        table = stack.enter_context(TableWriter(target.table, emotions)) if target.table else None
        pictures = [stack.enter_context(picture) for picture in _pictures(target, source.name, emotions, caution, told)]
        for step in predictor.steps(source, record, with_pixels=bool(target.overlay or target.page)):
            for row in (row_of(prediction, source.name, emotions, caution) for prediction in step.predictions):
                for writer in filter(None, (table, shared)):
                    writer.add(row)
            for picture in pictures:
                picture.add(step)
            latency = None
            if isinstance(source, Camera) and source.began is not None:
                latency = max(time.monotonic() - source.began - step.frame.time, 0.0)
                latencies.append(latency)
            if watch is not None:
                watch(step, latency)
        # Before the pictures close: they show the warnings.
        warnings.extend([*([source.damage] if source.damage else []), *record.warnings()])
    made = dict(told)
    made["video"] |= {
        "frames": record.num_frames,
        "seconds": round(record.seconds, 3),
        "rate": round(record.rate, 3),
        "size": list(record.size),
        "damage": source.damage,
    }
    if latencies:
        low, high = np.quantile(latencies, [0.5, 0.95])
        made["video"] |= {
            "dropped_frames": source.num_dropped,
            "latency_seconds": {"median": round(float(low), 3), "95%": round(float(high), 3)},
        }
    return made | {
        "faces": record.summary(),
        "labelled": record.num_labelled,
        "without_label": dict(record.reasons),
        "warnings": warnings,
    }


def _pictures(
    target: Target, name: str, emotions: Sequence[str], caution: str, told: Mapping[str, Any]
) -> Iterator[Any]:
    if not (target.overlay or target.timeline or target.page):
        return
    # Imported on demand: they need Matplotlib and more.
    from fer3d.prediction.pictures.style import PictureInfo

    info = PictureInfo(emotions, caution, Path(name).name, _shown(told))
    if target.overlay:
        from fer3d.prediction.pictures.overlay import Overlay

        yield Overlay(target.overlay, info)
    if target.timeline:
        from fer3d.prediction.pictures.timeline import Timeline

        yield Timeline(target.timeline, info)
    if target.page:
        from fer3d.prediction.pictures.page import Page

        yield Page(target.page, info)


def _shown(told: Mapping[str, Any]) -> dict[str, Any]:
    networks = told["networks"]
    return {
        "checkpoint": ", ".join(dict.fromkeys(network["weights"][:12] for network in networks)),
        "networks": len(networks),
        "trained on": ", ".join(dict.fromkeys(network["corpus"] for network in networks)),
        "calibrated": all(network["temperature"] is not None for network in networks),
        "settings": ", ".join(f"{name} {value}" for name, value in told["settings"].items() if value is not None),
        "versions": ", ".join(f"{name} {number}" for name, number in told["versions"].items()),
        # The list itself, not a copy: it is complete only after the last frame.
        "warnings": told["warnings"],
    }


def _told(predictor: Predictor, source: Source, caution: str, target: Target) -> dict[str, Any]:
    networks = [
        {
            "file": str(member.path),
            **{name: getattr(member.trained, name) for name in ("run", "fold", "weights", "corpus", "synthetic")},
            "temperature": member.trained.temperature,
        }
        for member in predictor.ensemble.members
    ]
    settings = {**asdict(predictor.settings), "window": round(predictor.span, 4)}
    made_of = {
        "video": [str(source.path and source.path.resolve()), source.state()],
        "caution": caution,
        "networks": [[network["weights"], network["temperature"]] for network in networks],
        "settings": settings,
        "files": [path.name for path in target.files],
        "version": fer3d.__version__,
    }
    return {
        "key": hashlib.sha256(json.dumps(made_of, sort_keys=True).encode()).hexdigest(),
        "caution": caution,
        "video": {"name": source.name},
        "emotions": list(predictor.emotions),
        "networks": networks,
        "settings": settings,
        "versions": _versions(),
        "warnings": [],
    }


def _made_before(target: Target, key: str) -> dict[str, Any] | None:
    with suppress(OSError, ValueError):
        told = json.loads(target.told.read_text(encoding="utf-8"))
        if isinstance(told, dict) and told.get("key") == key and all(path.exists() for path in target.files):
            check_seal(told)
            return told
    return None


def _versions() -> dict[str, str]:
    found = {"fer3d": fer3d.__version__, "python": platform.python_version()}
    for name in _LIBRARIES:
        with suppress(PackageNotFoundError):
            found[name] = version(name)
    return found
