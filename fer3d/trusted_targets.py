"""Restricts the code that settings read from a file may name, because instantiating a `_target_` runs it."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from hydra.utils import get_object


class TargetError(ValueError):
    """Settings name code that is not trusted or does not exist; the message says which and what to do."""


def check_targets(settings: Mapping[str, Any], packages: Collection[str], what: str) -> None:
    """Checks that settings name code from trusted packages only.

    Args:
        settings: Settings with `_target_` entries at any depth.
        packages: Trusted packages.
        what: What the settings describe, for the message, such as `the checkpoint's network`.

    Raises:
        TargetError: A target is not in these packages or does not exist, or a value contains an interpolation.
    """
    for target in _entries(settings, "_target_"):
        if not _is_of(target, packages):
            package = target.partition(".")[0]
            raise TargetError(
                f"{what} names {target}, which is not in a trusted package; if you trust it, pass --trust {package}"
            )
        try:
            found = get_object(target)
        except Exception as error:  # importing a user's module may raise anything
            raise TargetError(f"{what} names {target}, which cannot be imported: {error}") from error
        # A module's own imports are reachable through it, such as `fer3d.models.cnn3d.torch.os.system`.
        if not _is_of(f"{getattr(found, '__module__', '')}.", packages):
            raise TargetError(f"{what} names {target}, which is defined outside {', '.join(packages)}")
    for text in _entries(settings):
        # OmegaConf would resolve it, possibly to other settings with a `_target_`.
        if "${" in text:
            raise TargetError(f"{what} contains the interpolation {text}; fer3d writes resolved settings only")


def _is_of(target: str, packages: Collection[str]) -> bool:
    return target.startswith(tuple(f"{package}." for package in packages))


def _entries(settings: Any, key: str | None = None) -> Iterator[str]:
    """Yields the entries of `key`, or all strings, at any depth."""
    if isinstance(settings, Mapping):
        if key in settings:
            yield str(settings[key])
        settings = list(settings.values())
    if isinstance(settings, list | tuple):
        for value in settings:
            yield from _entries(value, key)
    if isinstance(settings, str) and key is None:
        yield settings
