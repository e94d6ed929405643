"""The report of a search: what its sections say, and its two pages as files and in a browser."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from chromium import OUTSIDE, PHONE, PICTURES, SCROLL_WIDTH, WIDE, Browser, problems
from fake_studies import FakeTrial, fake_record, searched, write_study

from fer3d.clips.independence import Independence
from fer3d.evaluation.measures import Score
from fer3d.evaluation.run_results import EvaluationError
from fer3d.reporting import study_report
from fer3d.reporting.page import DataTable, Facts, Page, Prose, render
from fer3d.reporting.study_plots import plot_sections
from fer3d.reporting.study_report import (
    best_section,
    compose_study_page,
    failures_section,
    make_study_report,
    saved_section,
    setup_section,
    study_banners,
    study_headline,
)
from fer3d.search.records import StudyRecord

NAME = "ckplus_kfold10_search-3f2a9b1c"
MARKS = ("SYNTHETIC data", "CHOSEN BY A SEARCH", "last epoch")
COMPLETE = FakeTrial("complete", [0] * 8 + [1] * 2, {"optimizer": "adam"})
PRUNED = FakeTrial("pruned", [1] * 4, {"optimizer": "adam"})
FAILED = FakeTrial("failed", error="ValueError: no")

# The words in the title of each plot, and the plots whose title leaves them or lies on what is drawn.
TITLES = """[...document.querySelectorAll("main .plot[id]")].map(plot => plot.querySelector(".gtitle").textContent)"""
OVERLAPS = """[...document.querySelectorAll("main .plot[id]")].filter(plot => {
    const [whole, title, drawn] = [plot, ...[".gtitle", ".nsewdrag"].map(name => plot.querySelector(name))].map(
        element => element.getBoundingClientRect());
    return title.top < whole.top || title.right > whole.right || title.bottom > drawn.top;
}).map(plot => plot.id)"""
SAVED = """Plotly.toImage(document.querySelector(".plot"), {format: "svg"}).then(decodeURIComponent)"""


@dataclass(frozen=True)
class Written:
    """A study's folder and its report."""

    folder: Path
    path: Path
    page: Page

    @property
    def plots(self) -> Path:
        return self.path.with_name("study.html")


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Written:
    pages: list[Page] = []
    compose = study_report.compose_study_page

    def composed(*arguments: Any, **settings: Any) -> Page:
        pages.append(compose(*arguments, **settings))
        return pages[-1]

    folder = write_study(tmp_path_factory.mktemp("outputs"), searched(40), name=NAME, threshold=0.8)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(study_report, "compose_study_page", composed)
        return Written(folder, make_study_report(str(folder)), *pages)


def composed(record: StudyRecord) -> Page:
    return compose_study_page(record, plot_sections(record))


def facts(record: StudyRecord, *, own_database: bool = False) -> dict[str, str]:
    (first, *_) = setup_section(record, own_database=own_database).parts
    assert isinstance(first, Facts)
    return dict(first.pairs)


def test_the_pages_and_their_figures_lie_in_the_studys_folder(written: Written) -> None:
    assert written.path == written.folder / "report" / "report.html"
    names = {f"{kind}-{NAME.replace('_', '-')}" for kind in ("figure-2", "history")}
    files = {path.name for path in (written.path.parent / "figures").iterdir()}
    assert files == {f"{name}.{ending}" for name in names for ending in ("png", "svg")}
    assert '<a href="study.html">' in written.path.read_text()
    assert '<a href="report.html">' in written.plots.read_text()


def test_every_section_table_and_figure_carries_its_cautions(written: Written) -> None:
    page = written.page
    slugs = ["figure-2", "history", "plots", "best", "saved", "failed", "setup"]
    assert [section.slug for section in page.sections] == slugs
    tables = [part.table for section in page.sections for part in section.parts if isinstance(part, DataTable)]
    assert [table.caution for table in tables] == ["SYNTHETIC data"] * 4
    for picture in page.pictures:
        assert all(mark in picture.alt for mark in MARKS)
        assert picture.caption in picture.alt


@pytest.mark.slow
def test_the_same_study_gives_the_same_bytes_and_none_of_the_machine(written: Written, tmp_path: Path) -> None:
    again = make_study_report(str(written.folder), into=tmp_path / "again")
    assert again == tmp_path / "again" / "report.html"
    files = sorted(path.relative_to(again.parent) for path in again.parent.rglob("*") if path.is_file())
    assert len(files) == 6
    for file in files:
        assert (again.parent / file).read_bytes() == (written.path.parent / file).read_bytes()
    assert str(written.folder.parent) not in again.read_text() + again.with_name("study.html").read_text()


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


@pytest.mark.parametrize("trials", [[], [FakeTrial("running")], [PRUNED], [FAILED]])
def test_a_study_without_a_complete_trial_makes_a_page(trials: list[FakeTrial]) -> None:
    assert "No trial is complete" in render(composed(fake_record(trials)))


