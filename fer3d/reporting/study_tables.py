"""What a study's page shows in rows: its best trials, their folds, what pruning saved, and what failed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from fer3d.evaluation.measures import Score
from fer3d.evaluation.run_results import name_folds
from fer3d.evaluation.tables import Table, percent
from fer3d.reporting.sections import duration_text
from fer3d.reporting.study_figures import read_settings, value_text
from fer3d.search.outcomes import mistakes
from fer3d.search.records import State, StudyRecord, TrialRecord

MAX_BEST = 10

_NOTHING = "-"


@dataclass(frozen=True)
class Effort:
    """The fold trainings of some trials.

    Attributes:
        num_trials: Number of trials.
        num_run: How many of their folds were trained.
        num_all: How many folds they have.
        seconds: How long the training took.
        seconds_of_rest: How long the other folds would have taken, each as long as its trial's folds did on average.
    """

    num_trials: int
    num_run: int
    num_all: int
    seconds: float
    seconds_of_rest: float

    @classmethod
    def of(cls, trials: Sequence[TrialRecord], num_folds: int) -> Effort:
        """Counts the fold trainings of trials with so many folds each."""
        return cls(
            num_trials=len(trials),
            num_run=sum(len(trial.outcomes) for trial in trials),
            num_all=num_folds * len(trials),
            seconds=sum(trial.seconds for trial in trials),
            seconds_of_rest=sum(
                trial.seconds / len(trial.outcomes) * (num_folds - len(trial.outcomes))
                for trial in trials
                if trial.outcomes
            ),
        )

    @property
    def num_rest(self) -> int:
        """How many folds were not trained."""
        return self.num_all - self.num_run


def trial_score(record: StudyRecord, trial: TrialRecord) -> Score:
    """How many held-out clips of a complete trial are right."""
    return Score(round(trial.attainable * record.num_clips), record.num_clips)


def fold_mistakes(record: StudyRecord, trial: TrialRecord) -> dict[int, int]:
    """How many clips of each fold of a trial are wrong at the epoch that counts."""
    return mistakes(trial.outcomes, record.protocol)


def best_table(record: StudyRecord) -> Table:
    """The best complete trials, with the settings in which they differ."""
    best, settings = record.complete[:MAX_BEST], read_settings(record)
    differing = [setting.name for setting in settings if len({_setting_text(t, setting.name) for t in best}) > 1]
    alike = [
        f"{setting.name}={_setting_text(best[0], setting.name)}"
        for setting in settings
        if setting.name not in differing and setting.name in best[0].params
    ]
    rows = []
    for trial in best:
        score = trial_score(record, trial)
        low, high = map(percent, score.interval())
        rows.append(
            (
                f"trial {trial.number}",
                percent(score.accuracy),
                f"{low} to {high}",
                str(score.num_wrong),
                str(len(trial.outcomes)),
                *(_setting_text(trial, name) for name in differing),
                trial.run or _NOTHING,
            )
        )
    note = (
        f"Accuracy: {record.protocol.title}, with 95% Wilson intervals. These trials were chosen on these very folds, "
        "which no interval accounts for."
    )
    if alike:
        note += f" Alike in {'all of them' if len(best) > 1 else 'it'}: {', '.join(alike)}."
    columns = ("trial", "accuracy", "95% interval", "wrong clips", "folds run", *differing, "run's folder")
    return Table("Best trials", columns, tuple(rows), note=note, caution=record.caution)


def folds_table(record: StudyRecord) -> Table:
    """Wrong clips of the best complete trials by fold, those with most of them first; none of folds without any."""
    best = record.complete[:MAX_BEST]
    by_trial = {trial.number: fold_mistakes(record, trial) for trial in best}
    sizes = {outcome.fold: outcome.num_held_out for trial in best for outcome in trial.outcomes}
    totals = {fold: sum(its.get(fold, 0) for its in by_trial.values()) for fold in sizes}
    wrong = sorted((fold for fold in sizes if totals[fold]), key=lambda fold: (-totals[fold], fold))
    right = sorted(set(sizes) - set(wrong))
    rows = tuple(
        (f"fold {fold}", *(f"{its[fold]}/{sizes[fold]}" if fold in its else _NOTHING for its in by_trial.values()))
        for fold in wrong
    )
    note = "Wrong of the held-out clips."
    if right:
        note += f" All clips of the other folds are right: {name_folds(right)}."
    columns = ("fold", *(f"trial {trial.number}" for trial in best))
    return Table("Folds of the best trials", columns, rows, note=note, caution=record.caution)


def saved_table(record: StudyRecord) -> Table:
    """Fold trainings that ran, and those that pruning saved, by how trials ended."""
    efforts: dict[State, Effort] = {
        state: Effort.of([trial for trial in record.trials if trial.state == state], record.num_folds)
        for state in ("complete", "pruned", "failed", "running")
    }
    if not efforts["running"].num_trials:
        del efforts["running"]
    saved = efforts["pruned"]
    rows = [_effort_row(state, effort, saved if state == "pruned" else None) for state, effort in efforts.items()]
    rows.append(_effort_row("all", Effort.of(record.trials, record.num_folds), saved))
    columns = (
        "trials",
        "number",
        "folds trained",
        "of all folds",
        "folds saved",
        "share saved",
        "training time",
        "time saved, about",
    )
    note = (
        "Only pruned trials saved anything: of a trial that failed or has not ended, folds are missing for another "
        "reason. Time saved is arithmetic on what ran, not a measurement: for each pruned trial, the mean seconds of "
        "its own folds times the number of folds that it did not run."
    )
    return Table("What pruning saved", columns, tuple(rows), note=note, caution=record.caution)


def failures_table(record: StudyRecord) -> Table:
    """The errors by which trials failed, each with its trials; the most frequent first."""
    by_error: dict[str, list[TrialRecord]] = {}
    for trial in record.trials:
        if trial.state == "failed":
            by_error.setdefault(" ".join((trial.error or "no message").split()), []).append(trial)
    ordered = sorted(by_error.items(), key=lambda item: (-len(item[1]), item[1][0].number))
    rows = tuple(
        (
            error,
            str(len(trials)),
            str(sum(len(trial.outcomes) for trial in trials)),
            f"trial {name_folds([trial.number for trial in trials])}",
        )
        for error, trials in ordered
    )
    return Table("Failed trials", ("error", "number", "folds trained", "which"), rows, caution=record.caution)


def _effort_row(name: str, effort: Effort, saved: Effort | None) -> tuple[str, ...]:
    share = percent(saved.num_rest / effort.num_all) if saved and effort.num_all else _NOTHING
    return (
        name,
        str(effort.num_trials),
        str(effort.num_run),
        str(effort.num_all),
        str(saved.num_rest) if saved else _NOTHING,
        share,
        duration_text(effort.seconds),
        duration_text(saved.seconds_of_rest) if saved else _NOTHING,
    )


def _setting_text(trial: TrialRecord, name: str) -> str:
    return value_text(trial.params[name]) if name in trial.params else _NOTHING
