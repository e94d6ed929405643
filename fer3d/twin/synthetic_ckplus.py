"""The synthetic twin of CK+ as a corpus: rendered on first use, then read by the reader of CK+."""

from __future__ import annotations

from pathlib import Path

from fer3d.corpora.ckplus import EMOTIONS, EXPECTED, read_tree
from fer3d.corpora.layout import root_folder
from fer3d.corpora.sequences import FrameSequence
from fer3d.twin import CKPLUS, read_twin


class SyntheticCKPlus:
    """The embedded default corpus: virtual people in CK+'s folder layout, so that everything runs without a licence.

    `read` renders the twin into `root` when nothing is there yet, which takes minutes and needs the extra `synthetic`.
    It never writes into a folder that holds anything.

    Attributes:
        name: `synthetic`.
        emotions: CK+'s seven classes.
        num_channels: 1.
        root: The twin's folder.
        seed: Decides every person and every sequence.
        num_subjects: Number of virtual people; the full twin has 118, and then CK+'s own counts.
        synthetic: Always true: whatever is measured on this corpus must say so.
    """

    name = "synthetic"
    emotions = EMOTIONS
    num_channels = 1

    def __init__(self, root: str | Path, seed: int = 0, num_subjects: int = EXPECTED.num_subjects) -> None:
        self.root = root_folder(root)
        self.seed = seed
        self.num_subjects = num_subjects
        self.synthetic = True

    def read(self) -> list[FrameSequence]:
        """Returns the labelled sequences, sorted by subject and then by sequence, as `CKPlus(root).read()` does.

        Warns with a `CorpusWarning` when a full twin does not have CK+'s counts.

        Raises:
            CorpusError: `root` holds something else than this twin; the twin is damaged; it has to be rendered and the
                extra `synthetic` is not installed, or `num_subjects` is out of range.
        """
        sequences = read_twin(self.root, CKPLUS, self.seed, self.num_subjects, read_tree)
        if self.num_subjects == EXPECTED.num_subjects:
            EXPECTED.check(sequences, "the synthetic twin of CK+", self.root)
        return sequences
