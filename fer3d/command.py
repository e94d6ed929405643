"""What the commands share: a clean exit on signals, and errors as one sentence instead of a traceback.

Slow imports are made where they are used, so that signals are handled from the start.
"""

from __future__ import annotations

import atexit
import os
import re
import signal
import sys
import threading
import traceback
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType, MappingProxyType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from omegaconf import DictConfig

from fer3d.messages import messages_shown

_FULL_ERROR = "HYDRA_FULL_ERROR"
# Lines of Hydra's errors that do not help a user: its internals, and advice that fer3d would refuse.
_INTERNALS = (
    *("full_key:", "object_type=", "reference_type=", "provider=", "Config search path:"),
    "To append to your config use",
)
# An exception that has not arrived after this time counts as lost.
_LOST_SECONDS = 0.5
# Errors of other libraries that a user can fix.
_FIXABLE = {
    "hydra.errors.HydraException",
    "omegaconf.errors.OmegaConfBaseException",
    "lightning_fabric.utilities.exceptions.MisconfigurationException",
    "wandb.errors.errors.Error",
}
_SIGNALS = {signal.SIGINT: "Ctrl-C", signal.SIGTERM: "SIGTERM"}


class Interrupted(BaseException):
    """Ctrl-C or SIGTERM; neither `except Exception` nor Lightning's handling of Ctrl-C catches it.

    Args:
        number: The signal's number.
    """

    def __init__(self, number: int) -> None:
        super().__init__(f"stopped by {_SIGNALS[signal.Signals(number)]}")
        self.status = 128 + number


@contextmanager
def orderly_end(afterwards: str = "the same command continues") -> Iterator[None]:
    """Exits with status 130 on Ctrl-C and 143 on SIGTERM, after removing work folders and child processes.

    A second signal ends the process at once. A signal that is ignored, as by `nohup`, stays ignored.

    Args:
        afterwards: What holds afterwards, for the message.
    """
    # An outer one is in force, such as the command's around the sweeper's.
    if threading.current_thread() is not threading.main_thread() or _interrupt in map(signal.getsignal, _SIGNALS):
        yield
        return
    global _received, _afterwards
    _afterwards = afterwards
    heeded = {number: signal.getsignal(number) for number in _SIGNALS if signal.getsignal(number) != signal.SIG_IGN}
    for number in heeded:
        signal.signal(number, _interrupt)
    if _is_command():
        # Handlers run in reverse order of registration.
        atexit.register(_ignore, heeded)
    try:
        yield
        if _received is not None:
            raise Interrupted(_received)
    except BaseException as error:
        signal.setitimer(signal.ITIMER_REAL, 0)
        if _received is None:
            if not isinstance(error, BrokenPipeError):
                raise
            # The reader of the output, such as `head`, has closed it.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            sys.exit(128 + signal.SIGPIPE)
        # Some libraries replace an exception that is raised while they are imported.
        interrupted = Interrupted(_received)
        _kill_children()
        print(f"fer3d: {interrupted}; {afterwards}", file=sys.stderr, flush=True)
        sys.exit(interrupted.status)
    finally:
        _received = None
        for number, handler in heeded.items():
            # After the end of a command, libraries that clean up should print nothing.
            signal.signal(number, _leave if _is_command() else handler)


def _interrupt(number: int, frame: FrameType | None) -> None:
    global _received
    _received = number
    for each in _SIGNALS:
        signal.signal(each, signal.SIG_DFL)
    sys.unraisablehook = _report_unless_interrupted
    signal.signal(signal.SIGALRM, _interrupt_again)
    signal.setitimer(signal.ITIMER_REAL, _LOST_SECONDS)
    # An exception during a library's import may end in an abort or in another exception; while nothing is half-written,
    # the process can exit.
    work = sys.modules.get("fer3d.atomic_folder")
    if _is_importing(frame) and not (work and work.num_under_way):
        _kill_children()
        with suppress(OSError):
            print(f"fer3d: {Interrupted(number)}; {_afterwards}", file=sys.stderr, flush=True)
        os._exit(128 + number)
    raise Interrupted(number)


def _interrupt_again(_: int, frame: FrameType | None) -> None:
    """Raises the exception again unless it is propagating; Python drops one that is raised in a destructor."""
    error = sys.exc_info()[1]
    # A generator that is closed meanwhile sees GeneratorExit only.
    while error is not None and not isinstance(error, Interrupted | GeneratorExit):
        error = error.__context__
    if error is None and _received is not None:
        _interrupt(_received, frame)
    signal.setitimer(signal.ITIMER_REAL, _LOST_SECONDS)


