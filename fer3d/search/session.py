"""One process's part in a study: opens it, searches, and leaves it so that the next start goes on."""

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

# What a study was made of; the same for every process and every start.
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
) -> Study:
    """Searches until the study has its number of finished trials.

    Args:
        objective: What trials are carried out on.
        space: The search space.
        settings: How to sample, and where the study is kept.
        launcher: What carries out jobs.
        name: The study's name.
        folder: The study's folder, where its database is unless `settings` name another.
        extend: Adds to a trial's settings.
        wait_for_others: Whether to wait for trials that other processes carry out.
        attributes: What the study is to say of itself; `settings` among them may not differ from start to start.

    Raises:
        StudyError: The study cannot be opened, was made of other settings or lacks a part of a trial; too many trials
            failed; or the database is gone.
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
            say=progress.say,
            show=progress.show,
        )
        search.run()
    return study


def _check_same(study: Study, trials: Sequence[FrozenTrial], settings: Mapping[str, Any]) -> None:
    before = study.user_attrs.get(SETTINGS)
    # Trials that wait were enqueued by the user, perhaps before the first start.
    if before is None and any(trial.state != TrialState.WAITING for trial in trials):
        raise lacking(study.study_name, "the settings that its trials share")
    if before is None or before == settings:
        return
    changed = [f"{key} was {old}, now {new}" for key, (old, new) in differences(before, settings).items()]
    more = f" and {len(changed) - _MAX_NAMED} more" if len(changed) > _MAX_NAMED else ""
    raise StudyError(
        f"the study {study.study_name} was made of other settings: {'; '.join(changed[:_MAX_NAMED])}{more}. Its trials "
        "could not be compared: give another hydra.sweeper.study_name, or none"
    )
