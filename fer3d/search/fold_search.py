"""Search over cross-validations: reads the settings, identifies the study, runs it, and prints the best trial."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any

from hydra._internal.core_plugins.basic_launcher import BasicLauncher
from hydra.errors import ConfigCompositionException
from hydra.plugins.launcher import Launcher
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from optuna.study import Study
from optuna.trial import TrialState

from fer3d.clips.folds import kind_of
from fer3d.search.cross_validation import CrossValidation, CrossValidationSettings
from fer3d.search.session import SETTINGS, run_search
from fer3d.search.space import SearchSpace, SpaceError
from fer3d.search.study_trials import KnownTrials
from fer3d.search.sweeper_settings import SweeperSettings
from fer3d.search.trial_tracking import TrialTracker
from fer3d.settings import checked
from fer3d.training.identity import counted_settings
from fer3d.training.pace import duration, expected_seconds
from fer3d.training.prepare import prepare
from fer3d.training.run import Run
from fer3d.training.tracking import wandb_mode

_logger = logging.getLogger(__name__)
SEARCH_FOLDER = "search"
# Settings that all trials of a study share.
_SHARED = ("cv", "data", "search", "outputs", "name", "fold", "trial", "experiment")

Compose = Callable[[Sequence[str]], DictConfig]


@dataclass(frozen=True)
class FoldSearch:
    """A search whose trials are cross-validated runs.

    Attributes:
        base: The configuration of all trials, without the searched settings.
        base_run: The run of `base`, for its clips and folds.
        space: The search space.
        sweeper: Settings of the sampler and the storage.
        settings: Settings of the cross-validations.
        held: Names of the settings that the search space holds fixed.
    """

    base: DictConfig
    base_run: Run
    space: SearchSpace
    sweeper: SweeperSettings
    settings: CrossValidationSettings
    held: tuple[str, ...]

    @classmethod
    def of(cls, compose: Compose, sweeper: SweeperSettings, arguments: Sequence[str]) -> FoldSearch:
        """Reads the search space, and builds or finds the clip store.

        Args:
            compose: Composes a configuration, Hydra's own part included, from command-line settings.
            sweeper: The sweeper's settings.
            arguments: The command-line settings.

        Raises:
            SpaceError: Nothing is searched, a searched setting does not exist, or all trials must share it.
            ValueError: Another setting is out of range.
        """
        if sweeper.directions not in ((), ("maximize",)):
            raise ValueError(
                f"hydra.sweeper.direction must be maximize, got {list(sweeper.directions)}: the value of a "
                "cross-validation is its accuracy; remove the setting"
            )
        typed = SearchSpace.parse(sweeper.params, arguments)
        search = checked(compose(SearchSpace.parse({}, arguments).fixed)).search
        settings: CrossValidationSettings = instantiate(search)
        space = SearchSpace.parse({**settings.space, **sweeper.params}, arguments)
        base = compose(space.fixed)
        held = tuple(name for name in space.held if name not in typed.held)
        if held and (experiment := OmegaConf.select(base, "hydra.runtime.choices.experiment")):
            raise SpaceError(
                f"experiment={experiment} freezes the settings of a published number, but the search space holds "
                f"{', '.join(held)}: choose search=table1 or search=paper, or set {held[0]} on the command line"
            )
        if base.get("fold") is not None:
            raise SpaceError(f"remove fold={base.fold}: the trials of a search run all folds of cv")
        _check_space(space, compose)
        preparation = prepare(base, checks_parts=False)
        if preparation.built:
            preparation.report.print()
        run = Run.of(base, preparation.store)
        if not any(fold.held_out for fold in run.folds):
            raise ValueError("cv=all_clips has no held-out clips, so trials have no accuracy: choose another cv")
        if settings.protocol.needs_inner_val and not all(fold.inner_val for fold in run.folds):
            name = settings.protocol.name
            raise ValueError(f"search.protocol={name} needs inner validation subjects: set cv.inner_val=0.1")
        return cls(base, run, space, sweeper, settings, held)

    @property
    def name(self) -> str:
        """The study's name; by default a digest of its identity, so that the same command resumes the study."""
        digest = hashlib.sha256(json.dumps(self.identity(), sort_keys=True).encode()).hexdigest()
        return self.sweeper.study_name or f"{self.base.name}-{digest[:8]}"

    @property
    def folder(self) -> Path:
        """The study's folder."""
        return Path(self.base.outputs) / SEARCH_FOLDER / self.name

    @property
    def job_overrides(self) -> list[str]:
        """Settings of every job besides those of its trial."""
        # W&B gets one run per trial, not one per fold.
        return ["progress=false", *(["~logger.wandb"] if "wandb" in self.base.logger else [])]

    def run(self, launcher: Launcher) -> float | None:
        """Searches, and prints the result.

        Returns:
            The best trial's accuracy; None if no trial is complete.

        Raises:
            StudyError: The study cannot be opened or continued, or too many trials failed.
        """
        study = self.search(launcher)
        return study.best_value if self._has_best(study) else None

    def search(self, launcher: Launcher, *, wait_for_others: bool = False) -> Study:
        """Searches, and prints the result.

        Args:
            launcher: Hydra's launcher, which runs the jobs.
            wait_for_others: Whether to wait for the running trials of other processes.

        Raises:
            StudyError: As `run`.
        """
        sizes = {fold.number: len(fold.held_out) for fold in self.base_run.folds}
        kind = f"{self.base_run.independence.mark}{'SYNTHETIC ' if self.base_run.store.synthetic else ''}"
        held = ", ".join(text for text in self.space.fixed if text.partition("=")[0].lstrip("+") in self.held)
        _logger.info(
            f"study {self.folder}: {len(self.space.distributions)} settings"
            f"{held and f' (all with {held})'}, {self.sweeper.num_trials} trials of {len(sizes)} folds, "
            f"{sum(sizes.values())} {kind}held-out clips"
        )
        # Other launchers' jobs may run elsewhere; a study that goes on knows its pace after the first fold.
        if isinstance(launcher, BasicLauncher) and not self.folder.exists():
            self._say_expected_time()
        objective = CrossValidation(
            settings=self.settings,
            sizes=sizes,
            study=self.name,
            corpus=self.base_run.store.corpus,
            folder=self.folder,
            job_overrides=self.job_overrides,
            tracker=self._tracker() if "wandb" in self.base.logger else None,
        )
        study = run_search(
            objective,
            self.space,
            self.sweeper,
            launcher,
            name=self.name,
            folder=self.folder,
            extend=self.sweeper.extend(self.base_run.config),
            attributes=self._attributes(),
            wait_for_others=wait_for_others,
            first=self._base_params() if self.settings.base_first else None,
        )
        self._say(study)
        return study

    def identity(self) -> dict[str, Any]:
        """Everything that the trials of a study share, as plain values."""
        run = self.base_run
        config: Any = OmegaConf.to_container(run.config, resolve=True)
        counted = counted_settings(
            config,
            # Unresolved: `auto` may mean something else on a login node than on a GPU node.
            precision=str(self.base.precision),
            compiled=self.base.compile is True,
            clip_store=run.store.digest,
            start_from=run.start.weights_digest if run.start else None,
        )
        pruning: Any = OmegaConf.to_container(self.base.search.pruning, resolve=True)
        return {
            **counted,
            "space": self.space.written,
            "protocol": self.settings.protocol.name,
            "pruning": pruning,
            "custom_search_space": self.sweeper.custom_search_space,
        }

    def _attributes(self) -> dict[str, Any]:
        store, folds = self.base_run.store, self.base_run.folds
        return {
            SETTINGS: self.identity(),
            "overrides": list(self.space.fixed),
            "protocol": self.settings.protocol.name,
            "threshold": self.settings.pruning.threshold,
            "order": self.settings.order,
            "sampler": str(self.sweeper.sampler["_target_"]).rpartition(".")[2],
            "num_startup_trials": int(self.sweeper.sampler.get("n_startup_trials") or 0),
            "corpus": store.corpus,
            "synthetic": store.synthetic,
            **self.base_run.independence.entries,
            "num_clips": sum(len(fold.held_out) for fold in folds),
            "num_folds": len(folds),
            "cv": str(self.base.cv["_target_"]).rpartition(".")[2],
            "cv_kind": str(kind_of(instantiate(self.base.cv))),
        }

    def _tracker(self) -> TrialTracker:
        wandb = self.base.logger.wandb
        config: Any = OmegaConf.to_container(self.base_run.config, resolve=True)
        return TrialTracker(
            study=self.name,
            folder=self.folder,
            project=wandb.project,
            entity=wandb.entity,
            mode=wandb_mode(wandb.mode),
            config=config,
            synthetic=self.base_run.store.synthetic,
            independence=self.base_run.independence,
        )

    def _base_params(self) -> dict[str, Any]:
        """The searched settings' values in the base configuration, as far as the space contains them."""
        choices, found = self.base.hydra.runtime.choices, {}
        for name, distribution in self.space.distributions.items():
            value = choices[name] if name in choices else OmegaConf.select(self.base, name.lstrip("+"))
            with suppress(ValueError, TypeError):
                if distribution._contains(distribution.to_internal_repr(value)):
                    found[name] = value
        return found

    def _say_expected_time(self) -> None:
        try:
            seconds = expected_seconds(self.base_run)
        except Exception:
            # What fails here fails in the first trial as well, which reports it.
            return
        _logger.info(
            f"a trial takes about {duration(seconds)} here without pruning, at the speed of the settings that the "
            f"search starts from; {self.sweeper.num_trials} trials take {duration(seconds * self.sweeper.num_trials)}"
        )

    def _say(self, study: Study) -> None:
        trials = KnownTrials.of(study).counted
        counts = {state: sum(trial.state == state for trial in trials) for state in TrialState}
        _logger.info(
            f"study {self.folder}: {counts[TrialState.COMPLETE]} trials complete, {counts[TrialState.PRUNED]} pruned, "
            f"{counts[TrialState.FAIL]} failed"
        )
        if not self._has_best(study):
            _logger.info("no trial is complete: search.pruning.threshold may be too high")
            return
        best = study.best_trial
        said = [
            "SYNTHETIC data" if self.base_run.store.synthetic else "",
            self.base_run.independence.caution,
            "DEBUG" if self.base_run.config.num_batches else "",
            self.settings.protocol.title,
        ]
        _logger.info(
            f"best: trial {best.number} with {best.value:.2%} ({', '.join(filter(None, said))}; selected on these same "
            "folds, so optimistic)"
        )
        for setting in self.space.overrides(best.params):
            _logger.info("  %s", setting)

    @staticmethod
    def _has_best(study: Study) -> bool:
        return any(trial.state == TrialState.COMPLETE for trial in study.get_trials(deepcopy=False))


def _check_space(space: SearchSpace, compose: Compose) -> None:
    """Checks that all settings and choices exist, before a trial fails on them."""
    if not space.distributions:
        raise SpaceError("nothing is searched: search.space and hydra.sweeper.params are empty or all fixed")
    for name in space.distributions:
        top = name.lstrip("+").replace("/", ".").split(".")[0]
        if top in _SHARED:
            raise SpaceError(f"{name} cannot be searched: all trials of a study share it")
    for name in space.distributions:
        try:
            compose([*space.fixed, f"{name}={space.examples(name)[0]}"])
        except ConfigCompositionException as error:
            raise SpaceError(
                f"the search space varies {name}, which this configuration lacks: choose the network that the space is "
                f"for, such as model=NAME with search=NAME, or another space ({error})"
            ) from error
    grids = [[f"{name}={text}" for text in space.examples(name)] for name in space.distributions]
    for settings in zip_longest(*grids):
        checked(compose([*space.fixed, *(text or grid[0] for text, grid in zip(settings, grids, strict=True))]))
