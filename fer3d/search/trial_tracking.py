"""Trials on Weights & Biases: one run a trial, grouped by study, with its folds as rows of a table."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import wandb
from optuna.trial import Trial, TrialState

from fer3d.clips.independence import NOT_INDEPENDENT, Independence
from fer3d.search.pruning import Progress
from fer3d.training.tracking import WandbMode, start_wandb_run


@dataclass(frozen=True)
class TrialTracker:
    """Logs each trial when it is over.

    A W&B project takes about 10,000 runs, and 800 trials of 118 folds are 94,400: hence one run a trial. Its settings
    are its config, so that W&B's parallel coordinates and importances work.

    Attributes:
        study: The study's name, which is the group.
        folder: Where W&B keeps what is not uploaded.
        project: The W&B project.
        entity: The W&B user or team; None: the account's default.
        mode: `online`, `offline` or `disabled`.
        config: What all trials share, the searched settings aside.
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
        """Logs a trial; where W&B cannot be reached, says so and lets the search go on."""
        try:
            self._log(trial, progress, state, error)
        except Exception as failure:
            print(f"fer3d: trial {trial.number} is not on W&B: {failure}", file=sys.stderr, flush=True)

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
            # The same run if the process is killed before the study knows of the end.
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
