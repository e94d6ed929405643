from __future__ import annotations

import shutil
import time
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from trees import add_ckplus_frames, add_ckplus_label, ckplus_code, mark_synthetic, read_part, touch

from fer3d.atomic_folder import atomic_folder
from fer3d.corpora import ravdess
from fer3d.corpora.ckplus import CKPlus
from fer3d.corpora.crema_d import CremaD
from fer3d.corpora.oulu_casia import OuluCASIA
from fer3d.corpora.sequences import SYNTHETIC_MARKER, Corpus, CorpusError, CorpusWarning
from fer3d.twin import CKPLUS, CREMA_D, OULU, RAVDESS, TwinSettings, describe_twin
from fer3d.twin.cast import EMOTION_CODES, PlannedSequence
from fer3d.twin.corpora import SyntheticCKPlus, SyntheticCremaD, SyntheticOulu, SyntheticRAVDESS
from fer3d.twin.layouts import Layout


@dataclass(frozen=True)
class Twin:
    """A twin as a corpus: its class, its layout, the real corpus's reader, and what the class is by default."""

    make: Callable[..., Any]
    layout: Layout
    real: Callable[[Path], Corpus]
    name: str
    num_channels: int
    num_subjects: int
    num_sequences: int


TWINS = [
    Twin(SyntheticCKPlus, CKPLUS, CKPlus, "synthetic", 1, 118, 327),
    Twin(SyntheticOulu, OULU, OuluCASIA, "synthetic_oulu", 3, 20, 20 * 6),
    Twin(SyntheticRAVDESS, RAVDESS, ravdess.RAVDESS, "synthetic_ravdess", 3, 24, 24 * 8 * 2),
    Twin(SyntheticCremaD, CREMA_D, CremaD, "synthetic_crema_d", 3, 15, 15 * 6),
]
each_twin = pytest.mark.parametrize("twin", TWINS, ids=lambda twin: twin.name)
Generator = Callable[..., None]
UseGenerator = Callable[[Generator], None]


def write_sequence(layout: Layout, root: Path, subject: str, sequence: PlannedSequence) -> None:
    clip_id = f"{subject}/{sequence.name}"
    if layout is CKPLUS:
        add_ckplus_frames(root / "cohn-kanade-images", clip_id, [1])
        add_ckplus_label(root / "Emotion", clip_id, ckplus_code(EMOTION_CODES[sequence.emotion]), 1)
    elif layout is OULU:
        touch(root / "OriginalImg/VL/Strong" / clip_id / "000.jpeg")
    elif layout is RAVDESS:
        touch(root / f"Actor_{subject}" / f"{sequence.name}.mp4")
    else:
        touch(root / "VideoFlash" / f"{sequence.name}.flv")


def quick_generator(
    root: Path, seed: int = 0, settings: TwinSettings | None = None, num_subjects: int = 2, *, layout: Layout = CKPLUS
) -> Path:
    """Writes what `generate_twin` does, with empty images or videos."""
    settings = settings or layout.settings
    with atomic_folder(root) as work:
        roles = layout.plan_cast(seed, settings, num_subjects)
        for role in roles:
            for sequence in role.sequences:
                write_sequence(layout, work, role.subject, sequence)
        layout.write_tables(work, roles, seed)
        mark_synthetic(work, **describe_twin(seed, settings, num_subjects, layout), anny="0.6.2")
    return root


def forbidden_generator(root: Path, *_: object, **__: object) -> None:
    raise AssertionError(f"nothing was to be rendered into {root}")


@pytest.fixture(autouse=True)
def use_generator(monkeypatch: pytest.MonkeyPatch) -> UseGenerator:
    """Replaces the renderer by a quick generator; until it is called, nothing may be rendered."""

    def use(generator: Generator) -> None:
        monkeypatch.setattr("fer3d.twin.corpora.generate_twin", generator)

    use(forbidden_generator)
    return use


def error_text(corpus: Corpus) -> str:
    with pytest.raises(CorpusError) as caught:
        corpus.read()
    return str(caught.value)


