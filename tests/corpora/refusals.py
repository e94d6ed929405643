"""What a reader says of a tree that it refuses."""

from __future__ import annotations

import pytest

from fer3d.corpora.sequences import Corpus, CorpusError


def error_text(corpus: Corpus) -> str:
    with pytest.raises(CorpusError) as caught:
        corpus.read()
    return str(caught.value)
