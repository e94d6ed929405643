from __future__ import annotations

import pytest

from fer3d.twin.head_model import HeadModel, read_head_model


@pytest.fixture(scope="session")
def head() -> HeadModel:
    return read_head_model()
