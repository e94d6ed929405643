"""The report of runs, from their folders to the page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from fer3d.evaluation.run_results import EvaluationError
from fer3d.reporting.comparison_sections import comparison_section, published_section, settings_section
from fer3d.reporting.page import Page, Section, make_folder, write_report
from fer3d.reporting.runs import ReportRun, independence_caution, read_runs
from fer3d.reporting.sections import (
    banners,
    headline,
    own_reports_section,
    protocols_section,
    provenance_section,
    runs_section,
)

MAX_RUNS = 12  # that a page also shows one by one


class Wing(Protocol):
    """A project's additions to the report of runs, such as those of a paper's reproduction."""

    title: str  # follows the page's title

    def check(self, runs: Sequence[ReportRun]) -> None:
        """Raises an EvaluationError, before anything is drawn, if the project does not apply to the runs."""

    def opening(self, runs: Sequence[ReportRun]) -> Sequence[Section]:
        """The sections before all others."""

    def closing(self, runs: Sequence[ReportRun]) -> Sequence[Section]:
        """The sections after all others except the runs' provenance."""


def make_report(
    folders: Sequence[Path],
    *,
    into: Path | None = None,
    partial: bool = False,
    faces: bool = True,
    clips: Path | None = None,
    wing: Wing | None = None,
) -> Path:
    """Writes the report of runs and returns the page's path; the same runs give the same bytes.

    It goes into `report` in the run, or beside several, unless `into` names another folder. `partial` and `clips` are
    those of `read_runs`, `faces` shows missed clips, and `wing` is what a project adds.

    Raises:
        EvaluationError: The runs cannot be read so; several lie in different folders and `into` is not set; the folder
            cannot be made; or the wing does not fit the runs.
        ResultError: A fold's result cannot be read.
        OSError: A file cannot be written.
    """
    folder = into or _default_folder(folders)
    runs = read_runs(folders, partial=partial, clips=clips)
    if wing:
        wing.check(runs)
    make_folder(folder)  # before the figures, which take a while
    return write_report(compose_page(runs, faces=faces, wing=wing), folder)


def compose_page(runs: Sequence[ReportRun], *, faces: bool = True, wing: Wing | None = None) -> Page:
    """Composes the page of at least one run, with missed clips if faces may be shown, and a project's sections.

    Of more than `MAX_RUNS` runs it shows what they are together, and leaves each by itself to its own report.
    """
    each = len(runs) <= MAX_RUNS
    sections = (
        *(wing.opening(runs) if wing else ()),
        published_section(runs),
        protocols_section(runs) if each else None,
        comparison_section(runs),
        settings_section(runs),
        runs_section(runs, faces=faces) if each else own_reports_section(runs),
        *(wing.closing(runs) if wing else ()),
        provenance_section(runs),
    )
    what = runs[0].label if len(runs) == 1 else f"{len(runs)} runs"
    # Pictures and name reveal a synthetic corpus; this caution could be missed in a single section.
    mark = independence_caution(runs)
    return Page(
        title=f"fer3d: {what}{f' {wing.title}' if wing else ''}{f' [{mark}]' if mark else ''}",
        banners=banners(runs),
        headlines=tuple(map(headline, runs)) if each else (),
        sections=tuple(replace(section, caution=section.caution or mark) for section in sections if section),
    )


def _default_folder(folders: Sequence[Path]) -> Path:
    if len(folders) == 1:
        return folders[0] / "report"
    parents = list(dict.fromkeys(folder.absolute().parent for folder in folders))
    if len(parents) > 1:
        raise EvaluationError(
            f"the runs lie in {len(parents)} folders, {parents[0]} and {parents[1]} among them: say with --out where "
            "their report goes"
        )
    return parents[0] / "report"
