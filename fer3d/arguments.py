"""The command line of `fer3d.train` and `fer3d.prepare`, rewritten in one pass so that Hydra can read it."""

from __future__ import annotations

import re
from collections.abc import Sequence

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException

from fer3d.overrides import is_readable, override
from fer3d.settings import SettingsError

# Settings whose text Hydra may read as something else, such as the braces of `data.pattern={subject}/{emotion}/*`.
_PLAIN_TEXTS = ("data.root", "data.table", "data.pattern")
_FOLDS = ("+fold", "++fold")
_RANGE = re.compile(r"range\(\s*(\d+)\s*,\s*(\d+)\s*(?:,\s*(\d+)\s*)?\)")
_MULTIRUN_FLAGS, _MULTIRUN = ("-m", "--multirun"), "hydra.mode=MULTIRUN"
_SWEEPER = "hydra/sweeper"
# Hydra's flags that take the next argument as their value, and the others.
_WITH_VALUE = {"-c", "-p", "-cp", "-cn", "-cd", "--cfg", "--package", "--config-path", "--config-name", "--config-dir"}
_WITHOUT_VALUE = {"-h", "--help", "--hydra-help", "--version", "--resolve", "-r", "--run", *_MULTIRUN_FLAGS}
_OTHERS = {"-sc", "--shell-completion", "--experimental-rerun", "-i", "--info"}


def hydra_arguments(arguments: Sequence[str], *, searches: bool = False) -> list[str]:
    """Rewrites a command line for Hydra.

    - Flags come before settings, since Hydra accepts none between them.
    - A path or pattern that Hydra cannot read gets quotes.
    - `+fold=range(1,4)` becomes `+fold=[1,2,3]`, unless a multirun starts a job for each fold.
    - `search=NAME` adds `hydra/sweeper=optuna` and multirun, where the command searches.
    - `from_study=outputs/search/NAME` becomes the settings of the study's best trial.

    Args:
        arguments: The command line.
        searches: Whether the command can search.

    Raises:
        SettingsError: An unknown option or `fold` without a plus is given; a setting would have no effect, or its range
            of folds has a step of 0; or `hydra/sweeper=optuna` is another package's.
        StudyError: `from_study` names no study, or one without a complete trial.
    """
    flags, settings = _split(arguments)
    for flag in flags:
        if flag.startswith("-") and flag.partition("=")[0] not in _WITH_VALUE | _WITHOUT_VALUE | _OTHERS:
            raise SettingsError(
                f"{flag} is not an option: settings are written KEY=VALUE, such as outputs=FOLDER; --help lists them"
            )
    multirun = bool({*_MULTIRUN_FLAGS} & {*flags}) or _MULTIRUN in settings
    given = {setting.partition("=")[0] for setting in settings}
    if "fold" in given:
        raise SettingsError("fold is added, with a plus, since the configuration has no such key: write +fold=3")
    settings = [_readable(setting, multirun) for setting in settings]
    if searches and "search" in given and _SWEEPER not in given:
        settings += [f"{_SWEEPER}=optuna"] + ([] if multirun else [_MULTIRUN])
    if f"{_SWEEPER}=optuna" in settings:
        _refuse_stock_sweeper()
    if "from_study" in given:
        from fer3d.search.from_study import expand_from_study

        settings = expand_from_study(settings)
    return [*flags, *settings]


def _split(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """Flags with their values, and settings."""
    flags: list[str] = []
    settings: list[str] = []
    for before, argument in zip(["", *arguments], arguments, strict=False):
        is_flag = argument.startswith("-") or before in _WITH_VALUE
        # What is neither, such as the value of `--info`, stays beside the flags.
        (settings if not is_flag and ("=" in argument or argument.startswith("~")) else flags).append(argument)
    return flags, settings


def _readable(setting: str, multirun: bool) -> str:
    """Writes a setting so that Hydra reads what is meant."""
    key, equals, text = setting.partition("=")
    if equals and key in _PLAIN_TEXTS and not is_readable(text):
        return override(key, text)
    if not multirun and key in _FOLDS and (match := _RANGE.fullmatch(text)):
        start, stop, step = (int(number) for number in match.groups(default="1"))
        if step == 0:
            raise SettingsError(f"{setting} has a step of 0: write {key}=range(start,stop,step), step at least 1")
        return f"{key}=[{','.join(map(str, range(start, stop, step)))}]"
    try:
        parsed = OverridesParser.create().parse_override(setting)
    except HydraException:
        return setting  # Hydra's own message says what is wrong with it
    if parsed.value() == {} and not (parsed.is_add() or parsed.is_delete()):
        raise SettingsError(
            f"{setting} changes nothing, since groups are merged: remove single settings with ~, such as "
            f"~{parsed.key_or_group}.NAME, or choose another option of the group"
        )
    return setting


def _refuse_stock_sweeper() -> None:
    from hydra_plugins.fer3d_sweeper.stock import stock_is_installed

    if stock_is_installed():
        raise SettingsError(
            "hydra/sweeper=optuna is the sweeper of hydra-optuna-sweeper here, which knows no folds and cannot resume "
            "a study: pip uninstall hydra-optuna-sweeper"
        )
