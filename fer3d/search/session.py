"""Runs the search of one process in a study, which can be resumed at any time."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from hydra.plugins.launcher import Launcher
from optuna.study import Study
from optuna.trial import FrozenTrial, Trial, TrialState

from fer3d.search.jobs import make_jobs
from fer3d.search.leases import Leases
from fer3d.search.objective import Objective
from fer3d.search.sampling import SeededSampler
from fer3d.search.search import Search
from fer3d.search.search_progress import SearchProgress
from fer3d.search.space import SearchSpace
from fer3d.search.storage import (
    StudyError,
    bridged_outages,
    database_errors,
    lacking,
    open_storage,
    open_study,
    storage_url,
)
from fer3d.search.sweeper_settings import SweeperSettings
from fer3d.training.identity import differences

# User attribute with the settings of a study, equal for every process and start.
SETTINGS = "settings"
_MAX_NAMED = 5


def run_search(
    objective: Objective,
    space: SearchSpace,
    settings: SweeperSettings,
    launcher: Launcher,
    *,
    name: str,
    folder: Path,
    extend: Callable[[Trial], None] | None = None,
    attributes: Mapping[str, Any] | None = None,
    wait_for_others: bool = False,
    first: Mapping[str, Any] | None = None,
) -> Study:
    """Searches until the study has its number of finished trials.

    Args:
        objective: The objective.
        space: The search space.
        settings: Settings of the sampler and the storage.
        launcher: Hydra's launcher, which runs the jobs.
        name: The study's name.
        folder: The study's folder, with its database unless `settings` name another.
        extend: Adds settings to a trial.
        wait_for_others: Whether to wait for the running trials of other processes.
        first: Settings of the first trial; those that are missing are sampled. None: all are.
        attributes: User attributes of the study; `settings` among them must be the same for every start.

    Raises:
        StudyError: The study cannot be opened, was created with other settings or lacks data of a trial; too many
            trials failed; or the database is unavailable.
    """
    storage = open_storage(storage_url(folder, settings.storage))
    sampler = SeededSampler(settings.sampler, space)
    with database_errors(name, storage.engine):
        study = open_study(name, storage, objective.directions, sampler, objective.pruner())
        trials = study.get_trials(deepcopy=False)
        objective.check(name, trials, tuple(space.distributions))
        for key, value in (attributes or {}).items():
            if key == SETTINGS:
                _check_same(study, trials, value)
            study.set_user_attr(key, value)
    num_trials = min(settings.num_trials, sampler.num_trials or settings.num_trials)
    with (
        database_errors(name, storage.engine),
        Leases(storage.engine, name) as leases,
        SearchProgress(num_trials) as progress,
        bridged_outages(storage.engine, progress.say, leases.forget_silence),
    ):
        search = Search(
            study=study,
            leases=leases,
            space=space,
            objective=objective,
            jobs=make_jobs(launcher, settings.num_at_once),
            num_trials=num_trials,
            num_at_once=settings.num_at_once,
            max_failure_rate=settings.max_failure_rate,
            max_job_retries=settings.max_job_retries,
            retry_failed=settings.retry_failed,
            extend=extend,
            wait_for_others=wait_for_others,
            # A grid has all its points in any case.
            first={} if sampler.num_trials else first or {},
            say=progress.say,
            show=progress.show,
        )
        search.run()
    return study


def _check_same(study: Study, trials: Sequence[FrozenTrial], settings: Mapping[str, Any]) -> None:
    before = study.user_attrs.get(SETTINGS)
    # The user may enqueue trials before the first start.
    if before is None and any(trial.state != TrialState.WAITING for trial in trials):
        raise lacking(study.study_name, "the settings that its trials share")
    if before is None or before == settings:
        return
    changed = [f"{key} was {old}, now {new}" for key, (old, new) in differences(before, settings).items()]
    more = f" and {len(changed) - _MAX_NAMED} more" if len(changed) > _MAX_NAMED else ""
    raise StudyError(
        f"study {study.study_name} was created with other settings: {'; '.join(changed[:_MAX_NAMED])}{more}. Their "
        "trials are not comparable: set another hydra.sweeper.study_name, or none"
    )
