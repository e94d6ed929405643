"""What the commands share: where the configuration lies, and errors that are one sentence instead of a traceback."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def config_folder() -> str:
    """The folder `conf`: inside the package when installed from a wheel, beside it in a checkout."""
    package = Path(__file__).resolve().parent
    installed = package / "conf"
    return str(installed if installed.is_dir() else package.parent / "conf")


@contextmanager
def user_errors() -> Iterator[None]:
    """Turns an error that a user can mend into its sentence and exit status 1.

    `HYDRA_FULL_ERROR=1` shows the traceback instead.
    """
    try:
        yield
    except Exception as error:
        cause = _cause(error)
        if os.environ.get("HYDRA_FULL_ERROR") == "1" or not isinstance(cause, _mendable()):
            raise
        raise SystemExit(f"fer3d: {cause}") from error


def _cause(error: BaseException) -> BaseException:
    """The error behind the ones in which Hydra wraps what a constructor raises."""
    from hydra.errors import InstantiationException

    while isinstance(error, InstantiationException) and error.__cause__ is not None:
        error = error.__cause__
    return error


def _mendable() -> tuple[type[Exception], ...]:
    from fer3d.clips.detectors import DetectorError
    from fer3d.clips.preparation import PreparationError
    from fer3d.clips.store import StoreError
    from fer3d.corpora.sequences import CorpusError
    from fer3d.training.module import DivergedError
    from fer3d.training.results import ResultError

    return CorpusError, DetectorError, PreparationError, StoreError, DivergedError, ResultError, ValueError
