"""How a case is judged."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

from torture.commands import Done

# More lines than these are no sentence any more; Hydra's list of what there is to choose from has a dozen.
MAX_LINES = 20
_NO_SENTENCE = ("Traceback (most recent call last)", "Error executing job with overrides", "Error in call to target")


class Verdict(StrEnum):
    """What a command did about what was done to it."""

    FINE = "fine"
    SENTENCE = "sentence"
    TRACEBACK = "traceback"
    SILENT = "silent"
    HANG = "hang"
    SKIPPED = "skipped"

    @property
    def is_fault(self) -> bool:
        """Whether it is one of those that must not be."""
        return self in (Verdict.TRACEBACK, Verdict.SILENT, Verdict.HANG)


@dataclass(frozen=True)
class Judgement:
    """A verdict and its reason.

    Attributes:
        what: What was done.
        verdict: What became of it.
        message: The command's last words, or what it kept silent about.
        vague: Whether it is a sentence that does not name the place.
    """

    what: str
    verdict: Verdict
    message: str
    vague: bool = False


def judge_end(what: str, done: Done) -> Judgement | None:
    """Judges a command by how it ended; None where it succeeded, so that its results have to be looked at."""
    words = last_words(done)
    if done.hung:
        return Judgement(what, Verdict.HANG, f"killed after {done.seconds:.0f} s; {words}")
    if any(sign in done.text for sign in _NO_SENTENCE) or done.status < 0 or done.status > 2:
        return Judgement(what, Verdict.TRACEBACK, f"status {done.status}; {words}")
    if done.status == 0:
        return None
    if not words:
        return Judgement(what, Verdict.SILENT, f"status {done.status} without a word")
    if len(done.err.strip().splitlines()) > MAX_LINES:
        return Judgement(what, Verdict.TRACEBACK, f"{len(done.err.splitlines())} lines instead of a sentence; {words}")
    return Judgement(what, Verdict.SENTENCE, words)


def last_words(done: Done) -> str:
    """The end of what was printed as errors, in one line, without the note that a tiny corpus is tiny."""
    lines = [line for line in done.err.splitlines() if "differs from the corpus as distributed" not in line]
    return re.sub(r"\s+", " ", " ".join(lines)).strip()[-600:]
