"""The report of a search: its page with sections and tables, and the interactive page."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

from markupsafe import Markup
from matplotlib.figure import Figure
from omegaconf import OmegaConf

from fer3d.atomic_file import write_file
from fer3d.clips.independence import NOT_INDEPENDENT, SEEN_BEFORE
from fer3d.evaluation.measures import Score
from fer3d.evaluation.run_results import name_cross_validation, name_folds
from fer3d.evaluation.tables import Table, percent
from fer3d.reporting.page import (
    DataTable,
    Facts,
    Folded,
    Headline,
    Page,
    Part,
    Picture,
    Prose,
    Section,
    draw,
    make_folder,
    slug,
    value_text,
    write_report,
)
from fer3d.reporting.runs import RENDERED, corpus_title
from fer3d.reporting.sections import duration_text, independence_text
from fer3d.reporting.study_figures import (
    figure2,
    figure2_trials,
    fixed_threshold,
    history_figure,
    read_settings,
    study_marks,
)
from fer3d.reporting.study_plots import PlotSection, plot_sections, render_plots
from fer3d.search.outcomes import mistakes
from fer3d.search.records import StudyRecord, TrialRecord

PLOTS_NAME = "study.html"
MAX_BEST = 10  # trials in the tables of the best

_NOTHING = "-"

# Settings that the page shows elsewhere.
_SHOWN = ("pruning", "protocol")


def make_study_report(study: str, *, storage: str | None = None, into: Path | None = None) -> Path:
    """Writes the report of a study and returns its path; the same study gives the same bytes.

    The report is `report.html`, its figures as files, and `study.html` with interactive plots. `study` is the study's
    folder, or its name if `storage` is the URL of its database.

    Raises:
        StudyError: The study does not exist, or was not created by `fer3d.train`.
        EvaluationError: The folder of the report cannot be made.
        OSError: A file cannot be written.
    """
    record = StudyRecord.read(study, storage)
    try:
        folder = into or (Path(study) if storage is None else Path("outputs", "search", record.name)) / "report"
        make_folder(folder)  # before the figures, which take a while
        plots = plot_sections(record)
        write_file(folder / PLOTS_NAME, render_plots(record, plots, study_banners(record)))
        return write_report(compose_study_page(record, plots, own_database=storage is not None), folder)
    finally:
        record.close()


def compose_study_page(record: StudyRecord, plots: tuple[PlotSection, ...], *, own_database: bool = False) -> Page:
    """Puts the page together from a study and the sections of its interactive page.

    `own_database` says that the study is kept in another database than the file in its folder.
    """
    sections = (
        _figure2_section(record),
        _history_section(record),
        _plots_section(plots),
        best_section(record),
        saved_section(record),
        failures_section(record),
        setup_section(record, own_database=own_database),
    )
    marked = tuple(replace(section, caution=study_marks(record)) for section in sections if section)
    return Page(f"fer3d: the search {record.name}", study_banners(record), (study_headline(record),), marked)


def study_banners(record: StudyRecord) -> tuple[str, ...]:
    """Cautions that precede all numbers."""
    said = []
    if record.synthetic:
        said.append(f"SYNTHETIC data: every trial was {RENDERED}")
    if not record.independence.holds:
        said.append(f"{NOT_INDEPENDENT}: {record.independence.sentence}. {SEEN_BEFORE}")
    if record.best is not None:
        said.append(
            f"CHOSEN BY A SEARCH: trial {record.best.number} did best of all trials on these very folds, which makes "
            "its accuracy optimistic. A nested search (cv=nested) measures what such a choice is worth."
        )
    if record.protocol.optimistic:
        said.append(
            f"OPTIMISTIC: every accuracy here, and the threshold that trials are held to, goes by the "
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
    """The best trial in one sentence, or a possible reason why there is none."""
    states = Counter(trial.state for trial in record.trials)
    counts = ", ".join(f"{states[state]} {state}" for state in ("complete", "pruned", "failed", "running"))
    best = record.best
    if best is None:
        hint = " The pruning threshold may be out of reach." if states["pruned"] else ""
        said = f"No trial is complete ({counts}), so there is no best one.{hint}"
        return Headline(record.name, _NOTHING, said, record.caution)
    score = _score(record, best)
    low, high = map(percent, score.interval())
    clips = f"{record.independence.mark}{'SYNTHETIC ' if record.synthetic else ''}held-out clips"
    validation = name_cross_validation(record.fold_kind, record.num_folds, record.independence)
    said = (
        f"{score.num_correct} of {score.num_clips} {clips} of {corpus_title(record.corpus)} are right under "
        f"{validation} cross-validation, {record.protocol.title} (95% Wilson interval {low} to {high}): the best of "
        f"{_counted(len(record.trials), 'trial')} ({counts}), chosen on these very folds, which is optimistic."
    )
    return Headline(f"{record.name}, trial {best.number}", percent(score.accuracy), said, record.caution)


def best_table(record: StudyRecord) -> Table:
    """The best complete trials, with the settings in which they differ."""
    best, names = record.complete[:MAX_BEST], [setting.name for setting in read_settings(record)]
    differing = [name for name in names if len({_setting_text(trial, name) for trial in best}) > 1]
    alike = [
        f"{name}={_setting_text(best[0], name)}" for name in names if name not in differing and name in best[0].params
    ]
    rows = []
    for trial in best:
        score = _score(record, trial)
        accuracy = percent(score.accuracy), " to ".join(map(percent, score.interval())), str(score.num_wrong)
        values = (_setting_text(trial, name) for name in differing)
        rows.append((f"trial {trial.number}", *accuracy, str(len(trial.outcomes)), *values, trial.run or _NOTHING))
    note = (
        f"Accuracy: {record.protocol.title}, with 95% Wilson intervals. These trials were chosen on these very folds, "
        "which no interval accounts for."
    )
    if alike:
        note += f" Alike in {'all of them' if len(best) > 1 else 'it'}: {', '.join(alike)}."
    columns = ("trial", "accuracy", "95% interval", "wrong clips", "folds run", *differing, "run's folder")
    return Table("Best trials", columns, tuple(rows), note, record.caution)


def folds_table(record: StudyRecord) -> Table:
    """Wrong clips of the best complete trials by fold, the hardest folds first; folds without errors are left out."""
    best = record.complete[:MAX_BEST]
    by_trial = {trial.number: mistakes(trial.outcomes, record.protocol) for trial in best}
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


def saved_folds(record: StudyRecord) -> tuple[int, float]:
    """How many folds pruned trials did not train, and the seconds that these would have taken.

    Each would have taken as long as its trial's other folds did on average.
    """
    pruned = [(trial, record.num_folds - len(trial.outcomes)) for trial in record.trials if trial.state == "pruned"]
    seconds = sum(trial.seconds / len(trial.outcomes) * rest for trial, rest in pruned if trial.outcomes)
    return sum(rest for _, rest in pruned), seconds


def saved_table(record: StudyRecord) -> Table:
    """Fold trainings that ran and that pruning saved, by the state of their trials."""
    num_saved, seconds_saved = saved_folds(record)
    rows = []
    for state in ("complete", "pruned", "failed", "running", "all"):
        trials = [trial for trial in record.trials if state in (trial.state, "all")]
        if state == "running" and not trials:
            continue
        num_folds = record.num_folds * len(trials)
        ran = (len(trials), sum(len(trial.outcomes) for trial in trials), num_folds)
        taken = duration_text(sum(trial.seconds for trial in trials))
        saved, share, time_saved = _NOTHING, _NOTHING, _NOTHING
        if state in ("pruned", "all"):
            saved, time_saved = str(num_saved), duration_text(seconds_saved)
            share = percent(num_saved / num_folds) if num_folds else _NOTHING
        rows.append((state, *map(str, ran), saved, share, taken, time_saved))
    columns = (
        "trials", "number", "folds trained", "of all folds", "folds saved", "share saved", "training time",
        "time saved, about",
    )  # fmt: skip
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
    rows = []
    for error, trials in sorted(by_error.items(), key=lambda item: (-len(item[1]), item[1][0].number)):
        num_folds = sum(len(trial.outcomes) for trial in trials)
        rows.append((error, str(len(trials)), str(num_folds), f"trial {name_folds([one.number for one in trials])}"))
    columns = ("error", "number", "folds trained", "which")
    return Table("Failed trials", columns, tuple(rows), caution=record.caution)


def best_section(record: StudyRecord) -> Section:
    """The best trials, and their hardest folds."""
    if record.best is None:
        return Section("best", "The best trials", (Prose("There are none: no trial is complete."),))
    folds = folds_table(record)
    hardest = DataTable(folds) if folds.rows else Prose("None of their held-out clips is wrong in any fold.")
    return Section("best", "The best trials", (DataTable(best_table(record)), hardest))


def saved_section(record: StudyRecord) -> Section:
    """What pruning saved."""
    said = "No trial was pruned, so nothing was saved."
    if any(trial.state == "pruned" for trial in record.trials):
        (num_saved, _), num_folds = saved_folds(record), record.num_folds * len(record.trials)
        said = f"Pruning spared {num_saved} of {num_folds} fold trainings ({percent(num_saved / num_folds)})."
    return Section("saved", "What pruning saved", (Prose(said), DataTable(saved_table(record))))


def failures_section(record: StudyRecord) -> Section | None:
    """The trials that failed and why; None if none did."""
    table = failures_table(record)
    return Section("failed", "Trials that failed", (DataTable(table),)) if table.rows else None


def setup_section(record: StudyRecord, *, own_database: bool) -> Section:
    """The set-up of the search, and the command that trains its best trial, which depends on the study's storage."""
    facts = Facts(tuple(_facts(record, own_database=own_database)))
    space = Section("space", "What was searched", (Facts(tuple(record.space.items())),))
    rest = {key: value for key, value in record.settings.items() if key not in _SHOWN}
    shared = Folded("Settings that all trials share", OmegaConf.to_yaml(OmegaConf.create(rest)))
    return Section("setup", "How it was searched", (facts, space, shared))


