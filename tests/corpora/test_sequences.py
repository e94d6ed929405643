from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from fer3d.corpora.sequences import CorpusWarning, Expected, FrameSequence

EXPECTED = Expected(num_sequences=3, num_subjects=2, per_emotion={"fear": 2, "happy": 1})


def sequence(subject: str, emotion: str) -> FrameSequence:
    return FrameSequence(subject, "001", emotion, (Path("1.png"),))


def test_the_warning_names_the_corpus_its_root_and_every_difference() -> None:
    with pytest.warns(CorpusWarning) as caught:
        EXPECTED.check([sequence("A", "happy"), sequence("A", "happy")], "corpus", Path("folder"))
    assert str(caught[0].message) == (
        "corpus in folder differs from the corpus as distributed: sequences: 2 instead of 3; subjects: 1 instead of 2; "
        "fear: 0 instead of 2; happy: 2 instead of 1"
    )


def test_the_readers_import_nothing_heavy() -> None:
    program = (
        "import sys, fer3d.corpora.ckplus, fer3d.corpora.oulu_casia\n"
        "heavy = {'torch', 'cv2', 'hydra', 'omegaconf', 'numpy', 'wandb', 'anny', 'warp'} & set(sys.modules)\n"
        "import fer3d.twin.corpora\n"
        "heavy |= {'torch', 'hydra', 'omegaconf', 'wandb', 'anny', 'warp'} & set(sys.modules)\n"
        "print(sorted(heavy))"
    )
    answer = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "[]"
