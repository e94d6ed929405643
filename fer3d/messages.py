"""Messages of the library go through the logger `fer3d`; commands print them as plain sentences."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager


def first_line(error: BaseException) -> str:
    """The first line of an error's message, or the name of its class if it has none."""
    return (str(error) or type(error).__name__).splitlines()[0]


class PlainMessages(logging.Handler):
    """Prints messages to standard output, and warnings and errors to standard error, after `fer3d: `.

    At once, also into a pipe, and to the streams of the moment, so that a progress bar can move out of the way.
    """

    def emit(self, record: logging.LogRecord) -> None:
        """Prints a message. A broken pipe is for the command to handle, so errors are raised."""
        if record.levelno >= logging.WARNING:
            print(f"fer3d: {record.getMessage()}", file=sys.stderr, flush=True)
        else:
            print(record.getMessage(), flush=True)


@contextmanager
def messages_shown(unless_configured: bool = False) -> Iterator[None]:
    """Prints the messages of fer3d within; from the level on that the logger `fer3d` has been set to, else from INFO.

    Args:
        unless_configured: Whether to leave messages to the program's own logging where it has any.
    """
    logger = logging.getLogger("fer3d")
    if any(isinstance(handler, PlainMessages) for handler in logger.handlers) or (
        unless_configured and logger.hasHandlers()
    ):
        yield
        return
    handler, level, propagate = PlainMessages(), logger.level, logger.propagate
    logger.addHandler(handler)
    logger.setLevel(level or logging.INFO)
    # Hydra's or a program's own handlers would print each message again.
    logger.propagate = False
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)
        logger.propagate = propagate
