from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from fake_clips import write_store
from fake_runs import right, write_run
from fake_studies import FakeTrial, write_study
from fixture_types import Compose, Invoke, MakeStore

import fer3d.reporting.report as report_module
import fer3d.reporting.study_report as study_report_module
from fer3d.reporting.page import Page
from fer3d.reporting.report import Wing
from fer3d.reporting.runs import ReportRun
from fer3d.reporting.study_plots import PlotSection
from fer3d.search.records import StudyRecord
from fer3d.training.run import Run


@pytest.fixture
def report(invoke: Invoke) -> Invoke:
    return lambda *arguments: invoke("report", *map(str, arguments))


@pytest.fixture
def composed(monkeypatch: pytest.MonkeyPatch) -> list[tuple[list[ReportRun], bool]]:
    """Lets the command write a page without figures, and keeps what the page was to be made of."""
    asked: list[tuple[list[ReportRun], bool]] = []

    def compose(runs: list[ReportRun], *, faces: bool, wing: Wing | None) -> Page:
        asked.append((runs, faces))
        return Page("a page", (), (), ())

    monkeypatch.setattr(report_module, "compose_page", compose)
    return asked


def test_one_runs_report_lies_in_it_and_that_of_several_beside_them(
    report: Invoke, composed: list[Any], tmp_path: Path
) -> None:
    first, second = (write_run(tmp_path / "outputs", [right(4, 3)] * 3, name=name) for name in ("a", "b"))
    assert report(first)[:2] == (0, f"report: {first}/report/report.html (0.0 MB)\n")
    assert report(first, second)[1].startswith(f"report: {tmp_path}/outputs/report/report.html ")
    assert report(first, "--out", tmp_path / "x" / "y")[1].startswith(f"report: {tmp_path}/x/y/report.html ")
    assert [[one.label for one in runs] for runs, _ in composed] == [["a"], ["a", "b"], ["a"]]


def test_runs_of_different_folders_need_a_place_for_their_report(
    report: Invoke, composed: list[Any], tmp_path: Path
) -> None:
    first, second = (write_run(tmp_path / name, [right(4, 3)] * 3, name=name) for name in ("a", "b"))
    status, out, err = report(first, second)
    assert (status, out) == (1, "")
    assert err == (
        f"fer3d: the runs lie in 2 folders, {tmp_path / 'a'} and {tmp_path / 'b'} among them: say with --out where "
        "their report goes\n"
    )
    assert report(first, second, "--out", tmp_path / "both")[0] == 0


def test_errors_are_one_sentence_before_anything_is_written(report: Invoke, tmp_path: Path) -> None:
    run = write_run(tmp_path, [right(4, 3)] * 3, only=[1, 3])
    whole = write_run(tmp_path, [right(4, 3)] * 3, name="whole")
    for arguments, message in (
        ((tmp_path / "nowhere",), "nowhere is not a run folder"),
        ((run,), "lacks 1 of 3 folds: 2. Train them"),
        ((whole, whole), "is the same run"),
        ((whole, "--clips", tmp_path / "nowhere"), "nowhere is not a folder; --clips"),
    ):
        status, out, err = report(*arguments)
        assert (status, out) == (1, "")
        assert err.startswith("fer3d: ")
        assert message in err
        assert len(err.splitlines()) == 1
    assert not list(tmp_path.rglob("report"))


def test_a_place_that_cannot_be_written_to_is_an_error_before_any_figure(
    report: Invoke, composed: list[Any], tmp_path: Path
) -> None:
    run = write_run(tmp_path, [right(4, 3)] * 3)
    (tmp_path / "file").touch()
    status, _, err = report(run, "--out", tmp_path / "file" / "report")
    assert (status, composed) == (1, [])
    assert str(tmp_path / "file" / "report") in err
    assert "Not a directory" in err


def test_shows_what_training_leaves(
    report: Invoke, compose_tiny: Compose, make_store: MakeStore, tmp_path: Path
) -> None:
    run = Run.of(compose_tiny("cv.inner_val=0.5"), make_store())
    results = run.train()
    correct = sum(int(fold.num_correct[-1]) for fold in results)
    status, out, err = report(run.folder, "--clips", tmp_path / "stores")
    assert (status, err) == (0, "")
    page = run.folder / "report"
    html = (page / "report.html").read_text()
    assert out == f"report: {page / 'report.html'} ({len(html.encode()) / 1e6:.1f} MB)\n"
    assert f"{correct} of 28 SYNTHETIC held-out clips" in html
    assert html.count("<img ") >= len(list((page / "figures").glob("*.png"))) > 3
    kinds = {path.name.split("-test-")[0] for path in (page / "figures").glob("*.svg")}
    drawn = {"architecture", "confusion-last-epoch", "curves", "missed", "subjects", "reliability"}
    assert kinds == {"epoch-protocols.svg"} | drawn - ({"missed"} if correct == 28 else set())
    # A report in its folder does not get in the run's way.
    assert len(run.train()) == 2


