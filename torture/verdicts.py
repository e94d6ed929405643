"""Verdicts on cases."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

from torture.commands import Done

# Maximum number of lines of an error message; Hydra's list of choices has a dozen.
MAX_LINES = 20
_NO_SENTENCE = ("Traceback (most recent call last)", "Error executing job with overrides", "Error in call to target")


class Verdict(StrEnum):
    """How a command reacted to a fault."""

    FINE = "fine"
    SENTENCE = "sentence"
    TRACEBACK = "traceback"
    SILENT = "silent"
    HANG = "hang"
    SKIPPED = "skipped"

    @property
    def is_fault(self) -> bool:
        """Whether it is a failure."""
        return self in (Verdict.TRACEBACK, Verdict.SILENT, Verdict.HANG)


@dataclass(frozen=True)
class Judgement:
    """A verdict and its reason.

    Attributes:
        what: The fault that was injected.
        verdict: The verdict.
        message: The command's error message, or what it failed to report.
        vague: Whether the error message does not name the place.
    """

    what: str
    verdict: Verdict
    message: str
    vague: bool = False


def judge_end(what: str, done: Done) -> Judgement | None:
    """Judges a command by its exit; None if it succeeded and its results must be checked."""
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
    """The end of the standard error in one line, without the warning about the size of the corpus."""
    lines = [line for line in done.err.splitlines() if "differs from the corpus as distributed" not in line]
    return re.sub(r"\s+", " ", " ".join(lines)).strip()[-600:]
