from __future__ import annotations

from pathlib import Path

import pytest
from trees import make_ckplus, make_oulu


@pytest.fixture
def ckplus(tmp_path: Path) -> Path:
    return make_ckplus(tmp_path / "CK+", {"S005/001": 3, "S010/002": 7, "S010/004": 1})


@pytest.fixture
def oulu(tmp_path: Path) -> Path:
    return make_oulu(tmp_path / "Oulu")
