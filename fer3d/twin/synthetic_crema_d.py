"""The synthetic twin of CREMA-D as a corpus: filmed on first use, then read by the reader of CREMA-D."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from fer3d.corpora.crema_d import CremaD, read_tree
from fer3d.corpora.layout import root_folder
from fer3d.corpora.sequences import VideoSequence
from fer3d.twin import CREMA_D, read_twin


class SyntheticCremaD:
    """Virtual people who talk, in CREMA-D's video files: FLV of 480x360, about 30 frames a second, without sound.

    Everybody shows all six emotions, each from neutral and back to neutral. The table of raters' votes is drawn by
    CREMA-D's published shares: nobody looked at these faces. `read` films the twin into `root` when nothing is there
    yet, which needs the extra `synthetic`. It never writes into a folder that holds anything.

    Attributes:
        name: `synthetic_crema_d`.
        emotions: The chosen emotions, all of CREMA-D's six unless `data.emotions` says otherwise.
        num_channels: 3.
        root: The twin's folder.
        seed: Decides every person and every video.
        num_subjects: Number of virtual people, at most CREMA-D's 91; fewer are spread over the folds of `cv=crema_d5`.
        num_sentences: How many sentences everybody says in each emotion, at most CREMA-D's 12.
        labels: `intended`, `face` or `multimodal`, as of CREMA-D.
        synthetic: Always true: whatever is measured on this corpus must say so.
    """

    name = "synthetic_crema_d"
    num_channels = 3

    def __init__(
        self,
        root: str | Path,
        seed: int = 0,
        num_subjects: int = 15,
        num_sentences: int = 1,
        emotions: Sequence[str] | None = None,
        labels: str = "intended",
    ) -> None:
        self.root = root_folder(root)
        self.seed = seed
        self.num_subjects = num_subjects
        self.num_sentences = num_sentences
        self.emotions = CremaD(root, emotions, labels).emotions
        self.labels = labels
        self.synthetic = True

    def read(self) -> list[VideoSequence]:
        """Returns the sequences, sorted by subject and then by sequence, as `CremaD(root).read()` does.

        Raises:
            CorpusError: `root` holds something else than this twin; the twin is damaged; it has to be filmed and the
                extra `synthetic` is not installed, or a number is out of range.
        """

        def read_videos(root: Path) -> tuple[list[VideoSequence], bool]:
            return read_tree(root, self.labels, self.emotions)

        settings = replace(CREMA_D.settings, num_takes=self.num_sentences)
        return read_twin(self.root, CREMA_D, self.seed, self.num_subjects, read_videos, settings)