@each_twin
def test_a_twin_of_default_size_is_what_the_real_corpus_is_and_gives_no_warning(
    twin: Twin, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, use_generator: UseGenerator
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    corpus = twin.make("~/twin")
    assert corpus.root == tmp_path / "twin"
    assert (corpus.name, corpus.num_channels, corpus.synthetic) == (twin.name, twin.num_channels, True)
    assert (corpus.seed, corpus.num_subjects) == (0, twin.num_subjects)
    assert corpus.emotions == twin.real(tmp_path).emotions
    use_generator(quick_generator)
    sequences = corpus.read()
    assert len(sequences) == twin.num_sequences
    assert len({sequence.subject for sequence in sequences}) == twin.num_subjects


@each_twin
def test_a_twin_is_rendered_once_and_then_read_as_the_real_corpus_is(
    twin: Twin, tmp_path: Path, use_generator: UseGenerator
) -> None:
    root = tmp_path / "data" / "twin"
    use_generator(quick_generator)
    first = twin.make(root, seed=4, num_subjects=3).read()
    use_generator(forbidden_generator)
    assert twin.make(root, seed=4, num_subjects=3).read() == first
    assert [path.name for path in root.parent.iterdir()] == ["twin"]
    real = twin.real(root)
    assert read_part(real) == first
    assert real.synthetic is True


@each_twin
def test_another_twin_is_left_alone(twin: Twin, tmp_path: Path) -> None:
    root = quick_generator(tmp_path / "twin", seed=1, num_subjects=3, layout=twin.layout)
    before = sorted(root.rglob("*"))
    message = error_text(twin.make(root, num_subjects=2))
    assert message.startswith(f"{root} holds another synthetic twin: seed is 1 there and 0 here; ")
    assert "num_subjects is 3 there and 2 here" in message
    assert "data.root" in message
    for other in TWINS:
        mark_synthetic(root, **describe_twin(0, num_subjects=2, layout=other.layout))
        named = f"layout is {other.layout.name} there and {twin.layout.name} here; "
        assert other is twin or named in error_text(twin.make(root, num_subjects=2))
    assert sorted(root.rglob("*")) == before


@each_twin
def test_a_folder_with_something_else_is_left_alone(twin: Twin, tmp_path: Path) -> None:
    touch(tmp_path / "thesis.pdf")
    message = error_text(twin.make(tmp_path))
    assert f"data.root is {tmp_path}, which exists but is not a synthetic twin" in message
    assert f"read real {twin.layout.title} with data={twin.layout.name}" in message
    assert SYNTHETIC_MARKER in message
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.pdf"]


@each_twin
def test_a_damaged_twin_is_an_error_that_says_to_delete_it(twin: Twin, tmp_path: Path) -> None:
    root = quick_generator(tmp_path / "twin", layout=twin.layout)
    for folder in filter(Path.is_dir, root.iterdir()):
        if folder.name != "Emotion":
            shutil.rmtree(folder)
    assert f"{root} is damaged; delete that folder" in error_text(twin.make(root, num_subjects=2))


@pytest.mark.parametrize(
    ("make", "numbers"),
    [
        (SyntheticCKPlus, {"num_subjects": 119}),
        (SyntheticRAVDESS, {"num_repetitions": 3}),
        (SyntheticCremaD, {"num_sentences": 13}),
    ],
)
def test_an_impossible_number_is_an_error_that_names_the_key(
    make: Callable[..., Corpus], numbers: dict[str, int], tmp_path: Path, use_generator: UseGenerator
) -> None:
    use_generator(quick_generator)
    ((key, number),) = numbers.items()
    assert error_text(make(tmp_path / "twin", **numbers)).startswith(f"data.{key} is {number}")
    assert not (tmp_path / "twin").exists()


@pytest.mark.parametrize("make", [SyntheticRAVDESS, SyntheticCremaD])
def test_a_choice_of_emotions_reads_the_same_twin(
    make: Callable[..., Corpus], tmp_path: Path, use_generator: UseGenerator
) -> None:
    use_generator(quick_generator)
    every = make(tmp_path / "twin").read()
    use_generator(forbidden_generator)
    some = make(tmp_path / "twin", emotions=["sad", "happy"])
    assert some.emotions == ("sad", "happy")
    assert some.read() == [sequence for sequence in every if sequence.emotion in some.emotions]


@pytest.mark.parametrize(
    ("make", "choice"),
    [
        (SyntheticRAVDESS, {"emotions": ["happy", "bored"]}),
        (SyntheticCremaD, {"emotions": ["happy", "calm"]}),
        (SyntheticCremaD, {"labels": "voice"}),
    ],
)
def test_an_unknown_choice_is_refused_at_once(
    make: Callable[..., Corpus], choice: dict[str, Any], tmp_path: Path
) -> None:
    with pytest.raises(CorpusError, match=rf"data\.{next(iter(choice))} "):
        make(tmp_path, **choice)


@pytest.mark.parametrize(
    ("make", "layout", "key"),
    [(SyntheticRAVDESS, RAVDESS, "num_repetitions"), (SyntheticCremaD, CREMA_D, "num_sentences")],
)
def test_another_number_of_takes_is_another_twin(
    make: Callable[..., Corpus], layout: Layout, key: str, tmp_path: Path
) -> None:
    quick_generator(tmp_path / "twin", settings=replace(layout.settings, num_takes=2), layout=layout)  # type: ignore[type-var]
    corpus = make(tmp_path / "twin", num_subjects=2, **{key: 1})
    assert "settings.num_takes is 2 there and 1 here. " in error_text(corpus)
    assert len(make(tmp_path / "twin", num_subjects=2, **{key: 2}).read()) > 20


def test_labels_of_raters_are_read_from_the_same_twin(tmp_path: Path, use_generator: UseGenerator) -> None:
    use_generator(quick_generator)
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


def test_a_full_twin_of_ckplus_with_other_counts_gives_a_warning(tmp_path: Path) -> None:
    quick_generator(tmp_path / "twin")
    mark_synthetic(tmp_path / "twin", **describe_twin(0))
    with pytest.warns(CorpusWarning, match="synthetic twin of CK.*sequences: 6 instead of 327") as caught:
        SyntheticCKPlus(tmp_path / "twin").read()
    assert Path(caught[0].filename) == Path(__file__)


# What follows does not depend on the corpus.


def test_a_twin_that_several_need_at_once_is_rendered_once(tmp_path: Path, use_generator: UseGenerator) -> None:
    rendered = []

    def generator(root: Path, *arguments: Any, **more: Any) -> None:
        rendered.append(root)
        time.sleep(0.05)
        quick_generator(root, *arguments, **more)

    use_generator(generator)
    with ThreadPoolExecutor() as pool:
        one, other = pool.map(lambda _: SyntheticOulu(tmp_path / "twin", num_subjects=2).read(), range(2))
    assert one == other
    assert rendered == [tmp_path / "twin"]
    assert list(tmp_path.iterdir()) == rendered


@pytest.mark.parametrize("others_seed", [0, 1])
def test_a_twin_that_another_process_finished_first_is_used_if_it_is_the_same(
    tmp_path: Path, use_generator: UseGenerator, others_seed: int
) -> None:
    root = tmp_path / "twin"

    def overtaken(unfinished: Path, *_: Any, **__: Any) -> None:
        # The generator drops its own work if the folder appears in the meantime.
        with atomic_folder(unfinished):
            quick_generator(root, others_seed, layout=OULU)

    use_generator(overtaken)
    corpus = SyntheticOulu(root, num_subjects=2)
    if others_seed == corpus.seed:
        assert len(corpus.read()) == 12
    else:
        assert "seed is 1 there and 0 here" in error_text(corpus)
    assert [path.name for path in tmp_path.iterdir()] == ["twin"]


def test_an_empty_folder_is_rendered_into_and_a_link_stays_a_link(tmp_path: Path, use_generator: UseGenerator) -> None:
    use_generator(quick_generator)
    disk, link = tmp_path / "disk", tmp_path / "twin"
    disk.mkdir()
    link.symlink_to(disk)
    assert len(SyntheticOulu(link, num_subjects=2).read()) == 12
    assert link.is_symlink()
    assert (disk / SYNTHETIC_MARKER).is_file()


def test_a_file_is_left_alone(tmp_path: Path) -> None:
    file = touch(tmp_path / "twin")
    assert "is not a synthetic twin" in error_text(SyntheticOulu(file))
    assert file.is_file()


@pytest.mark.parametrize(
    ("settings", "difference"),
    [
        ({"width": 160}, "settings.width is 160 there and 640 here. "),
        ({"noise": (0.0, 0.0)}, "settings.noise is [0.0, 0.0] there and [1.0, 3.0] here. "),
        ({"seed": 1, "gaze": 0.0}, "seed is 1 there and 0 here; settings.gaze is 0.0 there and 0.3 here. "),
    ],
)
def test_other_settings_make_another_twin(tmp_path: Path, settings: dict[str, Any], difference: str) -> None:
    seed = settings.pop("seed", 0)
    mark_synthetic(tmp_path, **describe_twin(seed, replace(CKPLUS.settings, **settings), 2))
    assert f"holds another synthetic twin: {difference}" in error_text(SyntheticCKPlus(tmp_path, num_subjects=2))


def test_a_marker_that_lacks_an_entry_or_has_an_unknown_one_is_of_another_twin(tmp_path: Path) -> None:
    for lost in ("format", "seed", "num_subjects", "settings"):
        described = describe_twin(0, num_subjects=2)
        del described[lost]
        mark_synthetic(tmp_path, **described)
        assert f"{lost} is not recorded there and " in error_text(SyntheticCKPlus(tmp_path, num_subjects=2))
    described = describe_twin(0, num_subjects=2)
    described["settings"]["beard"] = 0.5
    mark_synthetic(tmp_path, **described)
    assert "settings.beard is 0.5 there and not recorded here" in error_text(SyntheticCKPlus(tmp_path, num_subjects=2))


def test_another_version_of_anny_is_no_other_twin(tmp_path: Path) -> None:
    root = quick_generator(tmp_path / "twin", layout=OULU)
    mark_synthetic(root, **describe_twin(0, num_subjects=2, layout=OULU), anny="9.9")
    assert len(SyntheticOulu(root, num_subjects=2).read()) == 12


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        *((content, "cannot be read") for content in (b"{", b"[" * 100_000, b"\xff\xfe\x00")),
        *((content, "should hold a JSON object") for content in (b"[]", b"3")),
    ],
)
def test_a_damaged_marker_is_named(tmp_path: Path, content: bytes, reason: str) -> None:
    (tmp_path / SYNTHETIC_MARKER).write_bytes(content)
    assert f"{tmp_path / SYNTHETIC_MARKER} {reason}" in error_text(SyntheticCKPlus(tmp_path, num_subjects=2))


