"""The synthetic twins as corpora: rendered on first use, read by the reader of the real corpus, never overwritten."""

from __future__ import annotations

import json
import logging
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar, Generic, TypeVar

from fer3d.corpora import ckplus, crema_d, oulu_casia, ravdess
from fer3d.corpora.layout import root_folder, shown
from fer3d.corpora.sequences import SYNTHETIC_MARKER, CorpusError, FrameSequence, VideoSequence
from fer3d.file_lock import file_lock
from fer3d.twin.generation import describe_twin, generate_twin
from fer3d.twin.layouts import CKPLUS, CREMA_D, OULU, RAVDESS, Layout
from fer3d.twin.settings import TwinSettings

_logger = logging.getLogger(__name__)
_Sequence = TypeVar("_Sequence", FrameSequence, VideoSequence)


class _SyntheticTwin(ABC, Generic[_Sequence]):
    """A twin as a corpus; see `fer3d.corpora.sequences.Corpus`.

    `read` renders the twin into `root` if the folder is missing or empty, which takes minutes and needs the extra
    `synthetic`. It never writes into a folder that holds anything.

    Attributes:
        root: The twin's folder.
        seed: Seed of every person and every sequence.
        num_subjects: Number of virtual people, at most the real corpus's.
        synthetic: Always true: every result on this corpus must say so.
    """

    _layout: ClassVar[Layout]

    def __init__(self, root: str | Path, seed: int, num_subjects: int, settings: TwinSettings) -> None:
        self.root = root_folder(root)
        self.seed = seed
        self.num_subjects = num_subjects
        self.synthetic = True
        self._settings = settings

    def read(self) -> list[_Sequence]:
        """Returns the labelled sequences, sorted by subject and then by sequence, as the real corpus's reader does.

        Raises:
            CorpusError: `root` holds anything other than this twin, or cannot be opened or written; the twin is
                damaged; it has to be rendered and the extra `synthetic` is not installed, or a number is out of range.
        """
        self._render_if_missing()
        self._check_marker()
        try:
            sequences, _ = self._read_tree()
        except CorpusError as error:
            raise CorpusError(
                f"the synthetic twin in {self.root} is damaged; delete that folder to have it rendered again. {error}"
            ) from error
        return sequences

    @abstractmethod
    def _read_tree(self) -> tuple[list[_Sequence], bool]:
        """Reads the sequences of `root` with the real corpus's reader."""

    def _render_if_missing(self) -> None:
        try:
            # Resolved, so that a link to another disk stays a link.
            missing = self.root.resolve() if _is_free(self.root) else None
        except (OSError, RuntimeError, ValueError) as error:
            # For example a link to itself, or a name that no file can have.
            raise CorpusError(f"data.root is {shown(self.root.absolute())}, which cannot be opened: {error}") from error
        if missing is None:
            return
        try:
            lock = missing.with_name(f".{missing.name}.lock")
            with file_lock(lock, f"the synthetic twin {shown(missing)} is being rendered"):
                if _is_free(missing):
                    _logger.info("rendering %s subjects of a synthetic twin into %s", self.num_subjects, shown(missing))
                    generate_twin(missing, self.seed, self._settings, self.num_subjects, layout=self._layout)
        except OSError as error:
            raise CorpusError(
                f"the synthetic twin cannot be written to data.root, which is {shown(self.root.absolute())}: {error}. "
                "Make room or give the right to write there, or set data.root to another folder"
            ) from error

    def _check_marker(self) -> None:
        marker = self.root / SYNTHETIC_MARKER
        if not marker.is_file():
            raise CorpusError(
                f"data.root is {self.root.absolute()}, which exists but is not a synthetic twin: it has no "
                f"{SYNTHETIC_MARKER}. Nothing was written there. Set data.root to a folder that does not exist yet, or "
                f"read real {self._layout.title} with data={self._layout.name}"
            )
        wanted = describe_twin(self.seed, self._settings, self.num_subjects, self._layout)
        # A marker without a layout belongs to a twin of CK+.
        wanted, found = {"layout": CKPLUS.name, **wanted}, {"layout": CKPLUS.name, **_read_marker(marker)}
        differences = list(_differences({key: found[key] for key in wanted if key in found}, wanted))
        if differences:
            raise CorpusError(
                f"{self.root.absolute()} holds another synthetic twin: {'; '.join(differences)}. Set data.root to a "
                "folder that does not exist yet, or delete this one to have it rendered again"
            )


