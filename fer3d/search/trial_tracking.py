"""Logs trials to Weights & Biases: one run per trial, grouped by study, with its folds as a table."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from optuna.trial import Trial, TrialState

from fer3d.clips.independence import NOT_INDEPENDENT, Independence
from fer3d.search.pruning import Progress
from fer3d.training.tracking import WandbMode, start_wandb_run

if TYPE_CHECKING:
    import wandb

_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class TrialTracker:
    """Logs each trial when it ends.

    A W&B project holds about 10,000 runs, and 800 trials of 118 folds would be 94,400: hence one run per trial. The
    trial's settings are the run's config, so that W&B's parallel coordinates and importances work.

    Attributes:
        study: The study's name, used as the group.
        folder: Local folder of the W&B run files.
        project: The W&B project.
        entity: The W&B user or team; None for the account's default.
        mode: `online`, `offline` or `disabled`.
        config: The settings that all trials share.
        synthetic: Whether the clips are rendered.
        independence: Whether the folds are subject-independent.
    """

    study: str
    folder: Path
    project: str
    entity: str | None
    mode: WandbMode
    config: Mapping[str, Any] = field(default_factory=dict)
    synthetic: bool = False
    independence: Independence = field(default_factory=Independence)

    def log(self, trial: Trial, progress: Progress, state: TrialState, error: str | None) -> None:
        """Logs a trial. A failure of W&B is reported and does not stop the search."""
        try:
            self._log(trial, progress, state, error)
        except Exception as failure:
            _logger.warning("trial %d was not logged to W&B: %s", trial.number, failure)

    def _log(self, trial: Trial, progress: Progress, state: TrialState, error: str | None) -> None:
        name = state.name.lower()
        self.folder.mkdir(parents=True, exist_ok=True)
        run = start_wandb_run(
            project=self.project,
            entity=self.entity,
            mode=self.mode,
            group=self.study,
            job_type="trial",
            name=f"{self.study}/trial_{trial.number:04d}",
            # Reuse the run if the process was killed before the study recorded the end of the trial.
            id=f"{self.study}-{trial.number}",
            resume="allow",
            tags=[
                name,
                *(["synthetic"] if self.synthetic else []),
                *([] if self.independence.holds else [NOT_INDEPENDENT.lower()]),
            ],
            dir=self.folder,
            config={**trial.params, "trial": trial.number, "shared": {**self.config, **self.independence.entries}},
        )
        try:
            _fill(run, progress, state, error)
        finally:
            run.finish(exit_code=1 if state == TrialState.FAIL else 0)


def _fill(run: wandb.Run, progress: Progress, state: TrialState, error: str | None) -> None:
    import wandb

    run.define_metric("attainable_accuracy", step_metric="num_folds")
    table = wandb.Table(columns=["fold", "num_held_out", "num_wrong", "accuracy", "seconds"])
    for count, outcome in enumerate(progress.outcomes, start=1):
        so_far = Progress(progress.outcomes[:count], progress.num_clips, progress.num_folds, progress.protocol)
        run.log({"num_folds": count, "attainable_accuracy": so_far.attainable})
        num_wrong = outcome.num_wrong(progress.protocol)
        table.add_data(
            outcome.fold, outcome.num_held_out, num_wrong, outcome.accuracy(progress.protocol), outcome.seconds
        )
    if progress.outcomes:
        run.log({"folds": table})
    run.summary["state"] = state.name.lower()
    run.summary["num_folds"] = len(progress.outcomes)
    if state == TrialState.COMPLETE:
        run.summary["accuracy"] = progress.attainable
    if error is not None:
        run.summary["error"] = error
