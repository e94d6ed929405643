"""A search that is killed between any two statements to its database, without the minutes that real ones take."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import sqlalchemy as sa
from hydra.core.utils import JobReturn, JobStatus
from hydra.plugins.launcher import Launcher
from optuna.storages import RDBStorage
from optuna.study import Study

from fer3d.search.cross_validation import CrossValidation, CrossValidationSettings
from fer3d.search.jobs import JobsInTurn
from fer3d.search.leases import Leases, Owner
from fer3d.search.pruning import ExactBound
from fer3d.search.sampling import SeededSampler
from fer3d.search.search import Search
from fer3d.search.space import SearchSpace
from fer3d.search.storage import open_storage, open_study, storage_url
from fer3d.training.results import FoldResult

SPACE = {"model/activation": "choice(relu, elu, mish)", "model.dropout": "interval(0, 1)"}
SIZES = {1: 4, 2: 6, 3: 3, 4: 5}
SAMPLER = {"_target_": "optuna.samplers.TPESampler", "seed": 0, "n_startup_trials": 2}


class KilledError(BaseException):
    """What stands for SIGKILL: nothing handles it, and nothing reaches the database after it."""


class FoldFactory(Launcher):
    """A launcher whose jobs make up fold results, right or wrong by the settings, and keep them as a run's folder does.

    Attributes:
        trained: How often each fold of each setting was trained.
    """

    def __init__(self) -> None:
        self.trained: dict[tuple[str, int], int] = {}
        self._kept: dict[tuple[str, int], FoldResult] = {}

    def setup(self, **_: Any) -> None:
        pass

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        (overrides,) = job_overrides
        settings = dict(override.split("=", 1) for override in overrides)
        setting = f"{settings['model/activation']} {settings['model.dropout']}"
        folds = [int(fold) for fold in settings["+fold"].strip("[]").split(",")]
        done = JobReturn(status=JobStatus.COMPLETED)
        done.return_value = [self._fold(setting, fold) for fold in folds]
        return [done]

    def _fold(self, setting: str, fold: int) -> FoldResult:
        if (setting, fold) not in self._kept:
            self.trained[setting, fold] = self.trained.get((setting, fold), 0) + 1
            self._kept[setting, fold] = make_result(setting, fold)
        return self._kept[setting, fold]


def make_result(setting: str, fold: int) -> FoldResult:
    """A fold result of two epochs whose right clips depend on the setting and the fold alone."""
    rng = np.random.default_rng([fold, *setting.encode()])
    correct = rng.random((2, SIZES[fold])) < 1 - float(setting.split()[1]) / 2
    clips = tuple(f"S{fold:03d}/{clip:03d}" for clip in range(SIZES[fold]))
    return FoldResult(
        fold=fold,
        logits=np.stack([correct, ~correct], axis=-1).astype(np.float32),
        labels=np.zeros(SIZES[fold], dtype=np.int64),
        clip_ids=clips,
        subjects=tuple(clip[:4] for clip in clips),
        emotions=("happy", "sadness"),
        info={"seconds": 1.0, "run": f"run of {setting}"},
    )


def search_once(
    folder: Path, launcher: Launcher, *, num_trials: int = 4, kill_after: int | None = None, **more: Any
) -> Study | None:
    """One start of a search; None if it was killed, after `kill_after` statements to its database."""
    storage = open_storage(storage_url(folder, None))
    try:
        with _killed(storage.engine, kill_after):
            return _search(folder, storage, launcher, num_trials, more)
    except KilledError:
        return None
    finally:
        storage.engine.dispose()


def _search(folder: Path, storage: RDBStorage, launcher: Launcher, num_trials: int, more: dict[str, Any]) -> Study:
    space = SearchSpace.parse(SPACE)
    objective = CrossValidation(
        CrossValidationSettings(SPACE, "last_epoch", ExactBound(0.7), **more), SIZES, "s", "test", folder, ["+shared=1"]
    )
    study = open_study("s", storage, objective.directions, SeededSampler(SAMPLER, space), objective.pruner())
    objective.check("s", study.get_trials(deepcopy=False), tuple(space.distributions))
    # A process that has ended by the time that the next one starts.
    owner = replace(Owner.me(), pid=2**22 + 1)
    with Leases(storage.engine, "s", owner) as leases:
        search = Search(
            study, leases, space, objective, JobsInTurn(launcher), num_trials, retry_pause=0.0, say=lambda _: None
        )
        search.run()
    return study


@contextmanager
def _killed(engine: sa.Engine, after: int | None) -> Iterator[None]:
    count = 0

    def strike(*_: Any) -> None:
        nonlocal count
        count += 1
        if after is not None and count > after:
            raise KilledError

    sa.event.listen(engine, "before_cursor_execute", strike)
    try:
        yield
    finally:
        sa.event.remove(engine, "before_cursor_execute", strike)