def test_a_place_that_cannot_be_written_to_is_an_error(written: Written, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(EvaluationError, match=r"file/report.*: Not a directory"):
        make_study_report(str(written.folder), into=tmp_path / "file" / "report")


@pytest.mark.parametrize(("width", "dark"), [(PHONE, True), (WIDE, False)])
def test_the_report_loads_whole_and_quietly(width: int, dark: bool, browser: Browser, written: Written) -> None:
    visit = browser.visit(written.path, SCROLL_WIDTH, PICTURES, OUTSIDE, width=width, dark=dark)
    scroll_width, pictures, outside = visit.values
    assert problems(visit, written.path) == []
    assert scroll_width <= width
    assert pictures == [True] * 2
    assert width > PHONE or outside == []


@pytest.mark.slow
@pytest.mark.parametrize("width", [PHONE, WIDE])
def test_a_browser_draws_every_plot_without_a_network(width: int, browser: Browser, written: Written) -> None:
    visit = browser.visit(written.plots, SCROLL_WIDTH, TITLES, OVERLAPS, SAVED, width=width)
    scroll_width, titles, overlaps, saved = visit.values
    assert problems(visit, written.plots) == []
    assert scroll_width <= width
    assert len(titles) == written.plots.read_text().count('class="plot ') == 1 + 10 + 1 + 3 + 1
    for title in [*titles, re.sub("<[^>]*>", "", saved)]:
        assert all(mark.replace(" ", "") in title.replace(" ", "") for mark in (NAME, *MARKS))
    assert overlaps == []


def test_banners_say_what_makes_the_numbers_better_than_they_are() -> None:
    trials = [COMPLETE, FakeTrial("running", [1])]
    said = study_banners(fake_record(trials, protocol="best_epoch"))
    assert [banner.split(":")[0] for banner in said] == [
        "SYNTHETIC data", "CHOSEN BY A SEARCH", "OPTIMISTIC", "UNFINISHED"
    ]  # fmt: skip
    assert study_banners(fake_record([PRUNED], synthetic=False)) == ()


def test_the_headline_is_the_best_trial_and_how_it_was_chosen() -> None:
    headline = study_headline(fake_record([PRUNED, COMPLETE]))
    low, high = Score(26, 28).interval()
    assert (headline.label, headline.accuracy, headline.caution) == ("fake, trial 1", "92.86%", "SYNTHETIC data")
    for fact in (
        "26 of 28 SYNTHETIC held-out clips", "10-fold", "last epoch", f"{low:.2%} to {high:.2%}", "best of 2 trials",
        "1 complete, 1 pruned, 0 failed, 0 running", "optimistic",
    ):  # fmt: skip
        assert fact in headline.sentence
    real = study_headline(fake_record([COMPLETE], corpus="ckplus", synthetic=False, overrides=["cv=loso"]))
    assert "26 of 28 held-out clips of CK+ are right under LOSO cross-validation" in real.sentence


def test_the_headline_says_where_no_trial_is_complete() -> None:
    headline = study_headline(fake_record([PRUNED]))
    assert headline.accuracy == "-"
    assert "threshold" in headline.sentence
    assert "threshold" not in study_headline(fake_record([])).sentence


def test_the_best_trials_savings_and_failures_have_tables_where_there_are_any() -> None:
    titles = [part.table.title for part in best_section(fake_record([COMPLETE])).parts if isinstance(part, DataTable)]
    assert titles == ["Best trials", "Folds of the best trials"]
    assert isinstance(best_section(fake_record([FakeTrial("complete", [0] * 10)])).parts[-1], Prose)
    assert isinstance(best_section(fake_record([PRUNED])).parts[0], Prose)
    assert saved_section(fake_record([COMPLETE, PRUNED])).parts[0] == Prose(
        "Pruning spared 6 of 20 fold trainings (30.00%)."
    )
    assert failures_section(fake_record([COMPLETE])) is None
    assert failures_section(fake_record([FAILED]))


def test_says_how_it_was_searched() -> None:
    record = fake_record([COMPLETE, PRUNED], threshold=0.8, num_startup_trials=10)
    assert facts(record) == {
        "Study": "fake",
        "Trials": "2",
        "Sampler": "TPESampler, the first 10 trials at random",
        "Pruning": "ExactBound (threshold=0.8)",
        "Accuracy": f"last epoch: {record.protocol.meaning}",
        "Corpus": "the synthetic twin of CK+: 28 held-out SYNTHETIC clips",
        "Folds": "10 (step_folds)",
        "Fixed on the command line": "cv=kfold10",
        "Training time": "14 min",
        "First trial began": "2026-11-23 08:00:00",
        "Last trial ended": "2026-11-23 08:14:00",
        "To train the best trial": "python -m fer3d.train from_study=outputs/search/fake",
    }
    html = render(composed(record))
    assert "interval(0, 1)" in html
    assert "batch_size: 16" in html
    command = facts(record, own_database=True)["To train the best trial"]
    assert command == "python -m fer3d.train from_study=fake study_storage=URL"
    bare = facts(fake_record([], threshold=None, num_startup_trials=0, overrides=[]))
    told = (bare["Pruning"], bare["Sampler"], bare["Fixed on the command line"])
    assert told == ("NoPruning", "TPESampler", "nothing")
    assert not {"First trial began", "Last trial ended", "To train the best trial"} & set(bare)


def test_a_study_that_is_not_subject_independent_says_so_everywhere() -> None:
    mark, independence = "NOT SUBJECT-INDEPENDENT", Independence(num_shared=3)
    record = fake_record([COMPLETE, PRUNED, FAILED], synthetic=False, independence=independence)
    page = composed(record)
    assert record.caution == page.headlines[0].caution == mark
    assert page.banners[0].startswith(f"{mark}: {independence.sentence}")
    assert f"26 of 28 {mark} held-out clips" in page.headlines[0].sentence
    assert all(section.caution.startswith(f"{mark}, CHOSEN BY A SEARCH") for section in page.sections)
    tables = [part.table for section in page.sections for part in section.parts if isinstance(part, DataTable)]
    assert {table.caution for table in tables} == {mark}
    assert facts(record)["Folds"].startswith(f"10 (step_folds); {mark}: {independence.sentence}")


def test_given_folds_of_a_study_say_which_they_are() -> None:
    record = fake_record([COMPLETE], synthetic=False, overrides=["cv=given"], independence=Independence())
    assert facts(record)["Folds"].startswith("10 (given_folds); subject-independent")
    assert "given 10-fold cross-validation" in study_headline(record).sentence
    assert "NOT" not in "".join(study_banners(record))
