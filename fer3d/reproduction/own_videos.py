"""A folder of videos as a user has it, made of a synthetic twin: for rehearsals of training on one's own videos."""

from __future__ import annotations

import shutil
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from fer3d.atomic_folder import atomic_folder
from fer3d.corpora.own_videos.first_table import write_first_table
from fer3d.corpora.ravdess import read_tree
from fer3d.corpora.sequences import SYNTHETIC_MARKER

TABLE_NAME = "clips.csv"


@dataclass(frozen=True)
class OwnVideos:
    """Copies of a twin's videos under names that no corpus has, and the first table that `fer3d init` guesses for them.

    Attributes:
        twin: A synthetic twin of RAVDESS, complete.
        folder: Where they go.
    """

    twin: Path
    folder: Path

    def make(self) -> None:
        """Makes what is not there yet.

        Raises:
            CorpusError: The twin is damaged.
            DiskError: The disk is full, or may not be written to.
        """
        if not self.folder.exists():
            with atomic_folder(self.folder) as work:
                self._copy_into(work)
        if not (self.folder / TABLE_NAME).exists():
            write_first_table(self.folder, Path(TABLE_NAME))

    def _copy_into(self, work: Path) -> None:
        takes: Counter[tuple[str, str]] = Counter()
        for sequence in read_tree(self.twin)[0]:
            takes[sequence.subject, sequence.emotion] += 1
            take = takes[sequence.subject, sequence.emotion]
            person = work / f"Person {sequence.subject}"
            person.mkdir(exist_ok=True)
            shutil.copy2(sequence.video, person / f"{sequence.emotion} {take}{sequence.video.suffix}")
        # Nothing in a copied video says that it is rendered: with the twin's marker above it, all reports do.
        shutil.copy2(self.twin / SYNTHETIC_MARKER, work)
