"""Trains folds: `python -m fer3d.train +fold=3`, several with `+fold=[1,2,5]`, all of them without `+fold`.

`-m hydra/sweeper=optuna` searches, and `from_study=outputs/search/NAME` trains what a search found best.
"""

from __future__ import annotations

import re
import sys
import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from fer3d.command import orderly_end, run_hydra, user_errors
from fer3d.cores import tell_libraries

if TYPE_CHECKING:
    from omegaconf import DictConfig


def train(config: DictConfig) -> Any:
    """Trains the chosen folds of the configured run; as a job of a search, returns their results and says nothing."""
    if config.get("trial") is not None:
        return _fold_job(config)
    with user_errors():
        from fer3d.training.prepare import prepare
        from fer3d.training.run import Run

        preparation = prepare(config)
        if preparation.built:
            preparation.report.print()
        Run.of(config, preparation.store).train(_fold_numbers(config))
    return None


def _fold_job(config: DictConfig) -> Any:
    """Trains the folds of a search's job."""
    from fer3d.corpora.sequences import CorpusWarning
    from fer3d.processes import leave_with_parent
    from fer3d.training.prepare import prepare
    from fer3d.training.run import Run

    leave_with_parent()
    with warnings.catch_warnings():
        # The search has said so once.
        warnings.simplefilter("ignore", CorpusWarning)
        run = Run.of(config, prepare(config).store)
    return [run.fold_result(number) for number in _fold_numbers(config)]


def _fold_numbers(config: DictConfig) -> Any:
    """What `+fold` asks for; None where it is not given."""
    from omegaconf import OmegaConf

    fold = config.get("fold")
    return OmegaConf.to_object(fold) if OmegaConf.is_config(fold) else fold


def expand_fold_range(arguments: Sequence[str]) -> list[str]:
    """Writes `+fold=range(1,4)` out as `+fold=[1,2,3]`, unless a sweep is to make one job of each fold.

    Hydra knows ranges in sweeps only.
    """
    if {"-m", "--multirun"} & set(arguments):
        return list(arguments)
    return [_expanded(argument) for argument in arguments]


def _expanded(argument: str) -> str:
    match = re.fullmatch(r"(\+{1,2}fold)=range\(\s*(\d+)\s*,\s*(\d+)\s*(?:,\s*(\d+)\s*)?\)", argument)
    if match is None:
        return argument
    key, start, stop, step = match.groups()
    if step and not int(step):
        raise SystemExit(
            f"fer3d: {argument} takes steps of 0: write {key}=range(start,stop,step) with a step of at least 1"
        )
    numbers = range(int(start), int(stop), int(step or 1))
    return f"{key}=[{','.join(map(str, numbers))}]"


def refuse_stock_sweeper(arguments: Sequence[str]) -> None:
    """Says so where `hydra/sweeper=optuna` would be another package's.

    Raises:
        SystemExit: It would.
    """
    from hydra_plugins.fer3d_sweeper.sweeper import stock_is_installed

    if "hydra/sweeper=optuna" in arguments and stock_is_installed():
        raise SystemExit(
            "fer3d: hydra/sweeper=optuna is the one of hydra-optuna-sweeper here, which knows no folds and cannot go "
            "on: pip uninstall hydra-optuna-sweeper"
        )


def expand_study(arguments: Sequence[str]) -> list[str]:
    """Writes `from_study=outputs/search/NAME` out as the settings of the study's best trial."""
    if not any(argument.startswith("from_study=") for argument in arguments):
        return list(arguments)
    with user_errors():
        from fer3d.search.from_study import expand_from_study

        return expand_from_study(arguments)


if __name__ == "__main__":
    with orderly_end():
        refuse_stock_sweeper(sys.argv[1:])
        tell_libraries()
        # Hydra takes no flag between settings.
        flags_first = sorted(sys.argv[1:], key=lambda argument: argument not in ("-m", "--multirun"))
        sys.argv[1:] = expand_study(expand_fold_range(flags_first))
        run_hydra(train)
