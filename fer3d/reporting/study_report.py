"""The report of a search, from its study to the page."""

from __future__ import annotations

from pathlib import Path

from fer3d.reporting.page import Page, write_report
from fer3d.reporting.study_pictures import picture_sections
from fer3d.reporting.study_sections import (
    best_section,
    failures_section,
    saved_section,
    setup_section,
    study_banners,
    study_headline,
)
from fer3d.search.records import StudyRecord
from fer3d.search.storage import StudyError


def make_study_report(study: str, *, storage: str | None = None, into: Path | None = None) -> Path:
    """Writes the report of a study and returns the page's path; the same study gives the same bytes.

    Args:
        study: The study's folder; or its name, where `storage` is given.
        storage: The URL of its database; None for the file in its folder.
        into: Where the report goes; None for `report` in the study's folder.

    Raises:
        StudyError: There is no such study, it is none of cross-validations, or the report cannot be written there.
        OSError: A file cannot be written.
    """
    record = StudyRecord.read(study, storage)
    try:
        folder = into or (Path(study) if storage is None else Path("outputs", "search", record.name)) / "report"
        try:
            # Before the figures, which take their time.
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StudyError(f"the report cannot be written to {folder}: {error.strerror}") from error
        return write_report(compose_study_page(record, own_database=storage is not None), folder)
    finally:
        record.close()


def compose_study_page(record: StudyRecord, *, own_database: bool = False) -> Page:
    """Puts the page together.

    Args:
        record: The study.
        own_database: Whether the study is kept in another database than the file in its folder.
    """
    sections = (
        *picture_sections(record),
        best_section(record),
        saved_section(record),
        failures_section(record),
        setup_section(record, own_database=own_database),
    )
    return Page(
        title=f"fer3d: the search {record.name}",
        banners=study_banners(record),
        headlines=(study_headline(record),),
        sections=tuple(section for section in sections if section),
    )
