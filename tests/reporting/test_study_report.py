"""The page of a search, as a file and in a browser."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import chromium
import pytest
from chromium import Browser
from fake_studies import FakeTrial, searched, write_study
from test_report_in_chromium import OUTSIDE, PHONE, PICTURES, SCROLL_WIDTH, WIDE, problems

from fer3d.reporting.page import DataTable, Section, render
from fer3d.reporting.study_report import compose_study_page, make_study_report
from fer3d.search.records import StudyRecord
from fer3d.search.storage import StudyError

NAME = "ckplus_kfold10_search-3f2a9b1c"


@dataclass(frozen=True)
class Written:
    """A study's folder and its report."""

    folder: Path
    path: Path


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Written:
    folder = write_study(tmp_path_factory.mktemp("outputs"), searched(40), name=NAME, threshold=0.8)
    return Written(folder, make_study_report(str(folder)))


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    if chromium.BINARY is None:
        pytest.skip("needs Chromium")
    with chromium.open_browser(tmp_path_factory.mktemp("profile")) as browser:
        yield browser


def tables(section: Section) -> Iterator[DataTable]:
    for part in section.parts:
        if isinstance(part, DataTable):
            yield part
        elif isinstance(part, Section):
            yield from tables(part)


def test_the_page_and_its_figures_lie_in_the_studys_folder(written: Written) -> None:
    assert written.path == written.folder / "report" / "report.html"
    names = {f"{kind}-{NAME.replace('_', '-')}" for kind in KINDS}
    files = {path.name for path in (written.path.parent / "figures").iterdir()}
    assert files == {f"{name}.{ending}" for name in names for ending in ("png", "svg")}
    assert written.path.read_text().count("<img ") == len(names)


KINDS = ("figure-2", "history", "importances", "slices", "parallel", "timeline")


def test_sections_stand_in_order(written: Written) -> None:
    record = StudyRecord.read(str(written.folder))
    page = compose_study_page(record)
    record.close()
    assert [section.slug for section in page.sections] == [*KINDS, "best", "saved", "failed", "setup"]
    assert page.title == f"fer3d: the search {NAME}"
    cautions = [table.table.caution for section in page.sections for table in tables(section)]
    assert cautions == ["SYNTHETIC data"] * 4


@pytest.mark.slow
def test_the_same_study_gives_the_same_bytes_and_none_of_the_machine(written: Written, tmp_path: Path) -> None:
    again = make_study_report(str(written.folder), into=tmp_path / "again")
    assert again == tmp_path / "again" / "report.html"
    assert again.read_bytes() == written.path.read_bytes()
    for figure in (again.parent / "figures").iterdir():
        assert figure.read_bytes() == (written.path.parent / "figures" / figure.name).read_bytes()
    assert str(written.folder.parent) not in again.read_text()


@pytest.mark.slow
def test_a_study_of_another_database_needs_no_folder(
    written: Written, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path = make_study_report(NAME, storage=f"sqlite:///{written.folder / 'study.db'}")
    assert path == Path("outputs", "search", NAME, "report", "report.html")
    html = path.read_text()
    assert f"from_study={NAME} study_storage=URL" in html
    assert str(written.folder.parent) not in html


@pytest.mark.parametrize(
    "trials", [[], [FakeTrial("running")], [FakeTrial("pruned", [4])]], ids=["none", "running", "pruned"]
)
def test_a_study_without_a_complete_trial_makes_a_page(trials: list[FakeTrial], tmp_path: Path) -> None:
    record = StudyRecord.read(str(write_study(tmp_path, trials)))
    html = render(compose_study_page(record))
    record.close()
    assert "No trial is complete" in html


def test_a_place_that_cannot_be_written_to_is_an_error(written: Written, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StudyError, match=r"the report cannot be written to .*file/report: Not a directory"):
        make_study_report(str(written.folder), into=tmp_path / "file" / "report")


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [PHONE, WIDE])
def test_the_page_loads_whole_and_quietly(width: int, dark: bool, browser: Browser, written: Written) -> None:
    visit = browser.visit(written.path, SCROLL_WIDTH, PICTURES, width=width, dark=dark)
    scroll_width, pictures = visit.values
    assert problems(visit, written.path) == []
    assert scroll_width <= width
    assert pictures == [True] * len(KINDS)


def test_nothing_sticks_out_on_a_phone(browser: Browser, written: Written) -> None:
    assert browser.visit(written.path, OUTSIDE, width=PHONE).values == [[]]
