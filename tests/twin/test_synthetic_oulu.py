from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from trees import OULU_STRONG, make_oulu, mark_synthetic, read_part, touch

from fer3d.atomic_folder import atomic_folder
from fer3d.corpora.oulu_casia import OuluCASIA
from fer3d.corpora.sequences import SYNTHETIC_MARKER, CorpusError
from fer3d.twin import CKPLUS, OULU, describe_twin
from fer3d.twin.layouts import Layout
from fer3d.twin.synthetic_oulu import SyntheticOulu

UseGenerator = Callable[[Callable[..., None]], None]


def write_twin(root: Path, seed: int = 0, num_subjects: int = 2) -> Path:
    """Writes what `generate_twin` does, with empty images."""
    make_oulu(root, subjects=[f"P{number:03d}" for number in range(1, num_subjects + 1)], num_frames=9)
    return mark_synthetic(root, **describe_twin(seed, num_subjects=num_subjects, layout=OULU), anny="0.6.2")


def quick_generator(root: Path, seed: int, num_subjects: int, settings: None, layout: Layout) -> None:
    assert layout is OULU
    assert settings is None
    with atomic_folder(root) as work:
        write_twin(work, seed, num_subjects)


def forbidden_generator(root: Path, **_: object) -> None:
    raise AssertionError(f"nothing was to be rendered into {root}")


@pytest.fixture
def use_generator(monkeypatch: pytest.MonkeyPatch) -> UseGenerator:
    """Puts a quick generator in the place of the renderer; until then nothing may be rendered."""

    def use(generator: Callable[..., None]) -> None:
        monkeypatch.setattr("fer3d.twin.on_demand.generate_twin", generator)

    use(forbidden_generator)
    return use


def error_text(corpus: SyntheticOulu) -> str:
    with pytest.raises(CorpusError) as caught:
        corpus.read()
    return str(caught.value)


def test_constants_are_those_of_the_corpus(tmp_path: Path) -> None:
    corpus = SyntheticOulu(tmp_path)
    assert (corpus.name, corpus.num_channels, corpus.synthetic) == ("synthetic_oulu", 3, True)
    assert corpus.emotions == OuluCASIA.emotions
    assert (corpus.seed, corpus.num_subjects) == (0, 20)


def test_home_is_understood(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert SyntheticOulu("~/twin").root == tmp_path / "twin"


def test_sequences_equal_those_of_the_reader_of_oulu_casia(tmp_path: Path, use_generator: UseGenerator) -> None:
    root = write_twin(tmp_path / "twin")
    real = OuluCASIA(root)
    sequences = read_part(real)
    # Only the real corpus has a number of sequences to warn about.
    assert SyntheticOulu(root, num_subjects=2).read() == sequences
    assert len(sequences) == 12
    assert real.synthetic is True


def test_a_twin_is_rendered_once_and_then_read(tmp_path: Path, use_generator: UseGenerator) -> None:
    root = tmp_path / "data" / "twin"
    use_generator(quick_generator)
    first = SyntheticOulu(root, seed=4, num_subjects=3).read()
    use_generator(forbidden_generator)
    assert SyntheticOulu(root, seed=4, num_subjects=3).read() == first
    assert [sequence.clip_id for sequence in first[5:7]] == ["P001/Surprise", "P002/Anger"]
    assert [path.name for path in root.parent.iterdir()] == ["twin"]


def test_another_twin_is_left_alone(tmp_path: Path, use_generator: UseGenerator) -> None:
    root = write_twin(tmp_path / "twin", seed=1, num_subjects=3)
    message = error_text(SyntheticOulu(root, num_subjects=2))
    difference = "seed is 1 there and 0 here; num_subjects is 3 there and 2 here"
    assert message.startswith(f"{root} holds another synthetic twin: {difference}. ")


def test_a_twin_of_ckplus_is_another_one(tmp_path: Path, use_generator: UseGenerator) -> None:
    root = mark_synthetic(tmp_path / "twin", **describe_twin(0, num_subjects=2, layout=CKPLUS))
    assert "layout is ckplus there and oulu_casia here; " in error_text(SyntheticOulu(root, num_subjects=2))


def test_a_folder_with_something_else_is_left_alone(tmp_path: Path, use_generator: UseGenerator) -> None:
    touch(tmp_path / "thesis.pdf")
    message = error_text(SyntheticOulu(tmp_path))
    assert f"data.root is {tmp_path}, which exists but is not a synthetic twin" in message
    assert "read real Oulu-CASIA with data=oulu_casia" in message
    assert SYNTHETIC_MARKER in message
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.pdf"]


def test_a_damaged_twin_is_an_error_that_says_to_delete_it(tmp_path: Path, use_generator: UseGenerator) -> None:
    root = write_twin(tmp_path / "twin")
    shutil.rmtree(root / OULU_STRONG / "P001/Fear")
    (root / OULU_STRONG / "P001/Fear").mkdir()
    message = error_text(SyntheticOulu(root, num_subjects=2))
    assert f"{root} is damaged; delete that folder" in message
    assert "P001/Fear" in message


@pytest.mark.parametrize("num_subjects", [0, 81])
def test_an_impossible_number_of_people_is_an_error_that_names_the_key(tmp_path: Path, num_subjects: int) -> None:
    message = error_text(SyntheticOulu(tmp_path / "twin", num_subjects=num_subjects))
    assert message.startswith(f"data.num_subjects is {num_subjects}, ")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_the_real_generator_writes_an_oulu_twin_that_can_be_read(tmp_path: Path) -> None:
    pytest.importorskip("anny")
    sequences = SyntheticOulu(tmp_path / "twin", seed=1, num_subjects=1).read()
    assert tuple(sequence.emotion for sequence in sequences) == SyntheticOulu.emotions
    assert all(len(sequence.frames) >= 9 for sequence in sequences)
    assert all(frame.stat().st_size > 0 for sequence in sequences for frame in sequence.frames)
