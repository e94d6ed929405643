from __future__ import annotations

import pytest
from fake_studies import FakeTrial, fake_record
from fer3d.reporting.study_sections import (
    best_section,
    failures_section,
    saved_section,
    setup_section,
    study_banners,
    study_headline,
)

from fer3d.clips.independence import Independence
from fer3d.evaluation.measures import Score
from fer3d.reporting.page import DataTable, Facts, Folded, Prose, Section
from fer3d.search.records import StudyRecord

COMPLETE = FakeTrial("complete", [0] * 8 + [1] * 2, {"optimizer": "adam"})
PRUNED = FakeTrial("pruned", [1] * 4, {"optimizer": "adam"})


def facts(record: StudyRecord, *, own_database: bool = False) -> dict[str, str]:
    (first, *_) = setup_section(record, own_database=own_database).parts
    assert isinstance(first, Facts)
    return dict(first.pairs)


def test_banners_say_what_makes_the_numbers_better_than_they_are() -> None:
    synthetic, chosen, optimistic, unfinished = study_banners(
        fake_record([COMPLETE, FakeTrial("running", [1])], protocol="best_epoch")
    )
    assert synthetic.startswith("SYNTHETIC data: every trial was measured on rendered faces.")
    assert chosen.startswith("CHOSEN BY A SEARCH: trial 0 did best of all that were tried on these very folds")
    assert "optimistic" in chosen
    assert optimistic.startswith("OPTIMISTIC: every accuracy here")
    assert "best epoch of each fold (optimistic): held-out clips chose the epoch, too" in optimistic
    assert unfinished.startswith("UNFINISHED: 1 trial of 2 had not ended")


def test_banners_say_nothing_that_is_not_so() -> None:
    assert study_banners(fake_record([PRUNED], synthetic=False)) == ()
    (chosen,) = study_banners(fake_record([COMPLETE], synthetic=False))
    assert chosen.startswith("CHOSEN")


def test_the_headline_is_the_best_trial_and_how_it_was_chosen() -> None:
    headline = study_headline(fake_record([PRUNED, COMPLETE]))
    low, high = Score(26, 28).interval()
    assert (headline.label, headline.accuracy, headline.caution) == ("fake, trial 1", "92.86%", "SYNTHETIC data")
    assert headline.sentence == (
        "26 of 28 SYNTHETIC held-out clips of the synthetic twin of CK+ are right under 10-fold cross-validation, last "
        f"epoch (95% Wilson interval {low:.2%} to {high:.2%}): the best of 2 trials (1 complete, 1 pruned, 0 failed, 0 "
        "running), chosen on these very folds, which is optimistic."
    )
    real = study_headline(fake_record([COMPLETE], corpus="ckplus", synthetic=False, overrides=["cv=loso"]))
    assert "26 of 28 held-out clips of CK+ are right under LOSO cross-validation" in real.sentence


def test_the_headline_says_where_no_trial_is_complete() -> None:
    headline = study_headline(fake_record([PRUNED]))
    assert headline.accuracy == "-"
    assert headline.sentence.startswith("No trial is complete (0 complete, 1 pruned")
    assert headline.sentence.endswith("The pruning threshold may be out of reach.")
    assert "threshold" not in study_headline(fake_record([])).sentence


def test_best_trials_and_their_folds_are_tables() -> None:
    parts = best_section(fake_record([COMPLETE])).parts
    assert [part.table.title for part in parts if isinstance(part, DataTable)] == [
        "Best trials",
        "Folds of the best trials",
    ]
    perfect = best_section(fake_record([FakeTrial("complete", [0] * 10)])).parts
    assert perfect[-1] == Prose("None of their held-out clips is wrong in any fold.")
    assert best_section(fake_record([PRUNED])).parts == (Prose("There are none: no trial is complete."),)


def test_what_pruning_saved_is_said_in_a_sentence() -> None:
    first, _ = saved_section(fake_record([COMPLETE, PRUNED])).parts
    assert first == Prose("Pruning spared 6 of 20 fold trainings (30.00%).")
    first, _ = saved_section(fake_record([COMPLETE])).parts
    assert first == Prose("No trial was pruned, so that nothing was saved.")


