"""The synthetic twin of CK+ as a corpus: rendered on first use, then read by the reader of CK+."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from fer3d.corpora.ckplus import EMOTIONS, EXPECTED, read_tree
from fer3d.corpora.sequences import SYNTHETIC_MARKER, CorpusError, FrameSequence
from fer3d.corpora.synthetic import describe_twin, generate_twin


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
        self.root = Path(root).expanduser()
        self.seed = seed
        self.num_subjects = num_subjects
        self.synthetic = True

    def read(self) -> list[FrameSequence]:
        """Returns the labelled sequences, sorted by subject and then by sequence, as `CKPlus(root).read()` does.

        Warns with a `CorpusWarning` when a full twin does not have CK+'s counts.

        Raises:
            CorpusError: `root` holds something else than this twin; the twin is damaged; it has to be rendered and the
                extra `synthetic` is not installed.
        """
        if _is_free(self.root):
            # Resolved, so that a link to another disk stays a link.
            generate_twin(self.root.resolve(), seed=self.seed, num_subjects=self.num_subjects)
        self._check_marker()
        try:
            sequences, _ = read_tree(self.root)
        except CorpusError as error:
            raise CorpusError(
                f"the synthetic twin in {self.root} is damaged; delete that folder to have it rendered again. {error}"
            ) from error
        if self.num_subjects == EXPECTED.num_subjects:
            EXPECTED.check(sequences, "the synthetic twin of CK+", self.root)
        return sequences

    def _check_marker(self) -> None:
        marker = self.root / SYNTHETIC_MARKER
        if not marker.is_file():
            raise CorpusError(
                f"data.root is {self.root.absolute()}, which exists but is not a synthetic twin: it has no "
                f"{SYNTHETIC_MARKER}. Nothing was written there. Set data.root to a folder that does not exist yet, or "
                "read real CK+ with data=ckplus"
            )
        wanted, found = describe_twin(self.seed, num_subjects=self.num_subjects), _read_marker(marker)
        differences = list(_differences({key: found[key] for key in wanted if key in found}, wanted))
        if differences:
            raise CorpusError(
                f"{self.root.absolute()} holds another synthetic twin: {'; '.join(differences)}. Set data.root to a "
                "folder that does not exist yet, or delete this one to have it rendered again"
            )


def _is_free(root: Path) -> bool:
    return not root.exists() or (root.is_dir() and not any(root.iterdir()))


def _differences(there: dict[str, Any], here: dict[str, Any], group: str = "") -> Iterator[str]:
    for key in {**here, **there}:
        one, other = there.get(key, "not recorded"), here.get(key, "not recorded")
        if isinstance(one, dict) and isinstance(other, dict):
            yield from _differences(one, other, f"{group}{key}.")
        elif one != other:
            yield f"{group}{key} is {one} there and {other} here"


def _read_marker(marker: Path) -> dict[str, Any]:
    try:
        found = json.loads(marker.read_text(encoding="utf-8"))
    except ValueError as error:
        raise CorpusError(f"{marker} cannot be read: {error}. Delete the twin to have it rendered again") from error
    if not isinstance(found, dict):
        raise CorpusError(f"{marker} should hold a JSON object with the keys seed and num_subjects")
    return found
