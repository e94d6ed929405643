"""Failed trials that are tried again, each as a new trial of the same settings, which takes its place."""

from __future__ import annotations

from collections.abc import Callable

from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

# The number of the failed trial whose place a trial takes.
RETRY_OF = "retry_of"


def counted(study: Study) -> list[FrozenTrial]:
    """The trials of a study without the failed ones that were tried again."""
    trials = study.get_trials(deepcopy=False)
    replaced = {trial.user_attrs.get(RETRY_OF) for trial in trials}
    return [trial for trial in trials if trial.number not in replaced]


def enqueue_failed(study: Study, say: Callable[[str], None]) -> None:
    """Enqueues each failed trial once more; to be called by one process at a time.

    Args:
        study: The study.
        say: Where a sentence for people goes.
    """
    failed = [trial for trial in counted(study) if trial.state == TrialState.FAIL]
    for trial in failed:
        # In one write, so that a process that is killed leaves none enqueued twice.
        study.enqueue_trial(trial.params, user_attrs={RETRY_OF: trial.number})
    if failed:
        say(f"tries failed trials again: {', '.join(str(trial.number) for trial in failed)}")
