"""The synthetic twin of Oulu-CASIA as a corpus: rendered on first use, then read by the reader of Oulu-CASIA."""

from __future__ import annotations

from pathlib import Path

from fer3d.corpora.layout import root_folder
from fer3d.corpora.oulu_casia import EMOTIONS, read_tree
from fer3d.corpora.sequences import FrameSequence
from fer3d.twin import OULU, read_twin


class SyntheticOulu:
    """Virtual people in Oulu-CASIA's folder layout: a second corpus, to rehearse transfer learning without a licence.

    Everybody performs all six emotions once, before the visible camera in strong light. The people are others than
    those of the synthetic twin of CK+, whatever the seeds. `read` renders the twin into `root` when nothing is there
    yet, which needs the extra `synthetic`. It never writes into a folder that holds anything.

    Attributes:
        name: `synthetic_oulu`.
        emotions: Oulu-CASIA's six classes.
        num_channels: 3: the images stay RGB.
        root: The twin's folder.
        seed: Decides every person and every sequence.
        num_subjects: Number of virtual people, at most Oulu-CASIA's 80.
        synthetic: Always true: whatever is measured on this corpus must say so.
    """

    name = "synthetic_oulu"
    emotions = EMOTIONS
    num_channels = 3

    def __init__(self, root: str | Path, seed: int = 0, num_subjects: int = 20) -> None:
        self.root = root_folder(root)
        self.seed = seed
        self.num_subjects = num_subjects
        self.synthetic = True

    def read(self) -> list[FrameSequence]:
        """Returns the sequences, sorted by subject and then by sequence, as `OuluCASIA(root).read()` does.

        Raises:
            CorpusError: `root` holds something else than this twin; the twin is damaged; it has to be rendered and the
                extra `synthetic` is not installed, or `num_subjects` is out of range.
        """
        return read_twin(self.root, OULU, self.seed, self.num_subjects, read_tree)