def test_failures_have_a_section_where_there_are_any() -> None:
    assert failures_section(fake_record([COMPLETE])) is None
    section = failures_section(fake_record([FakeTrial("failed", error="ValueError: no")]))
    assert section is not None
    assert section.caution == "SYNTHETIC data"


def test_says_how_it_was_searched() -> None:
    record = fake_record([COMPLETE, PRUNED], threshold=0.8, num_startup_trials=10)
    assert facts(record) == {
        "Study": "fake",
        "Trials": "2",
        "Sampler": "TPESampler, the first 10 trials at random",
        "Pruning": "ExactBound (threshold=0.8)",
        "Accuracy": "last epoch: the last epoch, fixed in advance: held-out clips choose nothing",
        "Corpus": "the synthetic twin of CK+: 28 held-out SYNTHETIC clips",
        "Folds": "10 (step_folds)",
        "Fixed on the command line": "cv=kfold10",
        "Training time": "14 min",
        "First trial began": "2026-11-23 08:00:00",
        "Last trial ended": "2026-11-23 08:14:00",
        "To train the best trial": "python -m fer3d.train from_study=outputs/search/fake",
    }
    _, space, settings = setup_section(record, own_database=False).parts
    assert isinstance(space, Section)
    assert isinstance(space.parts[0], Facts)
    assert dict(space.parts[0].pairs)["model.dropout"] == "interval(0, 1)"
    assert isinstance(settings, Folded)
    assert "batch_size: 16" in settings.text


def test_a_study_in_another_database_is_trained_from_there() -> None:
    command = facts(fake_record([COMPLETE]), own_database=True)["To train the best trial"]
    assert command == "python -m fer3d.train from_study=fake study_storage=URL"


def test_tells_nothing_of_what_there_is_not() -> None:
    told = facts(fake_record([], threshold=None, num_startup_trials=0, overrides=[]))
    assert told["Pruning"] == "NoPruning"
    assert told["Sampler"] == "TPESampler"
    assert told["Fixed on the command line"] == "nothing"
    assert not {"First trial began", "Last trial ended", "To train the best trial"} & set(told)


@pytest.mark.parametrize(
    ("independence", "why"),
    [
        (Independence(num_shared=3), "3 subjects are on both sides of a fold"),
        (Independence(subjects_known=False), "the subjects are unknown"),
    ],
)
def test_a_study_that_is_not_subject_independent_says_so_everywhere(independence: Independence, why: str) -> None:
    record = fake_record(
        [COMPLETE, PRUNED, FakeTrial("failed", error="ValueError: no")], synthetic=False, independence=independence
    )
    assert record.caution == "NOT SUBJECT-INDEPENDENT"
    banner = study_banners(record)[0]
    assert banner.startswith(f"NOT SUBJECT-INDEPENDENT: {why}")
    headline = study_headline(record)
    assert headline.caution == "NOT SUBJECT-INDEPENDENT"
    assert "26 of 28 NOT SUBJECT-INDEPENDENT held-out clips" in headline.sentence
    sections = [best_section(record), saved_section(record), failures_section(record)]
    assert {section.caution for section in sections if section} == {"NOT SUBJECT-INDEPENDENT"}
    tables = [part.table for section in sections if section for part in section.parts if isinstance(part, DataTable)]
    assert {table.caution for table in tables} == {"NOT SUBJECT-INDEPENDENT"}
    assert facts(record)["Folds"].startswith(f"10 (step_folds); NOT SUBJECT-INDEPENDENT: {why}")


def test_given_folds_of_a_study_say_which_they_are() -> None:
    record = fake_record([COMPLETE], synthetic=False, overrides=["cv=given"], independence=Independence())
    assert facts(record)["Folds"] == "10 (given_folds); subject-independent: no subject is on both sides of a fold"
    assert "under given 10-fold cross-validation" in study_headline(record).sentence
    assert "NOT" not in "".join(study_banners(record))
