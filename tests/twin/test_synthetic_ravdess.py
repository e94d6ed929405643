from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from trees import mark_synthetic, read_part, touch

from fer3d.atomic_folder import atomic_folder
from fer3d.corpora import ravdess
from fer3d.corpora.sequences import SYNTHETIC_MARKER, CorpusError
from fer3d.twin import CKPLUS, CREMA_D, RAVDESS, VideoSettings, describe_twin
from fer3d.twin.actors import plan_ravdess_cast
from fer3d.twin.layouts import Layout
from fer3d.twin.synthetic_ravdess import SyntheticRAVDESS

UseGenerator = Callable[[Callable[..., None]], None]


def write_twin(root: Path, settings: VideoSettings, seed: int = 0, num_subjects: int = 2) -> Path:
    """Writes what `generate_twin` does, with empty videos."""
    cast = plan_ravdess_cast(seed, settings, num_subjects)
    for role in cast:
        for sequence in role.sequences:
            touch(root / f"Actor_{role.subject}" / f"{sequence.name}.mp4")
    return mark_synthetic(root, **describe_twin(seed, settings, num_subjects, RAVDESS), anny="0.6.2")


def quick_generator(root: Path, seed: int, num_subjects: int, settings: VideoSettings, layout: Layout) -> None:
    assert layout is RAVDESS
    with atomic_folder(root) as work:
        write_twin(work, settings, seed, num_subjects)


def forbidden_generator(root: Path, **_: object) -> None:
    raise AssertionError(f"nothing was to be rendered into {root}")


@pytest.fixture
def use_generator(monkeypatch: pytest.MonkeyPatch) -> UseGenerator:
    """Puts a quick generator in the place of the renderer; until then nothing may be rendered."""

    def use(generator: Callable[..., None]) -> None:
        monkeypatch.setattr("fer3d.twin.on_demand.generate_twin", generator)

    use(forbidden_generator)
    return use


def error_text(corpus: SyntheticRAVDESS) -> str:
    with pytest.raises(CorpusError) as caught:
        corpus.read()
    return str(caught.value)


def test_constants_are_those_of_the_corpus(tmp_path: Path) -> None:
    corpus = SyntheticRAVDESS(tmp_path)
    assert (corpus.name, corpus.num_channels, corpus.synthetic) == ("synthetic_ravdess", 3, True)
    assert corpus.emotions == ravdess.RAVDESS(tmp_path).emotions
    assert (corpus.seed, corpus.num_subjects, corpus.num_repetitions) == (0, 24, 2)


def test_a_full_twin_has_384_videos(tmp_path: Path, use_generator: UseGenerator) -> None:
    use_generator(quick_generator)
    sequences = SyntheticRAVDESS(tmp_path / "twin").read()
    assert len(sequences) == 24 * 8 * 2
    assert {sequence.subject for sequence in sequences} == {f"{actor:02d}" for actor in range(1, 25)}


def test_sequences_equal_those_of_the_reader_of_ravdess(tmp_path: Path, use_generator: UseGenerator) -> None:
    use_generator(quick_generator)
    root = tmp_path / "twin"
    # Only the real corpus has a number of sequences to warn about.
    sequences = SyntheticRAVDESS(root, num_subjects=2, num_repetitions=1).read()
    real = ravdess.RAVDESS(root)
    assert sequences == read_part(real)
    assert len(sequences) == 16
    assert real.synthetic is True


def test_a_twin_is_rendered_once_and_then_read_for_any_choice_of_emotions(
    tmp_path: Path, use_generator: UseGenerator
) -> None:
    root = tmp_path / "data" / "twin"
    use_generator(quick_generator)
    first = SyntheticRAVDESS(root, 4, 3, 1).read()
    use_generator(forbidden_generator)
    assert SyntheticRAVDESS(root, 4, 3, 1).read() == first
    some = SyntheticRAVDESS(root, 4, 3, 1, emotions=["sad", "happy"])
    assert some.emotions == ("sad", "happy")
    assert some.read() == [sequence for sequence in first if sequence.emotion in ("sad", "happy")]
    assert [path.name for path in root.parent.iterdir()] == ["twin"]


def test_an_unknown_emotion_is_refused_before_anything_is_rendered(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match=r"data\.emotions has 'bored'"):
        SyntheticRAVDESS(tmp_path, emotions=["happy", "bored"])


@pytest.mark.parametrize(
    ("layout", "difference"),
    [
        (CKPLUS, "layout is ckplus there and ravdess here; "),
        (CREMA_D, "layout is crema_d there and ravdess here; "),
        (RAVDESS, "settings.num_takes is 2 there and 1 here. "),
    ],
)
def test_another_twin_is_left_alone(
    layout: Layout, difference: str, tmp_path: Path, use_generator: UseGenerator
) -> None:
    root = mark_synthetic(tmp_path / "twin", **describe_twin(0, num_subjects=2, layout=layout))
    message = error_text(SyntheticRAVDESS(root, num_subjects=2, num_repetitions=1))
    assert message.startswith(f"{root} holds another synthetic twin: ")
    assert difference in message


def test_a_folder_with_something_else_is_left_alone(tmp_path: Path, use_generator: UseGenerator) -> None:
    touch(tmp_path / "thesis.pdf")
    message = error_text(SyntheticRAVDESS(tmp_path))
    assert f"data.root is {tmp_path}, which exists but is not a synthetic twin" in message
    assert "read real RAVDESS with data=ravdess" in message
    assert SYNTHETIC_MARKER in message


def test_a_damaged_twin_is_an_error_that_says_to_delete_it(tmp_path: Path, use_generator: UseGenerator) -> None:
    root = write_twin(tmp_path / "twin", RAVDESS.settings)
    for folder in root.glob("Actor_*"):
        shutil.rmtree(folder)
    assert f"{root} is damaged; delete that folder" in error_text(SyntheticRAVDESS(root, num_subjects=2))


@pytest.mark.parametrize(
    ("numbers", "key"), [({"num_subjects": 25}, "data.num_subjects is 25"), ({"num_repetitions": 3}, "data.num_rep")]
)
def test_an_impossible_number_is_an_error_that_names_the_key(numbers: dict[str, int], key: str, tmp_path: Path) -> None:
    assert error_text(SyntheticRAVDESS(tmp_path / "twin", **numbers)).startswith(key)
    assert list(tmp_path.iterdir()) == []
