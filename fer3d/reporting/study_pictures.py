"""The figures of a study's page: each with what it shows in words, or a sentence where there is nothing to draw."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

from fer3d.reporting.study_axes import accuracy_threshold
from fer3d.reporting.study_figure2 import figure2, figure2_trials
from fer3d.reporting.study_history import history_figure
from fer3d.reporting.study_importances import importances_figure, read_importances
from fer3d.reporting.study_parallel import parallel_figure
from fer3d.reporting.study_settings import Setting, read_settings, value_text
from fer3d.reporting.study_slices import slices_figure
from fer3d.reporting.study_timeline import timeline_figure
from matplotlib.figure import Figure

from fer3d.evaluation.tables import percent
from fer3d.reporting.page import Part, Picture, Prose, Section, draw, slug
from fer3d.reporting.sections import duration_text
from fer3d.reporting.theme import Theme
from fer3d.search.records import StudyRecord

_NAMED = 3
_NONE_COMPLETE = Prose("Nothing to draw: no trial is complete.")
_NONE_BEGUN = Prose("Nothing to draw: no trial has begun.")


def picture_sections(record: StudyRecord) -> tuple[Section, ...]:
    """All figures of a study, each in a section of its own."""
    settings = read_settings(record)
    parts: tuple[tuple[str, str, tuple[Part, ...]], ...] = (
        ("figure-2", "The paper's Figure 2", _figure2_parts(record, settings)),
        ("history", "How the search went", (_history_part(record),)),
        ("importances", "Which settings mattered", (_importances_part(record, settings),)),
        ("slices", "What each choice led to", (_slices_part(record, settings),)),
        ("parallel", "Which choices went together", (_parallel_part(record, settings),)),
        ("timeline", "When each trial ran", (_timeline_part(record),)),
    )
    return tuple(Section(its_slug, title, its, caution=record.caution) for its_slug, title, its in parts)


def _picture(
    record: StudyRecord, name: str, heading: str, said: str, figure: Callable[[str, Theme], Figure]
) -> Picture:
    marked = f"{record.name} [{record.caution}]" if record.caution else record.name
    title = f"{record.name}: {heading}"
    alt = f"{heading.capitalize()}, of the search {marked}. {said}"
    return draw(f"{name}-{slug(record.name)}", alt, said, lambda theme: figure(title, theme))


def _figure2_parts(record: StudyRecord, settings: Sequence[Setting]) -> tuple[Part, ...]:
    trials, threshold = figure2_trials(record), accuracy_threshold(record)
    passed = "complete trials" if threshold is None else f"complete trials at or above {percent(threshold)}"
    introduction = Prose(
        "Figure 2 of the paper has a red cross for each configuration above the pruning threshold, of more than 800 "
        "that were tested, with the best ones on the top right; after 600 trials, it says, the sampler begins to "
        f"converge. Here the crosses are {passed}, and the rows below show which choices they made, so that a row "
        "whose crosses gather in one lane has converged."
    )
    if record.best is None or not trials:
        return introduction, Prose(f"Nothing to draw: of {len(record.trials)} trials, none is among the {passed}.")
    said = (
        f"{len(trials)} of {len(record.trials)} trials are {passed}; the best is trial {record.best.number} with "
        f"{percent(record.best.attainable)}."
    )
    return introduction, _picture(
        record, "figure-2", passed, said, lambda title, theme: figure2(record, settings, title, theme)
    )


def _history_part(record: StudyRecord) -> Part:
    if not record.trials:
        return _NONE_BEGUN
    states = Counter(trial.state for trial in record.trials)
    best = f"; the best is trial {record.best.number} with {percent(record.best.attainable)}" if record.best else ""
    said = f"{', '.join(f'{number} {state}' for state, number in sorted(states.items()))}{best}."
    return _picture(
        record, "history", "accuracy of each trial", said, lambda title, theme: history_figure(record, title, theme)
    )


def _importances_part(record: StudyRecord, settings: Sequence[Setting]) -> Part:
    found = read_importances(record, settings)
    if isinstance(found, str):
        return Prose(found)
    most = ", ".join(f"{name} ({share:.2f})" for name, share in list(found.shares.items())[:_NAMED])
    return _picture(
        record,
        "importances",
        "importance of each setting",
        f"Most important among the complete trials: {most}.",
        lambda title, theme: importances_figure(found, title, record.caution, theme),
    )


def _slices_part(record: StudyRecord, settings: Sequence[Setting]) -> Part:
    num_drawn = sum(trial.state in ("complete", "pruned") for trial in record.trials)
    if not num_drawn or not settings:
        return Prose("Nothing to draw: no trial is complete or pruned.")
    return _picture(
        record,
        "slices",
        "accuracy by the choice of each setting",
        f"{num_drawn} complete and pruned trials by what they chose for each of {len(settings)} settings.",
        lambda title, theme: slices_figure(record, settings, title, theme),
    )


def _parallel_part(record: StudyRecord, settings: Sequence[Setting]) -> Part:
    best = record.best
    if best is None:
        return _NONE_COMPLETE
    chosen = ", ".join(f"{name}={value_text(value)}" for name, value in best.params.items())
    return _picture(
        record,
        "parallel",
        "choices of complete trials",
        f"{len(record.complete)} complete trials; the best, trial {best.number}: {chosen}.",
        lambda title, theme: parallel_figure(record, settings, title, theme),
    )


def _timeline_part(record: StudyRecord) -> Part:
    moments = [moment for trial in record.trials for moment in (trial.started, trial.finished) if moment is not None]
    if not moments:
        return _NONE_BEGUN
    taken = duration_text((max(moments) - min(moments)).total_seconds())
    trained = duration_text(sum(trial.seconds for trial in record.trials))
    return _picture(
        record,
        "timeline",
        "when each trial ran",
        f"{taken} from the first start to the last end; folds took {trained} to train.",
        lambda title, theme: timeline_figure(record, title, theme),
    )
