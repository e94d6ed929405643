from __future__ import annotations

import pytest

from fer3d.processes import exit_behind


def interrupted() -> None:
    """As OmegaConf's clean-up fails when a handler's `SystemExit` leaves a node half made."""
    try:
        raise SystemExit(-1)
    finally:
        None._invalidate_flags_cache()  # type: ignore[attr-defined]


def failing() -> None:
    raise KeyError("other")


def wrapped(function: object) -> None:
    try:
        function()  # type: ignore[operator]
    except Exception as error:
        raise ValueError("cannot be created") from error


def test_an_exit_that_an_error_replaced_is_found() -> None:
    with pytest.raises(ValueError, match="cannot be created") as raised:
        wrapped(interrupted)
    found = exit_behind(raised.value)
    assert found is not None
    assert found.code == -1


def test_an_error_of_its_own_has_no_exit_behind_it() -> None:
    with pytest.raises(ValueError, match="cannot be created") as raised:
        wrapped(failing)
    assert exit_behind(raised.value) is None
