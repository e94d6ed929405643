from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from pathlib import Path

import optuna
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from optuna.samplers import RandomSampler
from optuna.study import Study
from optuna.trial import FrozenTrial, Trial, TrialState
from outcome_tables import fold, judged, pooled_accuracy, protocols, thresholds, trials

from fer3d.evaluation.protocols import LAST_EPOCH, EpochProtocol
from fer3d.search import storage
from fer3d.search.outcomes import FoldOutcome
from fer3d.search.pruning import ExactBound, NoPruning, Progress, Pruning, Wilcoxon

NUM_FOLDS = 8


def open_study(pruning: Pruning) -> Study:
    return optuna.create_study(direction="maximize", pruner=pruning.pruner())


def carry_out(
    study: Study,
    pruning: Pruning,
    order: Sequence[FoldOutcome],
    protocol: EpochProtocol = LAST_EPOCH,
    folds_per_job: int = 1,
) -> FrozenTrial:
    """Carries a trial out as a search does."""
    trial = study.ask()
    for progress in judged(order, protocol, folds_per_job):
        if pruning.prunes(trial, progress) and not progress.complete:
            return study.tell(trial, state=TrialState.PRUNED)
    return study.tell(trial, progress.attainable)


def folds(*num_correct: int, of: int = 4) -> list[FoldOutcome]:
    return [fold(number, of, correct) for number, correct in enumerate(num_correct, start=1)]


def again(trial: Trial) -> Trial:
    """The trial as a process sees it that goes on with it."""
    return Trial(trial.study, trial._trial_id)


@settings(max_examples=50)
@given(st.data())
def test_through_optuna_a_trial_is_pruned_only_where_it_ends_below_the_threshold(data: st.DataObject) -> None:
    outcomes, protocol = data.draw(trials(max_folds=7)), data.draw(protocols)
    threshold = data.draw(thresholds(outcomes))
    pruning = ExactBound(threshold)
    study = open_study(pruning)
    final = pooled_accuracy(outcomes, protocol)
    for folds_per_job in (1, 2, 3, 10):
        order = data.draw(st.permutations(outcomes))
        told = carry_out(study, pruning, order, protocol, folds_per_job)
        if told.state == TrialState.PRUNED:
            assert final <= told.value < threshold
        else:
            assert told.value == final


@settings(max_examples=50)
@given(st.lists(trials(max_folds=4), min_size=2, max_size=6), protocols)
def test_best_prunes_no_trial_that_is_as_good_as_the_best(
    of_trials: list[list[FoldOutcome]], protocol: EpochProtocol
) -> None:
    pruning = ExactBound("best")
    study = open_study(pruning)
    best = -1.0
    for outcomes in of_trials:
        final = pooled_accuracy(outcomes, protocol)
        told = carry_out(study, pruning, outcomes, protocol)
        assert final < best if told.state == TrialState.PRUNED else told.value == final
        best = max(best, final)
    assert study.best_value == best


def test_best_goes_by_finished_trials_only() -> None:
    pruning = ExactBound("best")
    study = open_study(pruning)
    for state in (TrialState.PRUNED, TrialState.FAIL):
        trial = study.ask()
        for progress in judged(folds(4, 4, 4), LAST_EPOCH, num_folds=2):
            assert not pruning.prunes(trial, progress)
        study.tell(trial, state=state)
    assert carry_out(study, pruning, folds(0, 0, 2)).value == pytest.approx(1 / 6)
    assert carry_out(study, pruning, folds(0, 0, 2)).state == TrialState.COMPLETE
    assert carry_out(study, pruning, folds(0, 3, 2)).state == TrialState.COMPLETE
    assert carry_out(study, pruning, folds(1, 0, 4)).state == TrialState.COMPLETE
    assert carry_out(study, pruning, folds(0, 0, 4)).state == TrialState.PRUNED


def test_best_counts_a_trial_that_another_process_finished_meanwhile(tmp_path: Path) -> None:
    pruning = ExactBound("best")
    storages = [storage.open_storage(f"sqlite:///{tmp_path / 'study.db'}") for _ in range(2)]
    here, there = (storage.open_study("s", one, ["maximize"], RandomSampler(0), pruning.pruner()) for one in storages)
    trial = here.ask()
    first, second, _ = judged(folds(3, 3, 4), LAST_EPOCH)
    assert not pruning.prunes(trial, first)
    carry_out(there, ExactBound("best"), folds(4, 4, 4))
    assert pruning.prunes(trial, second)
    for opened in storages:
        opened.engine.dispose()


def test_the_bound_ends_a_trial_at_the_first_fold_that_decides() -> None:
    pruning = ExactBound(0.75)
    study = open_study(pruning)
    told = carry_out(study, pruning, folds(3, 2, 3, 4, 4, 4))
    assert told.intermediate_values == {1: 23 / 24, 2: 21 / 24, 3: 20 / 24, 4: 20 / 24, 5: 20 / 24, 6: 20 / 24}
    told = carry_out(study, pruning, folds(0, 2, 3, 4, 4, 4))
    assert (told.state, told.last_step, told.value) == (TrialState.PRUNED, 3, 17 / 24)


