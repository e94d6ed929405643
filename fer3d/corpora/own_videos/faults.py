"""What is wrong with a table of videos, gathered so that all of it is said at once."""

from __future__ import annotations

import warnings

from fer3d.corpora.sequences import CorpusError, CorpusWarning

MAX_PLACES = 20


class RowFaults:
    """Faults by their kind, each with the places where it was found.

    Args:
        source: What is read, such as `data.table=/data/mine/clips.csv`.
    """

    def __init__(self, source: str) -> None:
        self._source = source
        self._errors: dict[str, list[str]] = {}
        self._warnings: dict[str, list[str]] = {}
        self._reasons: list[str] = []

    def error(self, kind: str, place: str) -> None:
        """Notes what has to be mended before anything is decoded.

        Args:
            kind: What is wrong, and what is right.
            place: Where, such as `line 7: a.mp4`.
        """
        self._errors.setdefault(kind, []).append(place)

    def warning(self, kind: str, place: str) -> None:
        """Notes what has to be known and does not stand in the way."""
        self._warnings.setdefault(kind, []).append(place)

    def explain(self, reason: str) -> None:
        """Notes a sentence that is said once, below the errors."""
        if reason not in self._reasons:
            self._reasons.append(reason)

    def raise_errors(self) -> None:
        """Raises all that was noted as an error.

        Raises:
            CorpusError: There are errors; the warnings follow them, since they may explain them.
        """
        if not self._errors:
            return
        total = sum(map(len, self._errors.values()))
        head = f"{self._source} has {total} fault{'s' if total > 1 else ''}; nothing was decoded."
        notes = _lines(self._warnings)
        lines = [head, *_lines(self._errors), *(["Also to be known:", *notes] if notes else [])]
        raise CorpusError(
            "\n".join([*lines, *self._reasons, "Mend what is named here, and give the same command again."])
        )

    def warn(self, stacklevel: int) -> None:
        """Warns with a `CorpusWarning` about what only has to be known."""
        if self._warnings:
            message = "\n".join([f"{self._source}: to be known.", *_lines(self._warnings)])
            warnings.warn(message, CorpusWarning, stacklevel=stacklevel + 1)


def name_places(places: list[str]) -> str:
    """Returns the first `MAX_PLACES` places as one phrase, and how many more there are."""
    rest = len(places) - MAX_PLACES
    return "; ".join(places[:MAX_PLACES]) + (f"; and {rest} more" if rest > 0 else "")


def _lines(faults: dict[str, list[str]]) -> list[str]:
    return [f"- {kind} ({len(places)}): {name_places(places)}" for kind, places in faults.items()]
