"""fer3d in a notebook or a script: compose a configuration, prepare, train, and read a run as a data frame.

Messages are printed; `logging.getLogger("fer3d").setLevel("WARNING")` silences them, and a program that has configured
logging gets them through its own handlers. docs/python.md has an example.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from numbers import Integral
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fer3d.messages import messages_shown

if TYPE_CHECKING:
    import pandas as pd
    from omegaconf import DictConfig

    from fer3d.clips.preparation import Preparation
    from fer3d.training.run import Run


def compose(*settings: str) -> DictConfig:
    """Composes a configuration.

    Args:
        settings: As on the command line of `fer3d.train`, such as `"data=ckplus"` and `"batch_size=8"`, without quotes
            for a shell; `"from_study=outputs/search/NAME"` stands for the settings of the study's best trial.

    Raises:
        HydraException: There is no such setting or option.
        SettingsError: A setting is not a text.
    """
    from fer3d.arguments import hydra_arguments
    from fer3d.configuration import compose_train
    from fer3d.settings import SettingsError

    for setting in settings:
        if not isinstance(setting, str):
            raise SettingsError(f'settings are texts, as in compose("data=ckplus", "batch_size=8"); got {setting!r}')
    return compose_train(hydra_arguments(settings))


def prepare(config: DictConfig) -> Preparation:
    """Makes the clip store of a configuration, or finds it, without importing PyTorch.

    Returns:
        The clip store, whether it was built just now, and a report whose `print()` shows how well faces were found.

    Raises:
        SettingsError, CorpusError, PreparationError: As `fer3d.training.prepare.prepare`.
    """
    from fer3d.training.prepare import prepare as prepare_clips

    with messages_shown(unless_configured=True):
        return prepare_clips(_anchored(config), for_training=False)


def train(config: DictConfig, fold: int | Iterable[int] | None = None) -> Run:
    """Trains folds one after the other and skips those that are done, as `fer3d.train` does.

    Args:
        config: The configuration.
        fold: A fold's number, from 1, or several; None: `config.fold` if it is set, else all folds.

    Returns:
        The run: its `folder`, its `folds`, and `fold_result(number)` with a fold's logits of every epoch, which trains
        the fold if it has no result yet.

    Raises:
        FoldError: There is no such fold.
        SettingsError, CorpusError, PreparationError, CheckpointError, ResultError, DivergedError: As `prepare` and
            `fer3d.training.run.Run`.
    """
    with _signals_deferred():
        from omegaconf import open_dict

        from fer3d.training.prepare import fold_numbers
        from fer3d.training.prepare import prepare as prepare_clips
        from fer3d.training.run import Run

    config = _anchored(config)
    if fold is not None:
        with open_dict(config):
            config.fold = _numbers(fold)
    with messages_shown(unless_configured=True), _interruptible():
        run = Run.of(config, prepare_clips(config).store)
        run.train(fold_numbers(config))
    return run


def read_run(folder: str | Path, *, partial: bool = False) -> pd.DataFrame:
    """Reads the held-out predictions of a run as one long data frame.

    Args:
        folder: The run's folder, such as `outputs/ckplus_loso-1a2b3c4d`.
        partial: Whether folds may be missing; the column `caution` then says PARTIAL.

    Returns:
        A row for each fold, epoch and held-out clip; see `fer3d.evaluation.predictions_frame.predictions_frame`.

    Raises:
        EvaluationError, ResultError: The folder does not hold a run, or folds are missing or damaged.
    """
    from fer3d.evaluation.predictions_frame import predictions_frame
    from fer3d.evaluation.run_results import RunResults

    return predictions_frame(RunResults.read(Path(folder), partial=partial))


def _anchored(config: Any) -> DictConfig:
    """A copy whose outputs stay where they are if the working directory changes."""
    from omegaconf import DictConfig

    from fer3d.settings import SettingsError

    if not isinstance(config, DictConfig):
        raise SettingsError(f"a configuration that compose returned is needed, got {type(config).__name__}")
    anchored = config.copy()
    anchored.outputs = str(Path(str(config.outputs)).absolute())
    return anchored


def _numbers(fold: Any) -> int | list[int]:
    from fer3d.clips.folds import FoldError

    if isinstance(fold, Integral):
        return int(fold)
    numbers = list(fold) if isinstance(fold, Iterable) and not isinstance(fold, str) else [fold]
    if not all(isinstance(number, Integral) for number in numbers):
        raise FoldError(f"fold must be a number, such as 3, or several, such as [1, 2, 5] or range(1, 4); got {fold!r}")
    return [int(number) for number in numbers]


@contextmanager
def _signals_deferred() -> Iterator[None]:
    """Keeps Ctrl-C until the imports within are done: an interrupted import leaves half of a library behind."""
    if threading.current_thread() is not threading.main_thread() or not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def _interruptible() -> Iterator[None]:
    """Lets Ctrl-C, a notebook's stop button, end the work as `KeyboardInterrupt`.

    Lightning ignores all further Ctrl-C after the first, and exits Python.
    """
    handler = signal.getsignal(signal.SIGINT)
    try:
        yield
    except SystemExit as end:
        if not isinstance(end.__context__, KeyboardInterrupt):
            raise
        signal.signal(signal.SIGINT, handler)
        raise KeyboardInterrupt from None