@pytest.mark.parametrize("place", ["loop", "x" * 300])
def test_a_root_that_cannot_be_opened_is_named(tmp_path: Path, place: str) -> None:
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    message = error_text(SyntheticOulu(tmp_path / place, num_subjects=2))
    assert f"data.root is {tmp_path / place}, which cannot be opened" in message


def test_a_root_that_cannot_be_written_is_named(tmp_path: Path, use_generator: UseGenerator) -> None:
    use_generator(quick_generator)
    touch(tmp_path / "file")
    message = error_text(SyntheticOulu(tmp_path / "file/twin", num_subjects=2))
    assert f"data.root, which is {tmp_path / 'file/twin'}: " in message
    assert "set data.root to another folder" in message


@pytest.mark.slow
@pytest.mark.parametrize("make", [SyntheticCKPlus, SyntheticOulu])
def test_the_real_generator_writes_a_twin_that_can_be_read(
    make: Callable[..., Corpus], tmp_path: Path, use_generator: UseGenerator
) -> None:
    from fer3d.twin.generation import generate_twin

    use_generator(generate_twin)
    sequences = make(tmp_path / "twin", seed=1, num_subjects=2).read()
    assert len({sequence.subject for sequence in sequences}) == 2
    assert all(frame.stat().st_size > 0 for sequence in sequences for frame in sequence.frames)  # type: ignore[union-attr]
