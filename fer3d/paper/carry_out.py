"""Carries out a plan: prepares the corpora, trains what is missing, then evaluates, compares and reports."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from fer3d.atomic_file import write_file
from fer3d.clips.store import ClipStore
from fer3d.configuration import compose_train
from fer3d.evaluation.comparison import compare_runs, comparison_json
from fer3d.evaluation.comparison_tables import comparison_tables
from fer3d.evaluation.effects import Effects
from fer3d.evaluation.entries import entries_of
from fer3d.evaluation.evaluation import Evaluation
from fer3d.evaluation.evaluation_files import write_evaluation
from fer3d.evaluation.evaluation_tables import measures_table
from fer3d.evaluation.ranking import rank_entries, rankings_json
from fer3d.evaluation.ranking_tables import costs_table, pairs_table, standings_table
from fer3d.evaluation.run_results import RunResults
from fer3d.evaluation.tables import json_text
from fer3d.overrides import override
from fer3d.paper.ablation import Importances
from fer3d.paper.fold_jobs import FoldJobs, fold_jobs
from fer3d.paper.plan import VIDEOS, Plan, Step
from fer3d.paper.sections import PaperWing
from fer3d.reporting.effects_sections import EffectsWing
from fer3d.reporting.report import make_report
from fer3d.settings import SettingsError, checked
from fer3d.training.checkpoint import CHECKPOINT_NAME
from fer3d.training.prepare import prepare
from fer3d.training.results import fold_folder
from fer3d.training.run import Run

_logger = logging.getLogger(__name__)


def carry_out(plan: Plan, *, overrides: Sequence[str] = (), num_jobs: int | None = None) -> Path:
    """Carries out a plan, skips finished steps, and logs its progress.

    Args:
        plan: What to do.
        overrides: Settings for all runs, as on the command line of `fer3d.train`; Hydra's choose the launcher.
        num_jobs: Number of jobs at once; see `fold_jobs`.

    Returns:
        The report's path.

    Raises:
        HydraException, SettingsError: A setting does not exist or is wrong; found out before any work.
        CorpusError: A corpus cannot be read.
        FoldJobError: A job that trained folds was lost, such as by a kill.
        DivergedError: A fold's training loss is no longer finite.
        StudyError, EvaluationError: The plan's study does not exist or has no importances; found out before any work.
    """
    settings = [override("outputs", str(plan.outputs)), "progress=false", *overrides]
    common = [setting for setting in settings if not setting.lstrip("+").startswith(("hydra.", "hydra/"))]
    importances = Importances.read(plan.study) if plan.study else None
    _check(plan, common, overrides)
    with fold_jobs(settings, num_jobs) as jobs:
        folders = _train(plan, common, jobs)
    evaluated = {step.run: folders[step.run] for step in plan.steps if step.is_evaluated}
    with _stage("evaluate"):
        runs = {name: _evaluate(folder) for name, folder in evaluated.items()}
    with _stage("compare"):
        for first, second in plan.comparisons:
            _compare(runs[first], runs[second], plan.outputs / "comparisons" / f"{first}-{second}.json")
        if plan.is_ranking:
            _rank(list(runs.values()), plan.outputs / "comparisons" / "ranking.json")
        effects = tuple(Effects.of(title, changes, list(runs.values())) for title, changes in plan.changes.items())
        beside = [importances.beside(effects[0])] if importances else []
        for table in (*(each.table() for each in effects), *beside):
            table.print()
        if effects:
            write_file(plan.outputs / "comparisons" / "effects.json", json_text([each.numbers for each in effects]))
    with _stage("report"):
        wing = PaperWing() if plan.of_paper else EffectsWing(effects, beside) if effects else None
        return make_report([run.folder for run in runs.values()], into=plan.outputs / plan.report, wing=wing)


def _check(plan: Plan, common: Sequence[str], overrides: Sequence[str]) -> None:
    """Checks all settings, and that none for all runs makes two of them the same."""
    names: dict[str, str] = {}
    for step in plan.steps:
        config: Any = OmegaConf.to_container(checked(compose_train(_overrides(step, common))))
        told = {key: value for key, value in config.items() if key not in ("name", "configuration")}
        same = names.setdefault(json.dumps(told, sort_keys=True), step.run)
        if same != step.run:
            raise SettingsError(
                f"{same} and {step.run} would be the same run with {' '.join(overrides)}, since the plan sets that "
                "itself to tell them apart: leave it out"
            )


def _train(plan: Plan, common: Sequence[str], jobs: FoldJobs) -> Mapping[str, Path]:
    # Prepare all corpora first, so that an unreadable one fails at once and not after hours of training.
    stores: dict[str, ClipStore] = {}
    for step in plan.steps:
        if step.corpus not in stores:
            if step.corpus == VIDEOS and plan.own_videos is not None:
                with _stage("make own videos"):
                    plan.own_videos.make()
            stores[step.corpus] = _prepare(step, common)
    folders: dict[str, Path] = {}
    for step in plan.steps:
        settings = _overrides(step, common)
        if step.starts_from is not None:
            settings.append(override("start_from", str(fold_folder(folders[step.starts_from], 1) / CHECKPOINT_NAME)))
        with _stage(f"train {step.run}"):
            folders[step.run] = _train_run(settings, stores[step.corpus], jobs)
    return folders


def _prepare(step: Step, common: Sequence[str]) -> ClipStore:
    with _stage(f"prepare {step.corpus}"):
        preparation = prepare(compose_train(_overrides(step, common)))
        if preparation.built:
            preparation.report.print()
        return preparation.store


def _train_run(settings: Sequence[str], store: ClipStore, jobs: FoldJobs) -> Path:
    run = Run.of(compose_train(settings), store)
    unfinished = run.unfinished
    if not unfinished:
        _logger.info("run %s: all %d folds are done already", run.folder, len(run.folds))
        return run.folder
    run.check(unfinished)
    run.announce(unfinished)
    for count, result in enumerate(jobs.train(settings, unfinished), start=1):
        _logger.info("%d/%d %s", count, len(unfinished), result.summary())
    return run.folder


def _overrides(step: Step, common: Sequence[str]) -> list[str]:
    return [*step.settings, *common]


def _evaluate(folder: Path) -> RunResults:
    run = RunResults.read(folder)
    evaluation = Evaluation.of(run)
    write_evaluation(evaluation)
    measures_table(evaluation).print()
    return run


def _compare(first: RunResults, second: RunResults, path: Path) -> None:
    comparisons = compare_runs(first, second)
    for table in comparison_tables(comparisons):
        table.print()
    write_file(path, json_text(comparison_json(comparisons)))


def _rank(runs: Sequence[RunResults], path: Path) -> None:
    entries = entries_of(runs)
    rankings = rank_entries(entries)
    costs_table(entries, rankings[0].caution).print()
    for ranking in rankings:
        for table in (standings_table(ranking), pairs_table(ranking)):
            table.print()
        _logger.info("%s\n", ranking.sentence)
    write_file(path, json_text(rankings_json(rankings)))


@contextmanager
def _stage(name: str) -> Iterator[None]:
    _logger.info("== %s", name)
    started = time.perf_counter()
    yield
    _logger.info("== %s: %.0f s", name, time.perf_counter() - started)
