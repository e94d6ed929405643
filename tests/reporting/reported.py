"""A written report, for the tests that look at it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from fer3d.reporting.page import Page
from fer3d.reporting.runs import ReportRun


@dataclass(frozen=True)
class Reported:
    """A written report of c1 and c2 on the synthetic twin of CK+, and of c2 on Oulu-CASIA without its last folds."""

    folders: list[Path]
    runs: list[ReportRun]
    page: Page
    path: Path
    html: str  # the file's content
