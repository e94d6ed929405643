"""Whether a cross-validation says how a network does on people it has not seen: what every heading has to say of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fer3d.clips.folds import Fold

NOT_INDEPENDENT = "NOT SUBJECT-INDEPENDENT"
# What a reader has to know of it.
SEEN_BEFORE = (
    "A network knows people again, so that the accuracy is higher than it would be on people whom it has never seen; "
    "it cannot stand beside subject-independent results."
)


@dataclass(frozen=True, slots=True)
class Independence:
    """What is known of the people on the two sides of each fold.

    Attributes:
        subjects_known: Whether the clips' subjects say who is seen.
        num_shared: Number of subjects who are in one fold both among the held-out clips and among those that train or
            choose an epoch.
    """

    subjects_known: bool = True
    num_shared: int = 0

    @classmethod
    def of(cls, folds: Sequence[Fold], subjects: Sequence[str], *, subjects_known: bool) -> Independence:
        """Looks for subjects on both sides of a fold.

        Args:
            folds: The folds.
            subjects: The subject of each clip.
            subjects_known: Whether these say who is seen.
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
        """Reads what `entries` wrote; where nothing was written, all is as it should be."""
        return cls(entries.get("subjects_known", True), entries.get("num_shared_subjects", 0))

    @property
    def entries(self) -> dict[str, Any]:
        """What a result says of it, in plain values for JSON."""
        return {
            "subject_independent": self.holds,
            "subjects_known": self.subjects_known,
            "num_shared_subjects": self.num_shared,
        }

    @property
    def holds(self) -> bool:
        """Whether no held-out clip shows somebody whom the fold's network was trained on."""
        return self.subjects_known and not self.num_shared

    @property
    def caution(self) -> str:
        """What every heading over the numbers has to say; nothing where the folds are subject-independent."""
        return "" if self.holds else NOT_INDEPENDENT

    @property
    def mark(self) -> str:
        """The caution as it stands before what was measured, such as `held-out clips`."""
        return "" if self.holds else f"{NOT_INDEPENDENT} "

    @property
    def sentence(self) -> str:
        """What is known, as a clause: `no subject is on both sides of a fold`."""
        if not self.subjects_known:
            return "the subjects are unknown, so that one may be on both sides of a fold"
        count = {0: "no subject is", 1: "1 subject is"}.get(self.num_shared, f"{self.num_shared} subjects are")
        return f"{count} on both sides of a fold"

    def subjects_text(self, num_subjects: int) -> str:
        """How many people so many clips show: ` of 12 subjects`, or that nobody knows."""
        return f" of {num_subjects} subjects" if self.subjects_known else ", subjects unknown"