def test_the_paper_comes_when_asked_for_and_where_it_has_something_to_say(report: Invoke, tmp_path: Path) -> None:
    folds = [right(4, 3)] * 3
    run = write_run(tmp_path, folds)
    assert report(run, "--paper")[0] == report(run, "--out", tmp_path / "plain")[0] == 0
    with_paper, plain = ((where / "report.html").read_text() for where in (run / "report", tmp_path / "plain"))
    assert "beside the paper</h1>" in with_paper
    assert "paper-settings" not in plain
    status, out, err = report(write_run(tmp_path, folds, name="own", corpus="videos", synthetic=False), "--paper")
    assert (status, out, len(err.splitlines())) == (1, "", 1)
    assert all(word in err for word in ("--paper", "your own videos", "CK+", "Oulu-CASIA"))
    assert not list(tmp_path.glob("own-*/report"))


def test_folds_may_be_missing_and_faces_left_out(report: Invoke, composed: list[Any], tmp_path: Path) -> None:
    run = write_run(tmp_path, [right(4, 3)] * 3, only=[1, 3])
    assert report(run, "--partial")[0] == report(run, "--partial", "--no-clips")[0] == 0
    assert [faces for _, faces in composed] == [True, False]
    assert composed[0][0][0].run.missing == (2,)


def test_the_clip_store_is_found_beside_the_run_or_where_it_is_said_to_be(
    report: Invoke, composed: list[Any], tmp_path: Path
) -> None:
    draft = write_run(tmp_path / "draft", [right(4, 3)] * 3)
    outputs, elsewhere = tmp_path / "outputs", tmp_path / "elsewhere"
    store = write_store(draft, outputs / "clips" / "right")
    write_store(draft, outputs / "clips" / "another", size=8)
    (outputs / "clips" / "damaged").mkdir()
    run = write_run(outputs, [right(4, 3)] * 3, clip_store=store.digest)
    report(run)
    shutil.move(outputs / "clips", elsewhere)
    report(run)
    report(run, "--clips", elsewhere)
    report(run, "--clips", elsewhere / "right")
    report(run, "--clips", elsewhere / "another")
    stores = [runs[0].store for runs, _ in composed]
    assert [one.digest if one else None for one in stores] == [store.digest, None, store.digest, store.digest, None]


@pytest.fixture
def composed_studies(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, bool]]:
    """Lets the command write a page without figures, and keeps which study it was to be made of."""
    asked: list[tuple[str, bool]] = []

    def compose(record: StudyRecord, plots: tuple[PlotSection, ...], *, own_database: bool) -> Page:
        asked.append((record.name, own_database))
        return Page("a page", (), (), ())

    monkeypatch.setattr(study_report_module, "compose_study_page", compose)
    return asked


def test_the_report_of_a_search_lies_in_its_folder(
    report: Invoke, composed_studies: list[tuple[str, bool]], tmp_path: Path
) -> None:
    study = write_study(tmp_path / "outputs", [FakeTrial("complete", [1] * 10)], name="a-search")
    assert report("--study", study) == (0, f"report: {study}/report/report.html (0.0 MB)\n", "")
    assert report("--study", study, "--out", tmp_path / "x")[1] == f"report: {tmp_path}/x/report.html (0.0 MB)\n"
    database = ("--storage", f"sqlite:///{study / 'study.db'}")
    status, out, err = report("--study", "a-search", *database, "--out", tmp_path / "y")
    assert (status, out, err) == (0, f"report: {tmp_path}/y/report.html (0.0 MB)\n", "")
    assert composed_studies == [("a-search", False), ("a-search", False), ("a-search", True)]


def test_a_search_that_is_not_there_is_one_sentence(
    report: Invoke, composed_studies: list[tuple[str, bool]], tmp_path: Path
) -> None:
    study = write_study(tmp_path, [], name="a-search")
    for arguments, facts in (
        ((tmp_path / "nowhere",), (str(tmp_path / "nowhere"), "study.db", "outputs/search/NAME")),
        (("another", "--storage", f"sqlite:///{study / 'study.db'}"), ("another", "a-search")),
    ):
        status, out, err = report("--study", *arguments)
        assert (status, out, len(err.splitlines())) == (1, "", 1)
        assert all(fact in err for fact in facts)
    assert composed_studies == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "give the folders of runs, or a search with --study outputs/search/NAME"),
        (["run", "--study", "study"], "give folders of runs or --study, not both"),
        (["run", "--storage", "sqlite:///study.db"], "--storage is the database of a search: name it with --study"),
        (["--study", "study", "--partial"], "do not go with --study"),
        (["--study", "study", "--clips", "clips"], "do not go with --study"),
        (["--study", "study", "--paper"], "do not go with --study"),
    ],
)
def test_runs_and_searches_do_not_mix(report: Invoke, arguments: list[str], message: str) -> None:
    status, out, err = report(*arguments)
    assert (status, out) == (2, "")
    assert message in err