def _report_unless_interrupted(unraisable: sys.UnraisableHookArgs) -> None:
    if not isinstance(unraisable.exc_value, Interrupted):
        sys.__unraisablehook__(unraisable)


def _is_importing(frame: FrameType | None) -> bool:
    while frame is not None and frame.f_code.co_filename != "<frozen importlib._bootstrap>":
        frame = frame.f_back
    return frame is not None


def _leave(number: int, _: object) -> None:
    with suppress(OSError):
        print(f"fer3d: {Interrupted(number)} at the very end", file=sys.stderr, flush=True)
    os._exit(128 + number)


def _ignore(numbers: Iterable[int]) -> None:
    """Keeps the status of a finished command, however long Python takes to exit."""
    for number in numbers:
        signal.signal(number, signal.SIG_IGN)


# The signal received, until the command has ended; and what holds then.
_received: int | None = None
_afterwards = ""


def _is_command() -> bool:
    """Whether this process is a command of fer3d, and not a program that calls one, such as a test."""
    return getattr(getattr(sys.modules["__main__"], "__spec__", None), "name", "").startswith("fer3d.")


def _kill_children() -> None:
    from multiprocessing import active_children

    for process in active_children():
        process.kill()


def run_hydra(
    command: str,
    task: Callable[[DictConfig], Any],
    meaning: str | None,
    *,
    searches: bool = False,
    instead: Mapping[str, Callable[[DictConfig], Any]] = MappingProxyType({}),
) -> None:
    """Composes the configuration from the command line and calls a task with it; errors as in `user_errors`.

    Args:
        command: The command's name.
        task: Is called with the configuration.
        meaning: What the command does, and examples, for `--help`.
        searches: Whether `search=NAME` starts a search.
        instead: Flags, each with a task to call in place of `task`.

    Raises:
        SystemExit: A user can fix an error; see `user_errors`.
    """
    if {"-h", "--help"} & set(sys.argv[1:]):
        # Hydra's own takes seconds and leaves out the comments.
        print(_hydra_help(command, meaning or ""))
        return
    with user_errors(composing=True):
        import hydra

        from fer3d.arguments import hydra_arguments
        from fer3d.configuration import config_folder
        from fer3d.settings import SettingsError

        flags = [flag for flag in instead if flag in sys.argv[1:]]
        for flag in flags:
            task = instead[flag]
        given = [argument for argument in sys.argv[1:] if argument not in flags]
        if flags and any(argument.startswith(("hydra/sweeper=", "search=")) for argument in given):
            raise SettingsError(
                f"{flags[0]} is about a configuration, not a search: leave out search and hydra/sweeper"
            )
        sys.argv[1:] = hydra_arguments(given, searches=searches and not flags)
        run = hydra.main(config_path=config_folder(), config_name="train", version_base="1.3")(task)
        with _hydra_raises():
            run()


def _hydra_help(command: str, meaning: str) -> str:
    from fer3d.configuration import config_folder, list_groups

    settings = (Path(config_folder()) / "train.yaml").read_text(encoding="utf-8").partition("\nhydra:")[0]
    groups = [f"  {name}={{{','.join(options)}}}" for name, options in list_groups().items()]
    return "\n".join(
        [
            f"usage: fer3d {command} [-h] [-m] [--cfg job] [GROUP=OPTION | KEY=VALUE ...]",
            "",
            meaning,
            "options:",
            "  -h, --help         show this help and exit",
            "  -m, --multirun     one job for each combination of comma-separated values, or a search",
            "  --cfg job          print the composed configuration and exit",
            "  --hydra-help       show Hydra's other options and exit",
            "",
            "groups (conf/GROUP/OPTION.yaml documents the keys of each option):",
            *groups,
            "",
            "settings (conf/train.yaml):",
            *(f"  {line}".rstrip() for line in settings.splitlines()),
        ]
    )


@contextmanager
def _hydra_raises() -> Iterator[None]:
    """Lets errors propagate that Hydra would print, some with a traceback."""
    global _only_hydra
    if os.environ.get(_FULL_ERROR) == "1":
        yield
        return
    os.environ[_FULL_ERROR], _only_hydra = "1", True
    try:
        yield
    finally:
        del os.environ[_FULL_ERROR]
        _only_hydra = False


