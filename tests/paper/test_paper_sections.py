"""The sections that the paper adds to a report of c1 and c2 on synthetic clips, and of c2 on real ones."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from fake_runs import right, write_run

from fer3d.evaluation.run_results import EvaluationError
from fer3d.paper import sections as paper_sections
from fer3d.paper.discrepancies import DISCREPANCIES
from fer3d.paper.sections import PaperWing
from fer3d.reporting import sections as run_sections
from fer3d.reporting.page import DataTable, Facts, Gallery, Page, Picture, Section, render
from fer3d.reporting.report import compose_page
from fer3d.reporting.runs import ReportRun, read_runs

OULU = {"corpus": "oulu_casia", "emotions": ("anger", "disgust", "fear", "happy", "sadness", "surprise")}


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> list[ReportRun]:
    folds = [right(6, number % 3, 5 - number % 2) for number in range(10)]
    names = ("ckplus_kfold10", "ckplus_kfold10_c2")
    outputs = tmp_path_factory.mktemp("outputs")
    folders = [write_run(outputs, folds, name=name, overrides=[f"experiment={name}"]) for name in names]
    folders.append(write_run(outputs, [right(12, 9, 8)] * 10, name="oulu_kfold10", synthetic=False, **OULU))
    return read_runs(folders)


@pytest.fixture(scope="module")
def pages(runs: list[ReportRun]) -> tuple[Page, Page]:
    """With the paper and without; no drawings, which take their time."""

    def draw(name: str, alt: str, caption: str, figure: object) -> Picture:
        return Picture(name, alt, caption, "<svg/>", b"", (1, 1))

    with pytest.MonkeyPatch.context() as patch:
        for module in (run_sections, paper_sections):
            patch.setattr(module, "draw", draw)
        return compose_page(runs, wing=PaperWing()), compose_page(runs)


@pytest.fixture
def page(pages: tuple[Page, Page]) -> Page:
    return pages[0]


def section(page: Page, slug: str) -> Section:
    (found,) = (one for one in page.sections if one.slug == slug)
    return found


def tables(section: Section) -> Iterator[DataTable]:
    for part in section.parts:
        if isinstance(part, DataTable):
            yield part
        elif isinstance(part, Section):
            yield from tables(part)


def test_the_papers_sections_stand_around_the_others(pages: tuple[Page, Page]) -> None:
    page, plain = pages
    slugs = [one.slug for one in page.sections]
    assert slugs[:4] == ["accuracy", "paper-folds", "confusion", "paper-settings"]
    assert slugs[-2:] == ["discrepancies", "provenance"]
    assert set(slugs) >= {one.slug for one in plain.sections}
    assert page.title.endswith("beside the paper")
    titles = [table.table.title for one in page.sections for table in tables(one)]
    for number in (2, 4, 5, 7, 8):
        assert any(title.startswith(("Table", f"Tables {number}")) and str(number) in title for title in titles)
    assert "Table 6 (CK+, LOSO)" in render(page)


def test_every_number_from_synthetic_clips_is_called_so(page: Page) -> None:
    seen = 0
    for one in page.sections:
        for part in tables(one):
            for number, row in enumerate(part.table.rows):
                if "ckplus_kfold10" in row[0] or ("c1, c2" in row[0] and "paper" not in row[0]):
                    seen += 1
                    assert part.cautions[number] == "SYNTHETIC data"
                    assert "SYNTHETIC data" in part.table.caution
    assert seen >= 10


def test_figures_of_the_paper_stand_beside_the_run_that_repeats_them(page: Page, runs: list[ReportRun]) -> None:
    confusion = section(page, "confusion")
    (gallery,) = (part for part in confusion.parts if isinstance(part, Gallery))
    paper, ours = gallery.pictures
    assert paper.name == "confusion-paper-figure-6"
    assert "404 of 480" in paper.caption
    assert ours.name == f"confusion-best-epoch-{runs[2].slug}"
    assert "best epoch of each fold (optimistic)" in ours.alt
    (printed,) = tables(confusion)
    assert printed.table.rows[0] == ("anger", "0.75", "0.15", "0", "0", "0.1", "0")


def test_the_discrepancies_are_listed(page: Page) -> None:
    (facts,) = section(page, "discrepancies").parts
    assert isinstance(facts, Facts)
    assert len(facts.pairs) == len(DISCREPANCIES)


def test_one_run_on_the_papers_corpora_is_enough(runs: list[ReportRun], tmp_path: Path) -> None:
    own = read_runs([write_run(tmp_path, [right(4, 3)] * 3, name="own", corpus="videos")])
    PaperWing().check([*own, runs[0]])
    with pytest.raises(EvaluationError, match="--paper"):
        PaperWing().check(own)
