"""Reads a study back, for reports and for training its best trial."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

import optuna
import sqlalchemy as sa
from optuna.distributions import BaseDistribution
from optuna.storages import RDBStorage
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from fer3d.clips.folds import FoldKind, stored_kind
from fer3d.clips.independence import Independence
from fer3d.evaluation.protocols import EpochProtocol
from fer3d.evaluation.run_results import debug_caution
from fer3d.search.cross_validation import ORDER, RUN, check_trials, read_outcomes
from fer3d.search.outcomes import SEARCH_PROTOCOLS, FoldOutcome, attainable_accuracy
from fer3d.search.search import ERROR
from fer3d.search.session import SETTINGS
from fer3d.search.storage import (
    STUDY_FILE,
    StudyError,
    database_errors,
    lacking,
    open_storage,
    redacted,
    storage_url,
)

# Required user attributes of a study besides its settings.
_TOLD = (
    "overrides",
    "protocol",
    "threshold",
    "corpus",
    "synthetic",
    "num_clips",
    "num_folds",
    "cv",
    "sampler",
    "num_startup_trials",
)

State = Literal["complete", "pruned", "failed", "running"]
_STATES: dict[TrialState, State] = {
    TrialState.COMPLETE: "complete",
    TrialState.PRUNED: "pruned",
    TrialState.FAIL: "failed",
    TrialState.RUNNING: "running",
    TrialState.WAITING: "running",
}


@dataclass(frozen=True)
class TrialRecord:
    """A trial of a study.

    Attributes:
        number: Its number, from 0.
        state: Its state.
        params: Its settings, by their names on the command line.
        distributions: What each of them was drawn from.
        outcomes: Its finished folds, in training order.
        order: The numbers of all folds in training order; empty if it never started.
        attainable: Its accuracy if complete, else the upper bound.
        run: Name of the run with its fold results; None if it has none.
        started: Start time.
        finished: End time; None while it runs.
        error: Why it failed; None if it did not.
    """

    number: int
    state: State
    params: Mapping[str, Any]
    distributions: Mapping[str, BaseDistribution]
    outcomes: tuple[FoldOutcome, ...]
    order: tuple[int, ...]
    attainable: float
    run: str | None
    started: datetime | None
    finished: datetime | None
    error: str | None

    @property
    def accuracy(self) -> float | None:
        """Cross-validated accuracy; None unless complete."""
        return self.attainable if self.state == "complete" else None

    @property
    def seconds(self) -> float:
        """Total training time of its folds."""
        return sum(outcome.seconds for outcome in self.outcomes)


@dataclass(frozen=True)
class StudyRecord:
    """A study of cross-validations.

    Attributes:
        study: The Optuna study.
        trials: Its trials, by number.
        protocol: The epoch protocol of their accuracies.
        threshold: The pruning threshold: an accuracy, `best` for that of the best trial, or None.
        space: Sweep of each searched setting, as the user wrote it.
        overrides: The command-line settings that all trials share.
        settings: All other shared settings, as in a run's identity.
        num_folds: Number of folds of a complete trial.
        num_clips: Number of held-out clips over all folds.
        corpus: The corpus's name.
        synthetic: Whether the clips are rendered; every number, table and figure must say so.
        cv: Name of the function that made the folds, such as `step_folds`.
        fold_kind: The kind of cross-validation.
        sampler: Class name of the sampler.
        num_startup_trials: Number of random trials before the sampler uses results.
        independence: Whether the folds are subject-independent; if not, every number, table and figure must say so.
    """

    study: Study
    trials: tuple[TrialRecord, ...]
    protocol: EpochProtocol
    threshold: float | Literal["best"] | None
    space: Mapping[str, str]
    overrides: tuple[str, ...]
    settings: Mapping[str, Any]
    num_folds: int
    num_clips: int
    corpus: str
    synthetic: bool
    cv: str
    fold_kind: FoldKind
    sampler: str
    num_startup_trials: int
    independence: Independence = field(default_factory=Independence)

    @classmethod
    def read(cls, study: str, storage: str | None = None) -> StudyRecord:
        """Reads a study.

        Args:
            study: The study's folder, such as `outputs/search/NAME`; or its name if `storage` is given.
            storage: The URL of its database; None for the file in its folder.

        Raises:
            StudyError: The study does not exist, was not created by `fer3d.train`, or its database lacks a part of it.
        """
        opened = load_study(study, storage)
        try:
            with database_errors(opened.study_name, _engine(opened)):
                record = cls.of(opened)
            if not record.trials and storage is None and any(Path(study).glob("trial_*")):
                raise lacking(opened.study_name, "all of its trials")
            return record
        except StudyError:
            dispose(opened)
            raise

    @classmethod
    def of(cls, study: Study) -> StudyRecord:
        """Reads an open study.

        Raises:
            StudyError: It was not created by `fer3d.train`, or its database lacks a part of it.
        """
        told = study.user_attrs
        if SETTINGS not in told:
            raise StudyError(
                f"study {study.study_name} was not created by fer3d.train, or its database has lost the study's "
                "attributes"
            )
        if missing := [key for key in _TOLD if key not in told]:
            raise lacking(study.study_name, f"attributes of the study: {', '.join(missing)}")
        protocol = SEARCH_PROTOCOLS[told["protocol"]]
        trials = study.get_trials(deepcopy=False)
        check_trials(study.study_name, trials, (), told["num_folds"], told["num_clips"], protocol)
        return cls(
            study=study,
            trials=tuple(_record(trial, told["num_clips"], protocol) for trial in trials),
            protocol=protocol,
            threshold=told["threshold"],
            space=told[SETTINGS]["space"],
            overrides=tuple(told["overrides"]),
            settings={key: value for key, value in told[SETTINGS].items() if key != "space"},
            num_folds=told["num_folds"],
            num_clips=told["num_clips"],
            corpus=told["corpus"],
            synthetic=told["synthetic"],
            cv=told["cv"],
            fold_kind=stored_kind(told, told[SETTINGS].get("cv", {})),
            sampler=told["sampler"],
            num_startup_trials=told["num_startup_trials"],
            independence=Independence.told(told),
        )

    def close(self) -> None:
        """Closes the connections to the study's database."""
        dispose(self.study)

    @property
    def name(self) -> str:
        """The study's name."""
        return self.study.study_name

    @property
    def complete(self) -> tuple[TrialRecord, ...]:
        """The complete trials, best first; ties go to the earlier trial."""
        complete = [trial for trial in self.trials if trial.state == "complete"]
        return tuple(sorted(complete, key=lambda trial: (-trial.attainable, trial.number)))

    @property
    def best(self) -> TrialRecord | None:
        """The best complete trial; None if there is none."""
        return next(iter(self.complete), None)

    @property
    def caution(self) -> str:
        """The cautions that every heading must show: synthetic data, dependent folds, debug run; or empty."""
        debug = debug_caution(self.settings.get("num_batches"))
        return ", ".join(filter(None, ["SYNTHETIC data" if self.synthetic else "", self.independence.caution, debug]))


