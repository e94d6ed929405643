"""A study read back, for reports and for whoever goes on from it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

import optuna
import sqlalchemy as sa
from optuna.storages import RDBStorage
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from fer3d.clips.independence import Independence
from fer3d.evaluation.protocols import EpochProtocol
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

# What a study says of itself besides its settings, as far as it is read.
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
        state: How it ended, or that it has not.
        params: Its settings, by their names on the command line.
        outcomes: Its folds, in the order of their training.
        order: The numbers of all folds in the order in which it trains them; empty if it never began.
        attainable: Its accuracy if it is complete, else what it could still have reached.
        run: The name of the run that holds its fold results; None if it has none.
        started: When it began.
        finished: When it ended; None if it has not.
        error: Why it failed; None if it has not.
    """

    number: int
    state: State
    params: Mapping[str, Any]
    outcomes: tuple[FoldOutcome, ...]
    order: tuple[int, ...]
    attainable: float
    run: str | None
    started: datetime | None
    finished: datetime | None
    error: str | None

    @property
    def accuracy(self) -> float | None:
        """Its cross-validated accuracy; None unless it is complete."""
        return self.attainable if self.state == "complete" else None

    @property
    def seconds(self) -> float:
        """How long its folds took to train."""
        return sum(outcome.seconds for outcome in self.outcomes)


@dataclass(frozen=True)
class StudyRecord:
    """A study of cross-validations.

    Attributes:
        study: The study itself, for Optuna's own analyses.
        trials: Its trials, by number.
        protocol: The epoch protocol of their accuracies.
        threshold: The accuracy that a trial had to be able to reach, `best` for that of the best one, None for none.
        space: What each searched setting was drawn from, as it was written.
        overrides: The settings of the command line that all trials share.
        settings: Everything else that they share, as in a run's identity.
        num_folds: Number of folds of a complete trial.
        num_clips: Number of clips that they hold out together.
        corpus: The corpus's name.
        synthetic: Whether its clips are rendered, so that every number, table and figure must say so.
        cv: How the folds were made, such as `step_folds`.
        sampler: The sampler's class.
        num_startup_trials: How many trials were drawn at random before the sampler learnt.
        independence: Whether the folds are subject-independent; where not, every number, table and figure must say so.
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
    sampler: str
    num_startup_trials: int
    independence: Independence = field(default_factory=Independence)

    @classmethod
    def read(cls, study: str, storage: str | None = None) -> StudyRecord:
        """Reads a study.

        Args:
            study: The study's folder, such as `outputs/search/NAME`; or its name, where `storage` is given.
            storage: The URL of its database; None for the file in its folder.

        Raises:
            StudyError: There is no such study, it is none of cross-validations, or its database lacks a part of it.
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
            StudyError: It is none of cross-validations, or its database lacks a part of it.
        """
        told = study.user_attrs
        if SETTINGS not in told:
            raise StudyError(
                f"the study {study.study_name} is none of cross-validations: fer3d.train made none of it, or its "
                "database lacks what it says of itself"
            )
        if missing := [key for key in _TOLD if key not in told]:
            raise lacking(study.study_name, f"what the study says of itself: {', '.join(missing)}")
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
        """The complete trials, the best first; of equal ones the earlier."""
        complete = [trial for trial in self.trials if trial.state == "complete"]
        return tuple(sorted(complete, key=lambda trial: (-trial.attainable, trial.number)))

    @property
    def best(self) -> TrialRecord | None:
        """The best complete trial; None if there is none."""
        return next(iter(self.complete), None)

    @property
    def caution(self) -> str:
        """What every heading over the study's numbers has to say: synthetic, people seen before, a try, or nothing."""
        batches = self.settings.get("num_batches")
        debug = f"DEBUG: {batches} batches an epoch" if batches else ""
        return ", ".join(filter(None, ["SYNTHETIC data" if self.synthetic else "", self.independence.caution, debug]))


def load_study(study: str, storage: str | None = None) -> Study:
    """Opens a study that is there.

    Args:
        study: The study's folder; or its name, where `storage` is given.
        storage: The URL of its database; None for the file in its folder.

    Raises:
        StudyError: There is no such study.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    folder = Path(study)
    if storage is None and not (folder / STUDY_FILE).is_file():
        raise StudyError(
            f"{study} holds no {STUDY_FILE}: give a study's folder such as outputs/search/NAME; or, where the study is "
            "kept in another database, its name and the database's URL"
        )
    opened: RDBStorage = open_storage(storage_url(folder, storage))
    names = optuna.get_all_study_names(opened)
    name = folder.resolve().name if storage is None else study
    # A folder may have been renamed; the file in it holds one study.
    if name not in names and len(names) == 1 and storage is None:
        name = names[0]
    if name not in names:
        where = redacted(storage) if storage else str(folder / STUDY_FILE)
        raise StudyError(f"{where} holds no study {name}; it holds {', '.join(sorted(names)) or 'none'}")
    return optuna.load_study(study_name=name, storage=opened)


def dispose(study: Study) -> None:
    """Closes the connections to a study's database."""
    if (engine := _engine(study)) is not None:
        engine.dispose()


def _engine(study: Study) -> sa.Engine | None:
    # Optuna wraps its storages in a cache, which hands on what it does not know.
    backend = getattr(study._storage, "_backend", study._storage)
    return backend.engine if isinstance(backend, RDBStorage) else None


def _record(trial: FrozenTrial, num_clips: int, protocol: EpochProtocol) -> TrialRecord:
    outcomes = tuple(read_outcomes(trial.user_attrs))
    return TrialRecord(
        number=trial.number,
        state=_STATES[trial.state],
        params=dict(trial.params),
        outcomes=outcomes,
        order=tuple(trial.user_attrs.get(ORDER, ())),
        attainable=attainable_accuracy(outcomes, num_clips, protocol),
        run=trial.user_attrs.get(RUN),
        started=trial.datetime_start,
        finished=trial.datetime_complete,
        error=trial.user_attrs.get(ERROR),
    )
