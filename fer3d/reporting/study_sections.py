"""The parts of a study's page: what its best trial reached, its figures and tables, and how the search was set up."""

from __future__ import annotations

from collections import Counter
from typing import Any

from fer3d.reporting.study_settings import read_settings
from omegaconf import OmegaConf

from fer3d.clips.independence import NOT_INDEPENDENT, SEEN_BEFORE
from fer3d.evaluation.run_results import name_cross_validation
from fer3d.evaluation.tables import percent
from fer3d.reporting.page import DataTable, Facts, Folded, Headline, Part, Prose, Section
from fer3d.reporting.runs import CORPUS_TITLES
from fer3d.reporting.sections import duration_text, independence_text
from fer3d.reporting.study_tables import Effort, best_table, failures_table, folds_table, saved_table, trial_score
from fer3d.search.records import StudyRecord

# What the page tells elsewhere.
_TOLD = ("pruning", "protocol")


def study_banners(record: StudyRecord) -> tuple[str, ...]:
    """What a reader must know before any number."""
    said = []
    if record.synthetic:
        said.append(
            "SYNTHETIC data: every trial was measured on rendered faces. Such numbers say whether the pipeline works, "
            "not how well a network reads real faces."
        )
    if not record.independence.holds:
        said.append(f"{NOT_INDEPENDENT}: {record.independence.sentence}. {SEEN_BEFORE}")
    if record.best is not None:
        said.append(
            f"CHOSEN BY A SEARCH: trial {record.best.number} did best of all that were tried on these very folds, "
            "which makes its accuracy optimistic. A nested search (cv=nested) says what such a choice is worth."
        )
    if record.protocol.optimistic:
        said.append(
            f"OPTIMISTIC: every accuracy here, that of each trial and the threshold it is held to, goes by the "
            f"{record.protocol.title}: held-out clips chose the epoch, too."
        )
    num_running = sum(trial.state == "running" for trial in record.trials)
    if num_running:
        said.append(
            f"UNFINISHED: {_counted(num_running, 'trial')} of {len(record.trials)} had not ended when this page was "
            "made. The search may still go on."
        )
    return tuple(said)


def study_headline(record: StudyRecord) -> Headline:
    """The best trial in one sentence; or that there is none, and why that may be."""
    states = Counter(trial.state for trial in record.trials)
    counts = ", ".join(f"{states[state]} {state}" for state in ("complete", "pruned", "failed", "running"))
    best = record.best
    if best is None:
        hint = " The pruning threshold may be out of reach." if states["pruned"] else ""
        sentence = f"No trial is complete ({counts}), so that there is no best one.{hint}"
        return Headline(label=record.name, accuracy="-", sentence=sentence, caution=record.caution)
    score = trial_score(record, best)
    low, high = map(percent, score.interval())
    kind = f"{record.independence.mark}{'SYNTHETIC ' if record.synthetic else ''}held-out clips"
    return Headline(
        label=f"{record.name}, trial {best.number}",
        accuracy=percent(score.accuracy),
        sentence=(
            f"{score.num_correct} of {score.num_clips} {kind} of {_corpus(record)} are right under "
            f"{_cross_validation(record)} cross-validation, {record.protocol.title} (95% Wilson interval {low} to "
            f"{high}): the best of {_counted(len(record.trials), 'trial')} ({counts}), chosen on these very folds, "
            "which is optimistic."
        ),
        caution=record.caution,
    )


def best_section(record: StudyRecord) -> Section:
    """The best trials, and which folds they find hard."""
    parts: tuple[Part, ...] = (Prose("There are none: no trial is complete."),)
    if record.best is not None:
        folds = folds_table(record)
        parts = (
            DataTable(best_table(record, read_settings(record))),
            DataTable(folds) if folds.rows else Prose("None of their held-out clips is wrong in any fold."),
        )
    return Section("best", "The best trials", parts, caution=record.caution)


def saved_section(record: StudyRecord) -> Section:
    """What ending trials early saved."""
    pruned = Effort.of([trial for trial in record.trials if trial.state == "pruned"], record.num_folds)
    everything = Effort.of(record.trials, record.num_folds)
    said = (
        f"Pruning spared {pruned.num_rest} of {everything.num_all} fold trainings "
        f"({percent(pruned.num_rest / everything.num_all)})."
        if pruned.num_trials
        else "No trial was pruned, so that nothing was saved."
    )
    return Section("saved", "What pruning saved", (Prose(said), DataTable(saved_table(record))), caution=record.caution)


def failures_section(record: StudyRecord) -> Section | None:
    """The trials that failed and why; None if none did."""
    table = failures_table(record)
    return Section("failed", "Trials that failed", (DataTable(table),), caution=record.caution) if table.rows else None


def setup_section(record: StudyRecord, *, own_database: bool) -> Section:
    """How the search was set up, and how to train what it found.

    Args:
        record: The study.
        own_database: Whether the study is kept in another database than the file in its folder.
    """
    rest = {key: value for key, value in record.settings.items() if key not in _TOLD}
    return Section(
        "setup",
        "How it was searched",
        (
            Facts(tuple(_facts(record, own_database=own_database))),
            Section("space", "What was searched", (Facts(tuple(record.space.items())),)),
            Folded("Settings that all trials share", OmegaConf.to_yaml(OmegaConf.create(rest))),
        ),
    )


def _facts(record: StudyRecord, *, own_database: bool) -> list[tuple[str, str]]:
    began = [trial.started for trial in record.trials if trial.started is not None]
    ended = [trial.finished for trial in record.trials if trial.finished is not None]
    startup = f", the first {record.num_startup_trials} trials at random" if record.num_startup_trials else ""
    kind = "SYNTHETIC clips" if record.synthetic else "clips"
    where = f"{record.name} study_storage=URL" if own_database else f"outputs/search/{record.name}"
    facts = [
        ("Study", record.name),
        ("Trials", str(len(record.trials))),
        ("Sampler", f"{record.sampler}{startup}"),
        ("Pruning", _pruning(record)),
        ("Accuracy", f"{record.protocol.title}: {record.protocol.meaning}"),
        ("Corpus", f"{_corpus(record)}: {record.num_clips} held-out {kind}"),
        ("Folds", f"{record.num_folds} ({record.cv}){independence_text(record.fold_kind, record.independence)}"),
        ("Fixed on the command line", ", ".join(record.overrides) or "nothing"),
        ("Training time", duration_text(sum(trial.seconds for trial in record.trials))),
    ]
    if began:
        facts.append(("First trial began", min(began).isoformat(" ", "seconds")))
    if ended:
        facts.append(("Last trial ended", max(ended).isoformat(" ", "seconds")))
    if record.best is not None:
        facts.append(("To train the best trial", f"python -m fer3d.train from_study={where}"))
    return facts


def _pruning(record: StudyRecord) -> str:
    settings: Any = record.settings.get("pruning") or {}
    name = str(settings.get("_target_", "not told")).rpartition(".")[2]
    told = ", ".join(f"{key}={value}" for key, value in settings.items() if key != "_target_")
    return f"{name} ({told})" if told else name


def _corpus(record: StudyRecord) -> str:
    return CORPUS_TITLES.get(record.corpus, record.corpus)


def _cross_validation(record: StudyRecord) -> str:
    return name_cross_validation(record.fold_kind, record.num_folds, record.independence)


def _counted(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"