# Whether only fer3d has set HYDRA_FULL_ERROR.
_only_hydra = False


@contextmanager
def user_errors(composing: bool = False) -> Iterator[None]:
    """Prints an error that a user can fix as a sentence with exit status 1, and messages and warnings as sentences.

    `HYDRA_FULL_ERROR=1` shows the traceback instead.

    Args:
        composing: Whether Hydra composes the configuration within, where all of its own errors are the user's.
    """
    from hydra.errors import InstantiationException

    shows_all = os.environ.get(_FULL_ERROR) == "1" and not _only_hydra
    try:
        with messages_shown(), _plain_warnings():
            yield
    except Exception as error:
        if _received is not None:
            raise
        cause = _cause(error)
        # A broken pipe is no error: the reader has closed the output.
        if shows_all or isinstance(cause, BrokenPipeError):
            raise
        if composing and (setting := _unreadable_setting(error)):
            raise SystemExit(f"fer3d: {setting}: {_said(cause)}") from error
        if not _is_fixable(cause):
            if not isinstance(error, InstantiationException):
                raise
            cause = error  # such as settings that lack what a class needs
        raise SystemExit(f"fer3d: {_said(cause)}") from error


def _unreadable_setting(error: BaseException) -> str | None:
    """The setting that Hydra cannot compose; None for errors from elsewhere.

    Hydra's own messages do not name the setting, and some are tracebacks.
    """
    from hydra.errors import OverrideParseException

    if isinstance(error, OverrideParseException):
        return (
            f"{error.override} cannot be read (a text with blanks, commas and the like needs quotes: 'name=\"a, b\"')"
        )
    found = None
    for frame, _ in traceback.walk_tb(error.__traceback__):
        package = frame.f_globals.get("__name__", "").partition(".")[0]
        if package not in ("hydra", "omegaconf", "antlr4", "contextlib", "runpy", "__main__", "fer3d"):
            return None
        if package == "hydra":
            setting = getattr(frame.f_locals.get("override"), "input_line", None)
            found = f"{setting} cannot be set" if setting else found or "the settings cannot be composed"
        elif found:
            return None  # Hydra has called what the setting is for
    return found


def _said(error: BaseException) -> str:
    """An error's message, and how to see the traceback if the error is not fer3d's own."""
    from hydra.errors import HydraException, InstantiationException
    from omegaconf.errors import OmegaConfBaseException

    if isinstance(error, InstantiationException) and (key := re.search(r"full_key: (\S+)", str(error))):
        return f"{key[1]} cannot be made of its settings: {error.__cause__}"
    if isinstance(error, HydraException | OmegaConfBaseException):
        # Part of the message is in the cause; Hydra's internals are left out.
        lines = [*str(error).splitlines(), *(str(error.__cause__).splitlines() if error.__cause__ else ())]
        told = [line for line in lines if not line.strip().startswith(_INTERNALS)]
        return "\n".join(dict.fromkeys(filter(None, told)))
    # An error of a library or of a user's own model may not tell where it comes from.
    places = [frame.f_globals.get("__name__", "") for frame, _ in traceback.walk_tb(error.__traceback__)]
    ours = type(error).__module__.startswith("fer3d.") or (places and places[-1].startswith("fer3d."))
    said = str(error) or type(error).__name__
    return said if ours else f"{said}\n({_FULL_ERROR}=1 shows where)"


@contextmanager
def _plain_warnings() -> Iterator[None]:
    """Shows warnings about a corpus without a line of source code."""
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
    """The error that Hydra wraps when a constructor raises."""
    from hydra.errors import InstantiationException

    while isinstance(error, InstantiationException) and error.__cause__ is not None:
        error = error.__cause__
    return error


def _is_fixable(error: BaseException) -> bool:
    """Whether a user can fix an error, such as an unknown setting, a missing GPU, no W&B key, or a full disk."""
    kinds = type(error).__mro__
    if type(error).__module__.startswith("fer3d.") or {ValueError, OverflowError, MemoryError, OSError} & {*kinds}:
        return True
    # By name, since importing the packages takes seconds.
    return bool(_FIXABLE & {f"{kind.__module__}.{kind.__qualname__}" for kind in kinds})
