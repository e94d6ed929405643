"""What the page says of three runs: c1 and c2 on synthetic clips, c2 on real ones without its last two folds."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
from chromium import OUTSIDE, PHONE, PICTURES, SCROLL_WIDTH, WIDE, Browser, Visit, problems
from fake_runs import right, write_run
from reported import Reported
from test_page import Tags

from fer3d.clips.independence import Independence
from fer3d.evaluation.protocols import LAST_EPOCH
from fer3d.evaluation.run_results import EvaluationError
from fer3d.reporting import report, sections
from fer3d.reporting.page import DataTable, Facts, Folded, Part, Picture, Prose, Section, render
from fer3d.reporting.report import compose_page, make_report
from fer3d.reporting.runs import ReportRun, joint_caution, read_runs
from fer3d.reporting.sections import headline, provenance_section
from fer3d.training.checkpoint import EXTERNAL_CAUTION


def parts_of(section: Section) -> Iterator[tuple[Part, Section]]:
    """All parts with the section that they stand in."""
    for part in section.parts:
        yield part, section
        if isinstance(part, Section):
            yield from parts_of(part)


def with_info(one: ReportRun, **info: Any) -> ReportRun:
    """The run with other entries in its results."""
    folds = tuple(replace(fold, info={**fold.info, **info}) for fold in one.run.folds)
    return replace(one, evaluation=replace(one.evaluation, run=replace(one.run, folds=folds)))


def provenance(one: ReportRun) -> dict[str, str]:
    (facts, *_) = provenance_section([one]).sections[0].parts
    assert isinstance(facts, Facts)
    return dict(facts.pairs)


def section(reported: Reported, slug: str) -> Section:
    (found,) = (one for one in reported.page.sections if one.slug == slug)
    return found


def test_a_headline_is_the_honest_number_with_the_optimistic_one_beside_it(reported: Reported) -> None:
    c1, _, oulu = reported.page.headlines
    assert (c1.label, c1.accuracy, c1.caution) == ("ckplus_kfold10", "83.33%", "SYNTHETIC data")
    facts = ("50 of 60 SYNTHETIC held-out", "last epoch", "10-fold", "71.97% to 90.69%", "best epoch gives 100.00%")
    assert all(fact in c1.sentence for fact in (*facts, "optimistic"))
    assert oulu.accuracy == "66.67%"
    assert oulu.sentence.startswith("64 of 96 held-out clips of Oulu-CASIA")
    assert oulu.caution == "PARTIAL: 2 of 10 folds missing"


def test_banners_name_what_is_synthetic_and_what_is_partial(reported: Reported) -> None:
    synthetic, partial = reported.page.banners
    assert synthetic.startswith("SYNTHETIC data: ckplus_kfold10, ckplus_kfold10_c2 were measured on rendered faces.")
    assert partial.startswith("PARTIAL: oulu_kfold10 lacks 2 of 10 folds (9, 10).")


def test_every_number_from_synthetic_clips_is_called_so(reported: Reported) -> None:
    seen = 0
    for top in reported.page.sections:
        for part, _ in parts_of(top):
            if isinstance(part, DataTable):
                for number, row in enumerate(part.table.rows):
                    if "ckplus_kfold10" in row[0]:
                        seen += 1
                        assert part.cautions[number] == "SYNTHETIC data"
                        assert "SYNTHETIC data" in part.table.caution
    assert seen == 2
    for one in reported.runs[:2]:
        own = [part for part, _ in parts_of(section(reported, "runs")) if isinstance(part, Section)]
        (mine,) = (part for part in own if part.title == one.label)
        assert mine.caution == "SYNTHETIC data"
        tables = [part for part, _ in parts_of(mine) if isinstance(part, DataTable)]
        assert {part.table.caution for part in tables} == {"SYNTHETIC data"}


def test_every_figure_with_synthetic_numbers_says_so_in_words_and_in_the_drawing(reported: Reported) -> None:
    slugs = {one.slug for one in reported.runs if one.run.synthetic}
    synthetic, others = [], []
    for picture in reported.page.pictures:
        named = any(picture.name.endswith(slug) for slug in slugs) and not picture.name.startswith("architecture")
        (synthetic if named or picture.name == "epoch-protocols" else others).append(picture)
    kinds = {picture.name.split("-ckplus")[0] for picture in synthetic}
    assert kinds == {"epoch-protocols", "confusion-last-epoch", "curves", "subjects", "reliability", "missed"}
    for picture in synthetic:
        assert "SYNTHETIC data" in picture.alt
        assert "SYNTHETIC data" in re.findall("<title>(.*?)</title>", picture.svg)[0]
    for picture in others:
        assert "SYNTHETIC" not in picture.svg + picture.alt


def test_a_matrix_beside_another_has_its_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[tuple[list[str], list[int]]] = []
    monkeypatch.setattr(sections, "draw", lambda *_: None)

    def confusion_figure(counts: Any, emotions: Sequence[str], *_: Any, **__: Any) -> None:
        drawn.append((list(emotions), counts.sum(1).tolist()))

    monkeypatch.setattr(sections.figures, "confusion_figure", confusion_figure)
    (one,) = read_runs([write_run(tmp_path, [right(4, 3)] * 3, cv="loso")])
    order = [*sorted(set(one.run.emotions) - {"contempt"}), "contempt"]
    sections.confusion_picture(one, LAST_EPOCH)
    sections.confusion_picture(one, LAST_EPOCH, order)
    (own, num_clips), (others, moved) = drawn
    assert own == list(one.run.emotions) != others == order
    assert dict(zip(own, num_clips, strict=True)) == dict(zip(others, moved, strict=True))
    assert len(set(num_clips)) > 1


def test_networks_are_drawn_as_configured_each_once(reported: Reported) -> None:
    pictures = list(section(reported, "settings").pictures)
    assert [picture.name for picture in pictures] == [f"architecture-{one.slug}" for one in reported.runs]
    assert ["Max pool" in picture.alt for picture in pictures] == [False, True, False]
    # The size of clips is that of the clip store where it is found, else the configured one.
    captions = [picture.caption for picture in pictures]
    sizes = ("1 x 10 x 32 x 32", "3 x 10 x 112 x 112", "3 x 10 x 112 x 112")
    assert [size in caption for size, caption in zip(sizes, captions, strict=True)] == [True] * 3


def test_missed_clips_are_shown_where_the_clip_store_is_found(reported: Reported) -> None:
    names = [picture.name for picture in reported.page.pictures]
    assert [name for name in names if name.startswith("missed")] == [f"missed-{reported.runs[0].slug}"]
    said = [part.text for part, _ in parts_of(section(reported, "runs")) if isinstance(part, Prose)]
    assert sum("clip store that the run was trained on (digest cccccccc) was not found" in text for text in said) == 2


@pytest.mark.parametrize("inner_val", [None, 0.6])
def test_the_calibration_error_is_told_before_and_after_scaling(tmp_path: Path, inner_val: float | None) -> None:
    (one,) = read_runs([write_run(tmp_path, 0.6, inner_val=inner_val)])
    picture = sections.reliability_picture(one)
    outcome = one.evaluation.under(LAST_EPOCH)
    low, high = outcome.calibration.ece_if_calibrated
    assert all(f"{share:.2%}" in picture.caption for share in (outcome.calibration.ece, low, high))
    assert "SYNTHETIC data" in picture.alt
    scaled = f"{outcome.scaled.ece:.2%}" if outcome.scaled else "temperature"
    assert (scaled in picture.caption) == (inner_val is not None)


@pytest.mark.parametrize(
    ("corpus", "said"),
    [
        ("ckplus", "The licence of CK+ restricts publishing these images."),
        ("videos", "look at the terms of your own videos before you publish their images."),
    ],
)
def test_real_faces_come_with_a_word_on_their_licence(
    reported: Reported, corpus: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sections, "draw", lambda name, alt, caption, _: Picture(name, alt, caption, "", b"", (1, 1)))
    one = reported.runs[0]
    assert "publish" not in sections.missed_part(one, faces=True).caption  # type: ignore[union-attr]
    real = with_info(one, synthetic=False, corpus=corpus)
    caption = sections.missed_part(real, faces=True).caption  # type: ignore[union-attr]
    assert caption.endswith(said)


def test_curves_that_are_not_there_are_a_sentence_without_this_machines_folders(reported: Reported) -> None:
    part = sections.curves_part(reported.runs[1])
    assert isinstance(part, Prose)
    assert part.text.startswith("No learning curves: ckplus_kfold10_c2/fold_001/metrics.csv")
    assert str(reported.folders[1].parent) not in render(reported.page)


@pytest.mark.parametrize(
    "model",
    [
        {"_target_": "their_own.Network"},
        {"_target_": "os.getcwd"},
        {"_target_": "torch.nn.init.os.getcwd"},
        {"_target_": "torch.nn.Sequential", "_args_": [{"_target_": "pathlib.Path.touch", "self": "x"}]},
    ],
)
def test_a_report_runs_no_code_that_a_result_names(reported: Reported, model: dict[str, Any]) -> None:
    one = reported.runs[0]
    theirs = with_info(one, config={**one.run.config, "model": model})
    part = sections.architecture_part(theirs, "Their network")
    assert isinstance(part, Prose)
    assert part.text.startswith("Their network cannot be drawn here: ")


def test_says_how_each_run_was_made(reported: Reported) -> None:
    facts, configuration = section(reported, "provenance").sections[0].parts
    assert isinstance(facts, Facts)
    told = dict(facts.pairs)
    assert told["Digest"] == reported.runs[0].run.digest
    assert told["Folds"] == "10 (step_folds), 6 held-out clips each"
    assert told["Training time"] == "15 s"
    assert told["Finished"] == "2026-11-23T08:00:00+00:00"
    assert told["Versions"] == "fer3d 0.1.0; python 3.11.2; torch 2.13.0"
    assert (told["Seed"], told["Device"], told["Starts from"]) == ("0", "cpu, 32-true", "scratch")
    assert isinstance(configuration, Folded)
    assert "dropout: 0.2511" in configuration.text
    assert "logger" not in configuration.text
    assert provenance(reported.runs[2])["Folds"] == "8 of 10 (step_folds), 12 held-out clips each"


def test_a_transfer_says_where_it_started(reported: Reported) -> None:
    origin = {"corpus": "synthetic_oulu", "synthetic": True, "digest": "d" * 64, "fold": 1, "weights": "a" * 64}
    told = provenance(with_info(reported.runs[0], start_from=origin))["Starts from"]
    assert told.endswith("SYNTHETIC clips of synthetic_oulu (run dddddddd, fold 1, weights aaaaaaaa)")


def test_weights_from_outside_come_with_a_caution(reported: Reported) -> None:
    origin = {"file": "r3d_18.pth", "weights": "a" * 64, "subjects": None, "caution": EXTERNAL_CAUTION}
    origin |= {"num_loaded": 3, "num_not_in_file": 2}
    told = provenance(with_info(reported.runs[0], start_from=origin))["Starts from"]
    assert told == f"r3d_18.pth from outside fer3d (weights aaaaaaaa; 3 of the network's 5 tensors); {EXTERNAL_CAUTION}"
    later = {"corpus": "oulu", "synthetic": False, "digest": "d" * 64, "fold": 1, "weights": "b" * 64}
    later |= {"external_weights": "r3d_18.pth", "caution": EXTERNAL_CAUTION}
    told = provenance(with_info(reported.runs[0], start_from=later))["Starts from"]
    assert told.endswith(f"which started from r3d_18.pth from outside fer3d; {EXTERNAL_CAUTION}")


def test_runs_of_one_name_are_told_apart(tmp_path: Path) -> None:
    folders = [
        write_run(tmp_path, [right(4, 2)] * 3, name=name, seed=seed) for name, seed in (("a", 0), ("a", 1), ("b", 0))
    ]
    labels = [one.label for one in read_runs(folders)]
    assert labels == [folders[0].name, folders[1].name, "b"]


@pytest.mark.parametrize("copied", [False, True])
def test_the_same_run_twice_is_refused(copied: bool, tmp_path: Path) -> None:
    first = write_run(tmp_path, [right(4, 2)] * 3)
    second = write_run(tmp_path / "copy", [right(4, 2)] * 3) if copied else first
    with pytest.raises(EvaluationError, match=f"{first}.* is the same run .* twice: give each run once"):
        read_runs([first, second])


def test_the_caution_of_several_runs_says_how_many(reported: Reported) -> None:
    c1, c2, oulu = reported.runs
    assert joint_caution([c1, c2]) == "SYNTHETIC data"
    assert joint_caution([c1, c2, oulu]) == "SYNTHETIC data in 2 of 3 runs, PARTIAL in 1 of 3 runs"
    assert joint_caution([oulu]) == "PARTIAL: 2 of 10 folds missing"
    assert joint_caution([]) == ""


def test_a_run_without_mistakes_or_equals_makes_a_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sections, "draw", lambda name, alt, caption, figure: Prose(alt))
    (one,) = read_runs([write_run(tmp_path, [right(4, 4)] * 3, name="perfect", corpus="ckplus", synthetic=False)])
    page = compose_page([one])
    assert [part.slug for part in page.sections] == ["epoch-protocols", "settings", "runs", "provenance"]
    assert page.banners == ()
    assert headline(one).sentence.startswith("12 of 12 held-out clips of CK+ are right")
    html = render(page)
    assert "SYNTHETIC" not in html
    assert "No clip was taken for another emotion." in html


@pytest.mark.parametrize(
    ("independence", "why"),
    [
        (Independence(num_shared=2), "2 subjects are on both sides of a fold"),
        (Independence(subjects_known=False), "the subjects are unknown"),
    ],
)
def test_a_run_that_is_not_subject_independent_says_so_over_everything(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, independence: Independence, why: str
) -> None:
    drawn: dict[str, str] = {}
    monkeypatch.setattr(sections, "draw", lambda name, alt, caption, figure: drawn.update({name: alt}) or Prose(alt))
    settings = {"corpus": "ckplus", "synthetic": False, "name": "seen", "cv": "given", "independence": independence}
    (one,) = read_runs([write_run(tmp_path, [right(4, 3)] * 3, **settings)])
    page = compose_page([one])
    (banner,) = page.banners
    assert banner.startswith(f"NOT SUBJECT-INDEPENDENT: in seen, {why}")
    assert headline(one).caution == "NOT SUBJECT-INDEPENDENT"
    assert "NOT SUBJECT-INDEPENDENT held-out clips of CK+ are right" in headline(one).sentence
    parts = [part for top in page.sections for part, _ in parts_of(top)]
    tables = [part.table for part in parts if isinstance(part, DataTable) and part.table.title != "Settings"]
    assert {"Measures", "Recall of each emotion"} <= {table.title for table in tables}
    own = [table for table in tables if table.title in ("Measures", "Recall of each emotion", "Hardest subjects")]
    assert {table.caution for table in own} == {"NOT SUBJECT-INDEPENDENT"}
    results = {name: alt for name, alt in drawn.items() if not name.startswith("architecture")}
    assert results
    assert all("NOT SUBJECT-INDEPENDENT" in alt for alt in results.values())
    assert any(name.startswith("subjects") for name in drawn) == independence.subjects_known
    assert f"NOT SUBJECT-INDEPENDENT: {why}" in provenance(one)["Folds"]
    assert all("NOT SUBJECT-INDEPENDENT" in heading for heading in (page.title, *(s.caution for s in page.sections)))
    assert "NOT SUBJECT-INDEPENDENT" in render(page)


def test_given_folds_say_that_they_are_subject_independent_where_they_are(tmp_path: Path) -> None:
    settings = {"corpus": "ckplus", "synthetic": False, "cv": "given", "independence": Independence()}
    (one,) = read_runs([write_run(tmp_path, [right(4, 3)], **settings)])
    assert provenance(one)["Folds"].endswith("subject-independent: no subject is on both sides of a fold")
    assert one.run.caution == ""


def test_the_caution_of_several_runs_counts_those_that_are_not_subject_independent(tmp_path: Path) -> None:
    folds = [right(4, 3)] * 3
    leaky = write_run(tmp_path, folds, name="one", independence=Independence(num_shared=1))
    runs = read_runs([leaky, write_run(tmp_path, folds, name="other")])
    assert joint_caution(runs) == "SYNTHETIC data, NOT SUBJECT-INDEPENDENT in 1 of 2 runs"


def test_the_page_needs_nothing_else(reported: Reported) -> None:
    tags = Tags(reported.html)
    addresses = [
        value for _, attributes in tags.found for key, value in attributes.items() if key in {"src", "srcset", "href"}
    ]
    assert len(addresses) > 30
    assert [address for address in addresses if not str(address).startswith(("data:image/", "#"))] == []
    assert not re.search(r"@import|<script|<link|<iframe", reported.html)
    asked = (unquote(str(address)) for address in addresses if str(address).startswith("data:image/svg+xml,"))
    assert not any(re.search(r"url\((?!#)|(?<!xmlns:)\bhref=.(?!#|data:)", picture) for picture in asked)
    (policy,) = (meta for meta in tags.all("meta") if meta.get("http-equiv") == "Content-Security-Policy")
    assert str(policy["content"]).startswith("default-src 'none'; img-src data:")


def test_every_link_leads_somewhere_and_every_address_is_one_of_a_kind(reported: Reported) -> None:
    tags = Tags(reported.html)
    ids = [attributes["id"] for _, attributes in tags.found if "id" in attributes]
    assert len(ids) == len(set(ids))
    links = [str(link["href"]).removeprefix("#") for link in tags.all("a")]
    assert links
    assert set(links) <= set(ids)


def test_every_picture_says_what_it_shows_and_lies_beside_the_page(reported: Reported) -> None:
    pictures = reported.page.pictures
    tags = Tags(reported.html)
    told = {image["alt"] for image in tags.all("img")} | {figure.get("aria-label") for figure in tags.all("figure")}
    assert all(image["alt"] for image in tags.all("img"))
    assert {picture.alt for picture in pictures} <= told
    assert all(len(picture.alt) > 40 and min(picture.size) > 100 for picture in pictures)
    figures = reported.path.parent / "figures"
    names = {f"{picture.name}.{ending}" for picture in pictures for ending in ("png", "svg")}
    assert {path.name for path in figures.iterdir()} == names
    for picture in pictures:
        assert (figures / f"{picture.name}.svg").read_text() == picture.svg
        assert (figures / f"{picture.name}.png").read_bytes()[:4] == b"\x89PNG"


@pytest.mark.slow
def test_the_same_runs_give_the_same_bytes(reported: Reported, tmp_path: Path) -> None:
    one, other = (make_report(reported.folders[1:2], into=tmp_path / name).parent for name in ("one", "other"))
    files = [path.relative_to(one) for path in one.rglob("*") if path.is_file()]
    assert len(files) > 8
    assert [path for path in files if (one / path).read_bytes() != (other / path).read_bytes()] == []


FILTERS = """[...new Set([...document.querySelectorAll(".drawing")].map(image => getComputedStyle(image).filter))]"""
# Where the first column of numbers of each table of measures ends.
FIRST_NUMBERS = """[...document.querySelectorAll("table")].filter(table => table.innerText.includes("macro F1")).map(
    table => table.rows[1].cells[1].getBoundingClientRect().right)"""
BACKGROUNDS = """[document.body, ...document.querySelectorAll(".banner, .ours td, nav")].map(
    element => getComputedStyle(element).backgroundColor)"""
COLUMNS = """["nav", "main"].map(name => document.querySelector(name).getBoundingClientRect().left)"""


@dataclass(frozen=True)
class Shown:
    """What the scripts found on a page."""

    visit: Visit
    scroll_width: int
    pictures: list[bool]
    first_numbers: list[float]
    outside: list[str]
    columns: list[float]
    backgrounds: list[str]
    filters: list[str]


@pytest.fixture(scope="module")
def shown(browser: Browser, reported: Reported) -> Callable[..., Shown]:
    """Shows the page in a way, once."""
    scripts = (SCROLL_WIDTH, PICTURES, FIRST_NUMBERS, OUTSIDE, COLUMNS, BACKGROUNDS, FILTERS)

    @cache
    def show(width: int, dark: bool, media: str = "screen") -> Shown:
        visit = browser.visit(reported.path, *scripts, width=width, dark=dark, media=media)
        return Shown(visit, *visit.values)

    return show


@pytest.mark.parametrize(("width", "dark"), [(PHONE, True), (WIDE, False)])
def test_the_page_loads_whole_and_quietly(
    width: int, dark: bool, shown: Callable[..., Shown], reported: Reported
) -> None:
    found = shown(width, dark)
    assert problems(found.visit, reported.path) == []
    assert found.scroll_width <= width
    assert len(found.pictures) >= len(reported.page.pictures)
    assert all(found.pictures)
    assert len(found.first_numbers) == len(reported.runs)
    assert max(found.first_numbers) < width
    assert width > PHONE or found.outside == []


def test_dark_is_dark_with_figures_inverted(shown: Callable[..., Shown]) -> None:
    light, dark, paper = shown(WIDE, False), shown(PHONE, True), shown(PHONE, True, "print")
    assert light.backgrounds[0] == "rgb(255, 255, 255)"
    for colours, is_dark in ((light.backgrounds, False), (dark.backgrounds, True)):
        channels = {int(channel) for colour in colours for channel in re.findall(r"\d+", colour)}
        assert (max(channels) < 70) == is_dark
        assert (min(channels) > 200) == (not is_dark)
    assert (light.filters, dark.filters) == (["none"], ["invert(1) hue-rotate(180deg)"])
    # Paper is white, whatever the screen is.
    assert (paper.backgrounds, paper.filters) == (light.backgrounds, light.filters)


def test_contents_stand_beside_the_page_where_there_is_room(shown: Callable[..., Shown]) -> None:
    beside, above = shown(WIDE, False).columns, shown(PHONE, True).columns
    assert beside[1] > beside[0] + 200
    assert above[0] == above[1]


HEAD = '<!doctype html><meta name="viewport" content="width=device-width, initial-scale=1"><title>x</title>'


@pytest.mark.parametrize(
    ("body", "complaint"),
    [
        ("<script>console.error('oh')</script>", "oh"),
        ("<script>console.warn('hm')</script>", "hm"),
        ("<script>nowhere()</script>", "nowhere is not defined"),
        ("<img src='missing.png'>", "ERR_FILE_NOT_FOUND"),
        ("<img src='https://example.com/picture.png'>", "https://example.com/picture.png"),
        ("<style>@import 'https://example.com/style.css';</style>", "https://example.com/style.css"),
    ],
)
def test_these_tests_would_notice_a_complaint(body: str, complaint: str, browser: Browser, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    page.write_text(HEAD + body)
    assert any(complaint in problem for problem in problems(browser.visit(page), page))


def test_many_runs_are_shown_together_and_each_by_itself_elsewhere(
    reported: Reported, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(report, "MAX_RUNS", len(reported.runs) - 1)
    page = compose_page(reported.runs)
    assert not page.headlines
    assert page.banners == reported.page.banners
    assert {one.slug for one in reported.page.sections} - {one.slug for one in page.sections} == {"epoch-protocols"}
    (told,) = (one for one in page.sections if one.slug == "runs")
    _, table = told.parts
    assert isinstance(table, DataTable)
    accuracies = {row[0]: row[1] for row in table.table.rows}
    assert accuracies == {headline(one).label: headline(one).accuracy for one in reported.runs}
    assert f"fer3d report {reported.runs[0].run.folder}" in render(page)
