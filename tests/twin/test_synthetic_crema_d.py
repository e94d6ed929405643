from __future__ import annotations

import warnings
from dataclasses import replace
from pathlib import Path

import pytest
from trees import mark_synthetic, read_part, touch

from fer3d.atomic_folder import atomic_folder
from fer3d.corpora.crema_d import CremaD
from fer3d.corpora.sequences import CorpusError, CorpusWarning
from fer3d.twin import CREMA_D, VideoSettings, describe_twin
from fer3d.twin.actors import plan_crema_d_cast
from fer3d.twin.layouts import Layout
from fer3d.twin.synthetic_crema_d import SyntheticCremaD


def quick_generator(root: Path, seed: int, num_subjects: int, settings: VideoSettings, layout: Layout) -> None:
    """Writes what `generate_twin` does, with empty videos."""
    assert layout is CREMA_D
    with atomic_folder(root) as work:
        cast = plan_crema_d_cast(seed, settings, num_subjects)
        for sequence in (sequence for role in cast for sequence in role.sequences):
            touch(work / "VideoFlash" / f"{sequence.name}.flv")
        layout.write_tables(work, cast, seed)
        mark_synthetic(work, **describe_twin(seed, settings, num_subjects, layout), anny="0.6.2")


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Puts the quick generator in the place of the renderer."""
    monkeypatch.setattr("fer3d.twin.on_demand.generate_twin", quick_generator)


def test_constants_are_those_of_the_corpus(tmp_path: Path) -> None:
    corpus = SyntheticCremaD(tmp_path)
    assert (corpus.name, corpus.num_channels, corpus.synthetic) == ("synthetic_crema_d", 3, True)
    assert corpus.emotions == CremaD(tmp_path).emotions
    assert (corpus.seed, corpus.num_subjects, corpus.num_sentences, corpus.labels) == (0, 15, 1, "intended")


@pytest.mark.usefixtures("quick")
def test_sequences_equal_those_of_the_reader_of_crema_d(tmp_path: Path) -> None:
    root = tmp_path / "twin"
    sequences = SyntheticCremaD(root, num_sentences=2).read()
    real = CremaD(root)
    # Only the real corpus has a number of sequences to warn about.
    assert sequences == read_part(real)
    assert len(sequences) == 15 * 6 * 2
    assert real.synthetic is True


@pytest.mark.usefixtures("quick")
def test_labels_of_raters_are_read_from_the_same_twin(tmp_path: Path) -> None:
    intended = {s.sequence: s.emotion for s in SyntheticCremaD(tmp_path / "twin", num_subjects=30).read()}
    shares = {}
    for labels in ("face", "multimodal"):
        with warnings.catch_warnings():
            # Ties have no majority.
            warnings.simplefilter("ignore", CorpusWarning)
            voted = SyntheticCremaD(tmp_path / "twin", num_subjects=30, labels=labels).read()
        assert {sequence.columns["labels"] for sequence in voted} == {labels}
        shares[labels] = sum(intended[s.sequence] == s.emotion for s in voted) / len(intended)
    assert 0.55 < shares["face"] < 0.8
    assert shares["face"] < shares["multimodal"] < 0.95


def test_a_choice_that_crema_d_does_not_have_is_refused_before_anything_is_rendered(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match=r"data\.labels is 'voice'"):
        SyntheticCremaD(tmp_path, labels="voice")
    with pytest.raises(CorpusError, match=r"data\.emotions has 'calm'"):
        SyntheticCremaD(tmp_path, emotions=["happy", "calm"])


@pytest.mark.parametrize(
    ("numbers", "key"), [({"num_subjects": 92}, "data.num_subjects is 92"), ({"num_sentences": 13}, "data.num_sent")]
)
def test_an_impossible_number_is_an_error_that_names_the_key(numbers: dict[str, int], key: str, tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match=f"^{key}"):
        SyntheticCremaD(tmp_path / "twin", **numbers).read()
    assert list(tmp_path.iterdir()) == []


def test_a_twin_of_other_sentences_is_left_alone(tmp_path: Path) -> None:
    settings = replace(CREMA_D.settings, num_takes=3)
    root = mark_synthetic(tmp_path / "twin", **describe_twin(0, settings, 15, CREMA_D))
    with pytest.raises(CorpusError, match=r"holds another synthetic twin: settings\.num_takes is 3 there and 1 here\."):
        SyntheticCremaD(root).read()
