"""What the commands share: errors that are one sentence instead of a traceback."""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def user_errors() -> Iterator[None]:
    """Turns an error that a user can mend into its sentence and exit status 1, and such a warning into its sentence.

    `HYDRA_FULL_ERROR=1` shows the traceback instead.
    """
    try:
        with _plain_warnings():
            yield
    except Exception as error:
        cause = _cause(error)
        if os.environ.get("HYDRA_FULL_ERROR") == "1" or not isinstance(cause, _mendable()):
            raise
        # A library's error, or one of somebody's own model, may say too little about where it comes from.
        ours = type(cause).__module__.startswith("fer3d.")
        raise SystemExit(f"fer3d: {cause}" if ours else f"fer3d: {cause}\n(HYDRA_FULL_ERROR=1 shows where)") from error


@contextmanager
def _plain_warnings() -> Iterator[None]:
    """Shows what a corpus warns about without a line of source code."""
    from fer3d.corpora.sequences import CorpusWarning

    with warnings.catch_warnings():
        warnings.simplefilter("always", CorpusWarning)
        show = warnings.showwarning

        def plain(message: Warning | str, category: type[Warning], *where: Any, **more: Any) -> None:
            if issubclass(category, CorpusWarning):
                print(f"fer3d: {message}", file=sys.stderr, flush=True)
            else:
                show(message, category, *where, **more)

        warnings.showwarning = plain
        yield


def _cause(error: BaseException) -> BaseException:
    """The error behind the ones in which Hydra wraps what a constructor raises."""
    from hydra.errors import InstantiationException

    while isinstance(error, InstantiationException) and error.__cause__ is not None:
        error = error.__cause__
    return error


def _mendable() -> tuple[type[Exception], ...]:
    from hydra.errors import HydraException
    from lightning_fabric.utilities.exceptions import MisconfigurationException
    from omegaconf.errors import InterpolationResolutionError
    from wandb import Error as WandbError

    from fer3d.clips.detectors import DetectorError
    from fer3d.clips.preparation import PreparationError
    from fer3d.clips.store import StoreError
    from fer3d.corpora.sequences import CorpusError
    from fer3d.evaluation.run_results import EvaluationError
    from fer3d.reproduction.fold_workers import WorkerError
    from fer3d.search.storage import StudyError
    from fer3d.training.checkpoint import CheckpointError
    from fer3d.training.module import DivergedError
    from fer3d.training.results import ResultError

    ours = (
        CorpusError,
        DetectorError,
        PreparationError,
        StoreError,
        CheckpointError,
        DivergedError,
        ResultError,
        EvaluationError,
        WorkerError,
        StudyError,
        ValueError,
    )
    # Such as an unknown setting, an environment variable that is not set, a GPU that is not there, no W&B key for
    # mode=online, and a full disk.
    return *ours, HydraException, InterpolationResolutionError, MisconfigurationException, WandbError, OSError
