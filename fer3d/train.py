"""Trains the folds of a cross-validation, searches for settings, and trains what a search found best.

fer3d train +fold=3                     one fold; several with +fold=[1,2,5] or +fold=range(1,4), all without it
fer3d train search=compact              a search; in full: -m hydra/sweeper=optuna search=compact
fer3d train from_study=outputs/search/NAME
fer3d train --describe model=cnn_lstm   parameters, operations and speed of a network; trains nothing
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

from fer3d.command import orderly_end, run_hydra, user_errors
from fer3d.cores import tell_libraries
from fer3d.messages import messages_shown

if TYPE_CHECKING:
    from omegaconf import DictConfig


def train(config: DictConfig) -> Any:
    """Trains the chosen folds of the configured run; as a job of a search, returns their results without a message."""
    if config.get("trial") is not None:
        return _fold_job(config)
    with user_errors():
        from fer3d.training.prepare import fold_numbers, prepare
        from fer3d.training.run import Run

        preparation = prepare(config)
        if preparation.built:
            preparation.report.print()
        Run.of(config, preparation.store).train(fold_numbers(config))
    return None


def describe(config: DictConfig) -> None:
    """Prints what the network of the configured run costs on this machine."""
    with user_errors():
        from fer3d.training import description
        from fer3d.training.prepare import prepare
        from fer3d.training.run import Run

        for name, value in description.describe(Run.of(config, prepare(config).store)):
            print(f"{name:14} {value}", flush=True)
        print()


def _fold_job(config: DictConfig) -> Any:
    """Trains the folds of a search's job."""
    from fer3d.corpora.sequences import CorpusWarning
    from fer3d.processes import exit_behind, leave_with_parent
    from fer3d.training.prepare import fold_numbers, prepare
    from fer3d.training.run import Run

    leave_with_parent()
    try:
        with messages_shown():
            with warnings.catch_warnings():
                # The search has shown it once.
                warnings.simplefilter("ignore", CorpusWarning)
                run = Run.of(config, prepare(config).store)
            return [run.fold_result(number) for number in fold_numbers(config)]
    except Exception as error:
        # A job that is preempted ends, and is not failed by an error of the library that was interrupted.
        raise (exit_behind(error) or error) from error.__cause__


if __name__ == "__main__":
    with orderly_end():
        tell_libraries()
        run_hydra("train", train, __doc__, searches=True, instead={"--describe": describe})
