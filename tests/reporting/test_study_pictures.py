from __future__ import annotations

import re

import pytest
from fake_studies import FakeTrial, fake_record
from fer3d.reporting.study_pictures import picture_sections

from fer3d.reporting.page import Part, Picture, Prose
from fer3d.search.records import StudyRecord

KINDS = ["figure-2", "history", "importances", "slices", "parallel", "timeline"]
TRIALS = [
    *(
        FakeTrial("complete", [1] * number + [0] * (10 - number), {"optimizer": optimizer, "model.dropout": 0.2})
        for number, optimizer in enumerate(("adam", "adam", "lookahead", "lookahead"))
    ),
    FakeTrial("pruned", [2, 2], {"optimizer": "adam", "model.dropout": 0.9}),
]


def parts(record: StudyRecord) -> dict[str, Part]:
    """The last part of each section, by its slug."""
    return {section.slug: section.parts[-1] for section in picture_sections(record)}


def test_every_figure_is_there_with_what_it_shows_in_words() -> None:
    found = parts(fake_record(TRIALS, threshold=0.9, name="a_search-3f2a"))
    assert list(found) == KINDS
    for kind, part in found.items():
        assert isinstance(part, Picture)
        assert part.name == f"{kind}-a-search-3f2a"
        assert part.caption in part.alt
        assert "of the search a_search-3f2a [SYNTHETIC data]" in part.alt
        for drawn in (part.light, part.dark):
            assert "SYNTHETIC data" in re.findall("<title>(.*?)</title>", drawn)[0]
        assert part.light != part.dark
    captions = {kind: part.caption for kind, part in found.items() if isinstance(part, Picture)}
    assert captions["figure-2"].startswith("3 of 5 trials are complete trials at or above 90.00%; the best is trial 0")
    assert captions["history"] == "4 complete, 1 pruned; the best is trial 0 with 100.00%."
    assert captions["importances"] == "Most important among the complete trials: optimizer (1.00)."
    assert captions["slices"].startswith("5 complete and pruned trials")
    assert captions["parallel"].endswith("the best, trial 0: optimizer=adam, model.dropout=0.2.")
    assert captions["timeline"] == "42 min from the first start to the last end; folds took 42 min to train."


def test_figures_of_real_clips_are_not_called_synthetic() -> None:
    for section in picture_sections(fake_record(TRIALS, synthetic=False)):
        for picture in section.pictures:
            assert "SYNTHETIC" not in picture.alt + picture.light


@pytest.mark.parametrize(
    ("trials", "drawn"),
    [
        ([], set()),
        ([FakeTrial("failed", error="ValueError: no")], {"history", "timeline"}),
        ([FakeTrial("running")], {"history", "timeline"}),
        ([TRIALS[-1]], {"history", "slices", "timeline"}),
        (TRIALS[:1], {"figure-2", "history", "slices", "parallel", "timeline"}),
        ([FakeTrial("complete", [0] * 10)], {"figure-2", "history", "parallel", "timeline"}),
    ],
    ids=["none", "failed", "running", "pruned", "one", "nothing searched"],
)
def test_what_cannot_be_drawn_is_a_sentence(trials: list[FakeTrial], drawn: set[str]) -> None:
    found = parts(fake_record(trials))
    assert {kind for kind, part in found.items() if isinstance(part, Picture)} == drawn
    assert all(isinstance(part, Picture | Prose) for part in found.values())
