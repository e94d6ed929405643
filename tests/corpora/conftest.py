from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from trees import make_ckplus, make_oulu

from fer3d.corpora.sequences import Corpus, CorpusWarning, FrameSequence


@pytest.fixture
def read_part() -> Callable[[Corpus], list[FrameSequence]]:
    """Reads a tree that is too small to be the whole corpus, which must not go unsaid."""

    def read(corpus: Corpus) -> list[FrameSequence]:
        with pytest.warns(CorpusWarning, match="differs from the corpus as distributed"):
            return corpus.read()

    return read


@pytest.fixture
def ckplus(tmp_path: Path) -> Path:
    return make_ckplus(tmp_path / "CK+", {"S005/001": 3, "S010/002": 7, "S010/004": 1})


@pytest.fixture
def oulu(tmp_path: Path) -> Path:
    return make_oulu(tmp_path / "Oulu")