def load_study(study: str, storage: str | None = None) -> Study:
    """Opens an existing study.

    Args:
        study: The study's folder; or its name if `storage` is given.
        storage: The URL of its database; None for the file in its folder.

    Raises:
        StudyError: The study does not exist.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    folder = Path(study)
    if storage is None and not (folder / STUDY_FILE).is_file():
        raise StudyError(
            f"{study} does not contain {STUDY_FILE}: give the study's folder, such as outputs/search/NAME; or, for a "
            "study in another database, its name and the database's URL"
        )
    opened: RDBStorage = open_storage(storage_url(folder, storage))
    names = optuna.get_all_study_names(opened)
    name = folder.resolve().name if storage is None else study
    # The folder may have been renamed; its file holds one study.
    if name not in names and len(names) == 1 and storage is None:
        name = names[0]
    if name not in names:
        where = redacted(storage) if storage else str(folder / STUDY_FILE)
        raise StudyError(f"study {name} does not exist in {where}; it contains {', '.join(sorted(names)) or 'none'}")
    return optuna.load_study(study_name=name, storage=opened)


def dispose(study: Study) -> None:
    """Closes the connections to a study's database."""
    if (engine := _engine(study)) is not None:
        engine.dispose()


def _engine(study: Study) -> sa.Engine | None:
    # Optuna wraps a storage in a cache.
    backend = getattr(study._storage, "_backend", study._storage)
    return backend.engine if isinstance(backend, RDBStorage) else None


def _record(trial: FrozenTrial, num_clips: int, protocol: EpochProtocol) -> TrialRecord:
    outcomes = tuple(read_outcomes(trial.user_attrs))
    return TrialRecord(
        number=trial.number,
        state=_STATES[trial.state],
        params=dict(trial.params),
        distributions=dict(trial.distributions),
        outcomes=outcomes,
        order=tuple(trial.user_attrs.get(ORDER, ())),
        attainable=attainable_accuracy(outcomes, num_clips, protocol),
        run=trial.user_attrs.get(RUN),
        started=trial.datetime_start,
        finished=trial.datetime_complete,
        error=trial.user_attrs.get(ERROR),
    )
