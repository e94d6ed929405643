"""The trials of a study as a process knows them, read again only after one began or ended, in whichever process."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import sqlalchemy as sa
from optuna.storages import RDBStorage
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from fer3d.search.storage import database

# A retried trial is a new one with the same settings; this attribute holds the number of the trial that it replaces.
RETRY_OF = "retry_of"
# Optuna's own table. Optuna itself would read all folds of the running trials with their states.
_TRIALS = sa.table(
    "trials", *(sa.column(name, sa.Integer) for name in ("trial_id", "study_id")), sa.column("state", sa.String)
)


@dataclass(frozen=True)
class KnownTrials:
    """The trials of a study at one time.

    Attributes:
        trials: The trials by number; the folds of a running one may be older than its state.
    """

    trials: Sequence[FrozenTrial]

    @classmethod
    def of(cls, study: Study) -> KnownTrials:
        """Reads the trials of a study."""
        return cls(study.get_trials(deepcopy=False))

    @cached_property
    def counted(self) -> list[FrozenTrial]:
        """The trials without the failed ones that were retried."""
        replaced = {trial.user_attrs.get(RETRY_OF) for trial in self.trials}
        return [trial for trial in self.trials if trial.number not in replaced]

    @cached_property
    def num_finished(self) -> int:
        """Number of counted trials that ended."""
        return sum(trial.state.is_finished() for trial in self.counted)

    @cached_property
    def num_begun(self) -> int:
        """Number of counted trials that run or ended; those that the user enqueued count once they run."""
        return sum(trial.state != TrialState.WAITING for trial in self.counted)

    @cached_property
    def failed(self) -> list[FrozenTrial]:
        """The counted trials that failed."""
        return [trial for trial in self.counted if trial.state == TrialState.FAIL]

    @cached_property
    def running(self) -> list[FrozenTrial]:
        """The trials that run, in whichever process."""
        return [trial for trial in self.trials if trial.state == TrialState.RUNNING]

    @cached_property
    def first_unfinished(self) -> int:
        """Id of the first trial that has not ended; all before it never change."""
        unfinished = (trial._trial_id for trial in self.trials if not trial.state.is_finished())
        return next(unfinished, self.trials[-1]._trial_id + 1 if self.trials else 0)

    @cached_property
    def states_since(self) -> dict[str, int]:
        """Number of trials in each state, from `first_unfinished` on: it differs as soon as one begins or ends."""
        return Counter(trial.state.name for trial in self.trials if trial._trial_id >= self.first_unfinished)

    @cached_property
    def best_value(self) -> float:
        """The highest value of a complete trial; 0 without any."""
        complete = (trial for trial in self.trials if trial.state == TrialState.COMPLETE)
        return max((trial.value for trial in complete if trial.value is not None), default=0.0)


class StudyTrials:
    """The trials of a study, as of now whenever they are asked for.

    Args:
        study: The study.
    """

    def __init__(self, study: Study) -> None:
        self.study = study
        self._known = KnownTrials(())

    @property
    def now(self) -> KnownTrials:
        """The trials, read again if one began or ended since the last time."""
        storage = database(self.study)
        if storage is None or self._states_since(storage) != self._known.states_since:
            self._known = KnownTrials.of(self.study)
        return self._known

    def _states_since(self, storage: RDBStorage) -> dict[str, int]:
        """What `KnownTrials.states_since` would be now."""
        counts = sa.select(_TRIALS.c.state, sa.func.count()).group_by(_TRIALS.c.state)
        maybe_changed = _TRIALS.c.trial_id >= self._known.first_unfinished
        with storage.engine.connect() as connection:
            rows = connection.execute(counts.where(_TRIALS.c.study_id == self.study._study_id, maybe_changed))
            return {str(state): int(number) for state, number in rows}