def test_a_threshold_that_is_met_exactly_is_met() -> None:
    for num_right in range(1, 100):
        pruning = ExactBound(num_right / 100)
        order = [fold(1, 60, min(num_right, 60)), fold(2, 40, max(num_right - 60, 0))]
        assert carry_out(open_study(pruning), pruning, order).state == TrialState.COMPLETE


@pytest.mark.parametrize("threshold", [-0.1, 1.1, 96.5, math.nan, "worst", None, [0.9], True])
def test_a_threshold_that_is_no_share_is_refused(threshold: object) -> None:
    with pytest.raises(ValueError, match=r"search\.pruning\.threshold must be a share such as 0\.965, or best, got"):
        ExactBound(threshold)


def test_without_pruning_the_worst_trial_runs_all_its_folds() -> None:
    pruning = NoPruning()
    study = open_study(pruning)
    carry_out(study, pruning, folds(4, 4, 4))
    told = carry_out(study, pruning, folds(0, 0, 0))
    assert (told.state, told.value) == (TrialState.COMPLETE, 0)
    assert told.intermediate_values == pytest.approx({1: 2 / 3, 2: 1 / 3, 3: 0})


@pytest.mark.parametrize("pruning", [NoPruning(), ExactBound(0.5), ExactBound("best"), Wilcoxon()])
def test_a_trial_that_goes_on_reports_nothing_twice(pruning: Pruning) -> None:
    study = open_study(pruning)
    carry_out(study, pruning, folds(*[4] * NUM_FOLDS))
    trial = study.ask()
    for progress in judged(folds(*[3] * NUM_FOLDS), LAST_EPOCH, num_folds=3):
        said = pruning.prunes(trial, progress)
        with warnings.catch_warnings():
            # Optuna warns where a step is reported again.
            warnings.simplefilter("error")
            assert pruning.prunes(again(trial), progress) == said
    assert len(study.trials[-1].intermediate_values) == 3


def test_wilcoxon_ends_an_obviously_bad_trial_with_the_mean_over_its_folds() -> None:
    pruning = Wilcoxon()
    study = open_study(pruning)
    assert carry_out(study, pruning, folds(*[4] * NUM_FOLDS)).value == 1
    told = carry_out(study, pruning, folds(1, 0, 1, 2, 1, 1, 0, 1))
    assert told.state == TrialState.PRUNED
    ran = {step: value for step, value in told.intermediate_values.items() if step <= NUM_FOLDS}
    assert 2 <= len(ran) < NUM_FOLDS
    assert told.value == pytest.approx(sum(ran.values()) / len(ran))


def test_wilcoxon_repeats_a_verdict_of_which_optuna_was_not_told() -> None:
    pruning = Wilcoxon()
    study = open_study(pruning)
    carry_out(study, pruning, folds(*[4] * NUM_FOLDS))
    trial = study.ask()
    *_, progress = judged(folds(*[0] * (NUM_FOLDS - 1)), LAST_EPOCH)
    assert pruning.prunes(trial, progress)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert pruning.prunes(again(trial), progress)


def test_wilcoxon_leaves_a_trial_alone_that_is_as_good_as_the_best() -> None:
    pruning = Wilcoxon()
    study = open_study(pruning)
    carry_out(study, pruning, folds(3, 4, 3, 4, 3, 4, 3, 4))
    assert carry_out(study, pruning, folds(4, 3, 4, 3, 4, 3, 4, 4)).state == TrialState.COMPLETE


def test_wilcoxon_compares_folds_by_their_numbers_whatever_their_order() -> None:
    """Each trial is wrong in the same folds, the second one in the opposite order."""
    pruning = Wilcoxon()
    study = open_study(pruning)
    order = folds(0, 0, 0, 0, 4, 4, 4, 4)
    carry_out(study, pruning, order[::-1])
    assert carry_out(study, pruning, order).state == TrialState.COMPLETE


def test_wilcoxon_lets_every_trial_run_its_first_folds() -> None:
    pruning = Wilcoxon(num_startup_folds=6)
    study = open_study(pruning)
    carry_out(study, pruning, folds(*[4] * NUM_FOLDS))
    told = carry_out(study, pruning, folds(*[0] * NUM_FOLDS))
    assert sorted(told.intermediate_values) == [1, 2, 3, 4, 5, 6, NUM_FOLDS + 1]


def test_progress_is_complete_with_all_folds_only() -> None:
    steps = list(judged(folds(4, 2), LAST_EPOCH))
    assert [(progress.complete, progress.attainable) for progress in steps] == [(False, 1.0), (True, 0.75)]
    assert Progress((), 8, 2, LAST_EPOCH).attainable == 1
