"""The preparation report: printed on the console and stored as `report.json`."""

from __future__ import annotations

import json
import warnings
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import get_args

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from fer3d.clips.faces import Source
from fer3d.clips.images import DAMAGE, DAMAGE_UNKNOWN
from fer3d.clips.independence import Independence
from fer3d.clips.store import ClipRecord, StoreError
from fer3d.corpora.layout import name_some
from fer3d.corpora.sequences import CorpusWarning

REPORT_NAME = "report.json"
NUM_BINS = 10


@dataclass(frozen=True, slots=True)
class SkippedClip:
    """A sequence that was left out of the store.

    Attributes:
        clip_id: Such as `S005/001`.
        reason: Why, including the file if there is one.
    """

    clip_id: str
    reason: str


@dataclass(frozen=True, slots=True)
class PreparationReport:
    """Results of a preparation.

    Attributes:
        corpus: The corpus's name.
        synthetic: Whether its images are rendered.
        num_sequences: Number of labelled sequences in the corpus.
        num_clips: Number of clips in the store.
        num_images: Number of images that the clips were made from, without repeated frames.
        num_frames_by_source: Number of frames per source; see `fer3d.clips.faces.FrameFace`.
        fallback_clips: Clips with a frame in which no face was found.
        skipped: Sequences left out, with the reason.
        confidence_histogram: Number of detections with confidence in [0, 0.1), ..., [0.9, 1].
        seconds: Duration of the preparation.
        num_images_by_format: Number of images per format; `fer3d.clips.images` says how reliably each reveals damage.
        shared_images: Pairs of clips that wrongly share an image, pixel for pixel; see
            `fer3d.clips.sequence_frames.shared_images`.
        damaged: Clips whose video is damaged after the frames that were read, with a description.
        subjects_known: Whether the subjects identify people; otherwise no split is subject-independent.
    """

    corpus: str
    synthetic: bool
    num_sequences: int
    num_clips: int
    num_images: int
    num_frames_by_source: dict[str, int]
    fallback_clips: tuple[str, ...]
    skipped: tuple[SkippedClip, ...]
    confidence_histogram: tuple[int, ...]
    seconds: float
    num_images_by_format: dict[str, int] = field(default_factory=dict)
    shared_images: tuple[tuple[str, str], ...] = ()
    damaged: dict[str, str] = field(default_factory=dict)
    subjects_known: bool = True

    @classmethod
    def of(
        cls,
        corpus: str,
        synthetic: bool,
        records: Sequence[ClipRecord],
        skipped: Sequence[SkippedClip],
        num_images_by_format: Mapping[str, int],
        shared_images: Sequence[tuple[str, str]],
        seconds: float,
        damaged: Mapping[str, str],
        subjects_known: bool = True,
    ) -> PreparationReport:
        """Computes the report from the records of a store."""
        counts = Counter(source for record in records for source in record.sources)
        confidences = [value for record in records for value in record.confidences if value is not None]
        # The last bin includes 1.
        bins = Counter(min(int(value * NUM_BINS), NUM_BINS - 1) for value in confidences)
        return cls(
            corpus=corpus,
            synthetic=synthetic,
            num_sequences=len(records) + len(skipped),
            num_clips=len(records),
            num_images=counts.total() - counts["repeated"],
            num_frames_by_source={s: counts[s] for s in get_args(Source) if s in counts or s != "interpolated"},
            fallback_clips=tuple(r.clip_id for r in records if {"nearest", "full_frame"} & set(r.sources)),
            skipped=tuple(skipped),
            confidence_histogram=tuple(bins[i] for i in range(NUM_BINS)),
            seconds=seconds,
            num_images_by_format=dict(sorted(num_images_by_format.items())),
            shared_images=tuple(shared_images),
            damaged=dict(damaged),
            subjects_known=subjects_known,
        )

    @classmethod
    def read(cls, folder: Path) -> PreparationReport:
        """Reads the report of a store.

        Raises:
            StoreError: It is missing or damaged.
        """
        try:
            fields = json.loads((folder / REPORT_NAME).read_text(encoding="utf-8"))
            lists = {name: tuple(fields[name]) for name in ("fallback_clips", "confidence_histogram")}
            skipped = tuple(SkippedClip(**clip) for clip in fields["skipped"])
            shared = tuple((first, other) for first, other in fields.get("shared_images", ()))
            return cls(**{**fields, **lists, "skipped": skipped, "shared_images": shared})
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise StoreError(
                f"{folder / REPORT_NAME} is missing or damaged ({error}). "
                f"Delete {folder} and run `python -m fer3d.prepare` again."
            ) from error

    def write(self, folder: Path) -> None:
        """Writes the report to a store's folder."""
        text = json.dumps(asdict(self), indent=2, ensure_ascii=False)
        (folder / REPORT_NAME).write_text(f"{text}\n", encoding="utf-8", errors="backslashreplace")

    def warn(self, stacklevel: int) -> None:
        """Warns with a `CorpusWarning` about damaged videos and about images shared by clips that should differ."""
        if self.damaged:
            places = name_some([f"{clip_id} ({how})" for clip_id, how in self.damaged.items()])
            message = (
                f"{self.corpus} has {len(self.damaged)} damaged video(s); the frames before the damage are used: "
                f"{places}. Copy or download them again, or remove them"
            )
            warnings.warn(message, CorpusWarning, stacklevel=stacklevel + 1)
        if self.shared_images:
            pairs = name_some([f"{first} and {other}" for first, other in self.shared_images])
            message = (
                f"{self.corpus} has the same image, pixel for pixel, in {len(self.shared_images)} pair(s) of clips: "
                f"{pairs}. If two subjects share an image, a fold is tested on what it was trained on: remove the "
                "duplicates or unpack the corpus again"
            )
            warnings.warn(message, CorpusWarning, stacklevel=stacklevel + 1)

    def print(self, console: Console | None = None) -> None:
        """Prints the report as a table, followed by the clips to inspect."""
        console = console or Console()
        console.print(self._table())
        for clip in self.skipped:
            console.print(f"skipped {escape(clip.clip_id)}: {escape(clip.reason)}")
        if self.fallback_clips:
            console.print(f"clips with fallbacks: {escape(', '.join(self.fallback_clips))}")
        for clip_id, how in self.damaged.items():
            console.print(f"damaged {escape(clip_id)}: {escape(how)}")
        for first, other in self.shared_images:
            console.print(f"the same image in two clips: {escape(first)} and {escape(other)}")

    def _table(self) -> Table:
        found = self.num_frames_by_source["detected"]
        independence = Independence(self.subjects_known)
        kind = ", ".join(filter(None, ["synthetic" if self.synthetic else "real", independence.caution]))
        table = Table(title=f"{self.corpus} ({kind})", show_header=False)
        table.add_row("clips", f"{self.num_clips} of {self.num_sequences} sequences")
        if not independence.holds:
            table.add_row("subjects", independence.sentence)
        table.add_row("images", str(self.num_images))
        for name, count in self.num_images_by_format.items():
            # Names are a video's codec and container, such as `H.264 in MP4`, or an image format.
            what, damage = (name, DAMAGE["video"]) if " in " in name else (f"{name} images", DAMAGE.get(name))
            table.add_row(what, f"{count} ({damage or DAMAGE_UNKNOWN})")
        interpolated = self.num_frames_by_source.get("interpolated", 0)
        table.add_row("faces found", f"{found} ({100 * found / (self.num_images - interpolated):.2f}%)")
        if interpolated:
            table.add_row("interpolated boxes (faces.every)", str(interpolated))
        table.add_row("box of the nearest frame", str(self.num_frames_by_source["nearest"]))
        table.add_row("full frame", str(self.num_frames_by_source["full_frame"]))
        table.add_row("repeated frames", str(self.num_frames_by_source["repeated"]))
        table.add_row("clips skipped", str(len(self.skipped)))
        for i, count in enumerate(self.confidence_histogram):
            if count or i >= NUM_BINS // 2:
                table.add_row(f"confidence {i / NUM_BINS:.1f} to {(i + 1) / NUM_BINS:.1f}", str(count))
        speed = self.num_images / self.seconds if self.seconds > 0 else 0.0
        table.add_row("time", f"{self.seconds:.1f} s ({speed:.0f} images/s)")
        return table
