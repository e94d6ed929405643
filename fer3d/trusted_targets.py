"""Which code settings that came in a file may name: they are somebody else's, and naming code is running it."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from hydra.utils import get_object


class TargetError(ValueError):
    """Settings name code that may not run, or that does not exist: which, and what to do."""


def check_targets(settings: Mapping[str, Any], packages: Collection[str], what: str) -> None:
    """Makes sure that settings which came in a file name code of some packages alone.

    Args:
        settings: Settings with `_target_` in them, at any depth.
        packages: The packages.
        what: What the settings describe, such as `the checkpoint's network`.

    Raises:
        TargetError: They name other code, or none that exists; or a text in them stands for something else.
    """
    for target in _entries(settings, "_target_"):
        if not _is_of(target, packages):
            package = target.partition(".")[0]
            raise TargetError(
                f"{what} is made by {target}, which is no part of fer3d: code that a file names runs only if you say "
                f"that you trust it (--trust {package})"
            )
        try:
            found = get_object(target)
        except Exception as error:  # whatever importing a module of a user's raises
            raise TargetError(f"{what} is made by {target}, which is not here: {error}") from error
        # A module's own imports are reachable through it, such as `fer3d.models.cnn3d.torch.os.system`.
        if not _is_of(f"{getattr(found, '__module__', '')}.", packages):
            raise TargetError(f"{what} is made by {target}, which is not what it seems")
    for text in _entries(settings):
        # OmegaConf puts in its place whatever it says, such as other settings with a `_target_`.
        if "${" in text:
            raise TargetError(f"{what} is made with {text}, which stands for something else: fer3d writes no such text")


def _is_of(target: str, packages: Collection[str]) -> bool:
    return target.startswith(tuple(f"{package}." for package in packages))


def _entries(settings: Any, key: str | None = None) -> Iterator[str]:
    """The entries of that key, or all texts, at any depth."""
    if isinstance(settings, Mapping):
        if key in settings:
            yield str(settings[key])
        settings = list(settings.values())
    if isinstance(settings, list | tuple):
        for value in settings:
            yield from _entries(value, key)
    if isinstance(settings, str) and key is None:
        yield settings
