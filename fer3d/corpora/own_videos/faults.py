"""Collects the faults of a table of videos, so that all are reported at once."""

from __future__ import annotations

import warnings

from fer3d.corpora.sequences import CorpusError, CorpusWarning

MAX_PLACES = 20


class RowFaults:
    """Faults by kind, each with the places where it occurs.

    Args:
        source: What is read, such as `data.table=/data/mine/clips.csv`.
    """

    def __init__(self, source: str) -> None:
        self._source = source
        self._errors: dict[str, list[str]] = {}
        self._warnings: dict[str, list[str]] = {}
        self._reasons: list[str] = []

    def error(self, kind: str, place: str) -> None:
        """Records a fault that must be corrected before anything is decoded.

        Args:
            kind: What is wrong, and what is expected.
            place: Where, such as `line 7: a.mp4`.
        """
        self._errors.setdefault(kind, []).append(place)

    def warning(self, kind: str, place: str) -> None:
        """Records a deviation that does not prevent reading."""
        self._warnings.setdefault(kind, []).append(place)

    def explain(self, reason: str) -> None:
        """Adds an explanation, shown once below the errors."""
        if reason not in self._reasons:
            self._reasons.append(reason)

    def raise_errors(self) -> None:
        """Raises the recorded errors.

        Raises:
            CorpusError: There are errors; the message also has the warnings, which may explain them.
        """
        if not self._errors:
            return
        total = sum(map(len, self._errors.values()))
        head = f"{self._source} has {total} fault{'s' if total > 1 else ''}; nothing was decoded."
        notes = _lines(self._warnings)
        lines = [head, *_lines(self._errors), *(["Warnings:", *notes] if notes else [])]
        raise CorpusError("\n".join([*lines, *self._reasons, "Correct these faults and run the same command again."]))

    def warn(self, stacklevel: int) -> None:
        """Warns with a `CorpusWarning` if there are warnings."""
        if self._warnings:
            message = "\n".join([f"{self._source}:", *_lines(self._warnings)])
            warnings.warn(message, CorpusWarning, stacklevel=stacklevel + 1)


def name_places(places: list[str]) -> str:
    """Joins the first `MAX_PLACES` places, followed by the number of the others."""
    rest = len(places) - MAX_PLACES
    return "; ".join(places[:MAX_PLACES]) + (f"; and {rest} more" if rest > 0 else "")


def _lines(faults: dict[str, list[str]]) -> list[str]:
    return [f"- {kind} ({len(places)}): {name_places(places)}" for kind, places in faults.items()]