def _figure2_section(record: StudyRecord) -> Section:
    trials, threshold = figure2_trials(record), fixed_threshold(record)
    passed = "complete trials" if threshold is None else f"complete trials at or above {percent(threshold)}"
    introduction = Prose(
        "Figure 2 of the paper has a red cross for each configuration above the pruning threshold, of more than 800 "
        "that were tested, with the best ones on the top right; after 600 trials, it says, the sampler begins to "
        f"converge. Here the crosses are {passed}, and the rows below show which choices they made: a row whose "
        "crosses gather in one lane has converged."
    )
    part: Part = Prose(f"Nothing to draw: of {len(record.trials)} trials, none is among the {passed}.")
    if trials:
        best = record.complete[0]
        said = (
            f"{len(trials)} of {len(record.trials)} trials are {passed}; the best is trial {best.number} with "
            f"{percent(best.attainable)}. Accuracy: {record.protocol.title}, chosen on these very folds. Below, the "
            "choice of each of these trials; on the right, how many of them made it."
        )
        figure = figure2(record, read_settings(record), f"{record.name}: {passed}")
        part = _picture(record, "figure-2", said, figure)
    return Section("figure-2", "The paper's Figure 2", (introduction, part))


def _history_section(record: StudyRecord) -> Section:
    if not record.trials:
        return Section("history", "How the search went", (Prose("Nothing to draw: no trial has begun."),))
    states = sorted(Counter(trial.state for trial in record.trials).items())
    best = f"; the best is trial {record.best.number} with {percent(record.best.attainable)}" if record.best else ""
    said = (
        f"{', '.join(f'{number} {state}' for state, number in states)}{best}. Accuracy: {record.protocol.title}. A "
        "pruned trial stands at the accuracy that it could have reached at most when it ended."
    )
    picture = _picture(record, "history", said, history_figure(record, f"{record.name}: accuracy of each trial"))
    return Section("history", "How the search went", (picture,))


def _plots_section(plots: tuple[PlotSection, ...]) -> Section:
    link = Markup('The plots of <code>optuna.visualization</code> are on a page of their own: <a href="{0}">{0}</a>.')
    facts = Facts(tuple((section.title, section.said) for section in plots))
    return Section("plots", "Interactive plots", (Prose(link.format(PLOTS_NAME)), facts))


def _picture(record: StudyRecord, name: str, said: str, figure: Figure) -> Picture:
    return draw(f"{name}-{slug(record.name)}", f"{figure.get_label()}. {said}", said, figure)


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
        ("Corpus", f"{corpus_title(record.corpus)}: {record.num_clips} held-out {kind}"),
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
    name = str(settings.get("_target_", "unknown")).rpartition(".")[2]
    details = ", ".join(f"{key}={value}" for key, value in settings.items() if key != "_target_")
    return f"{name} ({details})" if details else name


def _score(record: StudyRecord, trial: TrialRecord) -> Score:
    """How many held-out clips of a complete trial are right."""
    return Score(round(trial.attainable * record.num_clips), record.num_clips)


def _counted(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _setting_text(trial: TrialRecord, name: str) -> str:
    return value_text(trial.params[name]) if name in trial.params else _NOTHING
