"""Names the output files of each video, and checks that they can be written without overwriting anything else."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import av
import av.error

from fer3d.corpora.layout import shown
from fer3d.disk import check_writable
from fer3d.prediction.jobs import Target
from fer3d.prediction.sources import Source
from fer3d.prediction.table import TABLE_ENDINGS, check_table_path
from fer3d.prediction.trained import PredictionError

# Default suffixes of a video's pictures, and the suffixes that a user may choose.
_SUFFIXES = {"overlay": ".overlay.mp4", "timeline": ".timeline.svg", "page": ".html"}
_ENDINGS = {"overlay": (".mp4",), "timeline": (".svg", ".png", ".pdf"), "page": (".html", ".htm")}
# Bytes of a video's name that are kept in the names of its files; work folders add up to a hundred.
_MAX_NAME = 130
# Stands for a picture beside the table.
BESIDE = Path()


def make_targets(sources: Sequence[Source], out: Path, pictures: Mapping[str, Path | None]) -> list[Target]:
    """Names each video's files; the output folder mirrors the tree below the videos' common folder.

    Args:
        sources: The videos.
        out: The output folder, or one table for all videos.
        pictures: The files of `overlay`, `timeline` and `page`; `BESIDE` for beside the table, None for none.

    Raises:
        PredictionError: A file name is invalid, belongs to several videos, or is one of the videos.
        DiskError: A folder is not writable.
    """
    if is_table(out):
        check_table_path(out)
        _check_own_table(out)
    elif out.suffix and not out.is_dir():
        raise PredictionError(
            f"--out is {shown(out)}: give a folder, or a table that ends in {' or '.join(TABLE_ENDINGS)}. A folder "
            "with a dot in its name must already exist"
        )
    for kind, path in pictures.items():
        _check_picture(kind, path, len(sources))
    names = _names(sources)
    targets = []
    for name in names:
        base = out / name
        if is_table(out):
            base = out.with_suffix("") / name if len(sources) > 1 else out.with_suffix("")
        made = {
            kind: base.with_name(base.name + _SUFFIXES[kind]) if path == BESIDE else path
            for kind, path in pictures.items()
        }
        table = None if is_table(out) else base.with_name(f"{base.name}.csv")
        targets.append(Target(table=table, told=base.with_name(f"{base.name}.json"), **made))
    _check_apart(sources, targets, [out, summary_path(out)] if is_table(out) else [summary_path(out)])
    return targets


def is_table(out: Path) -> bool:
    """Whether the output is one table instead of a folder."""
    return out.suffix.lower() in TABLE_ENDINGS


def summary_path(out: Path) -> Path:
    """The file of the summary of several videos."""
    return out.with_name(f"{out.stem}.summary.csv") if is_table(out) else out / "summary.csv"


def _names(sources: Sequence[Source]) -> list[Path]:
    # Without `..`, which would lead out of the output folder.
    paths = [None if source.path is None else Path(os.path.abspath(source.path)) for source in sources]  # noqa: PTH100
    folders = [path.parent for path in paths if path]
    above = Path(os.path.commonpath(folders)) if folders else Path()
    now = time.strftime("%Y%m%d-%H%M%S")
    return [
        _short(path.relative_to(above)) if path else Path(f"{source.name.replace(' ', '_')}_{now}")
        for source, path in zip(sources, paths, strict=True)
    ]


def _short(path: Path) -> Path:
    """Shortens the last part of a path, so that suffixes fit into the 255 bytes of a file name."""
    name = os.fsencode(path.name)
    if len(name) <= _MAX_NAME:
        return path
    digest = hashlib.sha256(name).hexdigest()[:8]
    return path.with_name(f"{name[: _MAX_NAME - 9].decode(errors='ignore')}-{digest}")


def _check_picture(kind: str, path: Path | None, num_sources: int) -> None:
    if path is None or path == BESIDE:
        return
    if path.suffix.lower() not in _ENDINGS[kind]:
        raise PredictionError(f"--{kind} is {shown(path)}, but must end in {' or '.join(_ENDINGS[kind])}")
    if num_sources > 1:
        raise PredictionError(
            f"--{kind} {shown(path)} is one file for {num_sources} videos: give --{kind} without a name to write one "
            "file beside each table"
        )
    if kind == "overlay" and path.is_file() and not _is_drawn(path):
        raise PredictionError(
            f"--overlay {shown(path)} would overwrite a video that fer3d did not write: give the videos to predict "
            "before --with, and the output file after --overlay"
        )


def _check_own_table(out: Path) -> None:
    """Checks that no other table of the user, such as one of labels, is overwritten."""
    if out.suffix.lower() == ".csv" and out.is_file() and out.stat().st_size:
        with out.open("rb") as file:
            if not file.read(4096).startswith(b"file,face,"):
                raise PredictionError(f"--out {shown(out)} exists and is not a table of predictions: give another name")


def _is_drawn(path: Path) -> bool:
    with suppress(av.error.FFmpegError), av.open(f"file:{path}", metadata_errors="replace") as video:
        return "checkpoint" in video.metadata.get("comment", "")
    return False


def _check_apart(sources: Sequence[Source], targets: Sequence[Target], shared: Sequence[Path]) -> None:
    taken = {source.path.resolve(): "is one of the videos" for source in sources if source.path}
    taken |= {path.resolve(): "is written for all videos" for path in shared if len(sources) > 1}
    for source, target in zip(sources, targets, strict=True):
        for path in target.files:
            if (place := path.resolve()) in taken:
                raise PredictionError(
                    f"{shown(path)} would be written for {shown(source.name)}, but {taken[place]}: give another --out "
                    "or file name"
                )
            if path.is_dir():
                raise PredictionError(f"{shown(path)} would be written for {shown(source.name)}, but is a folder")
            taken[place] = f"is written for {shown(source.name)}"
    for folder in {path.parent for target in targets for path in target.files} | {path.parent for path in shared}:
        check_writable(folder)