class SyntheticCKPlus(_SyntheticTwin[FrameSequence]):
    """The twin of CK+, the default corpus: virtual people in CK+'s folder layout, free of any licence.

    Attributes:
        name: `synthetic`.
        emotions: CK+'s seven classes.
        num_channels: 1.
        num_subjects: At most 118; the full twin has CK+'s own counts.
    """

    name = "synthetic"
    emotions = ckplus.EMOTIONS
    num_channels = 1
    _layout = CKPLUS

    def __init__(self, root: str | Path, seed: int = 0, num_subjects: int = CKPLUS.num_subjects) -> None:
        super().__init__(root, seed, num_subjects, CKPLUS.settings)

    def read(self) -> list[FrameSequence]:
        """See `CKPlus.read`; warns with a `CorpusWarning` if a full twin does not have CK+'s counts."""
        sequences = super().read()
        if self.num_subjects == CKPLUS.num_subjects:
            ckplus.EXPECTED.check(sequences, "the synthetic twin of CK+", self.root)
        return sequences

    def _read_tree(self) -> tuple[list[FrameSequence], bool]:
        return ckplus.read_tree(self.root)


class SyntheticOulu(_SyntheticTwin[FrameSequence]):
    """The twin of Oulu-CASIA, to rehearse transfer learning: visible camera, strong light, one sequence an emotion.

    The people differ from those of the twin of CK+, whatever the seeds.

    Attributes:
        name: `synthetic_oulu`.
        emotions: Oulu-CASIA's six classes.
        num_channels: 3.
        num_subjects: At most 80.
    """

    name = "synthetic_oulu"
    emotions = oulu_casia.EMOTIONS
    num_channels = 3
    _layout = OULU

    def __init__(self, root: str | Path, seed: int = 0, num_subjects: int = 20) -> None:
        super().__init__(root, seed, num_subjects, OULU.settings)

    def _read_tree(self) -> tuple[list[FrameSequence], bool]:
        return oulu_casia.read_tree(self.root)


class SyntheticRAVDESS(_SyntheticTwin[VideoSequence]):
    """The twin of RAVDESS: virtual people who talk, as H.264 videos of 1280x720, about 30 frames a second, no sound.

    Everybody shows all eight emotions, each from neutral and back to neutral. A twin of fewer people or repetitions
    holds the same videos as the full one.

    Attributes:
        name: `synthetic_ravdess`.
        emotions: The chosen emotions, all of RAVDESS's eight by default.
        num_channels: 3.
        num_subjects: At most 24; fewer are spread over the folds of `cv=ravdess6`.
        num_repetitions: How often everybody shows each emotion, 1 or 2.
    """

    name = "synthetic_ravdess"
    num_channels = 3
    _layout = RAVDESS

    def __init__(
        self,
        root: str | Path,
        seed: int = 0,
        num_subjects: int = 24,
        num_repetitions: int = 2,
        emotions: Sequence[str] | None = None,
    ) -> None:
        super().__init__(root, seed, num_subjects, replace(RAVDESS.settings, num_takes=num_repetitions))
        self.num_repetitions = num_repetitions
        self.emotions = ravdess.RAVDESS(root, emotions).emotions

    def _read_tree(self) -> tuple[list[VideoSequence], bool]:
        return ravdess.read_tree(self.root, emotions=self.emotions)


class SyntheticCremaD(_SyntheticTwin[VideoSequence]):
    """The twin of CREMA-D: virtual people who talk, as FLV videos of 480x360, about 30 frames a second, no sound.

    Everybody shows all six emotions, each from neutral and back to neutral. The raters' votes are drawn from CREMA-D's
    published shares: these faces were never rated.

    Attributes:
        name: `synthetic_crema_d`.
        emotions: The chosen emotions, all of CREMA-D's six by default.
        num_channels: 3.
        num_subjects: At most 91; fewer are spread over the folds of `cv=crema_d5`.
        num_sentences: How many sentences everybody says in each emotion, at most 12.
        labels: `intended`, `face` or `multimodal`, as in `CremaD`.
    """

    name = "synthetic_crema_d"
    num_channels = 3
    _layout = CREMA_D

    def __init__(
        self,
        root: str | Path,
        seed: int = 0,
        num_subjects: int = 15,
        num_sentences: int = 1,
        emotions: Sequence[str] | None = None,
        labels: str = "intended",
    ) -> None:
        super().__init__(root, seed, num_subjects, replace(CREMA_D.settings, num_takes=num_sentences))
        self.num_sentences = num_sentences
        self.emotions = crema_d.CremaD(root, emotions, labels).emotions
        self.labels = labels

    def _read_tree(self) -> tuple[list[VideoSequence], bool]:
        return crema_d.read_tree(self.root, self.labels, self.emotions)


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
    except (OSError, ValueError, RecursionError) as error:
        raise CorpusError(f"{marker} cannot be read: {error}. Delete the twin to have it rendered again") from error
    if not isinstance(found, dict):
        raise CorpusError(f"{marker} should hold a JSON object with the keys seed and num_subjects")
    return found
