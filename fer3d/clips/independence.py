"""Whether folds are subject-independent, and the caution that headings show otherwise."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fer3d.clips.folds import Fold

NOT_INDEPENDENT = "NOT SUBJECT-INDEPENDENT"
# Explanation for readers.
SEEN_BEFORE = (
    "The network recognises people it was trained on, so accuracy is higher than on unseen people. Do not compare it "
    "with subject-independent results."
)


@dataclass(frozen=True, slots=True)
class Independence:
    """What is known about the subjects on both sides of each fold.

    Attributes:
        subjects_known: Whether the clips' subjects identify people.
        num_shared: Number of subjects that, in some fold, appear both among the held-out clips and among the clips
            used for training or checkpoint selection.
    """

    subjects_known: bool = True
    num_shared: int = 0

    @classmethod
    def of(cls, folds: Sequence[Fold], subjects: Sequence[str], *, subjects_known: bool) -> Independence:
        """Counts subjects on both sides of a fold.

        Args:
            folds: The folds.
            subjects: The subject of each clip.
            subjects_known: Whether these identify people.
        """
        shared: set[str] = set()
        for fold in folds:
            held_out, others = (
                {subjects[index] for index in indices} for indices in (fold.held_out, (*fold.train, *fold.inner_val))
            )
            shared |= held_out & others
        return cls(subjects_known, len(shared))

    @classmethod
    def told(cls, entries: Mapping[str, Any]) -> Independence:
        """Reads `entries`; missing ones mean that the folds are subject-independent."""
        return cls(entries.get("subjects_known", True), entries.get("num_shared_subjects", 0))

    @property
    def entries(self) -> dict[str, Any]:
        """JSON-compatible values for a result."""
        return {
            "subject_independent": self.holds,
            "subjects_known": self.subjects_known,
            "num_shared_subjects": self.num_shared,
        }

    @property
    def holds(self) -> bool:
        """Whether no held-out clip shows a person that the fold's network was trained on."""
        return self.subjects_known and not self.num_shared

    @property
    def caution(self) -> str:
        """Caution for every heading over the numbers; empty if the folds are subject-independent."""
        return "" if self.holds else NOT_INDEPENDENT

    @property
    def mark(self) -> str:
        """The caution as a prefix, such as of `held-out clips`."""
        return "" if self.holds else f"{NOT_INDEPENDENT} "

    @property
    def sentence(self) -> str:
        """What is known, as a clause: `no subject is on both sides of a fold`."""
        if not self.subjects_known:
            return "the subjects are unknown, so the same person may be on both sides of a fold"
        count = {0: "no subject is", 1: "1 subject is"}.get(self.num_shared, f"{self.num_shared} subjects are")
        return f"{count} on both sides of a fold"

    def subjects_text(self, num_subjects: int) -> str:
        """Suffix for a number of clips: ` of 12 subjects` or `, subjects unknown`."""
        return f" of {num_subjects} subjects" if self.subjects_known else ", subjects unknown"
