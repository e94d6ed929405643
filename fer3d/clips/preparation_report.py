"""What a preparation did, in numbers: for a person on the console and for a program in `report.json`."""

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
    """A sequence that did not become a clip.

    Attributes:
        clip_id: Such as `S005/001`.
        reason: Why, naming the file where there is one.
    """

    clip_id: str
    reason: str


@dataclass(frozen=True, slots=True)
class PreparationReport:
    """What a preparation did.

    Attributes:
        corpus: The corpus's name.
        synthetic: Whether its images are rendered.
        num_sequences: Number of labelled sequences of the corpus.
        num_clips: Number of clips in the store.
        num_images: Number of images those clips were made from (repeated frames not counted).
        num_frames_by_source: Number of frames for each of `detected`, `nearest`, `full_frame`, `repeated`.
        fallback_clips: The clips with a frame whose own face was not found.
        skipped: The sequences left out, and why.
        confidence_histogram: Number of faces found with a confidence of 0 to 0.1, ..., 0.9 to 1.
        seconds: How long it took.
        num_images_by_format: Number of images in each format; see `fer3d.clips.images` for what each tells of damage.
        shared_images: Pairs of clips that have an image in common, pixel for pixel, and should not; see
            `fer3d.clips.shared_images`.
        damaged: The clips whose video is damaged after the frames that were read, and how.
        subjects_known: Whether the subjects say who is seen; otherwise no split is subject-independent.
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
        """Counts what the records of a store say."""
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
            StoreError: There is none, or a damaged one.
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
        """Writes the report into a store's folder."""
        text = json.dumps(asdict(self), indent=2, ensure_ascii=False)
        (folder / REPORT_NAME).write_text(f"{text}\n", encoding="utf-8", errors="backslashreplace")

    def warn(self, stacklevel: int) -> None:
        """Warns with a `CorpusWarning` about damaged videos, and images that are in several clips and should not."""
        if self.damaged:
            places = name_some([f"{clip_id} ({how})" for clip_id, how in self.damaged.items()])
            message = (
                f"{self.corpus} has {len(self.damaged)} damaged video(s), of which the frames before the damage are "
                f"used: {places}. Copy or download them again, or take them out"
            )
            warnings.warn(message, CorpusWarning, stacklevel=stacklevel + 1)
        if self.shared_images:
            pairs = name_some([f"{first} and {other}" for first, other in self.shared_images])
            message = (
                f"{self.corpus} has the same image, pixel for pixel, in {len(self.shared_images)} pair(s) of clips: "
                f"{pairs}. Where two subjects share an image, a fold is tested on what "
                "it was trained on: remove what is there twice, or unpack the corpus again"
            )
            warnings.warn(message, CorpusWarning, stacklevel=stacklevel + 1)

    def print(self, console: Console | None = None) -> None:
        """Prints the report as a table, followed by the clips that need a look."""
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
            # A video's codec and container, such as H.264 in MP4; or an image's format.
            what, damage = (name, DAMAGE["video"]) if " in " in name else (f"{name} images", DAMAGE.get(name))
            table.add_row(what, f"{count} ({damage or DAMAGE_UNKNOWN})")
        interpolated = self.num_frames_by_source.get("interpolated", 0)
        table.add_row("faces found", f"{found} ({100 * found / (self.num_images - interpolated):.2f}%)")
        if interpolated:
            table.add_row("box in between (faces.every)", str(interpolated))
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
