"""The synthetic twin of RAVDESS as a corpus: filmed on first use, then read by the reader of RAVDESS."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from fer3d.corpora.layout import root_folder
from fer3d.corpora.ravdess import RAVDESS, read_tree
from fer3d.corpora.sequences import VideoSequence
from fer3d.twin import RAVDESS as LAYOUT
from fer3d.twin import read_twin


class SyntheticRAVDESS:
    """Virtual people who talk, in RAVDESS's video files: H.264 of 1280x720, about 30 frames a second, video only.

    Everybody shows all eight emotions, each from neutral and back to neutral. `read` films the twin into `root` when
    nothing is there yet, which takes minutes and needs the extra `synthetic`. It never writes into a folder that holds
    anything. A twin of fewer people or repetitions holds the same videos as the full one.

    Attributes:
        name: `synthetic_ravdess`.
        emotions: The chosen emotions, all of RAVDESS's eight unless `data.emotions` says otherwise.
        num_channels: 3.
        root: The twin's folder.
        seed: Decides every person and every video.
        num_subjects: Number of virtual people, at most RAVDESS's 24; fewer are spread over the folds of `cv=ravdess6`.
        num_repetitions: How often everybody shows each emotion, 1 or 2.
        synthetic: Always true: whatever is measured on this corpus must say so.
    """

    name = "synthetic_ravdess"
    num_channels = 3

    def __init__(
        self,
        root: str | Path,
        seed: int = 0,
        num_subjects: int = 24,
        num_repetitions: int = 2,
        emotions: Sequence[str] | None = None,
    ) -> None:
        self.root = root_folder(root)
        self.seed = seed
        self.num_subjects = num_subjects
        self.num_repetitions = num_repetitions
        self.emotions = RAVDESS(root, emotions).emotions
        self.synthetic = True

    def read(self) -> list[VideoSequence]:
        """Returns the sequences, sorted by subject and then by sequence, as `RAVDESS(root).read()` does.

        Raises:
            CorpusError: `root` holds something else than this twin; the twin is damaged; it has to be filmed and the
                extra `synthetic` is not installed, or a number is out of range.
        """

        def read_videos(root: Path) -> tuple[list[VideoSequence], bool]:
            return read_tree(root, emotions=self.emotions)

        settings = replace(LAYOUT.settings, num_takes=self.num_repetitions)
        return read_twin(self.root, LAYOUT, self.seed, self.num_subjects, read_videos, settings)
