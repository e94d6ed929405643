"""A folder of videos such as a user has, copied from a synthetic twin, to rehearse training on one's own videos."""

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
    """Copies of a twin's videos under names of no known corpus, and the table that `fer3d init` writes for them.

    Attributes:
        twin: A synthetic twin of RAVDESS, complete.
        folder: The folder to make.
    """

    twin: Path
    folder: Path

    def make(self) -> None:
        """Makes the folder and its table where they do not exist yet.

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
        # The twin's marker, by which all reports say that the copied videos are rendered.
        shutil.copy2(self.twin / SYNTHETIC_MARKER, work)
