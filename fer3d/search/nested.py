"""Nested cross-validation of a search: its choice, tested on subjects that the search never saw."""

from __future__ import annotations

import hashlib
import json
import logging
import shlex
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from hydra.plugins.launcher import Launcher
from hydra.utils import instantiate
from omegaconf import DictConfig

from fer3d.atomic_folder import atomic_folder
from fer3d.clips.folds import FoldKind, kind_of
from fer3d.overrides import override
from fer3d.search.cross_validation import job_folder
from fer3d.search.faults import Blame, fault_of
from fer3d.search.fold_search import SEARCH_FOLDER, Compose, FoldSearch
from fer3d.search.jobs import Job, JobsInTurn
from fer3d.search.records import StudyRecord, TrialRecord
from fer3d.search.space import SearchSpace
from fer3d.search.storage import StudyError
from fer3d.search.sweeper_settings import SweeperSettings
from fer3d.settings import checked
from fer3d.training.results import FoldResult, fold_folder, read_result, write_result

_logger = logging.getLogger(__name__)
# Selects the outer folds, on which the best trials are tested.
OUTER = "cv.inner=null"


def is_nested(base: DictConfig) -> bool:
    """Whether a configuration asks for a nested cross-validation.

    Raises:
        SettingsError: A setting does not exist, or is of another kind.
    """
    return kind_of(instantiate(checked(base).cv)) is FoldKind.NESTED


@dataclass(frozen=True)
class NestedSearch:
    """One search for each outer fold, on its training subjects, and a test of the best trial on the held-out ones.

    The results form a run, `outputs/search/<name>/nested-<digest>`, which can be evaluated and reported like any other.
    An outer fold's held-out clips never reach its search: they are in none of its folds, and so influence neither
    pruning nor the fold order.

    Attributes:
        compose: Composes a configuration from command-line settings.
        sweeper: The sweeper's settings, shared by all searches.
        arguments: The settings of the command line.
        outer: A search on the outer folds, for their clips, the space and the shared settings; it never runs.
    """

    compose: Compose
    sweeper: SweeperSettings
    arguments: tuple[str, ...]
    outer: FoldSearch

    @classmethod
    def of(cls, compose: Compose, sweeper: SweeperSettings, arguments: Sequence[str]) -> NestedSearch:
        """Makes the search on the outer folds.

        Raises:
            SpaceError, ValueError: As `FoldSearch.of`.
        """
        return cls(compose, sweeper, tuple(arguments), FoldSearch.of(compose, sweeper, [*arguments, OUTER]))

    @property
    def name(self) -> str:
        """The common prefix of its studies' names."""
        return self.outer.name

    @property
    def folder(self) -> Path:
        """The folder of its studies and of the nested run."""
        return Path(self.outer.base.outputs) / SEARCH_FOLDER / self.name

    @property
    def digest(self) -> str:
        """SHA-256 of everything that changes the nested run's numbers."""
        counted = {
            **self.outer.identity(),
            "inner": str(self.compose(SearchSpace.parse({}, self.arguments).fixed).cv.inner),
            "sampler": dict(self.sweeper.sampler),
            "num_trials": self.sweeper.num_trials,
        }
        return hashlib.sha256(json.dumps(counted, sort_keys=True).encode()).hexdigest()

    def run(self, launcher: Launcher) -> float:
        """Searches and tests fold by fold, and skips the folds that are done.

        Returns:
            The accuracy of the best trials on the outer folds' held-out clips, after the last epoch.

        Raises:
            StudyError: A search has no complete trial or fails, or the test of its best trial fails.
            ResultError: A fold's result cannot be read, or belongs to another fold or run.
        """
        folder = self.folder / f"nested-{self.digest[:8]}"
        results = []
        for fold in self.outer.base_run.folds:
            done = fold_folder(folder, fold.number)
            if not done.exists():
                _logger.info("== outer fold %d of %d", fold.number, len(self.outer.base_run.folds))
                study = self._search(fold.number, launcher)
                self._keep(self._test(fold.number, study, launcher), study, done)
            results.append(read_result(done, {**self.outer.base_run.expected(fold), "digest": self.digest}))
            _logger.info("%s", results[-1].summary())
        _logger.info("nested run %s: fer3d report %s", folder, shlex.quote(str(folder)))
        num_clips = sum(len(result.labels) for result in results)
        return sum(int(result.num_correct[-1]) for result in results) / num_clips

    def _search(self, outer_fold: int, launcher: Launcher) -> StudyRecord:
        sweeper = replace(self.sweeper, study_name=f"{self.name}/outer_{outer_fold:02d}")
        search = FoldSearch.of(self.compose, sweeper, [*self.arguments, f"cv.outer_fold={outer_fold}"])
        # The best trial may still be running in another process.
        return StudyRecord.of(search.search(launcher, wait_for_others=True))

    def _test(self, outer_fold: int, study: StudyRecord, launcher: Launcher) -> FoldResult:
        best = _best(study)
        overrides = [*self.outer.space.fixed, *self.outer.space.overrides(best.params), *self.outer.job_overrides]
        job = Job(
            best.number,
            (
                *overrides,
                override("+trial", best.number),
                override("+fold", [outer_fold]),
                override("hydra.sweep.dir", str(self.folder)),
                override("hydra.sweep.subdir", f"outer_{outer_fold:02d}/best_{job_folder(best.number, [outer_fold])}"),
                "hydra.output_subdir=.hydra",
            ),
        )
        jobs, title = JobsInTurn(launcher), f"the best trial of outer fold {outer_fold}, trial {best.number}"
        for num_retries in range(self.sweeper.max_job_retries + 1):
            jobs.submit(job)
            result = jobs.wait()
            if result.error is None:
                tested: FoldResult = result.returned[0]
                return tested
            error, fault = result.error, fault_of(result.error)
            if fault.blame in (Blame.SETTINGS, Blame.DAMAGE):
                break
            _logger.info("%s: %s; tried %d times", title, fault.sentence, num_retries + 1)
        raise StudyError(f"{title}, could not be trained on all its training subjects: {fault.sentence}") from error

    def _keep(self, tested: FoldResult, study: StudyRecord, folder: Path) -> None:
        """Stores a fold's test as a fold of the nested run, whose folds differ in their settings."""
        best = _best(study)
        chosen = {"study": study.name, "trial": best.number, "accuracy": best.attainable, "params": dict(best.params)}
        info: dict[str, Any] = {**tested.info, "run": folder.parent.name, "digest": self.digest, "chosen": chosen}
        with atomic_folder(folder) as work:
            write_result(replace(tested, info=info), work)


def _best(study: StudyRecord) -> TrialRecord:
    if study.best is None:
        raise StudyError(f"study {study.name} has no complete trial to test: search.pruning.threshold may be too high")
    return study.best
